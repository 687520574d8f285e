"""The end of a running rollout, forecast from where it stands, and whether it keeps to its plan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rollout.api.calibration import pilot_from
from rollout.api.scenarios import world_of_plan
from rollout.api.status import on_plan
from rollout.arguments import require_runs
from rollout.documents.forecast import ForecastDetails, RolloutForecast
from rollout.errors import UsageError
from rollout.store import Database
from rollout.values.forecast import Forecast
from sim.forecast.calibration import Calibration, calibrate
from sim.forecast.continuation import RUNS, JournalSnapshot, forecast_of
from sim.forecast.pilot import known_until
from sim.workers import Workers


@dataclass(frozen=True, slots=True)
class ForecastResult:
    """A rollout's forecast, None if the rollout has ended.

    zone : IANA zone of the plan. on_plan : a sentence, how the rollout stands against its plan's simulation.
    """

    rollout: str
    zone: str
    forecast: Forecast | None
    on_plan: str

    @property
    def document(self) -> RolloutForecast:
        """The document of `rollout forecast --json`."""
        details = ForecastDetails.of(self.forecast) if self.forecast is not None else None
        return RolloutForecast(rollout=self.rollout, eta=details, on_plan=self.on_plan)


def forecast_rollout(
    database: Database,
    rollout: str | None = None,
    *,
    calibrated: bool = True,
    runs: int = RUNS,
    seed: int = 1,
    workers: Workers | None = None,
) -> ForecastResult:
    """Forecast the end of a stored rollout, the latest by default.

    calibrated : fit the assumptions to the rollout first; too few released devices leave them as they are.
    runs : continuations to simulate. workers : processes that do it, only this process by default.

    Raise a `UsageError` for a rollout that has not started, or less than one run.
    """
    require_runs(runs)
    known = database.rollout(rollout)
    world = world_of_plan(database, known.plan_id)
    snapshot = snapshot_of(database, known.id)
    forecast = None
    if not snapshot.progress.state.is_final:
        fitted = _calibration(database, known.id, seed, workers) if calibrated else None
        plan, fleet, model = world.stored.plan, world.fleet, world.model
        forecast = forecast_of(plan, fleet, model, snapshot, fitted, seed=seed, runs=runs, workers=workers)
    return ForecastResult(known.id, world.stored.plan.zone, forecast, on_plan(database, known.id))


def _calibration(database: Database, rollout: str, seed: int, workers: Workers | None) -> Calibration | None:
    try:
        _, pilot, model = pilot_from(database, rollout)
    except UsageError:
        return None
    return calibrate(pilot, model, seed=seed, workers=workers)


def snapshot_of(database: Database, rollout: str) -> JournalSnapshot:
    """Return what a stored rollout's journal says now; raise a `UsageError` if the rollout has not started."""
    reader = database.reader(rollout)
    progress = reader.progress()
    if progress is None:
        raise UsageError(f"{rollout} has not started", "rollout run")
    batches = tuple(reader.batches())
    outcomes = reader.outcomes()
    return JournalSnapshot(
        progress=progress,
        batches=batches,
        confirmed=tuple(reader.confirmed(batch.number) for batch in batches),
        commands=reader.commands(),
        outcomes=outcomes,
        known_until=known_until(outcomes, progress.at),
        applied=tuple(
            (at, batch, np.concatenate([applied.accepted, applied.adopted]).astype(np.int32))
            for at, batch, applied in reader.applied()
        ),
    )
