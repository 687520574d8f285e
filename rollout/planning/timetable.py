"""The calendar of a plan, and one per zone if windows follow each device's own clock."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np

from rollout.errors import RefusedError
from rollout.pacing.calendar import (
    DEVICE_ZONE,
    Freeze,
    frozen_spans,
    has_day,
    has_day_from,
    next_open,
    resolve,
    skipped,
    union,
)
from rollout.policy import Policy, known_zones
from rollout.values import DAY_S, BoolArray, Calendar, Fleet, IntArray, Window
from rollout.values.durations import format_duration

HORIZON_S = 2 * 365 * DAY_S
"""How far a calendar is resolved; a plan that needs longer is refused."""

_BEYOND_S = 10 * 365 * DAY_S


@dataclass(frozen=True, slots=True, eq=False)
class Timetable:
    """Windows, freezes and the instants that result; see `rollout.values.Plan` for the zones."""

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
    freezes = tuple(freeze for entry in policy.freezes for freeze in entry.freezes(policy.zone))
    until = start + HORIZON_S
    if DEVICE_ZONE not in {window.zone for window in windows} | {freeze.zone for freeze in freezes}:
        calendar = resolve(windows, freezes, start, until)
        _must_open(calendar, policy, windows, freezes, start, "")
        return Timetable(windows, freezes, calendar, (), (), np.zeros(0, dtype=np.int32))
    names, codes, warnings = _zones(policy, fleet, planned)
    calendars = tuple(resolve(windows, freezes, start, until, zone) for zone in names)
    for zone, calendar in zip(names, calendars, strict=True):
        _must_open(calendar, policy, windows, freezes, start, zone)
    calendar = union(calendars)
    if calendar.wave_s and int((calendar.closes - calendar.opens).max()) > DAY_S:
        raise RefusedError(
            "expected waves with a pause between them, found zones of devices whose waves follow each other all day",
            'Write the windows on one clock: zone = "Europe/Berlin" in place of zone = "device".',
        )
    return Timetable(windows, freezes, calendar, names, calendars, codes, warnings)


def calendar_warnings(
    table: Timetable, policy: Policy, start: int, end: int, created: int
) -> tuple[str, ...]:
    """Return warnings about windows and freezes between `start` and `end` (Unix seconds) that may surprise people.

    A window that the clock skips, a freeze that covers no day of the plan or lies in the past, a time that counts
    open hours, a window that is shorter than the time between two observations.
    """
    missing = skipped(table.windows, start, end, table.zone_names)
    return (
        *(str(opening) for opening in missing),
        *_idle_freezes(table, policy.zone, (start, end), created),
        *_open_time(table, policy, (start, end)),
        *_short_windows(table, policy, (start, end)),
    )


def _idle_freezes(table: Timetable, zone: str, plan: tuple[int, int], created: int) -> list[str]:
    """Return the freezes that cover nothing, and why."""
    out = []
    for freeze in table.freezes:
        zones = table.zone_names if freeze.zone == DEVICE_ZONE else (freeze.zone,)
        if any(len(frozen_spans(freeze, *plan, zone).opens) for zone in zones):
            continue
        today = dt.datetime.fromtimestamp(created, ZoneInfo(zones[0])).date()
        if has_day_from(freeze, today, zones[0]):
            first, last = (dt.datetime.fromtimestamp(at, ZoneInfo(zone)).date() for at in plan)
            why = f"covers no day of this plan ({first} to {last} if every gate passes at once)"
        elif has_day(freeze, zones[0], today):
            why = "lies wholly in the past"
        else:
            why = "covers no day: it ends before its first one"
        out.append(f"the freeze {freeze} {why}")
    return out


def _open_time(table: Timetable, policy: Policy, plan: tuple[int, int]) -> list[str]:
    """Return a warning where `every` counts the open time of several windows but reads like clock time."""
    longest = max((length for _, length in _spans(table, plan)), default=HORIZON_S)
    wave_s = table.calendar.wave_s
    out = []
    for phase in policy.phases:
        every_s = phase.pacing.every_s
        text = f"phase '{phase.name}': every = \"{format_duration(every_s)}\" counts open time"
        if wave_s and every_s > wave_s:
            out.append(
                f"{text}: one batch in {-(-every_s // wave_s)} waves. For one in each wave leave 'every' out"
            )
        elif not wave_s and every_s > longest:
            out.append(
                f"{text}, and no window is open for longer than {format_duration(longest)}: a batch needs several "
                'windows. For one batch a day at a fixed time, write at = "02:00" in the windows and leave out '
                "'from', 'to' and 'every'"
            )
    if wave_s and (
        (policy.step != wave_s and "step" in policy.model_fields_set)
        or any(phase.step for phase in policy.phases)
    ):
        out.append("'step' has no effect: with waves ('at' in the windows) each wave is one step")
    return out


def _short_windows(table: Timetable, policy: Policy, plan: tuple[int, int]) -> list[str]:
    """Return a warning where a window, or what a freeze leaves of it, may pass between two observations."""
    short = [
        (at, length) for at, length in _spans(table, plan) if length < policy.look_every and at > plan[0]
    ]
    if not short:
        return []
    at, length = short[0]
    more = f" (and {len(short) - 1} more)" if len(short) > 1 else ""
    return [
        f"the window of {dt.datetime.fromtimestamp(at, ZoneInfo(policy.zone)):%Y-%m-%d %H:%M}{more} is open for "
        f"{format_duration(length)}, less than look_every ({format_duration(policy.look_every)}): one batch may need "
        "several windows. Lower look_every or widen the window"
    ]


def _spans(table: Timetable, plan: tuple[int, int]) -> list[tuple[int, int]]:
    """Return when windows open within a plan, and for how many seconds, in order of time."""
    calendars = table.zone_calendars or (table.calendar,)
    found = {
        (opens, closes - opens)
        for calendar in calendars
        for opens, closes in zip(calendar.opens.tolist(), calendar.closes.tolist(), strict=True)
        if opens < plan[1] and closes > plan[0]
    }
    return sorted(found)


def _zones(
    policy: Policy, fleet: Fleet, planned: BoolArray
) -> tuple[tuple[str, ...], IntArray, tuple[str, ...]]:
    """Return the zones in use, the code of each device, and warnings."""
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
    text = f"{count} devices have no known time zone: their windows follow {policy.zone}"
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
        raise RefusedError(
            message, f"The first opens after the freezes: start = {local_iso(later, policy.zone)}"
        )
    free = resolve(windows, (), start, start + HORIZON_S, zone or "UTC")
    first = next_open(free, start)
    if first is None:
        raise RefusedError(message, "These windows never open; write other days or times.")
    alone = [
        (freeze, resolve(windows, [freeze], start, start + HORIZON_S, zone or "UTC")) for freeze in freezes
    ]
    guilty = [freeze for freeze, calendar in alone if not len(calendar.opens)]
    names = "; ".join(str(freeze) for freeze in guilty or freezes)
    raise RefusedError(
        message, f"Without the freeze ({names}) the first opens at {local_iso(first, policy.zone)}."
    )


def local_iso(at: int, zone: str) -> str:
    """Return an instant on the clock of `zone`, as TOML reads it."""
    return dt.datetime.fromtimestamp(at, ZoneInfo(zone)).isoformat()
