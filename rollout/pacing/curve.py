"""How many by now: every pacing mode gives one curve, and a curve is read with whole numbers only.

A curve maps *active* seconds to a fraction of the phase. Active time stands still outside windows, in
freezes, while held, paused or down; `advance` also makes it run slower on an unearned ramp and faster when
a date comes near. The builders below are shared by the modes; where they step, the first group goes at 0.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from rollout.pacing.calendar import active_between
from rollout.values import WHOLE, Calendar, Curve, Phase

MAX_SPEED_UP = 4
"""A phase that is behind its date runs through its curve at most this many times faster."""

MAX_STEPS = 2_000
"""A staircase of more steps than this is written as a straight line through its corners."""


def released_by(curve: Curve, active_s: int, size: int) -> int:
    """Return how many of `size` devices may be released after `active_s` active seconds: an exact floor."""
    at = bisect_right(curve.active_s, active_s) - 1
    if at < 0 or size <= 0:
        return 0
    if at + 1 == len(curve.active_s):
        return size * curve.parts[at] // WHOLE
    width = curve.active_s[at + 1] - curve.active_s[at]
    rise = (curve.parts[at + 1] - curve.parts[at]) * (active_s - curve.active_s[at])
    return size * (curve.parts[at] * width + rise) // (WHOLE * width)


def quota(curve: Curve, active_s: int, size: int, released: int) -> int:
    """Return how many more devices may be released now; never negative."""
    return max(0, released_by(curve, active_s, size) - released)


@lru_cache(maxsize=256)
def largest_step(curve: Curve, step_s: int, size: int) -> int:
    """Return the most devices that the curve itself releases in one step of `step_s`, its first batch included.

    No batch is larger, also when devices had to wait for a window of their own, a budget or an outage. Steps near
    a point of the curve are counted; within a straight piece the slope is rounded up.
    """
    steps = {at // step_s + shift for at in curve.active_s for shift in (0, 1, 2)}
    largest = max(
        released_by(curve, step * step_s, size) - released_by(curve, (step - 1) * step_s, size)
        for step in steps
    )
    for index, width in enumerate(later - at for at, later in pairwise(curve.active_s)):
        if width > 2 * step_s:
            rise = curve.parts[index + 1] - curve.parts[index]
            largest = max(largest, -(-size * rise * step_s // (WHOLE * width)))
    return largest


def step_limit(phase: Phase) -> int:
    """Return the most devices in one batch of a phase; with a date, as many as the speed-up may need."""
    return largest_step(phase.curve, phase.step_s, len(phase)) * (MAX_SPEED_UP if phase.by >= 0 else 1)


def advance(
    phase: Phase,
    calendar: Calendar,
    active_s: int,
    since: int,
    elapsed: int,
    *,
    enrolled: int = 0,
    holds: int = 0,
) -> int:
    """Return the active seconds of `phase` that were `active_s` at `since`, after `elapsed` more open seconds.

    enrolled : devices of this phase that enrolled so far; on a ramp, `phase.rung` of them earn the rate of
        the curve's next piece. Beyond what is earned, the curve advances at the rate that has been earned.
    holds : how often a gate held this phase; each takes one earned rate away.

    With a date (`phase.by`) and less active time left than curve, time runs faster, up to MAX_SPEED_UP.
    """
    if elapsed <= 0:
        return active_s
    if phase.rung:
        return active_s + _earned(phase, active_s, elapsed, enrolled // phase.rung - holds)
    left = phase.curve.length_s - active_s
    if phase.by < 0 or left <= 0:
        return active_s + elapsed
    time_left = active_between(calendar, since, phase.by)
    if time_left >= left:
        return active_s + elapsed
    if time_left * MAX_SPEED_UP <= left:
        return active_s + elapsed * MAX_SPEED_UP
    return active_s - (-elapsed * left // time_left)  # rounded up: the last second must not be missing


def _earned(phase: Phase, active_s: int, elapsed: int, earned: int) -> int:
    """Active seconds to count for `elapsed`, at the rate of the piece `earned` instead of the current one."""
    curve = phase.curve
    pieces = len(curve.active_s) - 1
    here = bisect_right(curve.active_s, active_s) - 1
    earned = max(0, earned)
    if here >= pieces or earned >= here:
        return elapsed
    rise_here = curve.parts[here + 1] - curve.parts[here]
    rise_earned = curve.parts[earned + 1] - curve.parts[earned]
    width_here = curve.active_s[here + 1] - curve.active_s[here]
    width_earned = curve.active_s[earned + 1] - curve.active_s[earned]
    slowed = elapsed * rise_earned * width_here // max(1, rise_here * width_earned)
    return min(elapsed, max(1, slowed))


def linear(duration_s: int) -> Curve:
    """Release evenly over `duration_s`; everything at once if that is 0."""
    if duration_s <= 0:
        return Curve((0,), (WHOLE,))
    return Curve((0, duration_s), (0, WHOLE))


def staircase(at_s: Sequence[int], parts: Sequence[int]) -> Curve:
    """Jump to ``parts[i]`` at ``at_s[i]``; flat in between. The first instant is 0 or gets a leading 0."""
    times, levels = ([], []) if at_s and at_s[0] == 0 else ([0], [0])
    for at, part in zip(at_s, parts, strict=True):
        if times and at > 0:
            times.append(at)
            levels.append(levels[-1])
        times.append(at)
        levels.append(part)
    return Curve(tuple(times), tuple(levels))


def equal_groups(groups: int, gap_s: int) -> Curve:
    """Release `groups` groups of equal size (within one device), `gap_s` apart, the first at 0."""
    parts = [parts_of(number, groups) for number in range(1, groups + 1)]
    return staircase([number * gap_s for number in range(groups)], parts)


def spread(duration_s: int, gap_s: int = 0, size: int = 0) -> Curve:
    """Release over `duration_s`: evenly, or in as many equal groups `gap_s` apart as fit, ends included.

    size : devices, if known. If there are fewer devices than groups, they are released one by one, the first at 0.
    """
    if gap_s <= 0:
        return linear(duration_s)
    groups = duration_s // gap_s + 1
    if not 0 < size < groups:
        return equal_groups(groups, gap_s)
    times = [at * groups // size * gap_s for at in range(size)]
    return staircase(times, [parts_of(at + 1, size) for at in range(size)])


def extended_by(curve: Curve, size: int, more: int, duration_s: int) -> Curve:
    """Let `more` devices follow over `duration_s` behind a curve of `size`, whose instants do not change."""
    total = size + more
    if not size or not more:
        return curve if size else linear(duration_s)
    parts = [-(-part * size // total) for part in curve.parts]
    return Curve((*curve.active_s, curve.length_s + duration_s), (*parts, WHOLE))


def parts_of(count: int, size: int) -> int:
    """Return count/size in parts of WHOLE, rounded up: so that `released_by` gives back `count`."""
    return WHOLE if size <= 0 else min(WHOLE, -(-count * WHOLE // size))
