"""Results of a run by hour: the funnel of enrollment steps and the load on the services."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rollout.values import HOUR_S, LongArray


@dataclass(frozen=True, slots=True, eq=False)
class Funnel:
    """Number of devices that reached a step in each hour, (hours,) int64 each; hour 0 is the clock hour of the start.

    eligible : membership effective. scheduled : native timer set. initiated : first attempt.
    enrolled : first enrollment, on the client. Only complete hours are included.
    """

    from_hour: int
    eligible: LongArray
    scheduled: LongArray
    initiated: LongArray
    enrolled: LongArray


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """Load on the enrollment service and the management points in each hour, (hours,) int64 each.

    from_hour : Unix seconds of hour 0, the clock hour of the start. Only complete hours are included.
    attempts : enrollment attempts, including throttled ones. throttled : attempts answered with 429.
    completions : enrollments. polls : policy requests that returned new policy.
    peak_per_minute : most attempts in a clock minute.
    """

    from_hour: int
    attempts: LongArray
    throttled: LongArray
    completions: LongArray
    polls: LongArray
    peak_per_minute: int

    @property
    def peak_per_hour(self) -> int:
        """Most attempts in an hour."""
        return int(self.attempts.max(initial=0))


def _complete_hours(hours: LongArray, start: int, base: int, now: int) -> tuple[int, LongArray]:
    first = (start - base) // HOUR_S
    return base + first * HOUR_S, hours[first : max(first, min((now - base) // HOUR_S, len(hours)))]


def funnel_of(hours: LongArray, start: int, base: int, now: int) -> Funnel:
    """Return the funnel from the engine's hourly histogram (hours since base, 8)."""
    from_hour, part = _complete_hours(hours, start, base, now)
    return Funnel(from_hour, part[:, 0], part[:, 1], part[:, 2], part[:, 3])


def load_of(
    hours: LongArray, minutes: NDArray[np.signedinteger[Any]], start: int, base: int, now: int
) -> Load:
    """Return the load from the engine's hourly histogram and its attempts per minute."""
    from_hour, part = _complete_hours(hours, start, base, now)
    return Load(from_hour, part[:, 4], part[:, 7], part[:, 5], part[:, 6], int(minutes.max(initial=0)))
