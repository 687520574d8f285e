"""`rollout inventory`: take a snapshot of the fleet."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rollout.api import workflow
from rollout.api.file_names import expand
from rollout.cli.options import DEFAULT_DB, MAX_CLIENTS, Db, Json, Seed, Verbose
from rollout.cli.terminal import bar, emit, note, say, table
from rollout.errors import UsageError
from rollout.files import csv_text, write_file
from rollout.text import number
from rollout.values.durations import FIRST_DAY, LAST_DAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout.values import Inventory, Rejected


def inventory(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE]...", help="More files, as after --from.")
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option("--from", metavar="CSV... | scenario [TOML]", help="Exports, or a generated fleet."),
    ] = None,
    clients: Annotated[
        int | None, typer.Option(min=1, max=MAX_CLIENTS, help="Size of a generated fleet.")
    ] = None,
    seed: Seed = 1,
    encoding: Annotated[str | None, typer.Option(help="Of the files, where it can't be told.")] = None,
    allow_rejected: Annotated[
        bool, typer.Option("--allow-rejected", help="Leave bad lines out instead of refusing the file.")
    ] = False,
    taken: Annotated[
        str,
        typer.Option(metavar="DATE", help="When the exports were made, such as 2026-11-24; now by default."),
    ] = "",
    day_first: Annotated[
        bool | None,
        typer.Option("--day-first/--month-first", help="How to read 03/04/2026, where it can't be told."),
    ] = None,
    rejected: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Write every rejected line here.")
    ] = None,
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Take a snapshot of the fleet from exports of Intune, Entra and ConfigMgr, or make one up.

    Several files join on the Entra device id. An import is all or nothing.

    Example: rollout inventory --from intune.csv entra.csv configmgr.csv
    """
    sources = [*(source or []), *(files or [])]
    if not sources:
        raise UsageError(
            "--from: expected exports or 'scenario', found nothing", "rollout inventory --from devices.csv"
        )
    if sources[0] == "scenario" or sources[0].endswith(".toml"):
        made = _generated(sources, seed, clients, _instant(taken))
    else:
        if clients is not None:
            raise UsageError("--clients belongs to --from scenario, found exports")
        reading = workflow.Reading(_instant(taken), encoding, allow_rejected, day_first)
        made = _imported(sources, reading, rejected, quiet=as_json)
    database = workflow.open_db(db, create=True)
    known = database.add_inventory(made)
    if made.is_made_up and (real := database.latest_real()) is not None:
        note(f"{known} is made up: plan takes it only with --inventory {known}, for {real} is real")
    if as_json:
        emit(_document(known, made))
        return
    _show(known, made, verbose)


def _instant(text: str) -> int:
    """Give a date (or date and time, UTC without offset) as Unix seconds; now where none is written."""
    if not text:
        return int(time.time())
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--taken: expected a date such as 2026-11-24, found '{text}'") from None
    if not FIRST_DAY <= at.date() <= LAST_DAY:
        raise UsageError(f"--taken: expected a date from {FIRST_DAY} to {LAST_DAY}, found '{text}'")
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


def _generated(sources: list[str], seed: int, clients: int | None, taken: int) -> Inventory:
    rest = [one for one in sources if one != "scenario"]
    if len(rest) > 1:
        raise UsageError(f"--from scenario: expected at most one TOML file, found {', '.join(rest)}")
    scenario = workflow.read_scenario(Path(rest[0]) if rest else None, clients)
    return workflow.generate_inventory(scenario, seed, taken)


def _imported(
    sources: list[str], reading: workflow.Reading, rejected: Path | None, *, quiet: bool
) -> Inventory:
    from rollout.exports.reading import ExportError

    try:
        with bar("reading rows", 0, quiet=quiet) as moving:
            return workflow.read_inventory(expand(sources, "--from"), reading, moving.to)
    except ExportError as error:
        if rejected is not None and error.rejected:
            _write_rejected(rejected, error.rejected)
            note(f"{number(len(error.rejected))} of {number(error.count)} rejected lines are in {rejected}")
        raise


def _write_rejected(path: Path, lines: Sequence[Rejected]) -> None:
    head = ("file", "line", "column", "found", "expected")
    rows = ([line.file, line.line, line.column, line.found, line.expected] for line in lines)
    write_file(path, csv_text(head, rows))


def _document(known: str, taken: Inventory) -> dict[str, object]:
    return {
        "id": known,
        "accepted": len(taken.fleet),
        "rejected": len(taken.rejected),
        "files": [{"file": name, "kind": kind, "rows": rows} for name, kind, rows in taken.files],
    }


def _show(known: str, taken: Inventory, verbose: int) -> None:
    table(["file", "kind", "rows"], [list(one) for one in taken.files])
    for line in taken.rejected[: 20 if verbose else 3]:
        say(f"rejected: {line}")
    if len(taken.rejected) > 3 and not verbose:
        say(f"… and {len(taken.rejected) - 3} more; -v shows them")
    say(
        f"inventory {known}: {number(len(taken.fleet))} devices, {number(len(taken.rejected))} lines rejected"
    )
    say("next: rollout preflight")
