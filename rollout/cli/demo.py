"""`rollout demo`: the whole job on a made-up fleet and the embedded directory."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rollout.api import workflow
from rollout.api.exclusions import rows_of, worded
from rollout.cli.options import MAX_RUNS, Json, Out, Seed, Verbose
from rollout.cli.terminal import bar, emit, note, say
from rollout.files import make_folder
from rollout.text import number, span

if TYPE_CHECKING:
    from rollout.store import Database
    from sim.simulation import Forecast

RUNS = 10

REASONS = 3
"""So many reasons why devices may not go are told."""


def demo(
    clients: Annotated[
        int, typer.Option(min=1, max=2_000_000, help="Devices of the made-up fleet.")
    ] = 100_000,
    seed: Seed = 1,
    out: Out = Path("demo"),
    runs: Annotated[int, typer.Option(min=1, max=MAX_RUNS, help="Replications of the simulation.")] = RUNS,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Do the whole job once: make a fleet up, check, plan, simulate, run and report it.

    Example: rollout demo --clients 5000
    """
    begun = time.monotonic()
    make_folder(out)
    database = workflow.open_db(str(_fresh(out / "demo.db")), create=True)
    document = _chain(database, clients, seed, runs, out, quiet=as_json)
    document["seconds"] = round(time.monotonic() - begun, 1)
    if as_json:
        emit(document)
        return
    say(f"the whole job took {document['seconds']} s; open {document['report']}")


def _fresh(path: Path) -> Path:
    """A demo begins anew: its own database of an earlier demo goes."""
    for one in (path, *(path.with_name(path.name + end) for end in ("-journal", "-wal", "-shm"))):
        one.unlink(missing_ok=True)
    return path


def _chain(
    database: Database, clients: int, seed: int, runs: int, out: Path, *, quiet: bool
) -> dict[str, Any]:
    from rollout.api.report_facts import gather_report
    from rollout.api.status import read_status
    from rollout.executor.session import Ways, execute
    from rollout.report import write_report

    def tell(step: str, text: str) -> None:
        (note if quiet else say)(f"{step:>10}  {text}")

    scenario = workflow.read_scenario(None, clients)
    plan_id = workflow.plan_scenario(database, scenario)
    stored = database.plan(plan_id)
    plan = stored.plan
    left_out = rows_of(plan, database.findings(stored.inventory_id))
    tell("inventory", f"{number(len(plan))} clients in {stored.inventory_id}, made up")
    tell("preflight", f"{number(sum(one.count for one in left_out))} may not go; the most frequent reasons:")
    for one in left_out[:REASONS]:
        tell("", f"{number(one.count)}: {worded(one)}")
    phases = ", ".join(f"{one.name} {number(len(one))}" for one in plan.phases)
    tell("plan", f"{plan_id}: {phases}; digest {plan.digest[:12]}")
    forecast = _simulate(database, plan_id, seed, runs, quiet)
    hours, through = (forecast.summary()[key] for key in ("eta_hours", "enrolled_90_hours"))
    first, middle, last = (span(through[name]) for name in ("p10", "p50", "p90"))  # type: ignore[index]
    tell(
        "simulate",
        f"{runs} runs: 90 % enrolled after {middle} ({first} … {last}), "
        f"the last given up after {span(hours['p50'])}",  # type: ignore[index]
    )
    database.approve(plan_id, "demo", int(time.time()))
    rollout_id = database.start_rollout(plan_id, "embedded", seed, "max", int(time.time()))
    progress = execute(database, plan_id, rollout_id, Ways(seed=seed, quiet=quiet, open_bar=bar, note=note))
    final = read_status(database, rollout_id).document.final.model_dump()
    tell("run", f"{rollout_id} {progress.state.value}: {progress.reason}")
    tell(
        "sum",
        " + ".join(f"{number(n)} {name.replace('_', ' ')}" for name, n in final.items())
        + f" = {number(sum(final.values()))}",
    )
    written = write_report(gather_report(database, rollout_id), out)
    pictures = ", ".join(one.name for one in written if one.suffix == ".png")
    tell("report", f"{out / 'report.html'}; pictures: {pictures}")
    return {
        "clients": len(plan),
        "plan": plan_id,
        "rollout": rollout_id,
        "digest": plan.digest,
        "state": progress.state.value,
        "final": final,
        "eta_hours": hours,
        "report": str(out / "report.html"),
    }


def _simulate(database: Database, plan_id: str, seed: int, runs: int, quiet: bool) -> Forecast:
    world = workflow.world_of_plan(database, plan_id)
    with bar("simulating", runs, quiet=quiet) as moving:
        return workflow.simulate_plan(
            database, world, seed=seed, runs=runs, workers=workflow.workers_here(None), progress=moving.to
        )[1]
