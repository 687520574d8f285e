"""The whole job once, on a generated fleet and the simulated directory: from inventory to report."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from rollout.api.databases import open_db
from rollout.api.exclusions import worded
from rollout.api.planning import PlanResult, plan_scenario
from rollout.api.report_facts import gather_report
from rollout.api.scenarios import read_scenario
from rollout.api.simulation import simulate_plan
from rollout.api.status import read_status
from rollout.documents.base import HoursInterval
from rollout.documents.simulating import Demo
from rollout.executor.display import NoBar, OpenBar, to_stderr
from rollout.executor.session import RunOptions, execute
from rollout.files import make_folder
from rollout.report import write_report
from rollout.store import Database
from rollout.text import number, span

REASONS = 3
"""Reasons for exclusion that are shown."""


def run_demo(
    out: Path,
    *,
    clients: int = 100_000,
    seed: int = 1,
    runs: int = 10,
    workers: int = 1,
    say: Callable[[str], None] = to_stderr,
    note: Callable[[str], None] = to_stderr,
    open_bar: OpenBar | None = None,
) -> Demo:
    """Generate a fleet, check, plan, simulate, execute and report it, all in the folder `out`.

    An earlier demo's database is replaced. clients : size of the fleet. runs : simulated runs. workers : processes.
    say : called with a line per step; note : with lines that are not results. open_bar : shows progress.
    """
    started = time.monotonic()
    show_bar = open_bar or NoBar()
    make_folder(out)
    database = open_db(str(_removed(out / "demo.db")), create=True)
    planned = plan_scenario(database, read_scenario(None, clients))
    for line in _plan_lines(database, planned):
        say(line)
    with show_bar("simulating", runs) as progress:
        simulated = simulate_plan(
            database, planned.id, seed=seed, runs=runs, workers=workers, progress=progress.to
        )
    figures = simulated.simulation.figures
    first, middle, last = (span(figures.enrolled_90_hours[level]) for level in ("p10", "p50", "p90"))
    end = span(figures.eta_hours["p50"])
    say(
        _line(
            "simulate",
            f"{runs} runs: 90 % enrolled after {middle} ({first} … {last}), all done or given up after {end}",
        )
    )
    database.approve(planned.id, "demo", int(time.time()))
    rollout_id = database.start_rollout(planned.id, "embedded", seed, "max", int(time.time()))
    ended = execute(database, planned.id, rollout_id, RunOptions(seed=seed, open_bar=show_bar, note=note))
    say(_line("run", f"{rollout_id}, simulated: {ended.reason}"))
    final = read_status(database, rollout_id).document.final
    devices = {name.replace("_", " "): count for name, count in final}
    terms = " + ".join(f"{number(count)} {name}" for name, count in devices.items())
    say(_line("sum", f"{terms} = {number(sum(devices.values()))}"))
    written = write_report(gather_report(database, rollout_id), out)
    pictures = ", ".join(path.name for path in written if path.suffix == ".png")
    say(_line("report", f"{out / 'report.html'}; pictures: {pictures}"))
    return Demo(
        clients=len(planned.plan),
        plan=planned.id,
        rollout=rollout_id,
        digest=planned.plan.digest,
        state=ended.state,
        final=final,
        eta_hours=HoursInterval(**figures.eta_hours),
        report=str(out / "report.html"),
        seconds=round(time.monotonic() - started, 1),
    )


def _removed(path: Path) -> Path:
    """Remove the database of an earlier demo."""
    for file in (path, *(path.with_name(path.name + end) for end in ("-journal", "-wal", "-shm"))):
        file.unlink(missing_ok=True)
    return path


def _line(step: str, text: str) -> str:
    return f"{step:>10}  {text}"


def _plan_lines(database: Database, planned: PlanResult) -> list[str]:
    plan, excluded = planned.plan, planned.excluded
    phases = ", ".join(f"{phase.name} {number(len(phase))}" for phase in plan.phases)
    inventory_id = database.plan(planned.id).inventory_id
    return [
        _line("inventory", f"{number(len(plan))} clients in {inventory_id}, generated"),
        _line(
            "preflight",
            f"{number(sum(row.count for row in excluded))} are not in the plan; the most frequent reasons:",
        ),
        *(_line("", f"{number(row.count)}: {worded(row)}") for row in excluded[:REASONS]),
        _line("plan", f"{planned.id}: {phases}; digest {plan.digest[:12]}"),
    ]
