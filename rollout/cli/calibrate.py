"""`rollout calibrate`: fit the model's assumptions to what a pilot did."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rollout.api.calibration import CalibrationResult, calibrate_rollout
from rollout.api.databases import open_db
from rollout.cli.options import DEFAULT_DB, Cluster, Db, Json, Seed, Verbose, Workers, worker_count
from rollout.cli.terminal import emit, say
from rollout.text import iso, number


def calibrate(
    rollout: Annotated[str | None, typer.Argument(help="Rollout id (default: the latest).")] = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="File for the scenario with the fitted [model].")
    ] = Path("calibrated.toml"),
    seed: Seed = 1,
    workers: Workers = None,
    cluster: Cluster = "",
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Fit the model's assumptions to what a rollout has observed, with intervals.

    It fits the random window, the capacity, the time online and the failures. Devices without an outcome count too:
    they have taken longer than the time so far. Writes the rollout's scenario with the fitted [model]; `rollout plan`
    and `rollout tune` accept it.

    Example: rollout calibrate run-1 --out calibrated.toml
    """
    result = calibrate_rollout(
        open_db(db), rollout, out=out, seed=seed, workers=worker_count(workers), cluster=cluster
    )
    if as_json:
        emit(result.document)
        return
    _show(result)


def _show(result: CalibrationResult) -> None:
    found = result.calibration
    say(
        f"{result.rollout}: {number(found.devices)} released devices, {number(found.executed)} with an outcome, "
        f"{number(found.failed)} failed, as of {iso(result.pilot.now)}"
    )
    for estimate in found.estimates.values():
        say(f"  {estimate.sentence()}")
    if found.preset:
        say(f"  the window fits the known preset {found.preset}")
    say(f"written: {result.file}")
    say(f"next: rollout tune {result.file}")
