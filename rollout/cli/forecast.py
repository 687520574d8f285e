"""`rollout forecast`: when a running rollout will be done, from where it stands now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rollout.api.databases import open_db
from rollout.api.forecast import eta_of_rollout, verdict_of
from rollout.cli.options import DEFAULT_DB, MAX_RUNS, Cluster, Db, Json, Seed, Verbose, worker_count
from rollout.cli.terminal import emit, say
from rollout.text import instant, iso, number

if TYPE_CHECKING:
    from sim.forecast.continuation import Eta


def forecast(
    rollout: Annotated[str | None, typer.Argument(help="Rollout id; the latest by default.")] = None,
    runs: Annotated[int, typer.Option(min=1, max=MAX_RUNS, help="Ways on that are played.")] = 20,
    calibrated: Annotated[
        bool, typer.Option("--calibrated/--as-assumed", help="Fit the assumptions to this rollout first.")
    ] = True,
    seed: Seed = 1,
    workers: Annotated[int | None, typer.Option(help="Processes; one a core by default.")] = None,
    cluster: Cluster = "",
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Say when a running rollout will be done, how many will have failed, and whether it is on plan.

    The assumptions are fitted to what it did so far; then it is played on from where it stands, by the loop
    that executes it.

    Example: rollout forecast run-1
    """
    from sim.workers import workers_of

    database = open_db(db)
    known = database.rollout(rollout)
    with workers_of(worker_count(workers), cluster) as hands:
        found = eta_of_rollout(database, known.id, calibrated=calibrated, runs=runs, seed=seed, workers=hands)
    verdict = verdict_of(database, known.id)
    if as_json:
        emit({"rollout": known.id, "eta": document(found) if found else None, "on_plan": verdict})
        return
    if found is None:
        say(f"rollout {known.id} has ended; 'rollout status' tells how")
        return
    show(known.id, database.plan(known.plan_id).plan.zone, found, verdict)


def document(found: Eta) -> dict[str, Any]:
    """Give it for scripts: instants as UTC ISO 8601, under the names that status and report have for them."""
    told = found.document()
    told |= {"as_of": iso(told.pop("now")), "enrolled_90": told.pop("through")}
    for name in ("done", "enrolled_90"):
        told[name] = {level: iso(at) if at is not None else None for level, at in told[name].items()}
    return told


def show(rollout: str, zone: str, found: Eta, verdict: str) -> None:
    """Print it."""

    def when(at: int | None) -> str:
        return instant(at, zone) if at is not None else "not within the horizon"

    how = "assumptions fitted to it" if found.calibrated else "assumptions as written"
    say(f"{rollout} as of {when(found.now)}; {found.runs} ways on, {how}")
    say(f"  90 % enrolled: {when(found.through[1])}  ({when(found.through[0])} … {when(found.through[2])})")
    say(f"  all done:      {when(found.done[1])}  ({when(found.done[0])} … {when(found.done[2])})")
    low, middle, high = found.failed
    say(
        f"  failed in the end: {number(middle)} ({number(low)} … {number(high)}); "
        f"by counts alone {number(found.failed_surely[0])} … {number(found.failed_surely[1])}"
    )
    say(f"  chance that a gate halts it: {found.halt_chance:.0%}")
    say(f"  {verdict}")
    if found.matched < 0.98:
        say(
            f"  only {found.matched:.0%} of the devices stand where these assumptions would have them: "
            "believe the interval less"
        )
