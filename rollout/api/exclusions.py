"""Why devices are not in a plan, in words: what its short reasons mean and what to do about each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from rollout.report.facts import ExcludedRow
from rollout.values import UNKNOWN, Finding, Plan

EXAMPLE = "for example: "


@cache
def others() -> dict[str, tuple[str, str]]:
    """Give the reasons that are no rule's: what each means, what to do.

    Their names are loaded late: most commands start without planning.
    """
    from rollout.planning.change import NOT_OURS, RELEASED_BEFORE
    from rollout.planning.exclusions import BY_POLICY, COMANAGED, MOVED, NOT_ENROLLED
    from rollout.planning.planner import NO_PHASE

    return {
        COMANAGED: ("It is in Intune and ConfigMgr already.", "Nothing."),
        NOT_ENROLLED: (
            "Only enrolled devices can have a workload moved.",
            "Enroll it first; the next plan of this workload takes it in.",
        ),
        MOVED: ("Its workload was moved before.", "Nothing."),
        BY_POLICY: (
            "The scenario names it under [rollout] exclude.",
            "Take it off that list to let it go.",
        ),
        NO_PHASE: (
            "No phase of the scenario takes it.",
            "Add a phase that takes it, or one that takes all the rest.",
        ),
        RELEASED_BEFORE: ("The rollout that this plan continues released it.", "Nothing."),
        NOT_OURS: ("It was a member before, or never one: it stays as it is.", "Nothing."),
    }


def rows_of(plan: Plan, findings: Sequence[Finding]) -> tuple[ExcludedRow, ...]:
    """Word the exclusions of a plan, the largest first. A reason that is no rule's is a sentence already."""
    counts = {reason: n for reason, n in plan.excluded_by_reason().items() if n}
    said = {one.rule: one for one in reversed(findings) if one.rule in counts and one.row != UNKNOWN}
    rows = [_row(reason, n, said.get(reason)) for reason, n in counts.items()]
    return tuple(sorted(rows, key=lambda row: -row.count))


def _row(reason: str, count: int, finding: Finding | None) -> ExcludedRow:
    if finding is None:
        return ExcludedRow(reason, count, *others().get(reason, ("", "")))
    example = "" if count == 1 else EXAMPLE
    return ExcludedRow(reason, count, f"{example}{finding.sentence}", finding.next_action)


def worded(row: ExcludedRow) -> str:
    """Say a reason in one line: its short form, and what it means where that says more."""
    between = ", " if row.count > 1 and row.sentence.startswith(EXAMPLE) else ": "
    return row.reason + between + row.sentence if row.sentence else row.reason


def of_device(plan: Plan, row: int, findings: Sequence[Finding]) -> ExcludedRow:
    """Word why one device is not in the plan."""
    reason = plan.exclusion_reasons[int(plan.excluded[row]) - 1]
    mine = next((one for one in findings if one.rule == reason and one.row == row), None)
    return _row(reason, 1, mine)
