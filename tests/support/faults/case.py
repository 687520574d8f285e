"""One rollout under faults, from its first session to its last: the same loop, whatever happens to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from faults.chances import Chances
from faults.outside import Killed, Look, Time, World
from faults.watched import Hooks, WatchedDirectory, WatchedJournal
from rollout.errors import DatabaseError, LeaseError, OutsideError, RefusedError
from rollout.executor import clock as clocks
from rollout.loop.drive import Steps, drive
from rollout.loop.ports import Clock, Journal
from rollout.values import DAY_S, Applied, Commands, Plan, Progress
from sim.world.journal import MemoryJournal

MOST_SESSIONS = 400
LEASE_S = 60


@dataclass
class Record:
    """What happened, for the invariants. commands : (true instant, what people asked for from then on).

    unreadable : (session, true instant) of looks that failed.
    """

    plan: Plan
    world: World
    journal: Journal
    commands: list[tuple[int, Commands]]
    strange_writes: list[str] = field(default_factory=list)
    intended_at: list[tuple[int, int, Look | None]] = field(default_factory=list)
    backlog: list[int] = field(default_factory=list)
    sessions: int = 0
    ends: list[str] = field(default_factory=list)
    progress: Progress | None = None


def answers_of(record: Record) -> Sequence[tuple[int, int, Applied]]:
    """Give what the directory answered, chunk by chunk, as the journal keeps it."""
    applied: Any = record.journal.applied  # type: ignore[attr-defined]  # of both journals, not of the port
    return applied() if callable(applied) else applied  # type: ignore[no-any-return]


class JumpClock:
    """A clock that is where the loop wants it to be: what a pretend world at full speed has."""

    def __init__(self, time: Time, start: int) -> None:
        self._time = time
        time.true = start

    def now(self) -> int:
        return self._time.true

    def wait_until(self, at: int) -> int:
        self._time.true = max(self._time.true, at)
        return self._time.true


class Shelf:
    """Where the journal of a case lies between sessions: here, in memory. `open` gives it to one session."""

    def __init__(self) -> None:
        self.memory = MemoryJournal()

    def open(self, session: int) -> Journal:
        return self.memory

    def close(self, journal: Journal) -> None:
        """A session that ended in order gives its lease back."""

    def reader(self) -> Journal:
        """Give what was written, to judge it."""
        return self.memory

    def command(self, commands: Commands) -> None:
        """A person asks for something."""
        self.memory.commands_now = commands


@dataclass
class Case:
    """A plan in a world, with what goes wrong.

    again : start dead executors at their last decision, as a pretend world does; else the world's time goes on.
    asked : returns what people ask for at an instant (`again` only), since such a world may go back in time.
    server : whether the directory tells the time. fenced : whether the lease is this class's to guard.
    """

    plan: Plan
    world: World
    chances: Chances
    shelf: Shelf = field(default_factory=Shelf)
    again: bool = False
    asked: Callable[[int], Commands] | None = None
    server: bool = True
    fenced: bool = True
    horizon_s: int = 40 * DAY_S

    def __post_init__(self) -> None:
        self.epoch = 0
        self.current: Session | None = None
        self.record = Record(self.plan, self.world, self.shelf.reader(), [])

    def command(self, commands: Commands) -> None:
        """People ask for something from now on."""
        self.record.commands.append((self.world.time.true, commands))
        self.shelf.command(commands)

    def run(self) -> Record:
        """Let executors come and go until the rollout ends, or its horizon does."""
        with _long_naps():
            while self.record.progress is None:
                if self.record.sessions > MOST_SESSIONS:
                    self.record.ends.append("never ends")
                    break
                self._one_session()
        self.record.journal = self.shelf.reader()
        return self.record

    def _one_session(self) -> None:
        try:
            session = self.current or Session(self)
            self.current = session
            self.record.progress = session.go_on()
        except Killed:
            self.record.ends.append("killed")
        except (DatabaseError, OutsideError, RefusedError) as error:
            # Refused: by what a broken directory said. A person starts it again; for ever refused never ends.
            self.record.ends.append(type(error).__name__)
        except LeaseError:
            # Another one took over; it goes on, unless it has ended already.
            self.record.ends.append("overtaken")
            if self.current is not session:
                return
        if self.record.progress is None:
            self.current = None
            if not self.again:
                self.world.time.sleep(self.chances.downtime())

    def take_over(self) -> None:
        """The present session is stalled past its lease: another one begins, and gets a few steps far."""
        self.world.time.sleep(LEASE_S + 1)
        calm, self.chances.calm = self.chances.calm, True
        try:
            other = Session(self)
            self.current = other
            other.go_on(steps=3)
        except (OutsideError, DatabaseError, RefusedError, StopIteration):
            self.current = None
        finally:
            self.chances.calm = calm


class Session:
    """One executor, from its start to its end."""

    def __init__(self, case: Case) -> None:
        self.case = case
        case.epoch += 1
        case.record.sessions += 1
        self.epoch = case.epoch
        world = case.world
        self.sure_until = world.time.true + LEASE_S
        self.door = world.open_door(self)
        inner = case.shelf.open(self.epoch)
        hooks = Hooks(case.chances, self.point, self.fence, self.commands, self.wrote)
        self.journal = WatchedJournal(inner, hooks, self.door)
        known = inner.progress()
        start = known.at if known else case.plan.start
        if case.again:
            self.clock: Clock = JumpClock(world.time, start)
        else:
            # Where no other clock is known, or it differs too much to be believed, the machine's is right at the start.
            if not case.server or abs(world.time.skew) > self.door.trusted_s:
                world.time.skew = 0
            server = self.door.server_now if case.server else clocks.unknown
            self.clock = clocks.WallClock(world.time.sleep, world.time.wall, world.time.monotonic, server)
        directory = WatchedDirectory(self.door, self.point)
        self.steps: Steps = drive(case.plan, self.journal, directory, case.plan.start + case.horizon_s)
        self.wanted: int | None = None

    def go_on(self, steps: int = 1 << 30) -> Progress | None:
        """Take so many steps; give the last progress if that was the end."""
        try:
            if self.wanted is None:
                self.wanted = next(self.steps)
            for _ in range(steps):
                now = self.clock.wait_until(self.wanted)
                self.point("yield")
                self.door.woke = self.case.world.time.true
                self.wanted = self.steps.send(now)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        return None

    def holds_lease(self) -> bool:
        return self.epoch == self.case.epoch

    def fence(self) -> None:
        if self.case.fenced and not self.holds_lease():
            raise LeaseError("another executor has the lease")
        self.sure_until = self.case.world.time.true + LEASE_S

    def held_s(self) -> float:
        """Give the seconds for which nobody else can have the lease."""
        return float(self.sure_until - self.case.world.time.true)

    def point(self, name: str) -> None:
        happens = self.case.chances.at(name)
        if happens == "kill":
            raise Killed
        if happens == "stall" and self.holds_lease():
            self.case.take_over()

    def commands(self, told: Commands) -> Commands:
        asked = self.case.asked
        return asked(self.case.world.time.true) if asked else told

    def wrote(self, name: str) -> None:
        record, world = self.case.record, self.case.world
        # Counts for charts wait in the real journal for its next write.
        if not self.holds_lease() and (self.case.fenced or name != "point"):
            record.strange_writes.append(f"{name} by session {self.epoch} at {world.time.true}")
        if name == "intend":
            mine = [look for look in world.looks if look.session == self.epoch]
            record.intended_at.append((world.time.true, self.epoch, mine[-1] if mine else None))
            batches = self.journal.batches()
            open_ones = sum(self.journal.confirmed(batch.number) < len(batch) for batch in batches)
            record.backlog.append(open_ones)


@contextmanager
def _long_naps() -> Iterator[None]:
    """Pretend time need not be slept in half seconds."""
    before = clocks.STEP_S
    clocks.STEP_S = 300.0
    try:
        yield
    finally:
        clocks.STEP_S = before
