"""The clocks of `run`, which end when a signal asks for it and keep the lease alive while they wait."""

from __future__ import annotations

import _thread
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE_S = 3.5
"""So long after a signal a call that hangs is ended: with what must still be written then, all within 5 s."""

STEP_S = 0.5
"""A wait is cut into steps of so many seconds: a signal is obeyed after one at the latest."""


def steady() -> float:
    """Give seconds that nobody can set and that go on while the machine sleeps, where the system has such."""
    if sys.platform != "win32" and hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def unknown() -> float | None:
    """Nobody but this machine tells the time."""
    return None


class WallClock:
    """Real time, in whole Unix seconds (`rollout.loop.ports.Clock`).

    server : the server's time now, None until it told it: the server's windows and soaks are judged by its own
    clock. Without one, the machine's clock is read once and time passes as `monotonic` does. So a wall clock that
    is set, by an hour or by a day, neither opens a gate early nor makes anybody wait.
    """

    def __init__(
        self,
        sleep: Callable[[float], None] = time.sleep,
        wall: Callable[[], float] | None = None,
        monotonic: Callable[[], float] = steady,
        server: Callable[[], float | None] = unknown,
    ) -> None:
        self._sleep = sleep
        self._monotonic = monotonic
        self._server = server
        self._ahead = (wall or time.time)() - monotonic()
        self._last = 0
        self._is_told = False

    def now(self) -> int:
        """Give the present second; it never runs backwards."""
        told = self._server()
        if told is not None and not self._is_told:
            self._is_told, self._last = True, 0  # a machine that was ahead need not be waited for
        self._last = self.peek()
        return self._last

    def peek(self) -> int:
        """Give the present second as `now` does, for whoever looks in between: it moves nothing."""
        told = self._server()
        present = self._monotonic() + self._ahead if told is None else told
        return max(self._last, int(present))

    def wait_until(self, at: int) -> int:
        """Sleep until `at` and give the present second then."""
        while (left := at - self.now()) > 0:
            self._sleep(min(left, STEP_S))
        return self.now()


class LivelyTime:
    """The machine's clocks for a directory that waits (`rollout.directory.http.pace.Time`).

    alive : called about twice a second while it waits, so that a signal or a lost lease ends a wait of minutes too.
    held_s : gives the seconds for which nobody else may send. barred : says why nothing may be sent now, "" if it
    may; asked by whichever thread is about to send.
    """

    def __init__(self) -> None:
        self.alive: Callable[[], None] = _nothing
        self.held_s: Callable[[], float] = _for_ever
        self.barred: Callable[[], str] = _allowed

    def monotonic(self) -> float:
        """Give seconds that never run back."""
        return steady()

    def wall(self) -> float:
        """Give Unix seconds."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait. Only the main thread looks after signals and the lease."""
        end = steady() + seconds
        while (left := end - steady()) > 0:
            if threading.current_thread() is threading.main_thread():
                self.alive()
            time.sleep(min(left, STEP_S))


def _nothing() -> None:
    """Nobody is to be asked."""


def _for_ever() -> float:
    return math.inf


def _allowed() -> str:
    return ""


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into a question; a second one ends at once.

    A question that nobody answered for `PATIENCE_S`, since a call hangs, ends at once too: whatever was under way
    is then as after a kill, which loses nothing.
    """
    asked = False
    late = threading.Timer(PATIENCE_S, wake_main)
    late.daemon = True

    def ask(_signal: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            late.cancel()
            raise KeyboardInterrupt
        asked = True
        late.start()

    names = [one for one in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, one)]
    before = {one: signal.signal(getattr(signal, one), ask) for one in names}
    try:
        yield lambda: asked
    finally:
        late.cancel()
        for one, handler in before.items():
            signal.signal(getattr(signal, one), handler)


def wake_main() -> None:
    """Send the main thread a signal of its own, which ends a call that it hangs in."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.SIGINT)
    else:
        _thread.interrupt_main()
