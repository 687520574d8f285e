"""When releases are allowed: windows minus freezes, resolved to instants, and active time on them.

A window is a statement about a wall clock: it opens when the clock of its zone first shows `from` on one of its
days, and closes when the clock first shows `to` after that. So a window that lies wholly in the hour that daylight
saving skips never opens, and one that is open when the clock goes back stays open. A window with a length of its
own (a wave) opens once on each of its days, also if its time is skipped or comes twice. A freeze covers whole days
of the wall clock, or hours of them, both times if the clock goes back.
"""

from __future__ import annotations

import datetime as dt
import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from zoneinfo import ZoneInfo

import numpy as np

from rollout.values import DAY_S, HOUR_S, BoolArray, Calendar, LongArray, Window, time_of_day

DEVICE_ZONE = "device"
"""The zone of a window or freeze that goes by each device's own clock."""

_EPOCH = dt.date(1970, 1, 1)
_MARGIN_S = 3 * DAY_S  # no zone is further from UTC, and no window longer, than this
_PROBE_S = 6 * HOUR_S  # no zone changes its clock twice within this time

_CYCLE_YEARS = 400
_LAST_YEAR = 9990
_UNTIL_UTC = re.compile(r"UNTIL=(\d{8}T\d{6}Z)", re.IGNORECASE)

Spans = tuple[LongArray, LongArray]


@dataclass(frozen=True, slots=True)
class Freeze:
    """Local days on which nothing is released: first to last, both included, or a rule's days.

    rrule : RFC 5545 recurrence rule, "" none; each occurrence freezes `days` days. first is its DTSTART.
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
        """Whether all of each day is frozen."""
        return (self.from_min, self.to_min) == (0, 1440)

    def __str__(self) -> str:
        if self.rrule:
            span = f"{self.rrule} from {self.first}" + (f", {self.days} days each" if self.days > 1 else "")
        else:
            span = str(self.first) if self.first == self.last else f"{self.first} to {self.last}"
        if not self.is_whole_day:
            span += f" {time_of_day(self.from_min)}-{time_of_day(self.to_min)}"
        return f"{span} {self.zone}" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True, slots=True)
class NoOpening:
    """A day on which a window does not open although it is one of its days: the clock skips it."""

    day: dt.date
    window: Window

    def __str__(self) -> str:
        return f"no window on {self.day} ({self.window}): the clock goes forward past it"


def resolve(
    windows: Sequence[Window], freezes: Sequence[Freeze], start: int, until: int, device_zone: str = "UTC"
) -> Calendar:
    """Give the instants in [start, until) at which releases are allowed; no window means always open.

    device_zone : stands for the zone "device".
    """
    if windows:
        opened = _union([_window_spans(window, start, until, device_zone) for window in windows])
    else:
        opened = (np.array([start], dtype=np.int64), np.array([until], dtype=np.int64))
    if freezes:
        frozen = _union([_freeze_spans(freeze, start, until, device_zone) for freeze in freezes])
        opened = _intersection(opened, _complement(frozen, start, until))
    return Calendar(*_clipped(opened, start, until))


def skipped(windows: Sequence[Window], start: int, until: int, zones: Sequence[str]) -> list[NoOpening]:
    """Give the days in [start, until) on which a window should open and the clock skips all of it, each once.

    zones : each stands for the zone "device" in turn.
    """
    found: dict[NoOpening, None] = {}
    for zone in zones:
        for window in windows:
            opens, closes = _window_instants(window, start, until, zone)
            own = ZoneInfo(zone if window.zone == DEVICE_ZONE else window.zone)
            for at in opens[(opens >= closes) & (opens >= start) & (opens < until)].tolist():
                found[NoOpening(dt.datetime.fromtimestamp(at, own).date(), window)] = None
    return sorted(found, key=lambda one: one.day)


def frozen_spans(freeze: Freeze, start: int, until: int, device_zone: str = "UTC") -> Calendar:
    """Give the instants in [start, until) that a freeze covers."""
    return Calendar(*_clipped(_freeze_spans(freeze, start, until, device_zone), start, until))


def union(calendars: Sequence[Calendar]) -> Calendar:
    """Give the calendar that is open whenever one of `calendars` is."""
    return Calendar(*_union([(calendar.opens, calendar.closes) for calendar in calendars]))


def is_open(calendar: Calendar, at: int) -> bool:
    """Say whether a release is allowed at `at`."""
    table = _table(calendar)
    index = bisect_right(table.opens, at) - 1
    return index >= 0 and at < table.closes[index]


def open_zones(calendars: Sequence[Calendar], at: int) -> BoolArray:
    """Say for each calendar whether it is open at `at`, shape ``(k,)``."""
    return np.fromiter(
        (is_open(calendar, at) for calendar in calendars), dtype=np.bool_, count=len(calendars)
    )


def next_open(calendar: Calendar, at: int) -> int | None:
    """Give the first open instant not before `at`; None if there is none before the calendar ends."""
    table = _table(calendar)
    index = bisect_right(table.closes, at)
    return None if index == len(table.closes) else max(at, table.opens[index])


def next_close(calendar: Calendar, at: int) -> int | None:
    """Give the first instant after `at` at which an open calendar closes, None if it closes no more."""
    table = _table(calendar)
    index = bisect_right(table.closes, at)
    return None if index == len(table.closes) else table.closes[index]


def active_between(calendar: Calendar, since: int, until: int) -> int:
    """Give the open seconds in [since, until); 0 if `until` is not after `since`."""
    return max(0, _active_before(calendar, until) - _active_before(calendar, since))


def instant_after(calendar: Calendar, since: int, active_s: int) -> int | None:
    """Give the first instant by which `active_s` open seconds have passed since `since`; None if never.

    That instant may be the one at which the calendar closes.
    """
    if active_s <= 0:
        return since
    table = _table(calendar)
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
    index = bisect_right(table.opens, at) - 1
    if index < 0:
        return 0
    return table.sums[index] + min(at, table.closes[index]) - table.opens[index]


def _window_spans(window: Window, start: int, until: int, device_zone: str) -> Spans:
    opens, closes = _window_instants(window, start, until, device_zone)
    kept = opens < closes
    return _union([(opens[kept], closes[kept])])


def _window_instants(window: Window, start: int, until: int, device_zone: str) -> Spans:
    """Give when a window opens and closes on each of its days, in order; both are equal where it is skipped."""
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
    """Give the first instant at which a clock shows a local time (seconds since its 1970) or a later one."""
    since, upto, offset = np.array(pieces, dtype=np.int64).T
    shown_before = np.maximum.accumulate(upto + offset)
    at = np.minimum(np.searchsorted(shown_before, local, side="right"), len(since) - 1)
    return np.asarray(np.maximum(since[at], local - offset[at]))


def _freeze_spans(freeze: Freeze, start: int, until: int, device_zone: str) -> Spans:
    zone = device_zone if freeze.zone == DEVICE_ZONE else freeze.zone
    if freeze.rrule:
        firsts = np.array([_day(one) for one in occurrences(freeze, start, until, zone)], dtype=np.int64)
        days = (firsts[:, None] + np.arange(freeze.days)).ravel()
    else:
        days = np.arange(_day(freeze.first), _day(freeze.last) + 1, dtype=np.int64)
    length_min = freeze.to_min - freeze.from_min
    begins = days * DAY_S + freeze.from_min * 60
    ends = begins + (length_min if length_min > 0 else length_min + 1440) * 60
    return _instants((begins, ends), zone, start, until)


def occurrences(freeze: Freeze, start: int, until: int, zone: str) -> list[dt.date]:
    """Give the days on which the rule of a freeze begins one that may touch [start, until).

    zone : whose clock the rule goes by. An UNTIL in UTC (`…Z`) is an instant, as calendars write it.
    """
    from dateutil.rrule import rrulestr

    first = dt.datetime.combine(freeze.first, dt.time())
    rule = rrulestr(_with_local_until(freeze.rrule, zone), dtstart=first)
    after = dt.datetime.fromtimestamp(start - _MARGIN_S - freeze.days * DAY_S, dt.UTC).replace(tzinfo=None)
    before = dt.datetime.fromtimestamp(until + _MARGIN_S, dt.UTC).replace(tzinfo=None)
    # A rule that never occurs is followed to the year 9999. The calendar repeats itself every 400 years, weekdays
    # too, so the same rule is followed as late as possible. (Easter does not repeat so soon.)
    later = 0 if rule._byeaster else (_LAST_YEAR - max(before, first).year) // _CYCLE_YEARS * _CYCLE_YEARS
    moved = rule.replace(dtstart=_years_on(first, later))
    if rule._until:
        moved = moved.replace(until=_years_on(min(rule._until, before), later))
    found = moved.between(_years_on(after, later), _years_on(before, later), inc=True)
    return [_years_on(one, -later).date() for one in found]


def _years_on(at: dt.datetime, years: int) -> dt.datetime:
    """Move by whole cycles of the calendar, in which 29 February stays."""
    return at.replace(year=at.year + years)


def _with_local_until(rrule: str, zone: str) -> str:
    """Write a rule's UNTIL on the clock of `zone`: the occurrences that it ends are on that clock, too."""

    def local(found: re.Match[str]) -> str:
        instant = dt.datetime.strptime(found[1].upper(), "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
        if (
            not 1 < instant.year < 9999
        ):  # calendars write 9999 for "for ever": no zone has an instant beyond it
            return f"UNTIL={instant:%Y%m%dT%H%M%S}"
        return f"UNTIL={instant.astimezone(ZoneInfo(zone)):%Y%m%dT%H%M%S}"

    return _UNTIL_UTC.sub(local, rrule)


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
