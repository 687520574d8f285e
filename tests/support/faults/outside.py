"""The pretend outside: time, a collection with people in it, and the directory as one session meets it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from rollout.errors import OutsideError, RefusedError
from rollout.values import (
    NOT_RELEASED,
    OUTCOMES,
    Applied,
    Batch,
    BoolArray,
    DeviceOutcomes,
    Facts,
    IntArray,
    LongArray,
    Observation,
    Outcome,
    Plan,
)

if TYPE_CHECKING:
    from faults.case import Session
    from faults.chances import Chances, Fault

NOBODY: IntArray = np.empty(0, dtype=np.int32)
NONE, US, PERSON = 0, 1, 2


class Killed(BaseException):
    """The process is dead from here on: no handler of the program's sees it."""


class Time:
    """True seconds, a wall clock that people set, and what is to happen when."""

    def __init__(self, start: int) -> None:
        self.true = start
        self.skew = 0
        self.events: list[tuple[int, Callable[[], None]]] = []

    def at(self, when: int, act: Callable[[], None]) -> None:
        """Let something happen at a true instant."""
        self.events.append((when, act))
        self.events.sort(key=lambda event: event[0])

    def sleep(self, seconds: float) -> None:
        """Let at least a second pass; what is due on the way happens."""
        end = self.true + max(1, int(seconds))
        while self.events and self.events[0][0] <= end:
            when, act = self.events.pop(0)
            self.true = max(self.true, when)
            act()
        self.true = end

    def wall(self) -> float:
        """What the machine's clock shows."""
        return self.true + self.skew

    def monotonic(self) -> float:
        """Seconds that no person can set."""
        return self.true


@dataclass(frozen=True)
class Call:
    """An addition that went out.

    began : when commands were read last. woke : when its chunk began. visible : rows that the directory showed
    as members when the bytes went out. holder : whether the session had the lease then.
    """

    at: int
    began: int
    woke: int
    session: int
    batch: int
    rows: tuple[int, ...]
    visible: tuple[int, ...]
    fault: str
    holder: bool
    intended: bool


@dataclass(frozen=True)
class Look:
    """An observation as it was given."""

    at: int
    true: int
    session: int
    readable: bool
    counts: np.ndarray[tuple[int, ...], np.dtype[np.int64]] | None


@dataclass
class World:
    """What is so, whoever looks. It outlives every session.

    latency_s : from membership to outcome. lag_s : from an addition until `members` shows it.
    superset : who may be a member at all (the auto-enrollment collection, for a workload's staging one).
    """

    plan: Plan
    time: Time
    chances: Chances
    fails: BoolArray
    latency_s: int = 600
    lag_s: int = 0
    superset: BoolArray | None = None
    calls: list[Call] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        n = len(self.plan)
        self.is_member: BoolArray = np.zeros(n, dtype=np.bool_)
        self.ever: BoolArray = np.zeros(n, dtype=np.bool_)
        self.by = np.zeros(n, dtype=np.int8)
        self.since = np.full(n, -1, dtype=np.int64)
        self.taken_out: set[int] = set()
        self.sent_by_us: set[int] = set()

    def enter(self, rows: Sequence[int] | IntArray, who: int) -> None:
        """Make rows members; who is one stays as he is."""
        for row in rows:
            if self.is_member[row]:
                continue
            self.is_member[row] = self.ever[row] = True
            self.by[row], self.since[row] = who, self.time.true

    def leave(self, rows: Sequence[int]) -> None:
        """A person takes rows out."""
        self.is_member[list(rows)] = False
        self.taken_out.update(rows)

    def visible(self, rows: IntArray) -> IntArray:
        """Those of `rows` that the directory shows as members now."""
        seen = self.is_member[rows] & (
            (self.since[rows] + self.lag_s <= self.time.true) | (self.by[rows] == NONE)
        )
        return np.asarray(rows[seen], dtype=np.int32)

    def outcome(self) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
        """What became of the members that are visible, as of now."""
        everybody = np.arange(len(self.plan), dtype=np.int32)
        rows = self.visible(everybody)
        out = np.full(len(self.plan), NOT_RELEASED, dtype=np.int8)
        done = self.since[rows] + self.latency_s < self.time.true
        end = np.where(self.fails[rows], int(Outcome.FAILED), int(Outcome.ENROLLED))
        out[rows] = np.where(done, end, int(Outcome.PENDING))
        return out

    def open_door(self, session: Session) -> Door:
        """Give the directory as a new session meets it."""
        return Door(self, session)


class Door:
    """A `rollout.loop.ports.Directory` over the world, as one session meets it: it remembers nothing across
    sessions.

    trusted_s : seconds by which a server's clock may differ from the machine's and is still believed at the start.
    """

    trusted_s = math.inf

    def __init__(self, world: World, session: Session) -> None:
        self._world, self._session = world, session
        self.batch = np.full(len(world.plan), -1, dtype=np.int64)
        self.at = np.full(len(world.plan), -1, dtype=np.int64)
        self.rows_of: dict[int, set[int]] = {}
        self.refused: BoolArray = np.zeros(len(world.plan), dtype=np.bool_)
        self.began = self.woke = 0

    def mark(self) -> None:
        """A chunk begins: people's commands were read."""
        self.began = self._world.time.true

    def prepare(self, plan: Plan) -> None:
        if plan is not self._world.plan:
            raise RefusedError("another plan")
        self._trouble("prepare")

    def restore(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            self.follow(batch)

    def recall(self, facts: Sequence[Facts]) -> None:
        """The world itself remembers."""

    def answered_at(self) -> LongArray:
        known = self._world.outcome()
        done = (known == Outcome.ENROLLED) | (known == Outcome.FAILED)
        return np.where(done, self._world.since + self._world.latency_s, -1)

    def follow(self, batch: Batch) -> None:
        self.batch[batch.rows], self.at[batch.rows] = batch.number, batch.at
        self.rows_of[batch.number] = set(batch.rows.tolist())

    def members(self, rows: IntArray) -> IntArray:
        self._trouble("members")
        return self._world.visible(rows)

    def apply(self, batch: int, rows: IntArray, at: int) -> Applied:
        world = self._world
        fault = world.chances.fault("apply")
        self.log(batch, rows, fault.kind if fault else "")
        world.sent_by_us.update(rows.tolist())
        may = rows if world.superset is None else rows[world.superset[rows]]
        if fault:
            self._fail(fault, may)
        here = rows[world.is_member[rows]]
        fresh = may[~world.is_member[may]]
        no = rows[~np.isin(rows, may)]
        world.enter(fresh, US)
        self.refused[no] = True
        return Applied(fresh, here, no, ("not in the auto-enrollment collection",) * len(no))

    def log(self, batch: int, rows: IntArray, fault: str) -> None:
        """Keep what goes out, and what was so at that moment."""
        world = self._world
        world.calls.append(
            Call(
                at=world.time.true,
                began=self.began,
                woke=self.woke,
                session=self._session.epoch,
                batch=batch,
                rows=tuple(rows.tolist()),
                visible=tuple(world.visible(rows).tolist()),
                fault=fault,
                holder=self._session.holds_lease(),
                intended=set(rows.tolist()) <= self.rows_of.get(batch, set()),
            )
        )

    def looked(self, at: int, counts: np.ndarray[tuple[int, ...], np.dtype[np.int64]] | None) -> None:
        """Keep an observation; without counts it failed."""
        world = self._world
        world.looks.append(Look(at, world.time.true, self._session.epoch, counts is not None, counts))

    def server_now(self) -> float | None:
        """Give the directory's clock."""
        return float(self._world.time.true)

    def _fail(self, fault: Fault, rows: IntArray) -> None:
        """Do what the fault says; return only if the call goes on."""
        world = self._world
        if fault.seconds:
            world.time.sleep(fault.seconds)
        if fault.kind == "lost":
            world.enter(rows, US)
        elif fault.kind == "partial":
            world.enter(rows[: max(1, int(len(rows) * fault.share))], US)
        if fault.kind != "drip":
            raise OutsideError(f"{fault.status}: {fault.kind}")

    def withdraw(self, batch: int, rows: IntArray, at: int) -> Applied:
        raise AssertionError("nobody is taken out here")

    def keep_counting(self, rows: IntArray) -> None:
        raise AssertionError("nobody is taken out here")

    def observe(self, at: int) -> Observation:
        world = self._world
        try:
            self._trouble("observe")
        except OutsideError:
            self.looked(at, None)
            raise
        strata = world.plan.strata
        counts = np.zeros((int(self.batch.max()) + 1, len(strata.names), OUTCOMES), dtype=np.int64)
        rows = np.flatnonzero(self.batch >= 0)
        outcome = self.outcomes().outcome[rows]
        seen = outcome >= 0
        np.add.at(counts, (self.batch[rows][seen], strata.codes[rows][seen], outcome[seen]), 1)
        self.looked(at, counts.copy())
        return Observation(at, counts, {})

    def outcomes(self) -> DeviceOutcomes:
        outcome = self._world.outcome()
        outcome[self.refused & (outcome == NOT_RELEASED)] = Outcome.REJECTED
        outcome[self.batch < 0] = NOT_RELEASED
        late = (self.batch >= 0) & (self.at + self._world.plan.straggler_after_s < self._world.time.true)
        outcome[late & ((outcome == NOT_RELEASED) | (outcome == Outcome.PENDING))] = Outcome.TIMED_OUT
        return DeviceOutcomes(outcome, self._world.since, np.zeros(len(outcome), dtype=np.int64))

    def _trouble(self, call: str) -> None:
        fault = self._world.chances.fault(call)
        if fault is None:
            return
        if fault.seconds:
            self._world.time.sleep(fault.seconds)
        if fault.kind != "drip":
            raise OutsideError(f"{fault.status}: {fault.kind}")
