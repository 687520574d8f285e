"""The clocks of `run`, which end when a signal asks for it and keep the lease alive while they wait."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STEP_S = 0.5
"""A wait is cut into steps of so many seconds: a signal is obeyed after one at the latest."""


class WallClock:
    """Real time, in whole Unix seconds (`rollout.ports.Clock`).

    A wall clock that jumps back makes nobody wait longer than was asked for: the wait itself is measured
    on the monotonic clock.
    """

    def __init__(
        self,
        sleep: Callable[[float], None] = time.sleep,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sleep = sleep
        self._wall = wall
        self._monotonic = monotonic
        self._last = int(wall())

    def now(self) -> int:
        """Give the present second; it never runs backwards."""
        self._last = max(self._last, int(self._wall()))
        return self._last

    def wait_until(self, at: int) -> int:
        """Sleep until `at` and give the present second then."""
        end = self._monotonic() + at - self.now()
        while (left := end - self._monotonic()) > 0 and self.now() < at:
            self._sleep(min(left, STEP_S))
        self._last = max(self.now(), at)
        return self._last


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into a question; a second one ends at once."""
    asked = False

    def ask(_signal: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    names = [one for one in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, one)]
    before = {one: signal.signal(getattr(signal, one), ask) for one in names}
    try:
        yield lambda: asked
    finally:
        for one, handler in before.items():
            signal.signal(getattr(signal, one), handler)
