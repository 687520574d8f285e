"""`rollout report`: pictures and pages of a rollout, or of a plan that has only been simulated."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rollout.api import stored_forecast
from rollout.api.databases import open_db
from rollout.cli.options import DEFAULT_DB, Db, Json, Verbose
from rollout.cli.terminal import emit, say, say_lines
from rollout.errors import DatabaseError
from rollout.text import iso

if TYPE_CHECKING:
    from rollout.store import Database


def report(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[ROLLOUT or PLAN]", help="The latest rollout, or else the latest plan, by default."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder for the files; report/ID by default.")
    ] = None,
    audit: Annotated[
        bool,
        typer.Option("--audit", help="Print who decided what and why, from the journal's chain, instead."),
    ] = False,
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Write report.html, pictures, CSV and JSON, and print the key figures.

    Example: rollout report --out report/
    """
    from rollout.api.report_facts import gather
    from rollout.report import json_report, text_report, write_report

    database = open_db(db)
    if audit:
        show_audit(database, target, as_json=as_json)
        return
    plan_key, rollout_id = resolve(database, target)
    facts = gather(database, plan_key, rollout_id, int(time.time()))
    folder = out or Path("report") / (rollout_id or database.plan(plan_key).id)
    written = write_report(facts, folder)
    if as_json:
        emit({**json_report(facts), "written": [str(one) for one in written]})
        return
    say_lines(text_report(facts))
    say(f"{len(written)} files in {folder}; open {folder / 'report.html'}")


def show_audit(database: Database, target: str | None, *, as_json: bool) -> None:
    """Print every decision, command and change of hands of a rollout; raise `DatabaseError` if its chain is broken.

    Decisions stand under the directory's time, commands and leases under this machine's.
    """
    known = database.rollout(target)
    broken = database.verify_chain(known.id)
    if broken:
        raise DatabaseError(
            f"journal of {known.id}, row {broken.number}: {broken.sentence}", "restore a backup"
        )
    rows = [row for row in database.reader(known.id).audit() if row[2] != stored_forecast.KIND]
    if as_json:
        names = ("at", "who", "what", "why")
        told = [dict(zip(names, (iso(at), *rest), strict=True)) for at, *rest in rows]
        emit({"rollout": known.id, "digest": known.digest, "audit": told})
        return
    for at, who, what, why in rows:
        say(f"{iso(at)}  {who or '-'}  {what}: {why}" if why else f"{iso(at)}  {who or '-'}  {what}")
    say(f"{len(rows)} entries of {known.id}, plan {known.digest[:12]}; every row fits its seal")


def resolve(database: Database, target: str | None) -> tuple[str | None, str | None]:
    """Give (plan key, rollout id) of a target: a rollout id, a plan id, a digest, or the latest."""
    if target is not None and not target.startswith("run-"):
        return target, None
    if target is None and not database.has_rollouts():
        return database.latest_plan(), None
    known = database.rollout(target)
    return known.plan_id, known.id
