"""Carry out a stored plan: opens the directory, takes the lease, and drives the one loop."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rollout.api.scenarios import PlanWorld, world_of_plan
from rollout.errors import RefusedError
from rollout.executor import directories
from rollout.executor.background_tasks import Chores
from rollout.executor.clock import LivelyTime, WallClock, interruptible, unknown
from rollout.executor.display import NoBar, OpenBar, to_stderr
from rollout.executor.reporter import Channels, Telling
from rollout.loop.decide import begin
from rollout.loop.drive import Permit, drive, pump
from rollout.loop.undo import UndoDirectory
from rollout.text import instant, number
from rollout.values import DAY_S, HOUR_S, Outcome, Plan, Progress

if TYPE_CHECKING:
    from rollout.loop.ports import Clock, Directory, MembershipLog
    from rollout.store import Database, SqlJournal
    from rollout.store.journal.reader import Told

INTERRUPTED = "interrupted"
"""Kind of the session row that says how far a session came that a signal ended."""

ASK_S = 1.0
"""Seconds between two looks at what people ask for, while a chunk is being sent."""
AHEAD_S = 300
"""A journal whose last decision lies further in the future than this is not continued."""
BEAT_S = 15.0
"""Seconds of real time between two heartbeats of the lease."""


@dataclass(frozen=True, slots=True)
class Ways:
    """How to execute.

    directory : embedded, or a real one that `settings` describes. speed : of a pretend world's clock, None = max.
    once : up to the next decision. channels : where it tells of itself.
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


def execute(database: Database, plan_key: str, rollout_id: str, ways: Ways) -> Progress:
    """Drive the loop until the rollout is final, held at its horizon, or a signal asks for the end.

    Raise `KeyboardInterrupt` then; the journal is whole, and the same call goes on where it was.
    """
    setting = world_of_plan(database, plan_key)
    plan = setting.stored.plan
    with (
        _opened(database, setting, rollout_id, ways) as (directory, contact),
        database.journal(rollout_id, owner=owner()) as journal,
        interruptible() as asked_to_end,
    ):
        progress = journal.progress() or begin(plan)
        if progress.state.is_final:
            return progress
        telling = Telling(plan, rollout_id, journal, directory, ways.channels)
        chores = Chores(plan, rollout_id, journal, directory, ways.channels)
        permit = Permit(plan)
        heart = _Heart(journal, directory, asked_to_end, telling, chores, permit)
        contact.time.alive, contact.time.held_s = heart.look, journal.held_s
        # A pretend world ends at its horizon; the real one goes on for as long as it takes.
        is_real = ways.directory != directories.EMBEDDED
        lived = 0 if is_real else lived_until(journal)
        clock = _clock(progress.at, lived, ways, heart, contact)
        if isinstance(clock, WallClock):
            peek = clock.peek
            contact.time.barred = lambda: permit.barred(peek())
        if is_real and journal.progress() is not None:
            check_not_ahead(rollout_id, progress.at, clock.now())
        journal.session(max(progress.at, lived), "begin", f"{owner()}, speed {ways.speed or 'max'}")
        until = None if is_real else plan.start + setting.model.horizon
        try:
            with ways.open_bar("running", plan.planned, quiet=ways.quiet) as moving:
                watch = _watcher(plan, directory, moving.to, ways.note if ways.verbose else None)
                wait = _waiter(clock, heart, journal, ways, contact.identity)
                progress = pump(drive(plan, journal, directory, until, lived, permit), wait, watch)
        except _OneDecisionError:
            progress = journal.progress() or progress
        except KeyboardInterrupt:
            journal.session(max(clock.now(), lived), INTERRUPTED, owner())
            raise
        finally:
            chores.stop()
            telling.end()
            journal.save_outcomes(directory.outcomes())
    return progress


def check_not_ahead(rollout_id: str, at: int, now: int) -> None:
    """Raise `RefusedError` if a journal's last decision lies in the future: waiting for it would be silent.

    at, now : Unix seconds of the last decision, and by our own clock.
    """
    if at - now > AHEAD_S:
        raise RefusedError(
            f"the last decision of {rollout_id} is dated {instant(at)}, after this machine's clock ({instant(now)}): "
            "one of the two was wrong; nothing was sent",
            "set this machine's clock right; if the journal is wrong, plan the rest: "
            f"rollout plan --continue {rollout_id}",
        )


@dataclass(frozen=True, slots=True)
class _Contact:
    """What is asked of a directory beside the port.

    time : what it waits with. server_now : its clock. identity : says which site or tenant it is, None if that
    is known already or does not matter.
    """

    time: LivelyTime
    server_now: Callable[[], float | None] = unknown
    identity: Callable[[], str] | None = None


@contextmanager
def _opened(
    database: Database, setting: PlanWorld, rollout_id: str, ways: Ways
) -> Iterator[tuple[Directory, _Contact]]:
    """Open the directory; nothing is sent before the loop does."""
    lively = LivelyTime()
    if ways.directory == directories.EMBEDDED:
        log = database.membership_log(rollout_id)
        yield embedded(setting, ways.seed, log, ways.speed), _Contact(lively)
        return
    with directories.opened(database, setting, ways.directory, ways.settings, rollout_id, lively) as real:
        known = directories.known_identity(database, rollout_id)
        contact = _Contact(lively, real.server_now, None if known else real.identity)
        yield directories.seen_as(setting, real), contact


def embedded(
    setting: PlanWorld, seed: int, log: MembershipLog | None, speed: float | None = 1.0
) -> Directory:
    """Give the embedded directory of a plan: a pretend world, or for an undo its full collection.

    As fast as it goes it may skip an hour of looks that decide nothing; at a speed people may command
    between any two looks, so none is skipped.
    """
    plan = setting.stored.plan
    if plan.is_undo:
        import numpy as np

        from sim.world.directory import Collection

        members = np.concatenate([phase.order for phase in plan.phases])
        return UndoDirectory(plan, Collection(members, len(plan), log))
    from sim.clients.draws import traits_of
    from sim.simulation import world_of

    traits = traits_of(setting.fleet, setting.model)
    skip_s = HOUR_S if speed is None else 0
    return world_of(plan, traits, setting.model, seed=seed, log=log, skip_s=skip_s)


def lived_until(record: Told) -> int:
    """Give the last instant to which a simulated directory is known to have come, 0 before its first look.

    Its time stands still while nobody executes it, and never runs backwards.
    """
    looks = (point.at for point in record.points()[-1:])
    ends = (at for at, kind, _ in record.sessions() if kind == INTERRUPTED)
    return max((*looks, *ends), default=0)


def _clock(start: int, lived: int, ways: Ways, heart: _Heart, contact: _Contact) -> Clock:
    if ways.directory != directories.EMBEDDED:
        return WallClock(sleep=heart.sleep, server=contact.server_now)
    from sim.world.directory import SimClock

    return SimClock(start, ways.speed, lived, sleep=heart.sleep)


def _waiter(
    clock: Clock, heart: _Heart, journal: SqlJournal, ways: Ways, identity: Callable[[], str] | None
) -> Callable[[int], int]:
    """Give what the pump waits with: it obeys signals, keeps the lease, and ends after one decision.

    identity : asked once, after the loop's first contact; a later session must meet the same site or tenant.
    """
    before = _done(journal)
    to_ask = [identity] if identity is not None else []

    def wait_until(at: int) -> int:
        heart.look()
        while to_ask:
            journal.session(clock.now(), directories.IDENTITY, to_ask.pop()())
        if ways.once and at > clock.now() and _done(journal) > before:
            raise _OneDecisionError
        heart.save(clock.now())
        return clock.wait_until(at)

    return wait_until


def _done(journal: SqlJournal) -> int:
    """Count what was decided and what was sent: `--once` ends after more of either."""
    return len(journal.decisions()) + sum(journal.confirmed(one.number) for one in journal.batches())


class _OneDecisionError(Exception):
    """`--once` has had its decision, or has sent what an earlier one left."""


class _Heart:
    """Keeps the lease alive in real time, the devices' outcomes fresh in the directory's, and obeys signals."""

    def __init__(
        self,
        journal: SqlJournal,
        directory: Directory,
        asked_to_end: Callable[[], bool],
        telling: Telling,
        chores: Chores,
        permit: Permit,
    ) -> None:
        self._journal, self._directory, self._asked_to_end = journal, directory, asked_to_end
        self._telling, self._chores, self._permit = telling, chores, permit
        self._beaten = self._asked = time.monotonic()
        self._saved = 0

    def look(self) -> None:
        """Beat if it is time; raise `KeyboardInterrupt` if a signal asked for the end."""
        if self._asked_to_end():
            raise KeyboardInterrupt
        if len(self._permit.rows) and time.monotonic() - self._asked >= ASK_S:
            self._permit.refresh(self._journal.commands())
            self._asked = time.monotonic()
        if time.monotonic() - self._beaten >= BEAT_S:
            self._journal.heartbeat()
            self._beaten = time.monotonic()
            self._telling.renewed()
        self._telling.look()
        self._chores.look()

    def sleep(self, seconds: float) -> None:
        """Sleep a short while, alive."""
        self.look()
        time.sleep(seconds)

    def save(self, now: int) -> None:
        """Keep the devices' outcomes once a day of the directory's time."""
        if now - self._saved >= DAY_S:
            self._journal.save_outcomes(self._directory.outcomes())
            self._saved = now


def _watcher(
    plan: Plan, directory: Directory, move: Callable[..., None], note: Callable[[str], None] | None
) -> Callable[[int], None]:
    """Give what shows progress: the bar of enrolled devices, and with -v a line each quarter of a day."""
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
    """Say who this executor is: host and process."""
    return f"{socket.gethostname()}:{os.getpid()}"
