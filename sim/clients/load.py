"""What a run reached and what it cost, by hour: the funnel and the load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rollout.values import HOUR_S, LongArray


@dataclass(frozen=True, slots=True, eq=False)
class Funnel:
    """Devices that reached a step in each hour, (hours,) int64 each; hour 0 is the clock hour of the start.

    eligible : membership effective. scheduled : native timer set. initiated : first attempt.
    enrolled : first enrollment, on the client. Only hours that are over are given.
    """

    from_hour: int
    eligible: LongArray
    scheduled: LongArray
    initiated: LongArray
    enrolled: LongArray


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """What was asked of the service and of the policy points in each hour, (hours,) int64 each.

    from_hour : Unix seconds of hour 0, the clock hour of the start. Only hours that are over are given.
    attempts : enrollment attempts, throttled ones too. throttled : answered 429. completions : enrollments.
    polls : policy requests that carried something new. peak_per_minute : most attempts in a clock minute.
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


def _over(hours: LongArray, start: int, base: int, now: int) -> tuple[int, LongArray]:
    first = (start - base) // HOUR_S
    return base + first * HOUR_S, hours[first : max(first, min((now - base) // HOUR_S, len(hours)))]


def funnel_of(hours: LongArray, start: int, base: int, now: int) -> Funnel:
    """Cut the funnel out of the engine's hourly histogram (hours since base, 8)."""
    from_hour, part = _over(hours, start, base, now)
    return Funnel(from_hour, part[:, 0], part[:, 1], part[:, 2], part[:, 3])


def load_of(
    hours: LongArray, minutes: NDArray[np.signedinteger[Any]], start: int, base: int, now: int
) -> Load:
    """Cut the load out of the engine's hourly histogram and its attempts a minute."""
    from_hour, part = _over(hours, start, base, now)
    return Load(from_hour, part[:, 4], part[:, 7], part[:, 5], part[:, 6], int(minutes.max(initial=0)))
