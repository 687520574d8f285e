"""`rollout calibrate`: fit the assumptions to what a pilot really did."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rollout.api import workflow
from rollout.api.calibration import calibrated_toml, pilot_from
from rollout.cli.options import DEFAULT_DB, Cluster, Db, Json, Seed, Verbose
from rollout.cli.terminal import emit, say
from rollout.files import write_file
from rollout.text import iso, number

if TYPE_CHECKING:
    from sim.forecast.calibration import Calibration
    from sim.forecast.pilot import Pilot


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
    from sim.forecast.calibration import calibrate as fit
    from sim.workers import workers_of

    database = workflow.open_db(db)
    known, pilot, model = pilot_from(database, rollout)
    with workers_of(workflow.workers_here(workers), cluster) as hands:
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
