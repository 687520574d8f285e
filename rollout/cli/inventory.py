"""`rollout inventory`: take a snapshot of the fleet."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from rollout.api.databases import open_db
from rollout.api.inventory import InventoryResult, generate_inventory, read_inventory, store_inventory
from rollout.api.scenarios import read_scenario
from rollout.cli.options import DEFAULT_DB, MAX_CLIENTS, Db, Json, Seed, Verbose
from rollout.cli.terminal import bar, emit, note, say, table
from rollout.errors import UsageError
from rollout.exports.reading import ExportError
from rollout.files import csv_text, write_file
from rollout.text import number
from rollout.values.durations import FIRST_DAY, LAST_DAY
from sim.scenario import Scenario


def inventory(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE]...", help="More files, in addition to --from.")
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option("--from", metavar="CSV... | scenario [TOML]", help="Exports, or a generated fleet."),
    ] = None,
    clients: Annotated[
        int | None, typer.Option(min=1, max=MAX_CLIENTS, help="Size of a generated fleet.")
    ] = None,
    seed: Seed = 1,
    encoding: Annotated[str | None, typer.Option(help="File encoding, if it cannot be detected.")] = None,
    allow_rejected: Annotated[
        bool, typer.Option("--allow-rejected", help="Leave bad lines out instead of refusing the file.")
    ] = False,
    taken: Annotated[
        str,
        typer.Option(
            metavar="DATE", help="Date of the exports, such as 2026-11-24 (default: the current time)."
        ),
    ] = "",
    day_first: Annotated[
        bool | None,
        typer.Option(
            "--day-first/--month-first",
            help="Read 03/04/2026 as 3 April or as 4 March, if that cannot be detected.",
        ),
    ] = None,
    rejected: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Write every rejected line to this file.")
    ] = None,
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Import a snapshot of the fleet from exports of Intune, Entra and ConfigMgr, or generate one.

    Several files join on the Entra device id. An import is all or nothing.

    Example: rollout inventory --from intune.csv entra.csv configmgr.csv
    """
    sources = [*(source or []), *(files or [])]
    if not sources:
        raise UsageError(
            "--from: expected exports or 'scenario', found none", "rollout inventory --from devices.csv"
        )
    at = _instant(taken)
    if sources[0] == "scenario" or sources[0].endswith(".toml"):
        snapshot = generate_inventory(_scenario(sources, clients), seed=seed, taken=at)
    elif clients is not None:
        raise UsageError("--clients belongs to --from scenario, found exports")
    else:
        try:
            with bar("reading rows", 0, quiet=as_json) as progress:
                snapshot = read_inventory(
                    sources,
                    taken=at,
                    encoding=encoding,
                    allow_rejected=allow_rejected,
                    day_first=day_first,
                    progress=progress.to,
                )
        except ExportError as error:
            if rejected is not None and error.rejected:
                _write_rejected(rejected, error)
            raise
    database = open_db(db, create=True)
    result = store_inventory(database, snapshot)
    if snapshot.is_made_up and (real := database.latest_real()) is not None:
        note(
            f"{result.id} is generated: 'rollout plan' uses it only with --inventory {result.id}, because {real} "
            "is real"
        )
    if as_json:
        emit(result.document)
        return
    _show(result, verbose)


def _instant(text: str) -> int:
    """Return a date (or date and time, UTC without offset) as Unix seconds; the current time if there is none."""
    if not text:
        return int(time.time())
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--taken: expected a date such as 2026-11-24, found '{text}'") from None
    if not FIRST_DAY <= at.date() <= LAST_DAY:
        raise UsageError(f"--taken: expected a date from {FIRST_DAY} to {LAST_DAY}, found '{text}'")
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


def _scenario(sources: list[str], clients: int | None) -> Scenario:
    files = [name for name in sources if name != "scenario"]
    if len(files) > 1:
        raise UsageError(f"--from scenario: expected at most one TOML file, found {', '.join(files)}")
    return read_scenario(files[0] if files else None, clients)


def _write_rejected(path: Path, error: ExportError) -> None:
    head = ("file", "line", "column", "found", "expected")
    rows = ([line.file, line.line, line.column, line.found, line.expected] for line in error.rejected)
    write_file(path, csv_text(head, rows))
    note(f"{number(len(error.rejected))} of {number(error.count)} rejected lines are in {path}")


def _show(result: InventoryResult, verbose: int) -> None:
    snapshot = result.inventory
    table(["file", "kind", "rows"], [list(row) for row in snapshot.files])
    for line in snapshot.rejected[: 20 if verbose else 3]:
        say(f"rejected: {line}")
    if len(snapshot.rejected) > 3 and not verbose:
        say(f"… and {len(snapshot.rejected) - 3} more; -v shows them")
    say(
        f"inventory {result.id}: {number(len(snapshot.fleet))} devices, "
        f"{number(len(snapshot.rejected))} lines rejected"
    )
    say("next: rollout preflight")
