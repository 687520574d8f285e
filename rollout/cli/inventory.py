"""`rollout inventory`: take a snapshot of the fleet."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rollout.cli import steps
from rollout.cli.options import DEFAULT_DB, Db, Json, Seed, Verbose
from rollout.cli.terminal import bar, emit, note, number, say, table
from rollout.errors import UsageError

if TYPE_CHECKING:
    from rollout.values import Inventory


def inventory(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE]...", help="More files, as after --from.")
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option("--from", metavar="CSV... | scenario [TOML]", help="Exports, or a generated fleet."),
    ] = None,
    clients: Annotated[int | None, typer.Option(min=1, help="Size of a generated fleet.")] = None,
    seed: Seed = 1,
    encoding: Annotated[str | None, typer.Option(help="Of the files, where it can't be told.")] = None,
    allow_rejected: Annotated[
        bool, typer.Option("--allow-rejected", help="Leave bad lines out instead of refusing the file.")
    ] = False,
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
        taken = _generated(sources, seed, clients)
    else:
        if clients is not None:
            raise UsageError("--clients belongs to --from scenario, found exports")
        taken = _imported(sources, encoding, allow_rejected, rejected, quiet=as_json)
    database = steps.open_db(db)
    known = database.add_inventory(taken)
    if as_json:
        emit(_document(known, taken))
        return
    _show(known, taken, verbose)


def _generated(sources: list[str], seed: int, clients: int | None) -> Inventory:
    rest = [one for one in sources if one != "scenario"]
    if len(rest) > 1:
        raise UsageError(f"--from scenario: expected at most one TOML file, found {', '.join(rest)}")
    scenario = steps.read_scenario(Path(rest[0]) if rest else None, clients)
    return steps.generate_inventory(scenario, seed, int(time.time()))


def _imported(
    sources: list[str], encoding: str | None, allow_rejected: bool, rejected: Path | None, *, quiet: bool
) -> Inventory:
    try:
        with bar("reading rows", 0, quiet=quiet) as moving:
            return steps.read_inventory(
                [Path(one) for one in sources],
                encoding=encoding,
                allow_rejected=allow_rejected,
                progress=lambda rows: moving.to(rows),
            )
    except UsageError as error:
        lines = getattr(error, "rejected", ())
        if rejected is not None and lines:
            _write_rejected(rejected, lines)
            note(f"{number(len(lines))} rejected lines are in {rejected}")
        raise


def _write_rejected(path: Path, lines: object) -> None:
    import csv

    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["file", "line", "column", "found", "expected"])
        for line in lines:  # type: ignore[attr-defined]
            writer.writerow([line.file, line.line, line.column, line.found, line.expected])


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
