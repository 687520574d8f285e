"""`rollout plan`: who, in which order, how fast, when not."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rollout.api import workflow
from rollout.api.exclusions import rows_of, worded
from rollout.cli.options import DEFAULT_DB, Db, Json, Verbose
from rollout.cli.terminal import emit, note, say, say_lines, table
from rollout.errors import UsageError
from rollout.files import write_file
from rollout.text import instant, iso, number, span
from rollout.values import HOUR_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout.report import ExcludedRow
    from rollout.store import Database
    from rollout.values import Plan

SHOWN = 12


def plan(
    scenario: Annotated[
        Path | None, typer.Argument(help="Scenario TOML; a sensible default without it.")
    ] = None,
    inventory: Annotated[str | None, typer.Option(help="Inventory id; the latest by default.")] = None,
    continues: Annotated[
        str | None, typer.Option("--continue", metavar="ROLLOUT", help="Plan the rest of a rollout anew.")
    ] = None,
    undo: Annotated[
        str | None, typer.Option("--undo", metavar="ROLLOUT", help="Plan to take out what a rollout added.")
    ] = None,
    in_windows: Annotated[
        bool,
        typer.Option("--in-windows", help="With --undo: keep to the change windows and freezes of its plan."),
    ] = False,
    explain: Annotated[
        str,
        typer.Option(
            "--explain", metavar="DEVICE", help="Say why a device is where it is in the latest plan."
        ),
    ] = "",
    ics: Annotated[
        Path | None,
        typer.Option("--ics", metavar="FILE", help="Write the change windows as a calendar file."),
    ] = None,
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Plan: who goes, in which order, how fast, when never; and what people must do.

    The plan is frozen and sealed by a digest: what is simulated, approved and executed carry the same one.

    Example: rollout plan scenarios/default.toml
    """
    database = workflow.open_db(db)
    if explain:
        _explain(database, explain, as_json=as_json)
        return
    if continues is not None and undo is not None:
        raise UsageError("expected --continue or --undo, found both")
    if in_windows and undo is None:
        raise UsageError("--in-windows belongs to --undo", "other plans keep to their windows anyway")
    if undo is not None:
        known, made = workflow.plan_undo(database, undo, in_windows=in_windows)
    elif continues is not None:
        known, made = workflow.plan_rest(database, continues, scenario, inventory)
    else:
        known, made = workflow.plan_inventory(database, workflow.read_scenario(scenario), inventory)
    if ics is not None:
        _write_calendar(ics, made)
    if as_json:
        emit(document(known, made))
        return
    show(known, made, rows_of(made, database.findings_of(known)), verbose)


def _explain(database: Database, device: str, *, as_json: bool) -> None:
    from rollout.planning.explanation import explain

    stored = database.plan(database.latest_plan())
    text = explain(stored.plan, device, database.inventory(stored.inventory_id).fleet)
    if as_json:
        emit({"plan": stored.id, "device": device, "explanation": text})
        return
    say_lines(text)


def _write_calendar(path: Path, made: Plan) -> None:
    from rollout.planning.ics import calendar_text

    write_file(path, calendar_text(made, stamp=int(time.time())))
    note(f"change windows: {path}")


def document(known: str, made: Plan) -> dict[str, object]:
    """Give the plan for scripts."""
    from rollout.planning import feasibility, nominal_batches

    return {
        "plan": known,
        "digest": made.digest,
        "devices": made.planned,
        "excluded": made.excluded_by_reason(),
        "phases": [
            {"name": one.name, "source": one.source, "devices": len(one), "end": one.end.value}
            for one in made.phases
        ],
        "batches": [
            {"at": iso(at), "phase": made.phases[phase].name, "count": count}
            for at, phase, count in nominal_batches(made)
        ],
        "human_steps": [
            {"when": s.when, "title": s.title, "where": s.where, "why": s.why} for s in made.human_steps
        ],
        "feasible": feasibility(made).feasible,
        "start": iso(made.start),
        "mature_after_hours": made.mature_after_s / HOUR_S,
        "straggler_after_hours": made.straggler_after_s / HOUR_S,
        "warnings": list(made.warnings),
    }


def show(known: str, made: Plan, left_out: Sequence[ExcludedRow], verbose: int = 0) -> None:
    """Print the plan's summary with its human steps."""
    from rollout.planning import feasibility, nominal_batches

    batches = nominal_batches(made)
    rows = []
    for index, phase in enumerate(made.phases):
        at = [one[0] for one in batches if one[1] == index]
        first, last = (
            (instant(at[0], made.zone), instant(at[-1], made.zone)) if at else ("when they come", "")
        )
        ends = "never" if phase.end == "never" else f"soak {span(phase.soak_s / HOUR_S)}, gate"
        rows.append([phase.name, phase.source, len(phase), len(at), first, last, ends])
    table(["phase", "from", "devices", "batches", "first release", "last release", "ends"], rows)
    _show_batches(made, batches, verbose)
    for row in left_out:
        say(f"not in the plan: {number(row.count)} device{'s' if row.count > 1 else ''}, {worded(row)}")
    if made.windows:
        say("windows: " + "; ".join(str(one) for one in made.windows))
    for one in made.freezes:
        say(f"freeze: {one}")
    for line in feasibility(made).lines:
        say(line)
    mature, late = made.mature_after_s / HOUR_S, made.straggler_after_s / HOUR_S
    say(
        f"a batch is judged {span(mature)} after its release; a silent device is a straggler after {span(late)}"
    )
    for one in made.warnings:
        say(f"warning: {one}")
    say("what people do:")
    for number_, step in enumerate(made.human_steps, 1):
        say(f"  {number_}. ({step.when}) {step.title}: {step.where}. {step.why}")
    say(f"plan {known}: {number(made.planned)} devices to '{made.collection}', digest {made.digest[:12]}")
    say("next: rollout simulate")


def _show_batches(made: Plan, batches: list[tuple[int, int, int]], verbose: int) -> None:
    shown = batches if verbose else batches[:SHOWN]
    rows = [[instant(at, made.zone), iso(at), made.phases[phase].name, count] for at, phase, count in shown]
    if rows:
        table(["release", "UTC", "phase", "devices"], rows, title="Calendar, if every gate passes")
    if len(batches) > len(shown):
        say(f"… and {len(batches) - len(shown)} more batches; -v shows them")
