"""Execute a plan as `rollout run` does: check the request, execute, write the last report."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path

from rollout.api.control import require_no_other_rollout
from rollout.api.report_facts import gather_report
from rollout.arguments import require_seed
from rollout.errors import RefusedError, UsageError
from rollout.executor import directories
from rollout.executor.logs import log_event
from rollout.executor.notify import Notice
from rollout.executor.reporter import Channels
from rollout.executor.session import RunOptions, execute
from rollout.files import make_folder
from rollout.report import write_report
from rollout.store import Database, StoredPlan
from rollout.values import Plan, Progress
from rollout.values.plan_warnings import OUTSIDE_WINDOWS


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a session of a rollout ended. report : the page of the last report, None without one."""

    rollout: str
    plan: Plan
    progress: Progress
    report: Path | None


def run_rollout(
    database: Database, plan: str | None = None, options: RunOptions | None = None, *, seed: int | None = None
) -> RunResult:
    """Execute a plan, the latest by default; a rollout that has started is resumed.

    seed : of the simulated directory, None for the one that the rollout started with, else 1.

    Raise `UsageError` or `RefusedError` before anything is sent if the plan may not be executed this way, `LeaseError`
    if another executor has the lease, `KeyboardInterrupt` if a signal asked for the end; the journal is whole then.
    """
    chosen = options or RunOptions()
    if chosen.speed is not None and not 0 < chosen.speed < math.inf:
        raise UsageError(f"speed: expected a positive factor, or None for max, found {chosen.speed}")
    if seed is not None:
        require_seed(seed)
    check_channels(chosen.channels)
    stored, known_seed = prepare_run(database, plan, chosen.directory, seed, chosen.speed)
    chosen = replace(chosen, seed=known_seed)
    if OUTSIDE_WINDOWS in stored.plan.warnings:
        chosen.note(f"{stored.id} takes devices out at any hour, outside the change windows too")
    speed = directories.speed_text(chosen.speed)
    rollout = database.start_rollout(stored.id, chosen.directory, known_seed, speed, int(time.time()))
    progress = execute(database, stored.id, rollout, chosen)
    folder = chosen.channels.report
    report = _last_report(database, rollout, folder) if folder is not None else None
    return RunResult(rollout, stored.plan, progress, report)


def prepare_run(
    database: Database, plan: str | None, directory: str, seed: int | None, speed: float | None = 1.0
) -> tuple[StoredPlan, int]:
    """Return the plan to execute and the seed of the simulated directory.

    Raise `UsageError` or `RefusedError` if the plan may not be executed in this directory.
    """
    directories.check_name(directory)
    stored = database.plan(plan or database.latest_plan())
    known_seed = seed_to_resume_with(database, stored.id, directory, seed)
    require_no_other_rollout(database, stored, directory)
    if directory != directories.EMBEDDED:
        directories.check_allowed(stored, directory, speed)
    return stored, known_seed


def check_channels(channels: Channels) -> None:
    """Raise `UsageError` if a file, folder or address of the channels cannot be used; nothing has begun yet."""
    if channels.metrics is not None and not channels.metrics.absolute().parent.is_dir():
        raise UsageError(f"--metrics: the folder of {channels.metrics} does not exist")
    if channels.report is not None:
        try:
            make_folder(channels.report)
        except OSError as error:
            reason = f"{channels.report} cannot be written: {error.strerror}"
            raise UsageError(f"--report: {reason}", "choose another folder") from None
    if channels.notify:
        Notice(channels.notify)


def _last_report(database: Database, rollout: str, folder: Path) -> Path | None:
    """Write the report of the result of the run. A failed write is only a warning: the rollout is done."""
    try:
        write_report(gather_report(database, rollout), folder)
    except (UsageError, OSError) as error:
        log_event(f"the last report was not written: {error}", level=logging.WARNING)
        return None
    return folder / "report.html"


def seed_to_resume_with(database: Database, plan_id: str, directory: str, seed: int | None) -> int:
    """Return the seed to resume with. Raise `RefusedError` if the rollout started with another one, or elsewhere."""
    rollout = database.rollout_of(plan_id)
    if rollout is None:
        return 1 if seed is None else seed
    known = database.rollout(rollout)
    if known.directory != directory:
        raise RefusedError(
            f"{rollout} started in directory '{known.directory}', not in '{directory}'; nothing was sent",
            f"rollout run --directory {known.directory}, or make a new plan",
        )
    if seed is not None and seed != known.seed:
        raise RefusedError(
            f"{rollout} started with --seed {known.seed}, not with --seed {seed}; nothing was sent",
            f"leave --seed out: {rollout} continues with its own",
        )
    return known.seed
