"""The database server's time: by it several machines agree when a lease ends, whatever their own clocks say."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

ASK_AGAIN_S: Final = 300.0
"""How long this machine's clocks carry the server's time on."""

APART_S: Final = 1.0
"""How far this machine's two clocks may part: more means that one was set, or that the machine slept."""


class ServerTime:
    """Unix seconds by the server. ask : asks it. wall, steady : this machine's clocks, which carry it on in between."""

    def __init__(
        self,
        ask: Callable[[], float],
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask, self._wall, self._steady = ask, wall, steady
        self._take()

    def now(self) -> float:
        """Return the present, asking the server anew where the last answer is old or in doubt."""
        by_wall, by_steady = self._passed()
        if by_steady > ASK_AGAIN_S or abs(by_wall - by_steady) > APART_S:
            self._take()
        return self.carried()

    def carried(self) -> float:
        """Return the present without asking: of this machine's clocks, the one that went further counts."""
        return self._server + max(self._passed())

    def _passed(self) -> tuple[float, float]:
        return self._wall() - self._at_wall, self._steady() - self._at_steady

    def _take(self) -> None:
        # Read before asking: while the question was under way a lease ran on.
        self._at_wall, self._at_steady = self._wall(), self._steady()
        self._server = self._ask()
