"""The clocks of `run`: a signal ends their waits, and the lease is kept alive during them."""

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
"""Seconds after a signal until a call that hangs is ended; with what must still be written, all ends within 5 s."""

STEP_S = 0.5
"""Seconds of one step of a wait: a signal is obeyed after one step at the latest."""

COUNTS_SLEEP: int | None = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC_RAW", None))
"""The clock that also counts while the machine sleeps: Linux's, else that of macOS, whose `monotonic` stands still."""


def steady() -> float:
    """Return seconds of a clock that nobody can set; it also counts while the machine sleeps, where the system can."""
    if sys.platform != "win32" and COUNTS_SLEEP is not None:
        return time.clock_gettime(COUNTS_SLEEP)
    return time.monotonic()


def unknown() -> float | None:
    """Return None: only this machine's time is known."""
    return None


class WallClock:
    """Real time, in whole Unix seconds (`rollout.loop.ports.Clock`).

    server : returns the server's time, None while it is unknown; windows and soaks follow the server's clock.
    Without it, the machine's clock is read once and time passes as `monotonic` does. So a wall clock that
    is changed, by an hour or by a day, neither opens a gate early nor delays a release.
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
        self._has_server_time = False

    def now(self) -> int:
        """Return the current second; it never runs backwards."""
        server_time = self._server()
        if server_time is not None and not self._has_server_time:
            self._has_server_time = True
            self._last = 0  # the server need not catch up with a machine that was ahead
        self._last = self.peek()
        return self._last

    def peek(self) -> int:
        """Return the current second as `now` does, from any thread and without effect on later answers."""
        server_time = self._server()
        present = self._monotonic() + self._ahead if server_time is None else server_time
        return max(self._last, int(present))

    def wait_until(self, at: int) -> int:
        """Sleep until `at` and return the current second."""
        while (left := at - self.now()) > 0:
            self._sleep(min(left, STEP_S))
        return self.now()


class LivelyTime:
    """The machine's clocks for a directory that waits (`rollout.directory.port.Time`).

    alive : called about twice per second while it waits, so that a signal or a lost lease ends a wait of minutes too.
    held_s : returns the seconds for which no other executor may send. barred : says why nothing may be sent now, "" if
    sending is allowed; called by the thread that is about to send.
    """

    def __init__(self) -> None:
        self.alive: Callable[[], None] = _nothing
        self.held_s: Callable[[], float] = _for_ever
        self.barred: Callable[..., str] = _allowed

    def monotonic(self) -> float:
        """Return seconds that never run back."""
        return steady()

    def wall(self) -> float:
        """Return Unix seconds."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait. Only the main thread handles signals and the lease."""
        end = steady() + seconds
        while (left := end - steady()) > 0:
            if threading.current_thread() is threading.main_thread():
                self.alive()
            time.sleep(min(left, STEP_S))


def _nothing() -> None:
    """Do nothing: there is neither a signal nor a lease to handle."""


def _for_ever() -> float:
    return math.inf


def _allowed(later_by: float = 0.0) -> str:
    del later_by
    return ""


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into a request to end; a second one ends at once.

    Returns a function that says whether the end was requested. A request that is ignored for `PATIENCE_S`, because a
    call hangs, ends at once too: the state is then as after a kill, which loses nothing.
    """
    requested = False
    late = threading.Timer(PATIENCE_S, wake_main)
    late.daemon = True

    def request(_signal: int, _frame: FrameType | None) -> None:
        nonlocal requested
        if requested:
            late.cancel()
            raise KeyboardInterrupt
        requested = True
        late.start()

    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), request) for name in names}
    try:
        yield lambda: requested
    finally:
        late.cancel()
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def wake_main() -> None:
    """Send the main thread a signal, which ends a call that hangs."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.SIGINT)
    else:
        _thread.interrupt_main()
