"""`rollout approve`: a person says that this plan may be executed."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from rollout.cli import steps
from rollout.cli.options import DEFAULT_DB, By, Db, Json, Reason, Verbose
from rollout.cli.terminal import emit, iso, say
from rollout.errors import UsageError


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
    database = steps.open_db(db)
    now = int(time.time())
    if gate:
        from rollout.cli.control import give

        give(database, digest, "approve-gate", by=by, reason=reason, phase=gate, as_json=as_json)
        return
    stored = database.plan(digest)
    database.approve(stored.id, by, now)
    if as_json:
        emit({"plan": stored.id, "digest": stored.digest, "approved_by": by, "approved_at": iso(now)})
        return
    say(f"plan {stored.id} (digest {stored.digest[:12]}) is approved by {by}")
    say("next: rollout run")
