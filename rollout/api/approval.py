"""A person's approval of a plan."""

from __future__ import annotations

import time

from rollout.documents.planning import Approval
from rollout.errors import UsageError
from rollout.planning.change import OUTSIDE_WINDOWS
from rollout.planning.planner import late_start
from rollout.store import Database, StoredPlan
from rollout.text import iso


def approve_plan(database: Database, plan: str | None = None, *, by: str) -> Approval:
    """Approve a plan, given by id or digest, the latest by default. by : the person's name.

    Raise `UsageError` for an empty name or an unknown plan.
    """
    require_name(by)
    now = int(time.time())
    stored = database.plan(plan or database.latest_plan())
    database.approve(stored.id, by, now)
    return Approval(
        plan=stored.id,
        digest=stored.digest,
        approved_by=by,
        approved_at=iso(now),
        warnings=_warnings(database, stored, now),
    )


def require_name(by: str) -> None:
    """Raise `UsageError` if nobody is named: an approval is a person's."""
    if not by.strip():
        raise UsageError("--by is required: the name of the person who approves", 'write --by "Your Name"')


def _warnings(database: Database, stored: StoredPlan, now: int) -> list[str]:
    """Give what a person should know of the plan now; a generated fleet has its own time."""
    found = [sentence for sentence in stored.plan.warnings if sentence == OUTSIDE_WINDOWS]
    if database.is_made_up(stored.inventory_id):
        return [*found, "the fleet of this plan is made up"]
    late = late_start(stored.plan.start, now)
    return [*found, late] if late else found
