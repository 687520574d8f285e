"""The simulated directory: an engine behind the same port as a real directory.

It is the default directory of `rollout run`, and the directory of every simulation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from rollout.errors import RefusedError
from rollout.loop.ports import MembershipLog
from rollout.values import (
    NOT_RELEASED,
    OUTCOMES,
    Applied,
    Batch,
    BoolArray,
    DeviceOutcomes,
    Fact,
    Facts,
    IntArray,
    LongArray,
    Lost,
    Observation,
    Plan,
    Quiet,
)
from sim.engines.port import EngineRun

WITHDRAWN = -1
"""Batch number in the membership log that marks devices that left the collection."""

TAKEN_OUT = -2
"""Batch number in the membership log that marks devices that somebody else took out of the collection."""

NO_ROWS: IntArray = np.empty(0, dtype=np.int32)


class SimulatedDirectory:
    """The simulated directory (`rollout.loop.ports.Directory`).

    log : where memberships are stored so that a run that was killed can restore them; None in simulations,
        which never resume.
    skip_s : seconds of observations that may be skipped because they cannot affect a decision; 0 where people may
        give commands in between.
    """

    def __init__(
        self, engine: EngineRun, devices: int, log: MembershipLog | None = None, skip_s: int = 0
    ) -> None:
        self.engine = engine
        self._skip_s = skip_s
        self.is_member = np.zeros(devices, dtype=np.bool_)
        self._taken_at = np.full(devices, -1, dtype=np.int64)
        self._was_changed = False
        """Whether somebody else has ever taken a device out: looking for them takes longer than an observation."""
        self._log = log

    def prepare(self, plan: Plan) -> None:
        """Refuse a plan for another fleet."""
        if len(plan) != len(self.is_member):
            raise RefusedError(
                f"the plan has {len(plan)} devices, the simulated directory has {len(self.is_member)}",
                "create the plan from the inventory that this directory simulates",
            )

    def restore(self, batches: Sequence[Batch]) -> None:
        """Replay all memberships of earlier sessions: same draws, same events.

        The directory's own log says what was applied; devices that were only intended never became members here.
        """
        del batches
        for at, batch, rows in self._log.load() if self._log else ():
            if batch == TAKEN_OUT:
                self._leave(rows, at)
            elif batch == WITHDRAWN:
                self._leave(rows, -1)
            else:
                self._enter(rows, batch, at)

    def recall(self, facts: Sequence[Facts]) -> None:
        """Do nothing: the same draws give the same events."""

    def answered_at(self) -> LongArray:
        """Return when each device was first reported enrolled or failed, -1 if never."""
        return self.engine.answered_at

    def follow(self, batch: Batch) -> None:
        """Count the devices of a batch that were members before; for the engine they become members now."""
        if len(batch.adopted):
            self._enter(batch.adopted, batch.number, batch.at)

    def members(self, rows: IntArray) -> IntArray:
        """Return the members among `rows`."""
        return np.asarray(rows[self.is_member[rows]], dtype=np.int32)

    def apply(self, batch: int, rows: IntArray, at: int) -> Applied:
        """Make `rows` members at `at`; devices that are members already do not change."""
        already = self.is_member[rows]
        fresh = np.asarray(rows[~already], dtype=np.int32)
        if len(fresh):
            if self._log:
                self._log.append(at, batch, fresh)
            self._enter(fresh, batch, at)
        return Applied(fresh, np.asarray(rows[already], dtype=np.int32), NO_ROWS)

    def _enter(self, rows: IntArray, batch: int, at: int) -> None:
        self.engine.advance(at)
        self.engine.release(rows, batch, at)
        self.is_member[rows] = True
        self._taken_at[rows] = -1

    def withdraw(self, batch: int, rows: IntArray, at: int) -> Applied:
        """Remove `rows` from the collection. A device that is removed does not change (I)."""
        del batch
        taken = np.asarray(rows[self._taken_at[rows] >= 0], dtype=np.int32)
        if len(taken):  # from now on they are out because we want it
            if self._log:
                self._log.append(at, WITHDRAWN, taken)
            self._taken_at[taken] = -1
        return _withdrawn(self.is_member, self._log, WITHDRAWN, rows, at)

    def take_out(self, rows: IntArray, at: int) -> None:
        """Let somebody else remove members at `at`; the loop learns of it at its next observation."""
        leaving = np.asarray(rows[self.is_member[rows]], dtype=np.int32)
        if not len(leaving):
            return
        if self._log:
            self._log.append(at, TAKEN_OUT, leaving)
        self._leave(leaving, at)

    def _leave(self, rows: IntArray, taken_at: int) -> None:
        """Remove devices. taken_at : Unix seconds at which somebody else did so, -1 if we did."""
        self.is_member[rows] = False
        self._taken_at[rows] = taken_at
        self._was_changed |= taken_at >= 0

    def keep_counting(self, rows: IntArray) -> None:
        """Do nothing: outcomes do not depend on membership here."""

    def observe(self, at: int) -> Observation:
        """Return the counts at `at`: of the events strictly before it."""
        self.engine.advance(at)
        engine = self.engine
        return Observation(at, engine.counts, engine.failed_codes, marks=engine.marks, lost=self._lost(at))

    def _lost(self, at: int) -> Lost | None:
        """Return the devices that somebody else took out before `at`, None if there are none."""
        if not self._was_changed:
            return None
        rows = np.flatnonzero((self._taken_at >= 0) & (self._taken_at < at)).astype(np.int32)
        if not len(rows):
            return None
        return Lost(rows, np.full(len(rows), int(Fact.REMOVED), dtype=np.int8), self._taken_at[rows])

    def quiet_until(self, again: int, quiet: Quiet) -> int:
        """Advance from observation to observation until one may affect a decision; return its instant."""
        end = min(quiet.until, again + self._skip_s // quiet.every * quiet.every)
        return self.engine.skip_quiet_observations(again, max(again, end), quiet)

    def outcomes(self) -> DeviceOutcomes:
        """Return the state of each device as of the last observation."""
        return DeviceOutcomes(self.engine.outcome, self.engine.outcome_at, self.engine.code)


class Collection:
    """A collection that only loses members: the simulated directory of an undo.

    members : rows of the first members. log : records removals. Devices do not change when they are removed.
    """

    def __init__(self, members: IntArray, devices: int, log: MembershipLog | None = None) -> None:
        self.is_member = np.zeros(devices, dtype=np.bool_)
        self.is_member[members] = True
        self._log = log

    def prepare(self, plan: Plan) -> None:
        """Accept every plan."""

    def restore(self, batches: Sequence[Batch]) -> None:
        """Remove the devices that earlier sessions removed."""
        del batches
        for _at, _batch, rows in self._log.load() if self._log else ():
            self.is_member[rows] = False

    def recall(self, facts: Sequence[Facts]) -> None:
        """Do nothing: there are no outcomes."""

    def answered_at(self) -> LongArray:
        """Return that no device ever answered."""
        return np.full(len(self.is_member), -1, dtype=np.int64)

    def follow(self, batch: Batch) -> None:
        """Do nothing: there are no outcomes."""

    def members(self, rows: IntArray) -> IntArray:
        """Return the members among `rows`."""
        return np.asarray(rows[self.is_member[rows]], dtype=np.int32)

    def apply(self, batch: int, rows: IntArray, at: int) -> Applied:
        """Raise an `AssertionError`: an undo never adds members."""
        raise AssertionError("an undo never adds members")

    def withdraw(self, batch: int, rows: IntArray, at: int) -> Applied:
        """Remove `rows` from the collection."""
        return _withdrawn(self.is_member, self._log, batch, rows, at)

    def keep_counting(self, rows: IntArray) -> None:
        """Do nothing: there are no outcomes."""

    def quiet_until(self, again: int, quiet: Quiet) -> int:
        """Return `again`: no observation is skipped."""
        return again

    def observe(self, at: int) -> Observation:
        """Return empty counts: `UndoDirectory` counts the devices that have left."""
        return Observation(at, np.zeros((0, 1, OUTCOMES), dtype=np.int64), {})

    def outcomes(self) -> DeviceOutcomes:
        """Return no outcome for any device."""
        n = len(self.is_member)
        nothing = np.full(n, -1, dtype=np.int64)
        return DeviceOutcomes(np.full(n, NOT_RELEASED, dtype=np.int8), nothing, np.zeros(n, dtype=np.int64))


def _withdrawn(
    is_member: BoolArray, log: MembershipLog | None, batch: int, rows: IntArray, at: int
) -> Applied:
    leaving = np.asarray(rows[is_member[rows]], dtype=np.int32)
    if len(leaving) and log:
        log.append(at, batch, leaving)
    stayed_out = np.asarray(rows[~is_member[rows]], dtype=np.int32)
    is_member[leaving] = False
    return Applied(leaving, stayed_out, NO_ROWS)


class SimClock:
    """The clock of a simulated directory: `speed` simulated seconds per real second; None is as fast as possible.

    lived_until : time up to this instant passes at once, because an earlier session has already waited for it.
    sleep, monotonic : replaced in tests.
    """

    def __init__(
        self,
        start: int,
        speed: float | None = None,
        lived_until: int = 0,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = start
        self._speed = speed
        self._sleep = sleep
        self._monotonic = monotonic
        self._anchor = (monotonic(), max(start, lived_until))

    def now(self) -> int:
        """Return the current simulated second."""
        return self._now

    def wait_until(self, at: int) -> int:
        """Jump to `at` after sleeping for the real time that corresponds to the speed."""
        if at > self._now:
            if self._speed is not None:
                self._pace(at)
            self._now = at
        return self._now

    def _pace(self, at: int) -> None:
        real, simulated = self._anchor
        while (left := real + (at - simulated) / (self._speed or 1.0) - self._monotonic()) > 0:
            self._sleep(min(left, 0.5))
