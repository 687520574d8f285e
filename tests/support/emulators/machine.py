"""The machine's clocks, on which time passes only where our process sleeps: days of a rollout in seconds."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

import pytest

from rollout.executor import clock
from rollout.values import DAY_S


class MachineTime:
    """Replaces the clocks of the module `time`, for our process and for servers in it.

    A sleep ends on a whole second, so that what pacing took before it does not add up: sessions that ask at
    another pace see the same instants. days : a process that waits for longer fails.
    """

    def __init__(self, patch: pytest.MonkeyPatch, begin: int, days: int = 10) -> None:
        self._now = float(begin)
        self._end = begin + days * DAY_S
        self._lock = threading.Lock()
        self.alarms: list[tuple[float, Callable[[], None]]] = []
        for name in ("time", "monotonic"):
            patch.setattr(time, name, self.now)
        patch.setattr(time, "clock_gettime", lambda _which: self.now())
        patch.setattr(time, "sleep", self.sleep)
        # Longer steps: there are fewer of them, and the lease is still renewed in time.
        patch.setattr(clock, "STEP_S", 45.0)

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            assert self._now < self._end, "it waits and waits"
            self._now += seconds
            if seconds >= 1:
                self._now = math.floor(self._now)
        for alarm in [alarm for alarm in self.alarms if alarm[0] <= self._now]:
            self.alarms.remove(alarm)
            alarm[1]()

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Let something happen in so many seconds, in the thread that sleeps then."""
        self.alarms.append((self._now + seconds, action))
