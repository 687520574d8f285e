"""`rollout status`: where a rollout stands, and whether it is on plan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rollout.api.databases import open_db
from rollout.api.decisions import write_decisions
from rollout.api.device_status import read_device_status
from rollout.api.status import StatusReader
from rollout.cli.options import DEFAULT_DB, Db, Json, Verbose
from rollout.cli.terminal import emit, out, say
from rollout.cli.watching import view, watch_status
from rollout.documents.executing import DeviceStatus
from rollout.errors import UsageError
from rollout.text import number


def status(
    rollout: Annotated[str | None, typer.Argument(help="Rollout id (default: the latest).")] = None,
    device: Annotated[str, typer.Option(metavar="ID", help="Show one device, by id or name.")] = "",
    watch: Annotated[
        bool, typer.Option("--watch", help="Refresh every two seconds until the rollout ends.")
    ] = False,
    decisions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all decisions to FILE, as JSON lines.")
    ] = None,
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Show where a rollout stands, or one of its devices.

    Shows the progress against the plan, the gate, the forecast of the end, and the latest decisions.

    Example: rollout status --watch
    """
    database = open_db(db)
    known = database.rollout(rollout)
    if decisions is not None:
        write_decisions(decisions, database.reader(known.id).decisions())
    if device:
        found = read_device_status(database, device, known.id)
        if as_json:
            emit(found)
        else:
            show_device(found)
        return
    if as_json and watch:
        raise UsageError(
            "--json and --watch cannot be combined", "call it repeatedly, or watch without --json"
        )
    reader = StatusReader(database, known.id)
    if as_json:
        emit(reader.read().document)
    elif watch:
        watch_status(reader)
    else:
        out().print(view(reader.read()))


def show_device(found: DeviceStatus) -> None:
    """Print what is known of one device: a line for each key that has a value."""
    workloads = found.workloads
    facts: dict[str, object] = {**dict(found), **workloads.authority}
    del facts["workloads"]
    if workloads.unknown_bits:
        facts["unknown bits"] = ", ".join(map(str, workloads.unknown_bits))
    for name, value in facts.items():
        if value is not None:
            say(f"{name.replace('_', ' '):>20}: {number(value) if isinstance(value, int) else value}")
