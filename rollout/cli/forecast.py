"""`rollout forecast`: when a running rollout will be done, from where it stands now."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from rollout.api.databases import open_db
from rollout.api.forecast import forecast_rollout
from rollout.api.stored_forecast import WELL_MATCHED
from rollout.cli.options import DEFAULT_DB, MAX_RUNS, Cluster, Db, Json, Seed, Verbose, worker_count
from rollout.cli.terminal import emit, say
from rollout.text import instant, number
from rollout.values.forecast import Forecast
from sim.workers import workers_of


def forecast(
    rollout: Annotated[str | None, typer.Argument(help="Rollout id (default: the latest).")] = None,
    runs: Annotated[int, typer.Option(min=1, max=MAX_RUNS, help="Number of continuations to simulate.")] = 20,
    calibrated: Annotated[
        bool, typer.Option("--calibrated/--as-assumed", help="Fit the assumptions to this rollout first.")
    ] = True,
    seed: Seed = 1,
    workers: Annotated[int | None, typer.Option(help="Processes (default: one per core).")] = None,
    cluster: Cluster = "",
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Forecast the end of a running rollout, its failures, and whether it is on plan.

    The assumptions are fitted to what has been observed so far; then the rollout is simulated from where it stands, by
    the same loop that executes it.

    Example: rollout forecast run-1
    """
    database = open_db(db)
    known = database.rollout(rollout)
    with workers_of(worker_count(workers), cluster) as pool:
        found = forecast_rollout(
            database, known.id, calibrated=calibrated, runs=runs, seed=seed, workers=pool
        )
    if as_json:
        emit(found.document)
    elif found.forecast is None:
        say(f"rollout {found.rollout} has ended; see 'rollout status'")
    else:
        show(found.rollout, found.zone, found.forecast, found.on_plan)


def show(rollout: str, zone: str, found: Forecast, on_plan: str) -> None:
    """Print a forecast."""

    def when(at: float) -> str:
        return instant(int(at), zone) if math.isfinite(at) else "not within the horizon"

    how = "assumptions fitted to it" if found.calibrated else "assumptions as written"
    say(f"{rollout} as of {when(found.as_of)}; {found.runs} continuations, {how}")
    p10, p50, p90 = map(when, found.enrolled_90)
    say(f"  90 % enrolled:    {p50}  ({p10} … {p90})")
    p10, p50, p90 = map(when, found.done)
    say(f"  done or given up: {p50}  ({p10} … {p90})")
    low, middle, high = found.failed
    say(
        f"  failed in the end: {number(middle)} ({number(low)} … {number(high)}); "
        f"by counts alone {number(found.failed_surely[0])} … {number(found.failed_surely[1])}"
    )
    say(f"  chance that a gate halts it: {found.halt_chance:.0%}")
    say(f"  {on_plan}")
    if found.matched < WELL_MATCHED:
        say(
            f"  the assumptions reproduce the state of only {found.matched:.0%} of the devices: "
            "the intervals are less reliable"
        )
