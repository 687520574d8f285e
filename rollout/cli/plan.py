"""`rollout plan`: build the plan from an inventory and a policy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rollout.api.databases import open_db
from rollout.api.exclusions import worded
from rollout.api.planning import PlanResult, explain_device, make_plan, plan_continuation, plan_undo
from rollout.api.scenarios import read_scenario
from rollout.cli.options import DEFAULT_DB, Db, Json, Verbose
from rollout.cli.terminal import emit, note, say, say_lines, table
from rollout.errors import UsageError
from rollout.files import write_file
from rollout.planning import feasibility, nominal_batches
from rollout.text import instant, iso, number, span
from rollout.values import HOUR_S, Plan
from rollout.values.plan_warnings import labelled

SHOWN = 12


def plan(
    scenario: Annotated[
        Path | None, typer.Argument(help="Scenario TOML (default: the built-in scenario).")
    ] = None,
    inventory: Annotated[str | None, typer.Option(help="Inventory id (default: the latest).")] = None,
    continues: Annotated[
        str | None, typer.Option("--continue", metavar="ROLLOUT", help="Plan the rest of a rollout.")
    ] = None,
    undo: Annotated[
        str | None,
        typer.Option("--undo", metavar="ROLLOUT", help="Plan to remove the devices that a rollout added."),
    ] = None,
    in_windows: Annotated[
        bool,
        typer.Option("--in-windows", help="With --undo: keep to the change windows and freezes of its plan."),
    ] = False,
    explain: Annotated[
        str,
        typer.Option(
            "--explain",
            metavar="DEVICE",
            help="Explain a device's place in the latest plan, or why it is not in it.",
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
    """Build the plan: which devices, in what order, how fast, in which windows, and the manual steps.

    The plan is frozen and sealed by a digest: what is simulated, approved and executed carries the same digest.

    Example: rollout plan scenarios/default.toml
    """
    database = open_db(db)
    if explain:
        explanation = explain_device(database, explain)
        if as_json:
            emit(explanation)
            return
        say_lines(explanation.explanation)
        return
    if continues is not None and undo is not None:
        raise UsageError("--continue and --undo cannot be combined")
    if in_windows and undo is None:
        raise UsageError("--in-windows belongs to --undo", "other plans keep to their windows anyway")
    if undo is not None:
        result = plan_undo(database, undo, in_windows=in_windows)
    elif continues is not None:
        new = None if scenario is None else read_scenario(scenario)
        result = plan_continuation(database, continues, new, inventory)
    else:
        result = make_plan(database, read_scenario(scenario), inventory)
    if ics is not None:
        write_file(ics, result.calendar())
        note(f"change windows: {ics}")
    if as_json:
        emit(result.document)
        return
    _show(result, verbose)


def _show(result: PlanResult, verbose: int) -> None:
    """Print the plan's summary with its manual steps."""
    plan = result.plan
    batches = nominal_batches(plan)
    _show_phases(plan, batches)
    _show_batches(plan, batches, verbose)
    for row in result.excluded:
        say(f"not in the plan: {number(row.count)} device{'s' if row.count > 1 else ''}, {worded(row)}")
    if plan.windows:
        say("windows: " + "; ".join(str(window) for window in plan.windows))
    for freeze in plan.freezes:
        say(f"freeze: {freeze}")
    for line in feasibility(plan).lines:
        say(line)
    mature, late = plan.mature_after_s / HOUR_S, plan.straggler_after_s / HOUR_S
    say(
        f"a batch is judged {span(mature)} after its release; a silent device is a straggler after {span(late)}"
    )
    for warning in plan.warnings:
        say(labelled(warning))
    say("manual steps:")
    for index, step in enumerate(plan.human_steps, 1):
        say(f"  {index}. ({step.when}) {step.title}: {step.where}. {step.why}")
    say(f"plan {result.id}: {number(plan.planned)} devices to '{plan.collection}', digest {plan.digest[:12]}")
    say("next: rollout simulate")


def _show_phases(plan: Plan, batches: list[tuple[int, int, int]]) -> None:
    rows = []
    for index, phase in enumerate(plan.phases):
        releases = [at for at, of_phase, _ in batches if of_phase == index]
        first = instant(releases[0], plan.zone) if releases else "when devices arrive"
        last = instant(releases[-1], plan.zone) if releases else ""
        ends = "never" if phase.end == "never" else f"soak {span(phase.soak_s / HOUR_S)}, gate"
        rows.append([phase.name, phase.source, len(phase), len(releases), first, last, ends])
    table(["phase", "from", "devices", "batches", "first release", "last release", "ends"], rows)


def _show_batches(plan: Plan, batches: list[tuple[int, int, int]], verbose: int) -> None:
    shown = batches if verbose else batches[:SHOWN]
    rows = [[instant(at, plan.zone), iso(at), plan.phases[phase].name, count] for at, phase, count in shown]
    if rows:
        table(["release", "UTC", "phase", "devices"], rows, title="Calendar, if every gate passes")
    if len(batches) > len(shown):
        say(f"… and {len(batches) - len(shown)} more batches; -v shows them")
