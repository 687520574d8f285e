"""`rollout calibrate`: fit the assumptions to what a pilot really did."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rollout.cli import steps
from rollout.cli.options import DEFAULT_DB, Db, Json, Seed, Verbose
from rollout.cli.terminal import emit, iso, number, say
from rollout.cli.tune import Cluster
from rollout.files import write_file
from rollout.toml import parse_toml

if TYPE_CHECKING:
    from rollout.store import Database
    from sim.calibrate import Calibration
    from sim.model import Model
    from sim.pilot import Pilot


def calibrate(
    rollout: Annotated[str | None, typer.Argument(help="Rollout id; the latest by default.")] = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The scenario with the fitted [model].")
    ] = Path("calibrated.toml"),
    seed: Seed = 1,
    workers: Annotated[int | None, typer.Option(help="Processes; one a core by default.")] = None,
    cluster: Cluster = "",
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Fit the model to a rollout's journal: random window, capacity, time online, failures, with intervals.

    Devices without an outcome count too: they took longer than until now. Writes the rollout's scenario with
    the fitted [model]; `rollout plan` and `rollout tune` take it.

    Example: rollout calibrate run-1 --out calibrated.toml
    """
    from sim.calibrate import calibrate as fit
    from sim.workers import workers_of

    database = steps.open_db(db)
    known, pilot, model = pilot_from(database, rollout)
    with workers_of(steps.workers_here(workers), cluster) as hands:
        found = fit(pilot, model, seed=seed, workers=hands)
    write_file(out, calibrated_toml(database, known, pilot, found))
    if as_json:
        emit(document(known, pilot, found, out))
        return
    say(
        f"{known}: {number(found.devices)} released devices, {number(found.executed)} with an outcome, "
        f"{number(found.failed)} failed, as of {iso(pilot.now)}"
    )
    for one in found.estimates.values():
        say(f"  {one.sentence()}")
    if found.preset:
        say(f"  the window fits the known preset {found.preset}")
    say(f"written: {out}")
    say(f"next: rollout tune {out}")


def pilot_from(database: Database, rollout: str | None) -> tuple[str, Pilot, Model]:
    """Give a rollout's id, what its journal knows of its devices, and the model it was planned with."""
    from rollout.errors import UsageError
    from sim.pilot import known_until, pilot_of

    known = database.rollout(rollout)
    world = steps.world_of_plan(database, known.plan_id)
    reader = database.reader(known.id)
    progress = reader.progress()
    if progress is None:
        raise UsageError(f"expected a rollout that has begun, found {known.id} that has not", "rollout run")
    outcomes = reader.outcomes()
    now = known_until(outcomes, progress.at)
    pilot = pilot_of(world.stored.plan, world.fleet, world.model, reader.batches(), outcomes, now)
    return known.id, pilot, world.model


def calibrated_toml(database: Database, rollout: str, pilot: Pilot, found: Calibration) -> str:
    """Give the rollout's scenario with the fitted [model]; its first comment says where it comes from."""
    import tomli_w

    from sim.calibrate import model_document
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


def document(rollout: str, pilot: Pilot, found: Calibration, out: Path) -> dict[str, Any]:
    """Give the result for scripts."""
    return {
        "rollout": rollout,
        "as_of": iso(pilot.now),
        "devices": found.devices,
        "executed": found.executed,
        "failed": found.failed,
        "estimates": {name: asdict(one) for name, one in found.estimates.items()},
        "preset": found.preset,
        "file": str(out),
    }
