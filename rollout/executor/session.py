"""Execute a stored plan: open the directory, take the lease, and drive the loop."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rollout.api.scenarios import PlanWorld, world_of_plan
from rollout.directory.port import RealDirectory
from rollout.errors import RefusedError
from rollout.executor import directories
from rollout.executor.background_tasks import BackgroundTasks
from rollout.executor.clock import LivelyTime, WallClock, interruptible, steady
from rollout.executor.display import NoBar, OpenBar, to_stderr
from rollout.executor.reporter import Channels, RunReporter
from rollout.loop.decide import initial_progress
from rollout.loop.drive import Permit, drive, pump
from rollout.loop.ports import Clock, Directory
from rollout.store import Database, SqlJournal
from rollout.text import instant, number
from rollout.values import DAY_S, HOUR_S, Outcome, Plan, Progress

COMMANDS_S = 1.0
"""Seconds between two readings of people's commands while a chunk is being sent."""
AHEAD_S = 300
"""A journal whose last decision is further in the future than this is not continued."""
BEAT_S = 15.0
"""Seconds of real time between two heartbeats of the lease."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to execute.

    directory : embedded, or a real one that `settings` describes. speed : of the simulated directory's clock,
    None = max. once : stop after one decision. channels : where the run reports.
    """

    directory: str = directories.EMBEDDED
    settings: Path = directories.DEFAULT_SETTINGS
    seed: int = 1
    speed: float | None = None
    once: bool = False
    quiet: bool = False
    verbose: int = 0
    channels: Channels = field(default_factory=lambda: Channels(quiet=True))
    open_bar: OpenBar = field(default_factory=NoBar)
    note: Callable[[str], None] = to_stderr


def execute(database: Database, plan_key: str, rollout_id: str, options: RunOptions) -> Progress:
    """Drive the loop until the rollout is final, held at its horizon, or a signal asks for the end.

    Raise `KeyboardInterrupt` then; the journal is complete, and the same call continues from there.
    """
    setting = world_of_plan(database, plan_key)
    plan, waiting = setting.stored.plan, LivelyTime()
    with (
        _opened(database, setting, rollout_id, options, waiting) as (directory, real),
        database.journal(rollout_id, owner=owner()) as journal,
        interruptible() as end_requested,
    ):
        progress = journal.progress() or initial_progress(plan)
        if progress.state.is_final:
            return progress
        reporter = RunReporter(plan, rollout_id, journal, directory, options.channels)
        tasks = BackgroundTasks(plan, rollout_id, journal, directory, options.channels)
        permit = Permit(plan)
        upkeep = _Upkeep(journal, directory, end_requested, reporter, tasks, permit)
        waiting.alive, waiting.held_s = upkeep.run, journal.held_s
        # A simulated directory ends at its horizon; a real one continues for as long as it takes.
        lived = 0 if real else directories.lived_until(journal)
        until = None if real else plan.start + setting.model.horizon
        clock = (
            _wall_clock(real, waiting, permit, upkeep)
            if real
            else directories.simulated_clock(progress.at, options.speed, lived, upkeep.sleep)
        )
        if real and journal.progress() is not None:
            check_not_ahead(rollout_id, progress.at, clock.now())
        journal.session(max(progress.at, lived), "begin", f"{owner()}, speed {options.speed or 'max'}")
        try:
            with options.open_bar("running", plan.planned, quiet=options.quiet) as bar:
                watch = _watcher(plan, directory, bar.to, options.note if options.verbose else None)
                identify = (
                    None if directories.known_identity(database, rollout_id) or not real else real.identity
                )
                wait = _waiter(clock, upkeep, journal, options, identify)
                progress = pump(drive(plan, journal, directory, until, lived, permit), wait, watch)
        except _OneDecisionError:
            progress = journal.progress() or progress
        except KeyboardInterrupt:
            journal.session(max(clock.now(), lived), directories.INTERRUPTED, owner())
            raise
        finally:
            tasks.stop()
            reporter.end()
            journal.save_outcomes(directory.outcomes())
    return progress


def check_not_ahead(rollout_id: str, at: int, now: int) -> None:
    """Raise `RefusedError` if a journal's last decision is in the future: waiting for it would be silent.

    at, now : Unix seconds of the last decision, and by our own clock.
    """
    if at - now > AHEAD_S:
        raise RefusedError(
            f"the last decision of {rollout_id} is dated {instant(at)}, after this machine's clock ({instant(now)}): "
            "one of the two was wrong; nothing was sent",
            "correct this machine's clock; if the journal is wrong, plan the rest: "
            f"rollout plan --continue {rollout_id}",
        )


@contextmanager
def _opened(
    database: Database, setting: PlanWorld, rollout_id: str, options: RunOptions, waiting: LivelyTime
) -> Iterator[tuple[Directory, RealDirectory | None]]:
    """Open the directory as the loop uses it, with the real one behind it; nothing is sent before the loop does."""
    if options.directory == directories.EMBEDDED:
        log = database.membership_log(rollout_id)
        yield directories.simulated(setting, options.seed, log, options.speed), None
        return
    with directories.opened(
        database, setting, options.directory, options.settings, rollout_id, waiting
    ) as real:
        yield directories.for_plan(setting.stored.plan, real), real


def _wall_clock(real: RealDirectory, waiting: LivelyTime, permit: Permit, upkeep: _Upkeep) -> WallClock:
    """Return the clock of a real directory, and let the directory ask by it whether it may still send."""
    clock = WallClock(sleep=upkeep.sleep, server=real.server_now)

    def barred(later_by: float = 0.0) -> str:
        if threading.current_thread() is threading.main_thread():
            upkeep.run()  # a slow answer, or a machine that slept, may have come between the waits
        return permit.barred(clock.peek() + int(later_by))

    waiting.barred = barred
    return clock


def _waiter(
    clock: Clock,
    upkeep: _Upkeep,
    journal: SqlJournal,
    options: RunOptions,
    identify: Callable[[], str] | None,
) -> Callable[[int], int]:
    """Return a function with which the pump waits: it obeys signals, keeps the lease, and ends after one decision.

    identify : called once, after the loop's first contact; a later session must meet the same site or tenant.
    """
    before = _steps(journal)
    to_identify = [identify] if identify is not None else []

    def wait_until(at: int) -> int:
        upkeep.run()
        while to_identify:
            journal.session(clock.now(), directories.IDENTITY, to_identify.pop()())
        if options.once and at > clock.now() and _steps(journal) > before:
            raise _OneDecisionError
        upkeep.save(clock.now())
        return clock.wait_until(at)

    return wait_until


def _steps(journal: SqlJournal) -> int:
    """Count decisions and sent devices: `--once` ends after more of either."""
    return len(journal.decisions()) + sum(journal.confirmed(batch.number) for batch in journal.batches())


class _OneDecisionError(Exception):
    """`--once` has made its decision, or has sent what an earlier one left."""


class _Upkeep:
    """Renews the lease in real time, saves the devices' outcomes in the directory's time, and obeys signals."""

    def __init__(
        self,
        journal: SqlJournal,
        directory: Directory,
        end_requested: Callable[[], bool],
        reporter: RunReporter,
        tasks: BackgroundTasks,
        permit: Permit,
    ) -> None:
        self._journal, self._directory, self._end_requested = journal, directory, end_requested
        self._reporter, self._tasks, self._permit = reporter, tasks, permit
        self._beaten = self._refreshed = steady()
        self._saved = 0

    def run(self) -> None:
        """Do what is due; called often. Raise `KeyboardInterrupt` if a signal asked for the end."""
        if self._end_requested():
            raise KeyboardInterrupt
        if len(self._permit.rows) and steady() - self._refreshed >= COMMANDS_S:
            self._permit.refresh(self._journal.commands())
            self._refreshed = steady()
        if steady() - self._beaten >= BEAT_S:
            self._journal.heartbeat()
            self._beaten = steady()
            self._reporter.renewed()
        self._reporter.update()
        self._tasks.update()

    def sleep(self, seconds: float) -> None:
        """Do what is due, then sleep a short while."""
        self.run()
        time.sleep(seconds)

    def save(self, now: int) -> None:
        """Save the devices' outcomes once per day of the directory's time."""
        if now - self._saved >= DAY_S:
            self._journal.save_outcomes(self._directory.outcomes())
            self._saved = now


def _watcher(
    plan: Plan, directory: Directory, move: Callable[..., None], note: Callable[[str], None] | None
) -> Callable[[int], None]:
    """Return a function that shows progress: the bar of enrolled devices, and with -v a line every six hours."""
    last = [plan.start]

    def watch(now: int) -> None:
        if now - last[0] < 6 * HOUR_S:
            return
        last[0] = now
        enrolled = int((directory.outcomes().outcome == Outcome.ENROLLED).sum())
        move(enrolled, f"running, {instant(now, plan.zone)}")
        if note is not None:
            note(f"{instant(now, plan.zone)}: {number(enrolled)} enrolled")

    return watch


def owner() -> str:
    """Return the name of this executor: host and process."""
    return f"{socket.gethostname()}:{os.getpid()}"
