"""Devices that our rollouts put into a staging collection: the superset rule for an undo."""

from __future__ import annotations

import numpy as np

from rollout.errors import RefusedError
from rollout.loop.undo import still_ours
from rollout.store import Database
from rollout.values import IntArray, Plan, texts_at
from rollout.workloads import outside_superset


def added_rows(database: Database, rollout_id: str) -> IntArray:
    """Return the rows that a rollout added, in order; adopted members and withdrawn devices are not among them."""
    return still_ours(database.reader(rollout_id))


def left_rows(database: Database, rollout_id: str) -> IntArray:
    """Return the rows that are out of the collection by an undo: taken out by it, or found outside by it."""
    answers = database.reader(rollout_id).applied()
    parts = [part for _, _, applied in answers for part in (applied.accepted, applied.adopted)]
    return np.concatenate([[], *parts]).astype(np.int32)


def staged_devices(database: Database) -> dict[str, set[str]]:
    """Return, by workload rollout, the ids of the devices that it staged and no undo has taken out again."""
    out: dict[str, set[str]] = {}
    by_digest: dict[str, str] = {}
    for known in database.rollouts():
        plan = database.plan(known.plan_id).plan
        if plan.action.startswith("workload:"):
            by_digest[plan.digest] = known.id
            out[known.id] = set(texts_at(plan.ids, added_rows(database, known.id)).tolist())
        elif plan.action_undone.startswith("workload:") and plan.continues in by_digest:
            out[by_digest[plan.continues]] -= set(texts_at(plan.ids, left_rows(database, known.id)).tolist())
    return out


def check_undo(database: Database, plan: Plan, ours: IntArray) -> None:
    """Refuse to take devices out of auto-enrollment that are still staged for a workload.

    The auto-enrollment collection contains every staging collection, before and after each change.
    Raise a `RefusedError`.
    """
    if plan.action != "enroll":
        return
    leaving = set(texts_at(plan.ids, ours).tolist())
    for rollout_id, staged in reversed(staged_devices(database).items()):
        outside = outside_superset(staged - leaving, staged)
        if outside:
            raise RefusedError(
                f"undo: {len(outside):,} devices of {rollout_id} would stay in a staging collection outside the "
                f"auto-enrollment collection, such as {outside[0]}",
                f"Take the workload back first: rollout plan --undo {rollout_id}, and run it.",
            )
