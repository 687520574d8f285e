"""The pace of calls: concurrent calls, calls per second, quotas over a sliding window, and requested waits."""

from __future__ import annotations

import datetime as dt
import math
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rollout.directory.port import Time
from rollout.errors import OutsideError

SLACK_S: Final = 2.0
"""Windows are kept this much longer than required: the server counts arrivals, we count departures."""

LONG_S: Final = 300.0
"""A longer wait is not slept through here: it is an error, after which the caller reads and tries again."""

SLICE_S: Final = 5.0
"""Seconds after which a waiting write checks again whether it may still be sent."""

SHARED_S: Final = 30.0
"""Seconds for which a throttling answer to a write also holds reads, and vice versa."""

FLOOR: Final = 1 / 32
"""The smallest share of a quota to which throttling reduces us."""


class Quota:
    """At most `limit` units in any `seconds`. After a throttling answer it halves, then grows back by an eighth
    of itself each quiet window."""

    def __init__(self, limit: float, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        self.share = 1.0
        self._spent: deque[tuple[float, float]] = deque()
        self._used = 0.0
        self._eased_at = 0.0

    def wait_s(self, now: float, units: float) -> float:
        """Return how long to wait before `units` may be spent; 0 = now."""
        while self._spent and self._spent[0][0] <= now - self.seconds - SLACK_S:
            self._used -= self._spent.popleft()[1]
        if self.share < 1.0 and now - self._eased_at >= self.seconds:
            self.share, self._eased_at = min(1.0, self.share * 9 / 8), now
        allowed = max(units, self.limit * self.share)
        over = self._used + units - allowed
        for at, spent in self._spent:
            if over <= 1e-9:
                break
            over -= spent
            wait = at + self.seconds + SLACK_S - now
            if over <= 1e-9:
                return max(0.0, wait)
        return 0.0

    def spend(self, now: float, units: float) -> None:
        """Count units as spent."""
        self._spent.append((now, units))
        self._used += units

    def ease(self, now: float) -> None:
        """Halve: the server throttled us although we were below our own count. At most once per tenth of a window."""
        if self.share == 1.0 or now - self._eased_at > self.seconds / 10:
            self.share, self._eased_at = max(FLOOR, self.share / 2), now

    def used(self, now: float) -> float:
        """Return the share of the quota that is spent now."""
        self.wait_s(now, 0.0)
        return self._used / self.limit

    def eta_s(self, now: float, units: float, unit_s: float) -> float:
        """Estimate how long it takes to spend `units` more, window after window, each spent as fast as it opens.

        unit_s : seconds per unit while the quota does not delay it.
        """
        self.wait_s(now, 0.0)
        allowed = max(1.0, self.limit * self.share)
        windows = max(0, math.ceil(units / allowed) - 1)
        rest = units - windows * allowed
        over, wait = self._used + rest - allowed, 0.0
        for at, spent in self._spent:
            if over <= 1e-9:
                break
            over -= spent
            wait = at + self.seconds + SLACK_S - now
        return windows * (self.seconds + SLACK_S) + max(wait, rest * unit_s)


class Pace:
    """The pace of one host; shared by all threads that call it.

    in_flight : concurrent calls. per_second : calls per second, evenly spaced, 0 = as they come.
    reads, writes : quotas, None = none.
    """

    def __init__(
        self,
        clock: Time,
        *,
        in_flight: int = 4,
        per_second: float = 0.0,
        reads: Quota | None = None,
        writes: Quota | None = None,
    ) -> None:
        self.writes = writes
        self.reads = reads
        self.in_flight = in_flight
        self._clock = clock
        self._gap = 1 / per_second if per_second else 0.0
        self._slots = threading.BoundedSemaphore(in_flight)
        self._call_s = 0.0
        self._lock = threading.Lock()
        self._next = 0.0
        self._held_until = {True: 0.0, False: 0.0}
        """Until when reads (True) and writes (False) must wait, by the monotonic clock."""
        self._ended = False

    @contextmanager
    def turn(self, *, reads: bool, units: float = 1.0) -> Iterator[None]:
        """Wait for our turn; the call is made inside.

        Raise `OutsideError`, with nothing sent, after `end`, if a write may no longer be sent, or if the wait is
        longer than LONG_S; then `wait_s` says how long it is.
        """
        with self._slots:
            while (wait := self._claim(reads, units)) > 0:
                if wait > LONG_S:
                    raise self._later(wait, reads)
                self._clock.sleep(wait if reads else min(wait, SLICE_S))
                if not reads:
                    self.check_allowed()
            begun = self._clock.monotonic()
            yield
            self._measure(self._clock.monotonic() - begun)

    def check_allowed(self, later_by: float = 0.0) -> None:
        """Raise `OutsideError` if no write may be sent at this moment, or if it were later by some seconds."""
        if why := self._clock.barred():
            raise OutsideError(f"not sent: {why}")
        if later_by and (why := self._clock.barred(later_by)):
            raise OutsideError(f"not sent: {why} by the other clock: this machine's and the server's differ")

    def _later(self, wait: float, reads: bool) -> OutsideError:
        is_held = self._held_until[reads] > self._clock.monotonic()
        why = "the service asked us to wait" if is_held else "the quota is spent"
        until = dt.datetime.fromtimestamp(self._clock.wall() + wait, dt.UTC)
        error = OutsideError(f"not sent: we must wait until {until:%Y-%m-%d %H:%M:%S} UTC: {why}")
        error.wait_s = wait
        return error

    def _measure(self, seconds: float) -> None:
        """Update the recent duration of a call."""
        with self._lock:
            self._call_s += (seconds - self._call_s) / 8 if self._call_s else seconds

    def _claim(self, reads: bool, units: float) -> float:
        quota = self.reads if reads else self.writes
        with self._lock:
            if self._ended:
                raise OutsideError("not sent: it was interrupted")
            now = self._clock.monotonic()
            wait = max(self._next, self._held_until[reads]) - now
            if quota is not None:
                wait = max(wait, quota.wait_s(now, units))
            if wait > 0:
                return wait
            self._next = max(self._next, now - self._gap) + self._gap
            if quota is not None:
                quota.spend(now, units)
            return 0.0

    def hold(self, seconds: float, *, reads: bool = False) -> None:
        """Hold writes (or reads) for as long as the server requested; the other kind for at most SHARED_S."""
        with self._lock:
            now = self._clock.monotonic()
            for kind, length in ((reads, seconds), (not reads, min(seconds, SHARED_S))):
                self._held_until[kind] = max(self._held_until[kind], now + length)

    def end(self) -> None:
        """Let no further call begin, not even one that waits already."""
        self._ended = True

    def throttled(self, *, reads: bool) -> None:
        """Record a throttling answer."""
        quota = self.reads if reads else self.writes
        if quota is not None:
            with self._lock:
                quota.ease(self._clock.monotonic())

    def eta_s(self, calls: int, units: float) -> float:
        """Estimate how long `n` writes take; `units` is their cost in the quota.

        By the quota's windows, and by the recent duration of a call.
        """
        with self._lock:
            sending = calls * max(self._gap, self._call_s / self.in_flight)
            if self.writes is None or not calls:
                return sending
            return max(sending, self.writes.eta_s(self._clock.monotonic(), units, sending / units))

    def bears(self, units: float) -> bool:
        """Return whether these units of the read quota may be spent without waiting."""
        with self._lock:
            return self.reads is None or self.reads.wait_s(self._clock.monotonic(), units) == 0.0

    def headroom(self) -> float:
        """Return the share of the write quota that is free now; 1 without a quota."""
        with self._lock:
            return 1.0 - self.writes.used(self._clock.monotonic()) if self.writes else 1.0
