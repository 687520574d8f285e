"""Why devices are not in a plan, in words: what its short reasons mean and what to do about each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rollout.report.facts import ExcludedRow
from rollout.values import UNKNOWN, Finding, Plan

if TYPE_CHECKING:
    from rollout.store import Database, StoredPlan

OTHER = {
    "already co-managed": ("It is in Intune and ConfigMgr already.", "Nothing."),
    "not enrolled yet": (
        "Only enrolled devices can have a workload moved.",
        "Enroll it first; the next plan of this workload takes it in.",
    ),
    "the workload is at Intune already": ("Its workload was moved before.", "Nothing."),
    "excluded by the policy": (
        "The scenario names it under [rollout] exclude.",
        "Take it off that list to let it go.",
    ),
    "in no phase": (
        "No phase of the scenario takes it.",
        "Add a phase that takes it, or one that takes all the rest.",
    ),
    "released before": ("The rollout that this plan continues released it.", "Nothing."),
    "not added by this rollout": ("It was a member before, or never one: it stays as it is.", "Nothing."),
}
"""Reasons that are no rule's: what they mean, what to do."""


def worded(database: Database, stored: StoredPlan) -> tuple[ExcludedRow, ...]:
    """Give the exclusions of a stored plan, the largest first, worded by its inventory's findings."""
    return rows_of(stored.plan, database.findings(stored.inventory_id))


def rows_of(plan: Plan, findings: Sequence[Finding]) -> tuple[ExcludedRow, ...]:
    """Word the exclusions of a plan, the largest first. A reason that is no rule's is a sentence already."""
    counts = {reason: n for reason, n in plan.excluded_by_reason().items() if n}
    said = {one.rule: one for one in reversed(findings) if one.rule in counts and one.row != UNKNOWN}
    rows = [_row(reason, n, said.get(reason)) for reason, n in counts.items()]
    return tuple(sorted(rows, key=lambda row: -row.count))


def _row(reason: str, count: int, finding: Finding | None) -> ExcludedRow:
    if finding is None:
        return ExcludedRow(reason, count, *OTHER.get(reason, ("", "")))
    example = "" if count == 1 else "for example: "
    return ExcludedRow(reason, count, f"{example}{finding.sentence}", finding.next_action)


def of_device(plan: Plan, row: int, findings: Sequence[Finding]) -> ExcludedRow:
    """Word why one device is not in the plan."""
    reason = plan.exclusion_reasons[int(plan.excluded[row]) - 1]
    mine = next((one for one in findings if one.rule == reason and one.row == row), None)
    return _row(reason, 1, mine)
