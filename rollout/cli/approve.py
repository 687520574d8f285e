"""`rollout approve`: record a person's approval of a plan, or of a phase's gate."""

from __future__ import annotations

from typing import Annotated

import typer

from rollout.api.control import approve_gate, approve_plan, approve_stratum, require_name
from rollout.api.databases import open_db
from rollout.cli.options import DEFAULT_DB, By, Db, Json, Reason, Verbose
from rollout.cli.printing import print_command
from rollout.cli.terminal import emit, say
from rollout.errors import UsageError
from rollout.values.plan_warnings import labelled


def approve(
    digest: Annotated[
        str | None,
        typer.Argument(
            help="Plan id or digest (default: the latest plan); with --gate or --stratum, the rollout id."
        ),
    ] = None,
    by: By = "",
    gate: Annotated[
        str,
        typer.Option(metavar="PHASE", help="Approve this phase of the running rollout, whose gate holds."),
    ] = "",
    stratum: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Let a held model, site or other stratum of the running rollout go on."
        ),
    ] = "",
    reason: Reason = "",
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Approve a plan or, with --gate or --stratum, what holds a rollout.

    Example: rollout approve 4f2a --by "Kim Example"
    """
    require_name(by)
    database = open_db(db)
    if gate and stratum:
        raise UsageError("--gate and --stratum answer different questions", "approve one after the other")
    if stratum:
        print_command(approve_stratum(database, stratum, digest, by=by, reason=reason), as_json=as_json)
        return
    if gate:
        print_command(approve_gate(database, gate, digest, by=by, reason=reason), as_json=as_json)
        return
    approval = approve_plan(database, digest, by=by)
    if as_json:
        emit(approval)
        return
    for warning in approval.warnings:
        say(labelled(warning))
    say(f"plan {approval.plan} (digest {approval.digest[:12]}) is approved by {approval.approved_by}")
    say("next: rollout run")
