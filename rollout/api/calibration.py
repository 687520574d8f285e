"""What a rollout's journal says about the assumptions it was planned with."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from rollout.api import workflow
from rollout.text import iso
from rollout.toml import parse_toml

if TYPE_CHECKING:
    from rollout.store import Database
    from sim.forecast.calibration import Calibration
    from sim.forecast.pilot import Pilot
    from sim.model import Model


def pilot_from(database: Database, rollout: str | None) -> tuple[str, Pilot, Model]:
    """Give a rollout's id, what its journal knows of its devices, and the model it was planned with."""
    from rollout.errors import UsageError
    from sim.forecast.pilot import known_until, pilot_of

    known = database.rollout(rollout)
    world = workflow.world_of_plan(database, known.plan_id)
    reader = database.reader(known.id)
    progress = reader.progress()
    if progress is None:
        raise UsageError(f"{known.id} has not started", "rollout run")
    outcomes = reader.outcomes()
    now = known_until(outcomes, progress.at)
    pilot = pilot_of(world.stored.plan, world.fleet, world.model, reader.batches(), outcomes, now)
    return known.id, pilot, world.model


def calibrated_toml(database: Database, rollout: str, pilot: Pilot, found: Calibration) -> str:
    """Give the rollout's scenario with the fitted [model]; its first comment says where it comes from."""
    import tomli_w

    from sim.forecast.calibration import model_document
    from sim.scenario import DEFAULT_TEXT, parse_scenario

    stored = database.plan(database.rollout(rollout).plan_id)
    changed = parse_toml(stored.scenario or DEFAULT_TEXT, f"the scenario of {stored.id}")
    changed["model"] = model_document(found.model)
    about = (
        f"Calibrated to {found.devices} devices of {rollout} as of {iso(pilot.now)}, with 90 % intervals: "
        + "; ".join(one.sentence() for one in found.estimates.values())
        + ". All else in [model] is as it was assumed."
    )
    comment = "\n".join(f"# {line}" for line in textwrap.wrap(about, 105))
    text = f"{comment}\n\n{tomli_w.dumps(changed)}"
    parse_scenario(text, "calibrated.toml")  # what is written must be read again
    return text
