"""`rollout simulate`: simulate the plan before anything happens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rollout.api.decisions import write_decisions
from rollout.api.planning import resolve_target
from rollout.api.simulation import SimulationResult, simulate_plan
from rollout.cli.options import (
    DEFAULT_DB,
    MAX_CLIENTS,
    MAX_RUNS,
    Db,
    Json,
    Seed,
    Verbose,
    Workers,
    worker_count,
)
from rollout.cli.terminal import bar, emit, note, say, table
from rollout.errors import TargetMissedError
from rollout.text import number, span
from rollout.values.plan_warnings import labelled
from sim.simulation import Quantiles


def simulate(
    target: Annotated[
        str | None, typer.Argument(metavar="[SCENARIO or PLAN]", help="A TOML file, a plan id or a digest.")
    ] = None,
    runs: Annotated[int, typer.Option(min=1, max=MAX_RUNS, help="Number of simulated runs.")] = 20,
    seed: Seed = 1,
    workers: Workers = None,
    clients: Annotated[
        int | None, typer.Option(min=1, max=MAX_CLIENTS, help="Size of a scenario's generated fleet.")
    ] = None,
    decisions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the decision rows of the first run (JSON lines)."),
    ] = None,
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Simulate a plan: when it ends, what load it causes, how often a gate halts it.

    A plan id or digest simulates that plan. A TOML file generates its fleet, plans it and simulates the plan. Without
    either, it simulates the latest plan, or the default scenario if there is none. Every run is compared with native
    mode All, which targets every device at once. Exit 5 if the scenario's [targets] are missed.

    Example: rollout simulate scenarios/default.toml --runs 20
    """
    processes = worker_count(workers)
    database, scenario, plan = resolve_target(db, target, clients, note)
    with bar("simulating", runs, quiet=as_json) as progress:
        result = simulate_plan(
            database,
            plan,
            scenario=scenario,
            seed=seed,
            runs=runs,
            workers=processes,
            keep_decisions=decisions is not None,
            progress=progress.to,
        )
    if decisions is not None:
        write_decisions(decisions, result.simulation.runs[0].decisions)
    if as_json:
        for warning in result.warnings:
            note(labelled(warning))
        emit(result.document)
    else:
        _show(result)
    if result.uncompared_targets:
        note(f"targets that only 'rollout tune' compares: {', '.join(result.uncompared_targets)}")
    if missed := result.missed_targets:
        hint = "change pacing, windows or budgets in [rollout], or the [targets]"
        raise TargetMissedError("targets missed: expected " + "; ".join(missed), hint)


def _show(result: SimulationResult) -> None:
    """Print the figures of the plan and of the baseline, side by side."""
    simulation = result.simulation
    both = simulation.figures, simulation.baseline_figures
    rows = [
        ["half enrolled (p50)", *(span(each.enrolled_hours["p50"]) for each in both)],
        ["90 % enrolled (p50)", *(span(each.enrolled_hours["p90"]) for each in both)],
        ["90 % enrolled (p10 … p90)", *(_interval(each.enrolled_90_hours) for each in both)],
        ["done, or given up (p10 … p90)", *(_interval(each.eta_hours) for each in both)],
        ["peak attempts per hour (p50)", *(f"{each.peak_per_hour['p50']:,.0f}" for each in both)],
        ["peak attempts per hour (p90)", *(f"{each.peak_per_hour['p90']:,.0f}" for each in both)],
        ["chance that a gate halts", f"{both[0].halt_chance:.0%}", "no gate"],
        ["chance that a gate asks a person", f"{both[0].held_chance:.0%}", "no gate"],
        ["waiting for answers (p50)", span(both[0].waited_hours["p50"]), "no gate"],
    ]
    title = f"{simulation.devices:,} devices, {len(simulation.runs)} runs, seed {simulation.seed}"
    table(["", "this plan", "native mode All"], rows, title=title)
    typical = simulation.typical
    say(
        "a typical run ends with: "
        + ", ".join(f"{number(count)} {name.replace('_', ' ')}" for name, count in typical.final.items())
    )
    if typical.state != "finished":
        say(f"it ends {typical.state.value}: {typical.reason}")
    for warning in result.warnings:
        say(labelled(warning))
    say(f"simulation {result.id} of plan {result.plan_id}, digest {simulation.digest[:12]}")
    say("next: rollout run --speed max")


def _interval(hours: Quantiles) -> str:
    return f"{span(hours['p10'])} … {span(hours['p90'])}"
