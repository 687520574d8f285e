"""When a running rollout ends, from where it stands now, and whether it is on plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout.api.scenarios import world_of_plan
from rollout.errors import UsageError
from rollout.text import span
from rollout.values import Outcome

if TYPE_CHECKING:
    from rollout.store import Database
    from sim.forecast.calibration import Calibration
    from sim.forecast.continuation import Eta, Standing
    from sim.workers import Workers


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
    from sim.forecast.continuation import eta_of

    known = database.rollout(rollout)
    world = world_of_plan(database, known.plan_id)
    standing = standing_of(database, known.id)
    if standing.progress.state.is_final:
        return None
    fitted = _calibration(database, known.id, seed, workers) if calibrated else None
    return eta_of(
        world.stored.plan, world.fleet, world.model, standing, fitted, seed=seed, runs=runs, workers=workers
    )


def _calibration(database: Database, rollout: str, seed: int, workers: Workers | None) -> Calibration | None:
    from rollout.api.calibration import pilot_from
    from sim.forecast.calibration import calibrate

    try:
        _, pilot, model = pilot_from(database, rollout)
    except UsageError:
        return None
    return calibrate(pilot, model, seed=seed, workers=workers)


def standing_of(database: Database, rollout: str) -> Standing:
    """Give where a stored rollout stands; raise a `UsageError` if it has not begun."""
    import numpy as np

    from sim.forecast.continuation import Standing
    from sim.forecast.pilot import known_until

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
    from sim.forecast.continuation import on_plan

    known = database.rollout(rollout)
    points = database.reader(rollout).points()
    if not points:
        return "nothing was observed yet"
    enrolled = sum(row[Outcome.ENROLLED] for row in points[-1].by_phase)
    return on_plan(database.simulations(known.plan_id), points[-1].at, enrolled, span)
