"""When releases are allowed: windows minus freezes, resolved to instants, and active time on them.

A window is a statement about a wall clock: it opens when the clock of its zone first shows `from` on one of its
days, and closes when the clock first shows `to` after that. So a window that lies wholly in the hour that daylight
saving skips never opens, and one that is open when the clock goes back stays open. A wave, a window with a length of
its own, opens once on each of its days: later by what the clock skips if its time is skipped, and the first time only
if its time occurs twice. A freeze covers whole days of the wall clock, or hours of them, both times if the clock goes
back.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from zoneinfo import ZoneInfo

import numpy as np

from rollout.pacing.recurrence import EARLIEST, parse_rule, rule_days
from rollout.values import DAY_S, HOUR_S, BoolArray, Calendar, LongArray, Window, time_of_day

DEVICE_ZONE = "device"
"""The zone of a window or freeze that follows each device's own clock."""

_EPOCH = dt.date(1970, 1, 1)
_TEN_YEARS = dt.timedelta(days=3653)
_MARGIN_S = 3 * DAY_S  # no zone is further from UTC, and no window longer, than this
_PROBE_S = 6 * HOUR_S  # no zone changes its clock twice within this time

Spans = tuple[LongArray, LongArray]


@dataclass(frozen=True, slots=True)
class Freeze:
    """Local days on which nothing is released: first to last, both included, or a rule's days.

    rrule : RFC 5545 recurrence rule, "" none; each occurrence freezes `days` days. first is the day on which it
        starts (its DTSTART), `rollout.pacing.recurrence.EARLIEST` if none is given.
    from_min, to_min : the minutes of each day that are frozen, 0 to 1440 for the whole day; over midnight if
        ``to_min <= from_min``.
    """

    first: dt.date
    last: dt.date
    zone: str
    reason: str = ""
    rrule: str = ""
    days: int = 1
    from_min: int = 0
    to_min: int = 1440

    @property
    def is_whole_day(self) -> bool:
        """Return whether all of each day is frozen."""
        return (self.from_min, self.to_min) == (0, 1440)

    def __str__(self) -> str:
        if self.rrule:
            since = f" from {self.first}" if self.first > EARLIEST else ""
            span = f"{self.rrule}{since}" + (f", {self.days} days each" if self.days > 1 else "")
        else:
            span = str(self.first) if self.first == self.last else f"{self.first} to {self.last}"
        if not self.is_whole_day:
            span += f" {time_of_day(self.from_min)}-{time_of_day(self.to_min)}"
        return f"{span} {self.zone}" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True, slots=True)
class NoOpening:
    """A day on which a window does not open although it is one of its days: the clock skips it.

    zones : those in which it does not, for a window that follows each device's own clock; else empty.
    """

    day: dt.date
    window: Window
    zones: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = ", ".join(self.zones[:3]) + (
            f" and {len(self.zones) - 3} more" if len(self.zones) > 3 else ""
        )
        where = f" for devices in {where}" if where else ""
        return f"no window on {self.day}{where} ({self.window}): the clock goes forward past it"


def resolve(
    windows: Sequence[Window], freezes: Sequence[Freeze], start: int, until: int, device_zone: str = "UTC"
) -> Calendar:
    """Return the instants in [start, until) at which releases are allowed; no window means always open.

    device_zone : stands for the zone "device". Windows are all waves of one length, or none is a wave.
    """
    whole = opened = (np.array([start], dtype=np.int64), np.array([until], dtype=np.int64))
    if windows:
        whole = opened = _union([_window_spans(window, start, until, device_zone) for window in windows])
    if freezes:
        frozen = _union([_freeze_spans(freeze, start, until, device_zone) for freeze in freezes])
        opened = _intersection(opened, _complement(frozen, start, until))
    wave_s = windows[0].lasts_s if windows else 0
    if wave_s:  # a freeze of hours may leave two pieces of a wave: it still comes once
        _, first = np.unique(np.searchsorted(whole[0], opened[0], side="right"), return_index=True)
        opened = (opened[0][first], opened[1][first])
    return Calendar(*_clipped(opened, start, until), wave_s)


def skipped(windows: Sequence[Window], start: int, until: int, zones: Sequence[str]) -> list[NoOpening]:
    """Return the days in [start, until) on which a window should open and the clock skips all of it, each once.

    zones : each stands for the zone "device" in turn.
    """
    found: dict[tuple[dt.date, Window], list[str]] = {}
    for window in windows:
        for zone in zones if window.zone == DEVICE_ZONE else ("",):
            opens, closes = _window_instants(window, start, until, zone)
            own = ZoneInfo(zone or window.zone)
            for at in opens[(opens >= closes) & (opens >= start) & (opens < until)].tolist():
                found.setdefault((dt.datetime.fromtimestamp(at, own).date(), window), []).append(zone)
    missing = [
        NoOpening(day, window, tuple(where) if window.zone == DEVICE_ZONE else ())
        for (day, window), where in found.items()
    ]
    return sorted(missing, key=lambda opening: opening.day)


def has_day_from(freeze: Freeze, day: dt.date, zone: str) -> bool:
    """Return whether a freeze covers `day` or any later one; a rule without an end always does."""
    if not freeze.rrule:
        return freeze.last >= day
    is_endless = not {"UNTIL", "COUNT"} & parse_rule(freeze.rrule).keys()
    begin = day - dt.timedelta(days=freeze.days - 1)
    return is_endless or bool(_days_of_rule(freeze, begin, begin + _TEN_YEARS, zone))


def has_day(freeze: Freeze, zone: str, until: dt.date) -> bool:
    """Return whether a freeze covers any day up to `until`: a rule may end before its first one."""
    return not freeze.rrule or bool(_days_of_rule(freeze, freeze.first, until, zone))


def frozen_spans(freeze: Freeze, start: int, until: int, device_zone: str = "UTC") -> Calendar:
    """Return the instants in [start, until) that a freeze covers."""
    return Calendar(*_clipped(_freeze_spans(freeze, start, until, device_zone), start, until))


def union(calendars: Sequence[Calendar]) -> Calendar:
    """Return the calendar that is open whenever one of `calendars` is."""
    return Calendar(
        *_union([(calendar.opens, calendar.closes) for calendar in calendars]), calendars[0].wave_s
    )


def is_open(calendar: Calendar, at: int) -> bool:
    """Return whether a release is allowed at `at`."""
    table = _table(calendar)
    index = bisect_right(table.opens, at) - 1
    return index >= 0 and at < table.closes[index]


def open_zones(calendars: Sequence[Calendar], at: int) -> BoolArray:
    """Return for each calendar whether it is open at `at`, shape ``(k,)``."""
    return np.fromiter(
        (is_open(calendar, at) for calendar in calendars), dtype=np.bool_, count=len(calendars)
    )


def next_open(calendar: Calendar, at: int) -> int | None:
    """Return the first open instant not before `at`; None if there is none before the calendar ends."""
    table = _table(calendar)
    index = bisect_right(table.closes, at)
    return None if index == len(table.closes) else max(at, table.opens[index])


def active_between(calendar: Calendar, since: int, until: int) -> int:
    """Return the active seconds from `since` to `until`: the open ones; 0 if `until` is not after `since`.

    A calendar of waves counts the waves that close after `since` and not after `until`.
    """
    return max(0, _active_before(calendar, until) - _active_before(calendar, since))


def instant_after(calendar: Calendar, since: int, active_s: int) -> int | None:
    """Return the first instant by which `active_s` active seconds have passed since `since`; None if never.

    That instant may be the one at which the calendar closes.
    """
    if active_s <= 0:
        return since
    table = _table(calendar)
    if calendar.wave_s:
        index = bisect_right(table.closes, since) - 1 - (-active_s // calendar.wave_s)
        return table.closes[index] if index < len(table.closes) else None
    goal = _active_before(calendar, since) + active_s
    index = bisect_left(table.sums, goal)  # sums[i]: open seconds before interval i
    if index == len(table.sums):
        return None
    return table.opens[index - 1] + goal - table.sums[index - 1]


@dataclass(frozen=True, slots=True)
class _Table:
    opens: list[int]
    closes: list[int]
    sums: list[int]


@lru_cache(maxsize=2048)
def _table(calendar: Calendar) -> _Table:
    """Plain lists: bisecting them costs a tenth of numpy's. A calendar is frozen and hashed by identity."""
    opens, closes = calendar.opens.tolist(), calendar.closes.tolist()
    lengths = (close - open_ for open_, close in zip(opens, closes, strict=True))
    return _Table(opens, closes, list(accumulate(lengths, initial=0)))


def _active_before(calendar: Calendar, at: int) -> int:
    table = _table(calendar)
    if calendar.wave_s:
        return calendar.wave_s * bisect_right(table.closes, at)
    index = bisect_right(table.opens, at) - 1
    if index < 0:
        return 0
    return table.sums[index] + min(at, table.closes[index]) - table.opens[index]


def _window_spans(window: Window, start: int, until: int, device_zone: str) -> Spans:
    opens, closes = _window_instants(window, start, until, device_zone)
    kept = opens < closes
    return _union([(opens[kept], closes[kept])])


def _window_instants(window: Window, start: int, until: int, device_zone: str) -> Spans:
    """Return when a window opens and closes on each of its days, in order; both are equal where it is skipped."""
    zone = device_zone if window.zone == DEVICE_ZONE else window.zone
    days = _days(start, until)
    days = days[np.isin((days + 3) % 7, np.array(window.days, dtype=np.int64))]  # 1 January 1970: a Thursday
    pieces = _offsets(zone, start - 2 * _MARGIN_S, until + 2 * _MARGIN_S)
    opens = _first_shown(days * DAY_S + window.from_min * 60, pieces)
    if window.lasts_s:
        # A day that the zone never had (Samoa, 30 December 2011) has no wave.
        is_there = _first_shown(days * DAY_S, pieces) < _first_shown((days + 1) * DAY_S, pieces)
        return opens, opens + window.lasts_s * is_there
    length_min = (window.to_min - window.from_min) % 1440 or 1440
    return opens, _first_shown(days * DAY_S + (window.from_min + length_min) * 60, pieces)


def _first_shown(local: LongArray, pieces: tuple[tuple[int, int, int], ...]) -> LongArray:
    """Return the first instant at which a clock shows a local time (seconds since its 1970) or a later one."""
    since, upto, offset = np.array(pieces, dtype=np.int64).T
    shown_before = np.maximum.accumulate(upto + offset)
    at = np.minimum(np.searchsorted(shown_before, local, side="right"), len(since) - 1)
    return np.asarray(np.maximum(since[at], local - offset[at]))


def _freeze_spans(freeze: Freeze, start: int, until: int, device_zone: str) -> Spans:
    zone = device_zone if freeze.zone == DEVICE_ZONE else freeze.zone
    if freeze.rrule:
        firsts = np.array([_day(first) for first in occurrences(freeze, start, until, zone)], dtype=np.int64)
        days = (firsts[:, None] + np.arange(freeze.days)).ravel()
    else:
        days = np.arange(_day(freeze.first), _day(freeze.last) + 1, dtype=np.int64)
    length_min = freeze.to_min - freeze.from_min
    begins = days * DAY_S + freeze.from_min * 60
    ends = begins + (length_min if length_min > 0 else length_min + 1440) * 60
    return _instants((begins, ends), zone, start, until)


def occurrences(freeze: Freeze, start: int, until: int, zone: str) -> tuple[dt.date, ...]:
    """Return the days on which the rule of a freeze begins one that may touch [start, until).

    zone : the rule follows its clock.
    """
    begin = _EPOCH + dt.timedelta(days=(start - _MARGIN_S) // DAY_S - freeze.days)
    end = _EPOCH + dt.timedelta(days=(until + _MARGIN_S) // DAY_S)
    return _days_of_rule(freeze, begin, end, zone)


def _days_of_rule(freeze: Freeze, begin: dt.date, end: dt.date, zone: str) -> tuple[dt.date, ...]:
    return rule_days(freeze.rrule, freeze.first, begin, end, zone, freeze.from_min)


def _day(date: dt.date) -> int:
    return (date - _EPOCH).days


def _days(start: int, until: int) -> LongArray:
    """Day numbers since 1970 that may touch [start, until) anywhere on earth."""
    return np.arange((start - _MARGIN_S) // DAY_S, (until + _MARGIN_S) // DAY_S + 1, dtype=np.int64)


def _instants(local: Spans, zone: str, start: int, until: int) -> Spans:
    """Turn spans of a wall clock (seconds since its 1970) into instants, those that it repeats both times."""
    parts: list[Spans] = []
    for since, upto, offset in _offsets(zone, start - _MARGIN_S, until + _MARGIN_S):
        begins, ends = np.maximum(local[0], since + offset), np.minimum(local[1], upto + offset)
        kept = begins < ends
        parts.append((begins[kept] - offset, ends[kept] - offset))
    return _union(parts)


@lru_cache(maxsize=1024)
def _offsets(zone: str, start: int, until: int) -> tuple[tuple[int, int, int], ...]:
    """Pieces (since, until, seconds ahead of UTC) of constant offset that cover [start, until)."""
    tz = ZoneInfo(zone)

    def offset(at: int) -> int:
        delta = dt.datetime.fromtimestamp(at, tz).utcoffset()
        return 0 if delta is None else int(delta.total_seconds())

    pieces, since, present = [], start, offset(start)
    for probe in range(start + _PROBE_S, until + _PROBE_S, _PROBE_S):
        if offset(probe) == present:
            continue
        low, high = probe - _PROBE_S, probe  # the change is in (low, high]
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == present else (low, middle)
        pieces.append((since, high, present))
        since, present = high, offset(probe)
    pieces.append((since, until + _PROBE_S, present))
    return tuple(pieces)


def _union(parts: Sequence[Spans]) -> Spans:
    begins = np.concatenate([part[0] for part in parts]).astype(np.int64)
    ends = np.concatenate([part[1] for part in parts]).astype(np.int64)
    if not len(begins):
        return begins, ends
    by_begin = np.argsort(begins, kind="stable")
    begins, ends = begins[by_begin], np.maximum.accumulate(ends[by_begin])
    fresh = np.concatenate([[True], begins[1:] > ends[:-1]])
    last = np.concatenate([fresh[1:], [True]])
    return begins[fresh], ends[last]


def _complement(spans: Spans, start: int, until: int) -> Spans:
    begins = np.concatenate([[start], spans[1]]).astype(np.int64)
    ends = np.concatenate([spans[0], [until]]).astype(np.int64)
    return begins[begins < ends], ends[begins < ends]


def _intersection(first: Spans, second: Spans) -> Spans:
    """Intersect two sorted lists of disjoint spans: each of `first` with all it may touch in `second`."""
    low = np.searchsorted(second[1], first[0], side="right")
    high = np.searchsorted(second[0], first[1], side="left")
    counts = np.maximum(high - low, 0)
    of_first = np.repeat(np.arange(len(counts)), counts)
    of_second = (
        np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(low, counts)
    )
    begins = np.maximum(first[0][of_first], second[0][of_second])
    ends = np.minimum(first[1][of_first], second[1][of_second])
    return begins[begins < ends], ends[begins < ends]


def _clipped(spans: Spans, start: int, until: int) -> Spans:
    begins, ends = np.maximum(spans[0], start), np.minimum(spans[1], until)
    return begins[begins < ends], ends[begins < ends]
