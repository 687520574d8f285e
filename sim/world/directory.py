"""A directory over an engine: the pretend world answers through the same seam as a real one.

The embedded default of `rollout run`, and the world of every simulation.
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
    IntArray,
    Observation,
    Plan,
    Quiet,
)
from sim.engines.port import EngineRun

LEFT = -1
"""Stands in the log of a world in the place of a batch where devices left the collection."""

NOBODY: IntArray = np.empty(0, dtype=np.int32)


class World:
    """The embedded directory (`rollout.loop.ports.Directory`).

    log : where memberships are kept so that a killed run finds the same world again; None for
        simulations, whose world ends with them.
    skip_s : how far ahead it may skip looks that decide nothing. 0 where people may command meanwhile.
    """

    def __init__(
        self, engine: EngineRun, devices: int, log: MembershipLog | None = None, skip_s: int = 0
    ) -> None:
        self.engine = engine
        self._skip_s = skip_s
        self.is_member = np.zeros(devices, dtype=np.bool_)
        self._log = log

    def prepare(self, plan: Plan) -> None:
        """Refuse a plan that was made for another fleet."""
        if len(plan) != len(self.is_member):
            raise RefusedError(
                f"the plan has {len(plan)} devices, the embedded directory {len(self.is_member)}",
                "plan again from the inventory that this directory was made from",
            )

    def restore(self, batches: Sequence[Batch]) -> None:
        """Live again through all memberships of earlier sessions: same draws, same events.

        The directory's own log says what was applied; what was only intended never happened here.
        """
        del batches
        for at, batch, rows in self._log.load() if self._log else ():
            if batch == LEFT:
                self.is_member[rows] = False
            else:
                self._enter(rows, batch, at)

    def follow(self, batch: Batch) -> None:
        """Count those of a batch who were members before; for the engine they enter now."""
        if len(batch.adopted):
            self._enter(batch.adopted, batch.number, batch.at)

    def members(self, rows: IntArray) -> IntArray:
        """Give those of `rows` that are members."""
        return np.asarray(rows[self.is_member[rows]], dtype=np.int32)

    def apply(self, batch: int, rows: IntArray, at: int) -> Applied:
        """Make `rows` members at `at`; those who are already stay as they are."""
        already = self.is_member[rows]
        fresh = np.asarray(rows[~already], dtype=np.int32)
        if len(fresh):
            if self._log:
                self._log.append(at, batch, fresh)
            self._enter(fresh, batch, at)
        return Applied(fresh, np.asarray(rows[already], dtype=np.int32), NOBODY)

    def _enter(self, rows: IntArray, batch: int, at: int) -> None:
        self.engine.advance(at)
        self.engine.release(rows, batch, at)
        self.is_member[rows] = True

    def withdraw(self, batch: int, rows: IntArray, at: int) -> Applied:
        """Take `rows` out of the collection. Nothing happens on a device that leaves it (I)."""
        del batch
        return _withdrawn(self.is_member, self._log, LEFT, rows, at)

    def keep_counting(self, rows: IntArray) -> None:
        """Nothing to do: what a device has come to does not hang on its membership here."""

    def observe(self, at: int) -> Observation:
        """Give the counts at `at`: events strictly before it."""
        self.engine.advance(at)
        return Observation(at, self.engine.counts, self.engine.failed_codes)

    def quiet_until(self, again: int, quiet: Quiet) -> int:
        """Live on, look by look, until one may decide something."""
        end = min(quiet.until, again + self._skip_s // quiet.every * quiet.every)
        return self.engine.live_on(again, max(again, end), quiet)

    def outcomes(self) -> DeviceOutcomes:
        """Give the state of each device as of the last observation."""
        return DeviceOutcomes(self.engine.outcome, self.engine.outcome_at, self.engine.code)


class Collection:
    """Nothing but a collection, full at first: where the embedded directory plays the way back.

    log : keeps who was taken out. The devices themselves do not change when they leave.
    """

    def __init__(self, members: IntArray, devices: int, log: MembershipLog | None = None) -> None:
        self.is_member = np.zeros(devices, dtype=np.bool_)
        self.is_member[members] = True
        self._log = log

    def prepare(self, plan: Plan) -> None:
        """There is nothing to refuse."""

    def restore(self, batches: Sequence[Batch]) -> None:
        """Take out again whom earlier sessions took out."""
        del batches
        for _at, _batch, rows in self._log.load() if self._log else ():
            self.is_member[rows] = False

    def follow(self, batch: Batch) -> None:
        """There is nothing to count here."""

    def members(self, rows: IntArray) -> IntArray:
        """Give those of `rows` that are members."""
        return np.asarray(rows[self.is_member[rows]], dtype=np.int32)

    def apply(self, batch: int, rows: IntArray, at: int) -> Applied:
        """Nobody enters here: this is the way back."""
        raise AssertionError("a collection that is being emptied takes nobody in")

    def withdraw(self, batch: int, rows: IntArray, at: int) -> Applied:
        """Take `rows` out."""
        return _withdrawn(self.is_member, self._log, batch, rows, at)

    def keep_counting(self, rows: IntArray) -> None:
        """There are no outcomes here."""

    def quiet_until(self, again: int, quiet: Quiet) -> int:
        """Look each time."""
        return again

    def observe(self, at: int) -> Observation:
        """There are no outcomes of its own: `UndoDirectory` counts who has left."""
        return Observation(at, np.zeros((0, 1, OUTCOMES), dtype=np.int64), {})

    def outcomes(self) -> DeviceOutcomes:
        """Nobody has one."""
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
    return Applied(leaving, stayed_out, NOBODY)


class SimClock:
    """The clock of a pretend world: `speed` simulated seconds a real one; None = as fast as it goes.

    lived_until : up to this instant it passes at once: an earlier session waited for it already.
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
        """Give the present simulated second."""
        return self._now

    def wait_until(self, at: int) -> int:
        """Jump to `at`, after sleeping the real time that the speed asks for."""
        if at > self._now:
            if self._speed is not None:
                self._pace(at)
            self._now = at
        return self._now

    def _pace(self, at: int) -> None:
        real, simulated = self._anchor
        while (left := real + (at - simulated) / (self._speed or 1.0) - self._monotonic()) > 0:
            self._sleep(min(left, 0.5))
