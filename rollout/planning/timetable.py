"""The calendar of a plan, and one a zone where windows go by each device's own clock."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np

from rollout.durations import format_duration
from rollout.errors import RefusedError
from rollout.pacing.calendar import (
    DEVICE_ZONE,
    Freeze,
    frozen_spans,
    next_open,
    resolve,
    skipped,
    union,
)
from rollout.policy import Policy, known_zones
from rollout.values import DAY_S, BoolArray, Calendar, Fleet, IntArray, Window

HORIZON_S = 2 * 365 * DAY_S
"""How far a calendar is resolved; a plan that needs longer is refused."""

_BEYOND_S = 10 * 365 * DAY_S


@dataclass(frozen=True, slots=True, eq=False)
class Timetable:
    """Windows, freezes and the instants they come to; see `rollout.values.Plan` for the zones."""

    windows: tuple[Window, ...]
    freezes: tuple[Freeze, ...]
    calendar: Calendar
    zone_names: tuple[str, ...]
    zone_calendars: tuple[Calendar, ...]
    zone_codes: IntArray
    warnings: tuple[str, ...] = ()


def make_timetable(policy: Policy, fleet: Fleet, planned: BoolArray, start: int) -> Timetable:
    """Resolve windows and freezes from `start` on, for the zones of the `planned` devices.

    Raise a `RefusedError` if no release is ever allowed, with the first instant at which one would be.
    """
    windows = tuple(window.window(policy.zone) for window in policy.windows)
    freezes = tuple(one for freeze in policy.freezes for one in freeze.freezes(policy.zone))
    until = start + HORIZON_S
    if DEVICE_ZONE not in [one.zone for one in windows] + [one.zone for one in freezes]:
        calendar = resolve(windows, freezes, start, until)
        _must_open(calendar, policy, windows, freezes, start, "")
        return Timetable(windows, freezes, calendar, (), (), np.zeros(0, dtype=np.int32))
    names, codes, warnings = _zones(policy, fleet, planned)
    calendars = tuple(resolve(windows, freezes, start, until, zone) for zone in names)
    for zone, calendar in zip(names, calendars, strict=True):
        _must_open(calendar, policy, windows, freezes, start, zone)
    return Timetable(windows, freezes, union(calendars), names, calendars, codes, warnings)


def calendar_warnings(
    table: Timetable, policy: Policy, start: int, end: int, created: int
) -> tuple[str, ...]:
    """Say what people may not expect of windows and freezes between `start` and `end` (Unix seconds).

    A window that the clock skips, a freeze that catches no day of the plan or lies in the past, a window that is
    shorter than the time between two observations.
    """
    out = [str(one) for one in skipped(table.windows, start, end, table.zone_names or (policy.zone,))]
    for freeze in table.freezes:
        zones = table.zone_names if freeze.zone == DEVICE_ZONE else (policy.zone,)
        if any(len(frozen_spans(freeze, start, end, zone).opens) for zone in zones):
            continue
        is_past = not any(len(frozen_spans(freeze, created, start + HORIZON_S, zone).opens) for zone in zones)
        why = "lies wholly in the past" if is_past else "catches no day of this plan"
        out.append(f"the freeze {freeze} {why}")
    shortest = min((_length_s(one) for one in table.windows), default=DAY_S)
    for phase in policy.phases:
        every_s = getattr(phase.pacing, "every", None) or 0
        if every_s > shortest:
            out.append(
                f"phase '{phase.name}': every = \"{format_duration(every_s)}\" counts open time, and a window is "
                f"open for {format_duration(shortest)}: a batch needs several windows. For one batch at a fixed time "
                'each day, write a window with at = "02:00" and every = "1h"'
            )
    if shortest < policy.look_every:
        out.append(
            f"a window is open for {format_duration(shortest)}, less than look_every "
            f"({format_duration(policy.look_every)}): one batch may need several windows. Lower look_every"
        )
    return tuple(out)


def _length_s(window: Window) -> int:
    return window.lasts_s or ((window.to_min - window.from_min) % 1440 or 1440) * 60


def _zones(
    policy: Policy, fleet: Fleet, planned: BoolArray
) -> tuple[tuple[str, ...], IntArray, tuple[str, ...]]:
    """The zones in use, the code of each device, and what people should know."""
    factor, known = fleet.factors["zone"], known_zones()
    used = np.bincount(factor.codes[planned], minlength=len(factor.levels)) > 0
    level_zone = [
        level if level in known and (used[code] or level == policy.zone) else policy.zone
        for code, level in enumerate(factor.levels)
    ]
    names = tuple(sorted(set(level_zone) | {policy.zone}))
    codes = np.array([names.index(zone) for zone in level_zone], dtype=np.int32)[factor.codes]
    strange = np.array([level not in known for level in factor.levels], dtype=np.bool_)
    count = int((strange[factor.codes] & planned).sum())
    text = f"{count} devices have no known time zone: their windows go by {policy.zone}"
    return names, codes, (text,) if count else ()


def _must_open(
    calendar: Calendar,
    policy: Policy,
    windows: tuple[Window, ...],
    freezes: tuple[Freeze, ...],
    start: int,
    zone: str,
) -> None:
    if len(calendar.opens):
        return
    where = f" in the zone {zone}" if zone else ""
    message = f"expected windows in which releases are allowed, found none in two years{where}"
    far = resolve(windows, freezes, start + HORIZON_S, start + _BEYOND_S, zone or "UTC")
    later = next_open(far, start)
    if later is not None:
        raise RefusedError(message, f"The first opens after the freezes: start = {iso(later, policy.zone)}")
    free = resolve(windows, (), start, start + HORIZON_S, zone or "UTC")
    first = next_open(free, start)
    if first is None:
        raise RefusedError(message, "These windows never open; write other days or times.")
    alone = [(one, resolve(windows, [one], start, start + HORIZON_S, zone or "UTC")) for one in freezes]
    guilty = [one for one, calendar in alone if not len(calendar.opens)]
    names = "; ".join(str(one) for one in guilty or freezes)
    raise RefusedError(message, f"Without the freeze ({names}) the first opens at {iso(first, policy.zone)}.")


def iso(at: int, zone: str) -> str:
    """Write an instant on the clock of `zone`, so that TOML reads it back."""
    return dt.datetime.fromtimestamp(at, ZoneInfo(zone)).isoformat()
