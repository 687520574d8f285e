"""Why devices are not in a plan: what the short reasons mean, and what to do about each."""

from __future__ import annotations

from collections.abc import Sequence

from rollout.planning.change import NOT_OURS, RELEASED_BEFORE
from rollout.planning.exclusions import BY_POLICY, COMANAGED, MOVED, NOT_ENROLLED
from rollout.planning.planner import NO_PHASE
from rollout.report.facts import ExcludedRow
from rollout.values import UNKNOWN, Finding, Plan

EXAMPLE = "for example: "


OTHER_REASONS = {
    COMANAGED: ("It is in Intune and ConfigMgr already.", "Nothing."),
    NOT_ENROLLED: (
        "A workload can be moved only for enrolled devices.",
        "Enroll it first; the next plan of this workload includes it.",
    ),
    MOVED: ("Its workload was moved before.", "Nothing."),
    BY_POLICY: (
        "The scenario names it under [rollout] exclude.",
        "Remove it from that list to include it.",
    ),
    NO_PHASE: (
        "No phase of the scenario takes it.",
        "Add a phase that takes it, or one that takes all remaining devices.",
    ),
    RELEASED_BEFORE: ("The rollout that this plan continues released it.", "Nothing."),
    NOT_OURS: ("It was a member before this rollout, or was never added: it stays as it is.", "Nothing."),
}
"""Reasons that are not preflight's: what each means, what to do."""


def rows_of(plan: Plan, findings: Sequence[Finding]) -> tuple[ExcludedRow, ...]:
    """Return the exclusions of a plan in words, the largest first. Reasons that are not preflight's are sentences."""
    counts = {reason: n for reason, n in plan.excluded_by_reason().items() if n}
    examples = {
        finding.rule: finding
        for finding in reversed(findings)
        if finding.rule in counts and finding.row != UNKNOWN
    }
    rows = [_row(reason, n, examples.get(reason)) for reason, n in counts.items()]
    return tuple(sorted(rows, key=lambda row: -row.count))


def _row(reason: str, count: int, finding: Finding | None) -> ExcludedRow:
    if finding is None:
        return ExcludedRow(reason, count, *OTHER_REASONS.get(reason, ("", "")))
    example = "" if count == 1 else EXAMPLE
    return ExcludedRow(reason, count, f"{example}{finding.sentence}", finding.next_action)


def worded(row: ExcludedRow) -> str:
    """Return a reason in one line: its short form, and its meaning if that says more."""
    between = ", " if row.count > 1 and row.sentence.startswith(EXAMPLE) else ": "
    return row.reason + between + row.sentence if row.sentence else row.reason


def of_device(plan: Plan, row: int, findings: Sequence[Finding]) -> ExcludedRow:
    """Explain why a device is not in the plan."""
    reason = plan.exclusion_reasons[int(plan.excluded[row]) - 1]
    own = next((finding for finding in findings if finding.rule == reason and finding.row == row), None)
    return _row(reason, 1, own)
