"""`rollout forecast`: when a running rollout will be done, from where it stands now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rollout.cli import steps
from rollout.cli.options import DEFAULT_DB, MAX_RUNS, Db, Json, Seed, Verbose
from rollout.cli.terminal import emit, instant, iso, number, say, span
from rollout.cli.tune import Cluster
from rollout.errors import UsageError
from rollout.values import Outcome

if TYPE_CHECKING:
    from rollout.store import Database
    from sim.calibrate import Calibration
    from sim.eta import Eta, Standing
    from sim.workers import Workers


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

    database = steps.open_db(db)
    known = database.rollout(rollout)
    with workers_of(steps.workers_here(workers), cluster) as hands:
        found = eta_of_rollout(database, known.id, calibrated=calibrated, runs=runs, seed=seed, workers=hands)
    verdict = verdict_of(database, known.id)
    if as_json:
        emit({"rollout": known.id, "eta": document(found) if found else None, "on_plan": verdict})
        return
    if found is None:
        say(f"rollout {known.id} has ended; 'rollout status' tells how")
        return
    show(known.id, database.plan(known.plan_id).plan.zone, found, verdict)


def eta_of_rollout(
    database: Database,
    rollout: str,
    *,
    calibrated: bool = True,
    runs: int = 20,
    seed: int = 1,
    workers: Workers | None = None,
) -> Eta | None:
    """Give what is to be expected of a stored rollout; None if it has ended.

    Too few released devices to calibrate leave the assumptions as they are. Raise a `UsageError` for a rollout
    that has not begun.
    """
    from sim.eta import eta_of

    known = database.rollout(rollout)
    world = steps.world_of_plan(database, known.plan_id)
    standing = standing_of(database, known.id)
    if standing.progress.state.is_final:
        return None
    fitted = _calibration(database, known.id, seed, workers) if calibrated else None
    return eta_of(
        world.stored.plan, world.fleet, world.model, standing, fitted, seed=seed, runs=runs, workers=workers
    )


def _calibration(database: Database, rollout: str, seed: int, workers: Workers | None) -> Calibration | None:
    from rollout.cli.calibrate import pilot_from
    from sim.calibrate import calibrate

    try:
        _, pilot, model = pilot_from(database, rollout)
    except UsageError:
        return None
    return calibrate(pilot, model, seed=seed, workers=workers)


def standing_of(database: Database, rollout: str) -> Standing:
    """Give where a stored rollout stands; raise a `UsageError` if it has not begun."""
    import numpy as np

    from sim.eta import Standing
    from sim.pilot import known_until

    reader = database.reader(rollout)
    progress = reader.progress()
    if progress is None:
        raise UsageError(f"expected a rollout that has begun, found {rollout} that has not", "rollout run")
    batches = tuple(reader.batches())
    outcomes = reader.outcomes()
    return Standing(
        progress=progress,
        batches=batches,
        confirmed=tuple(reader.confirmed(batch.number) for batch in batches),
        commands=reader.commands(),
        outcomes=outcomes,
        known_until=known_until(outcomes, progress.at),
        applied=tuple(
            (at, batch, np.concatenate([told.accepted, told.adopted]).astype(np.int32))
            for at, batch, told in reader.applied()
        ),
    )


def verdict_of(database: Database, rollout: str) -> str:
    """Say whether a stored rollout is on plan, by the latest simulation of its plan."""
    from sim.eta import on_plan

    known = database.rollout(rollout)
    points = database.reader(rollout).points()
    if not points:
        return "nothing was observed yet"
    enrolled = sum(row[Outcome.ENROLLED] for row in points[-1].by_phase)
    return on_plan(database.simulations(known.plan_id), points[-1].at, enrolled, span)


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
