"""`rollout tune`: search for a better pacing of a scenario."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rollout.api.databases import open_db
from rollout.api.scenarios import read_scenario
from rollout.api.tuning import TRIALS, TuningResult, tune_scenario
from rollout.cli.options import (
    DEFAULT_DB,
    MAX_CLIENTS,
    MAX_RUNS,
    Cluster,
    Db,
    Json,
    Out,
    Seed,
    Verbose,
    Workers,
    worker_count,
)
from rollout.cli.terminal import bar, emit, say, table
from rollout.errors import TargetMissedError, UsageError
from rollout.text import span
from rollout.values.durations import parse_duration
from sim.tuning.evaluation import NEVER_H
from sim.tuning.tune import Effort


def tune(
    scenario: Annotated[
        Path | None, typer.Argument(help="A TOML file (default: the built-in scenario).")
    ] = None,
    budget: Annotated[
        str,
        typer.Option(
            metavar="DURATION", help="Time to search, e.g. 60s; the result then varies from run to run."
        ),
    ] = "",
    trials: Annotated[
        int | None,
        typer.Option(
            min=2,
            max=MAX_RUNS,
            help=f"Number of plans to try ({TRIALS} without --budget); gives the same result every time.",
        ),
    ] = None,
    inventory: Annotated[str, typer.Option(metavar="ID", help="Tune for a stored inventory.")] = "",
    clients: Annotated[
        int | None, typer.Option(min=1, max=MAX_CLIENTS, help="Size of the generated fleet.")
    ] = None,
    out: Out = Path("tuned"),
    verify: Annotated[
        int, typer.Option(min=0, max=MAX_RUNS, help="Number of full-size runs of the chosen plan.")
    ] = 3,
    seed: Seed = 1,
    workers: Workers = None,
    cluster: Cluster = "",
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Search for the fastest pacing that meets the scenario's [targets].

    Plans are tried on a scaled-down fleet. The front shows those that no other plan beats in both time and peak load;
    the chosen one is simulated at full size. Writes tuned.toml, which `rollout plan` accepts, a table of all plans
    tried, and two pictures. Exit 5 if no plan meets the targets.

    Example: rollout tune scenarios/default.toml --trials 40
    """
    effort = _effort(budget, trials)
    read = read_scenario(scenario, clients)
    fleet = open_db(db).inventory(inventory) if inventory else None
    processes = worker_count(workers)
    with bar("tuning", effort.trials, quiet=as_json) as progress:
        result = tune_scenario(
            read,
            out=out,
            inventory=fleet,
            effort=effort,
            verify=verify,
            seed=seed,
            workers=processes,
            cluster=cluster,
            progress=progress.to,
        )
    if as_json:
        emit(result.document)
    else:
        _show(result)
    if missed := result.missed_targets:
        raise TargetMissedError(
            f"targets missed by every plan tried: {', '.join(missed)}; {result.tuning.reason}",
            "change windows, phases or the [targets]",
        )


def _effort(budget: str, trials: int | None) -> Effort:
    try:
        budget_s = parse_duration(budget) if budget else 0
    except ValueError as error:
        raise UsageError(f"--budget: {error}") from None
    return Effort(trials=trials or (0 if budget_s else TRIALS), budget_s=float(budget_s))


def _show(result: TuningResult) -> None:
    """Print the front, the choice with its reason, and the assumption on which it depends."""
    tuning = result.tuning
    rows = []
    for number in tuning.front:
        plan = tuning.tried[number]
        rows.append(
            [
                "→" if number == tuning.chosen else "",
                plan.candidate.sentence(),
                span(plan.score.hours),
                span(None if plan.score.done_p90 >= NEVER_H else plan.score.done_p90),
                round(plan.score.peak),
                round(plan.score.tickets_p90, 1),
                f"{plan.score.halt_chance:.0%}",
            ]
        )
    head = ["", "plan", "90 % enrolled (p50)", "done (p90)", "peak per hour", "tickets per hour", "halted"]
    title = (
        f"{len(tuning.tried)} plans tried on {tuning.small:,} devices, each standing for "
        f"{1 / tuning.factor:.1f}; seed {tuning.seed}"
    )
    table(head, rows, title=title)
    say(f"chosen: {tuning.choice.candidate.sentence()}: {tuning.reason}")
    say(tuning.hangs_on)
    if result.verified is not None:
        figures = result.verified.figures
        say(
            f"at full size ({result.verified.devices:,} devices, {len(result.verified.runs)} runs): "
            f"90 % enrolled after {span(figures.enrolled_hours['p90'])}, "
            f"done after {span(figures.eta_hours['p50'])}, "
            f"peak {figures.peak_per_hour['p50']:,.0f} attempts per hour"
        )
    files = result.files
    say("written: " + ", ".join((files.scenario, files.table, files.front, files.tornado)))
    say(f"next: rollout plan {files.scenario}")
