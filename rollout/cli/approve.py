"""`rollout approve`: a person says that this plan may be executed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from rollout.api.databases import open_db
from rollout.cli.options import DEFAULT_DB, By, Db, Json, Reason, Verbose
from rollout.cli.terminal import emit, say
from rollout.errors import UsageError
from rollout.text import iso

if TYPE_CHECKING:
    from rollout.store import Database, StoredPlan


def approve(
    digest: Annotated[
        str | None, typer.Argument(help="Plan id or digest, the latest by default; with --gate the rollout.")
    ] = None,
    by: By = "",
    gate: Annotated[
        str, typer.Option(metavar="PHASE", help="Approve a phase's inconclusive gate of the running rollout.")
    ] = "",
    reason: Reason = "",
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Approve a plan, or with --gate a phase whose gate is inconclusive.

    Example: rollout approve 4f2a --by "Kim Example"
    """
    if not by.strip():
        raise UsageError("--by: expected the name of who approves, found nothing", 'write --by "Your Name"')
    database = open_db(db)
    now = int(time.time())
    if gate:
        from rollout.cli.control import give

        give(database, digest, "approve-gate", by=by, reason=reason, phase=gate, as_json=as_json)
        return
    stored = database.plan(digest or database.latest_plan())
    database.approve(stored.id, by, now)
    warnings = _warnings(database, stored, now)
    if as_json:
        facts = {"plan": stored.id, "digest": stored.digest, "approved_by": by, "approved_at": iso(now)}
        emit({**facts, "warnings": warnings})
        return
    for one in warnings:
        say(f"warning: {one}")
    say(f"plan {stored.id} (digest {stored.digest[:12]}) is approved by {by}")
    say("next: rollout run")


def _warnings(database: Database, stored: StoredPlan, now: int) -> list[str]:
    """Say what a person should know of the plan at this moment; a made-up fleet has a time of its own."""
    from rollout.planning.change import OUTSIDE_WINDOWS
    from rollout.planning.planner import late_start

    said = [one for one in stored.plan.warnings if one == OUTSIDE_WINDOWS]
    if database.is_made_up(stored.inventory_id):
        return [*said, "the fleet of this plan is made up"]
    late = late_start(stored.plan.start, now)
    return [*said, late] if late else said
