"""From a way of pacing to the one curve that everything reads."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from rollout import pacing as curves
from rollout.errors import UsageError
from rollout.pacing.calendar import active_between, instant_after, is_open, next_open
from rollout.policy.modes import Auto, Batches, ByDate, Duration, Pacing, Points, Ramp, Rate, parse_share
from rollout.values import WHOLE, Calendar, Curve, part_of, parts_of_percent


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """What a curve is compiled for.

    begin : Unix seconds at which the phase begins if every gate before it passes at once. step_s : its step.
    zones : the calendars of which each must have been open before a date; empty if only `calendar` counts.
    per_step : devices at most a step, 0 = no limit.
    """

    calendar: Calendar
    begin: int
    step_s: int
    zone: str = "UTC"
    zones: Sequence[Calendar] = ()
    service_per_hour: float = curves.SERVICE_PER_HOUR
    per_step: int = 0


def compile_curve(pacing: Pacing, size: int, frame: Frame, *, may_stop: bool = False) -> Curve:
    """Give the curve of a phase of `size` devices; it ends at WHOLE.

    may_stop : the phase has no end, so points may stop below 100%.
    Raise a `UsageError` for points that stop early; `DateError` for a date that no release can meet.
    """
    match pacing:
        case Auto():
            duration_s = curves.auto_duration_s(size, pacing.service_per_hour or frame.service_per_hour)
            if frame.per_step:
                duration_s = max(duration_s, -(-size // frame.per_step) * frame.step_s)
            return curves.spread(duration_s, pacing.gap, size)
        case Rate():
            devices = pacing.devices or max(1, part_of(size, parts_of_percent(pacing.percent or 0)))
            return curves.rate(devices, pacing.every or frame.step_s, size)
        case Duration():
            return curves.spread(pacing.duration, pacing.gap, size)
        case ByDate():
            length_s = last_step(deadline(pacing, frame.zone), frame) * frame.step_s
            return curves.spread(length_s, pacing.gap, size)
        case Points():
            return _points(pacing, may_stop)
        case Ramp():
            return _ramp(pacing, size, pacing.every or frame.step_s)
        case Batches():
            every_s = pacing.every or frame.step_s
            if isinstance(pacing.batches, int):
                return curves.equal_groups(min(pacing.batches, max(size, 1)), every_s)
            return curves.batches(batch_counts(pacing.batches, size), every_s)


class DateError(ValueError):
    """No step falls between the begin of a phase and its date. first : the first step's instant, or None."""

    def __init__(self, first: int | None) -> None:
        super().__init__("no release is allowed before the date")
        self.first = first


def deadline(pacing: ByDate, zone: str) -> int:
    """Give the date in Unix seconds: without time the end of the day, without offset on `zone`'s clock."""
    date = pacing.date
    if not isinstance(date, dt.datetime):
        date = dt.datetime.combine(date, dt.time(23, 59, 59))
    return int((date if date.tzinfo else date.replace(tzinfo=ZoneInfo(zone))).timestamp())


def step_instant(frame: Frame, step: int) -> int | None:
    """Give the instant of a step: so many step lengths of active time after the begin, and open."""
    passed = instant_after(frame.calendar, frame.begin, step * frame.step_s)
    return None if passed is None else next_open(frame.calendar, passed)


def last_step(date: int, frame: Frame) -> int:
    """Give the number of the last step by `date` (Unix seconds) at which all devices may be out.

    Where devices go by their own clocks, every zone must have been open at that step or after it.
    """
    step = active_between(frame.calendar, frame.begin, date) // frame.step_s
    instant = step_instant(frame, step)
    if instant is None or instant > date:
        step -= 1
    waiting = list(frame.zones) or [frame.calendar]
    while step >= 0:
        at = step_instant(frame, step)
        waiting = [one for one in waiting if at is None or not is_open(one, at)]
        if not waiting:
            return step
        step -= 1
    raise DateError(step_instant(frame, 0))


def batch_counts(batches: Sequence[int | str], size: int) -> list[int]:
    """Turn a list as admins write it into counts that add up to `size`; shares are rounded up."""
    counts: list[int] = []
    left = size
    for one in batches:
        counts.append(min(left, _wanted(one, size)))
        left -= counts[-1]
    return [count for count in (*counts, left) if count] or [0]


def _ramp(pacing: Ramp, size: int, every_s: int) -> Curve:
    try:
        return curves.ramp(pacing.base, every_s, pacing.factor, pacing.succeeded, pacing.cap, size)
    except ValueError as error:
        raise UsageError(
            f"expected {error}, found one for each {pacing.succeeded} of {size} devices",
            "Give a larger 'succeeded', a larger 'factor' or a 'cap'.",
        ) from error


def _wanted(batch: int | str, size: int) -> int:
    if isinstance(batch, int):
        return batch
    return size if batch == "rest" else part_of(size, parse_share(batch))


def _points(pacing: Points, may_stop: bool) -> Curve:
    times = [at for at, _ in pacing.points]
    parts = [share for _, share in pacing.points]
    if parts[-1] < WHOLE and not may_stop:
        raise UsageError(
            f"expected points that end at 100%, found {parts[-1] * 100 / WHOLE:g}%",
            'Add a last point such as ["10d", "100%"], or write end = "never".',
        )
    if pacing.steps or times[0] > 0:
        return curves.staircase(times, parts) if pacing.steps else Curve((0, *times), (0, *parts))
    return Curve(tuple(times), tuple(parts))
