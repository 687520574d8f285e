"""`rollout report`: pictures and pages of a rollout, or of a plan that has only been simulated."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rollout.api.databases import open_db
from rollout.api.report_facts import gather_report, read_audit
from rollout.cli.options import DEFAULT_DB, Db, Json, Verbose
from rollout.cli.terminal import emit, say, say_lines
from rollout.documents.reporting import Audit
from rollout.report import report_document, text_report, write_report


def report(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[ROLLOUT or PLAN]",
            help="Rollout or plan (default: the latest rollout, else the latest plan).",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder for the files (default: report/ID).")
    ] = None,
    audit: Annotated[
        bool,
        typer.Option(
            "--audit",
            help="Print the audit trail instead: who decided what, and why, from the journal's hash chain.",
        ),
    ] = False,
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Write a report: page, pictures, CSV and JSON.

    The page is report.html. The key figures are printed.

    Example: rollout report --out report/
    """
    database = open_db(db)
    if audit:
        found = read_audit(database, target)
        if as_json:
            emit(found)
        else:
            show_audit(found)
        return
    facts = gather_report(database, target)
    folder = out or Path("report") / (facts.rollout or database.plan(facts.digest).id)
    written = write_report(facts, folder)
    if as_json:
        emit(report_document(facts, written))
        return
    say_lines(text_report(facts))
    say(f"{len(written)} files in {folder}; open {folder / 'report.html'}")


def show_audit(found: Audit) -> None:
    """Print every decision, command and change of the lease."""
    for row in found.audit:
        reason = f": {row.why}" if row.why else ""
        say(f"{row.at}  {row.who or '-'}  {row.what}{reason}")
    say(
        f"{len(found.audit)} entries of {found.rollout}, plan {found.digest[:12]}; every row matches its seal"
    )
