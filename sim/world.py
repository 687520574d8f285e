"""A directory over an engine: the pretend world answers through the same seam as a real one.

The embedded default of `rollout run`, and the world of every simulation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from rollout.errors import RefusedError
from rollout.ports import MembershipLog
from rollout.values import (
    Applied,
    Batch,
    DeviceOutcomes,
    IntArray,
    Observation,
    Plan,
)
from sim.engine import Simulation

NOBODY: IntArray = np.empty(0, dtype=np.int32)


class World:
    """The embedded directory (`rollout.ports.Directory`).

    log : where memberships are kept so that a killed run finds the same world again; None for
        simulations, whose world ends with them.
    """

    def __init__(self, engine: Simulation, devices: int, log: MembershipLog | None = None) -> None:
        self.engine = engine
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
            self._enter(rows, batch, at)

    def members(self, rows: IntArray) -> IntArray:
        """Give those of `rows` that are members."""
        return np.asarray(rows[self.is_member[rows]], dtype=np.int32)

    def apply(self, batch: int, rows: IntArray, at: int) -> Applied:
        """Make `rows` members at `at`; those who are already stay as they are."""
        fresh = np.asarray(rows[~self.is_member[rows]], dtype=np.int32)
        if len(fresh):
            if self._log:
                self._log.append(at, batch, fresh)
            self._enter(fresh, batch, at)
        return Applied(fresh, self.members(rows[~np.isin(rows, fresh)]), NOBODY)

    def _enter(self, rows: IntArray, batch: int, at: int) -> None:
        self.engine.advance(at)
        self.engine.release(rows, batch, at)
        self.is_member[rows] = True

    def observe(self, at: int) -> Observation:
        """Give the counts at `at`: events strictly before it."""
        self.engine.advance(at)
        return Observation(at, self.engine.counts, self.engine.failed_codes)

    def outcomes(self) -> DeviceOutcomes:
        """Give the state of each device as of the last observation."""
        return DeviceOutcomes(self.engine.outcome, self.engine.outcome_at, self.engine.code)


class SimClock:
    """The clock of a pretend world: `speed` simulated seconds a real one; None = as fast as it goes.

    sleep, monotonic : replaced in tests.
    """

    def __init__(
        self,
        start: int,
        speed: float | None = None,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = start
        self._speed = speed
        self._sleep = sleep
        self._monotonic = monotonic
        self._anchor = (monotonic(), start)

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
