"""`rollout report`: pictures and pages of a rollout, or of a plan that has only been simulated."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rollout.cli import steps
from rollout.cli.options import DEFAULT_DB, Db, Json, Verbose
from rollout.cli.terminal import emit, say

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
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Write report.html, pictures, CSV and JSON, and print the key figures.

    Example: rollout report --out report/
    """
    from rollout.cli.facts import gather
    from rollout.report import json_report, text_report, write_report

    database = steps.open_db(db)
    plan_key, rollout_id = resolve(database, target)
    facts = gather(database, plan_key, rollout_id, int(time.time()))
    folder = out or Path("report") / (rollout_id or database.plan(plan_key).id)
    written = write_report(facts, folder)
    if as_json:
        emit({**json_report(facts), "written": [str(one) for one in written]})
        return
    say(text_report(facts))
    say(f"{len(written)} files in {folder}; open {folder / 'report.html'}")


def resolve(database: Database, target: str | None) -> tuple[str | None, str | None]:
    """Give (plan key, rollout id) of a target: a rollout id, a plan id, a digest, or the latest."""
    if target is not None and not target.startswith("run-"):
        return target, None
    if target is None and not database.has_rollouts():
        return None, None
    known = database.rollout(target)
    return known.plan_id, known.id
