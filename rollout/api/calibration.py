"""Calibration: the assumptions fitted to what the journal of a rollout says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rollout.api.scenarios import toml_of, world_of_plan
from rollout.documents import simulating as documents
from rollout.errors import UsageError
from rollout.files import write_file
from rollout.store import Database
from rollout.text import iso
from rollout.toml import parse_toml
from sim.forecast.calibration import Calibration, calibrate, model_document
from sim.forecast.pilot import Pilot, known_until, pilot_of
from sim.model import Model
from sim.scenario import DEFAULT_TEXT
from sim.workers import workers_of


@dataclass(frozen=True, slots=True)
class CalibrationResult:
    """The fitted assumptions of a rollout. pilot : what its journal knows; file : the scenario that was written."""

    rollout: str
    pilot: Pilot
    calibration: Calibration
    file: Path

    @property
    def document(self) -> documents.Calibration:
        """What `rollout calibrate --json` prints."""
        return documents.Calibration.build(
            self.calibration,
            rollout=self.rollout,
            as_of=iso(self.pilot.now),
            estimates=dict(self.calibration.estimates),
            file=str(self.file),
        )


def calibrate_rollout(
    database: Database,
    rollout: str | None = None,
    *,
    out: Path,
    seed: int = 1,
    workers: int = 1,
    cluster: str = "",
) -> CalibrationResult:
    """Fit the model to a rollout's outcomes, and write its scenario with the fitted [model] to the file `out`.

    rollout : the latest by default. Raise `UsageError` for one that has not started.
    """
    known, pilot, model = pilot_from(database, rollout)
    with workers_of(workers, cluster) as pool:
        calibration = calibrate(pilot, model, seed=seed, workers=pool)
    write_file(out, calibrated_toml(database, known, pilot, calibration))
    return CalibrationResult(known, pilot, calibration, out)


def pilot_from(database: Database, rollout: str | None) -> tuple[str, Pilot, Model]:
    """Return a rollout's id, what its journal knows of its devices, and the model it was planned with."""
    known = database.rollout(rollout)
    world = world_of_plan(database, known.plan_id)
    reader = database.reader(known.id)
    progress = reader.progress()
    if progress is None:
        raise UsageError(f"{known.id} has not started", "rollout run")
    outcomes = reader.outcomes()
    now = known_until(outcomes, progress.at)
    pilot = pilot_of(world.stored.plan, world.fleet, world.model, reader.batches(), outcomes, now)
    return known.id, pilot, world.model


def calibrated_toml(database: Database, rollout: str, pilot: Pilot, calibration: Calibration) -> str:
    """Return the rollout's scenario with the fitted [model]; its first comment says where it comes from."""
    stored = database.plan(database.rollout(rollout).plan_id)
    changed = parse_toml(stored.scenario or DEFAULT_TEXT, f"the scenario of {stored.id}")
    changed["model"] = model_document(calibration.model)
    about = (
        f"Calibrated to {calibration.devices} devices of {rollout} as of {iso(pilot.now)}, with 90 % intervals: "
        + "; ".join(estimate.sentence() for estimate in calibration.estimates.values())
        + ". Everything else in [model] is unchanged."
    )
    return toml_of(changed, about, "calibrated.toml")
