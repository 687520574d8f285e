"""The database server's time, by which several machines agree when a lease ends, whatever their own clocks say."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

ASK_AGAIN_S: Final = 300.0
"""How long this machine's clocks extrapolate the server's time before it is requested again."""

MAX_DRIFT_S: Final = 1.0
"""How far this machine's two clocks may differ: more means that a clock was set or the machine slept."""


class ServerTime:
    """Unix seconds of the server. ask : requests them. wall, steady : this machine's clocks, which extrapolate them."""

    def __init__(
        self,
        ask: Callable[[], float],
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask, self._wall, self._steady = ask, wall, steady
        self._take()

    def now(self) -> float:
        """Return the current time; ask the server again if its last answer is old or in doubt."""
        by_wall, by_steady = self._passed()
        if by_steady > ASK_AGAIN_S or abs(by_wall - by_steady) > MAX_DRIFT_S:
            self._take()
        return self.carried()

    def carried(self) -> float:
        """Return the current time without asking the server; of this machine's two clocks, the later counts."""
        return self._server + max(self._passed())

    def _passed(self) -> tuple[float, float]:
        return self._wall() - self._at_wall, self._steady() - self._at_steady

    def _take(self) -> None:
        # Read before asking: a lease keeps running while the request is under way.
        self._at_wall, self._at_steady = self._wall(), self._steady()
        self._server = self._ask()
