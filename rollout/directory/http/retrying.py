"""When to try again, and after how long. Pure, except for the budget's counter."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504, 509})
"""Answers after which a read is tried again. A write never is: its effect must be read first."""

THROTTLED: Final = frozenset({429, 503, 509})

ASKED_MAX_S: Final = 86_400.0
"""The longest Retry-After that is obeyed; a longer one is cut to a day, and that is logged."""


def http_date(text: str) -> float | None:
    """Return the Unix seconds of an HTTP date, None if it is missing or unreadable."""
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def asked_wait_s(headers: Mapping[str, str], wall: float) -> float | None:
    """Return the seconds of Retry-After: a whole or decimal number, or a date. None if it is missing or unreadable.

    headers : with lower-case names. wall : Unix seconds now. A date in the past is 0.
    """
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        at = http_date(text)
        return None if at is None else max(0.0, at - wall)
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


@dataclass(frozen=True, slots=True)
class Backoff:
    """Full jitter: the n-th wait is drawn evenly from 0 to min(longest, first * 2**n).

    chance : returns a number in [0, 1).
    """

    chance: Callable[[], float]
    first_s: float = 1.0
    longest_s: float = 60.0

    def wait_s(self, attempt: int, asked: float | None) -> float:
        """Return the wait after the `attempt`-th failure, from 0.

        A wait that the server asked for is extended by a random part of our own: clients that
        were given the same figure do not come back in the same instant, and a figure that is always too small
        does not make us try for ever at its pace.
        """
        own = self.chance() * min(self.longest_s, self.first_s * math.pow(2.0, min(attempt, 32)))
        return own if asked is None else min(asked, ASKED_MAX_S) + own


class Budget:
    """Repeats are at most a tenth of all calls, after a first allowance: no storm against a service that is down."""

    def __init__(self, allowance: float = 20.0, earned: float = 0.1) -> None:
        self._left = allowance
        self._most = allowance
        self._earned = earned
        self._lock = threading.Lock()

    def earn(self) -> None:
        """Count a call that succeeded."""
        with self._lock:
            self._left = min(self._most, self._left + self._earned)

    def take(self) -> bool:
        """Return whether one more repeat may be made, and count it."""
        with self._lock:
            if self._left < 1.0:
                return False
            self._left -= 1.0
            return True
