"""`rollout simulate`: run the plan in a pretend world before anything happens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rollout.api import workflow
from rollout.api.decisions import write_decisions
from rollout.cli.options import DEFAULT_DB, MAX_CLIENTS, MAX_RUNS, Db, Json, Seed, Verbose
from rollout.cli.terminal import bar, emit, note, say, table
from rollout.errors import TargetMissedError
from rollout.text import number, span

if TYPE_CHECKING:
    from sim.scenario import Targets
    from sim.simulation import Forecast


def simulate(
    target: Annotated[
        str | None, typer.Argument(metavar="[SCENARIO or PLAN]", help="A TOML file, a plan id or a digest.")
    ] = None,
    runs: Annotated[int, typer.Option(min=1, max=MAX_RUNS, help="Replications.")] = 20,
    seed: Seed = 1,
    workers: Annotated[int | None, typer.Option(help="Processes; one a core by default.")] = None,
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
    """Simulate a plan: when it will be done, what it loads, how often a gate halts it.

    A plan id or digest simulates that plan; a TOML file makes its fleet up, plans and simulates it;
    without either the latest plan, or the default scenario if there is none. Beside it runs the
    incumbent: everybody targeted at once. Exit 5 if the scenario's [targets] are missed.

    Example: rollout simulate scenarios/default.toml --runs 20
    """
    processes = workflow.workers_here(workers)
    database, scenario, key = workflow.resolve_target(db, target, clients, note)
    world = workflow.world_of_plan(database, key, scenario)
    with bar("simulating", runs, quiet=as_json) as moving:
        known, forecast = workflow.simulate_plan(
            database,
            world,
            seed=seed,
            runs=runs,
            workers=processes,
            keep_decisions=decisions is not None,
            progress=moving.to,
        )
    if decisions is not None:
        write_decisions(decisions, forecast.runs[0].decisions)
    if as_json:
        emit(forecast.summary())
    else:
        show(known, world.stored.id, forecast)
    from sim.scenario import TUNED_ONLY

    targets = workflow.targets_of(world, scenario)
    if others := [name for name in TUNED_ONLY if getattr(targets, name)]:
        note(f"targets that only 'rollout tune' compares: {', '.join(others)}")
    _against_targets(forecast, targets)


def show(known: str, plan_id: str, forecast: Forecast) -> None:
    """Print the forecast beside the baseline."""
    summary = forecast.summary()
    ours, base = summary, summary["baseline"]
    rows = [
        ["half enrolled (p50)", *(span(one["enrolled_hours"]["p50"]) for one in (ours, base))],  # type: ignore[index]
        ["90 % enrolled (p50)", *(span(one["enrolled_hours"]["p90"]) for one in (ours, base))],  # type: ignore[index]
        ["90 % enrolled (p10 … p90)", *(_interval(one["enrolled_90_hours"]) for one in (ours, base))],  # type: ignore[index]
        ["done, or given up (p10 … p90)", *(_interval(one["eta_hours"]) for one in (ours, base))],  # type: ignore[index]
        ["peak attempts an hour (p50)", *(_peak(one, "p50") for one in (ours, base))],
        ["peak attempts an hour (p90)", *(_peak(one, "p90") for one in (ours, base))],
        ["chance that a gate halts", f"{forecast.summary()['halt_chance']:.0%}", "no gate"],
    ]
    title = f"{forecast.devices:,} devices, {len(forecast.runs)} runs, seed {forecast.seed}"
    table(["", "this plan", "native mode All"], rows, title=title)
    final = forecast.typical.final
    say(
        "a typical run ends with: "
        + ", ".join(f"{number(n)} {name.replace('_', ' ')}" for name, n in final.items())
    )
    if forecast.typical.state != "finished":
        say(f"it ends {forecast.typical.state.value}: {forecast.typical.reason}")
    say(f"simulation {known} of plan {plan_id}, digest {forecast.digest[:12]}")
    say("next: rollout run --speed max")


def _interval(eta: dict[str, float | None]) -> str:
    return f"{span(eta['p10'])} … {span(eta['p90'])}"


def _peak(figures: object, quantile: str) -> str:
    return f"{figures['peak_per_hour'][quantile]:,.0f}"  # type: ignore[index]


def _against_targets(forecast: Forecast, targets: Targets) -> None:
    """Raise `TargetMissedError` that names every target that the simulation misses."""
    summary = forecast.summary()
    late = summary["eta_hours"]["p90"]  # type: ignore[index]
    peak = summary["peak_per_hour"]["p90"]  # type: ignore[index]
    halts = summary["halt_chance"]
    missed = []
    if targets.finish_within_h and (late is None or late > targets.finish_within_h):
        missed.append(f"done within {span(targets.finish_within_h)}, found {span(late)} (p90)")
    if targets.peak_per_hour and peak > targets.peak_per_hour:
        missed.append(f"at most {targets.peak_per_hour:,.0f} attempts an hour, found {peak:,.0f} (p90)")
    if targets.halt_chance and float(halts) > targets.halt_chance:  # type: ignore[arg-type]
        missed.append(f"halted in at most {targets.halt_chance:.0%} of the runs, found {halts:.0%}")
    if missed:
        hint = "change pacing, windows or budgets in [rollout], or the [targets]"
        raise TargetMissedError("targets missed: expected " + "; ".join(missed), hint)
