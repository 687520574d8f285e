"""Windows and freezes against a walk over every minute with `zoneinfo`, and active time on the result."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_builders import instant

from rollout.pacing import calendar as cal
from rollout.pacing.calendar import Freeze, occurrences, resolve, skipped
from rollout.values import DAY_S, Calendar, Window

ZONES = {  # one day on which the clock goes forward and one on which it goes back, where there are such days
    "Europe/Berlin": ("2027-03-28", "2027-10-31"),
    "America/New_York": ("2027-03-14", "2027-11-07"),
    "Australia/Lord_Howe": ("2027-10-03", "2027-04-04"),  # by half an hour
    "Africa/Casablanca": ("2026-03-22", "2026-02-15"),  # around Ramadan
    "Asia/Kathmandu": ("2027-03-28", "2027-10-31"),  # never; 5:45 ahead
    "America/Sao_Paulo": ("2018-11-04", "2018-02-18"),  # at midnight, so a day begins at 01:00
    "Pacific/Apia": ("2020-09-27", "2021-04-04"),
    "UTC": ("2027-03-28", "2027-10-31"),
}
EVERY_DAY = (0, 1, 2, 3, 4, 5, 6)
SIX = {
    "the whole day": (EVERY_DAY, 0, 0),
    "office hours": ((0, 1, 2, 3, 4), 9 * 60, 17 * 60),
    "over midnight": (EVERY_DAY, 22 * 60, 5 * 60),
    "in the hour that is skipped or repeated": (EVERY_DAY, 2 * 60, 3 * 60),
    "begins within it": (EVERY_DAY, 2 * 60 + 30, 4 * 60),
    "around midnight on Sundays": ((5, 6), 23 * 60 + 30, 60),
}


@dataclass(frozen=True)
class Minutes:
    """What a zone's clock shows at every minute of a span, found by asking for each."""

    at: np.ndarray
    minute: np.ndarray
    ordinal: np.ndarray

    def first_shown(self, ordinal: int, minute: int) -> int:
        """Give the place of the first minute at which the clock shows this time or a later one."""
        late = (self.ordinal > ordinal) | ((self.ordinal == ordinal) & (self.minute >= minute))
        return int(late.argmax()) if late.any() else len(self.at)

    def inside(self, windows: Sequence[Window], freezes: Sequence[Freeze]) -> np.ndarray:
        """Say at each minute whether a release is allowed, straight from the definition."""
        out = np.zeros(len(self.at), dtype=bool) if windows else np.ones(len(self.at), dtype=bool)
        for window in windows:
            for day in range(int(self.ordinal.min()) - 1, int(self.ordinal.max()) + 1):
                if (day - 1) % 7 not in window.days:  # ordinal 1 was a Monday
                    continue
                is_next_day = window.to_min <= window.from_min
                opens = self.first_shown(day, window.from_min)
                if window.lasts_s:
                    if (self.ordinal == day).any() or opens == 0:  # else a day that the zone never had
                        out[opens : opens + window.lasts_s // 60] = True
                    continue
                closes = self.first_shown(day + is_next_day, window.to_min)
                out[opens:closes] = True
        for freeze in freezes:
            first, last = freeze.first.toordinal(), freeze.last.toordinal()
            today = (self.ordinal >= first) & (self.ordinal <= last)
            yesterday = (self.ordinal - 1 >= first) & (self.ordinal - 1 <= last)
            late, early = self.minute >= freeze.from_min, self.minute < freeze.to_min
            is_over_midnight = freeze.to_min <= freeze.from_min
            out &= ~((today & late) | (yesterday & early) if is_over_midnight else today & late & early)
        return out


@cache
def minutes(zone: str, start: int, until: int) -> Minutes:
    at = np.arange(start, until, 60)
    shown = [dt.datetime.fromtimestamp(item, ZoneInfo(zone)) for item in at.tolist()]
    return Minutes(
        at,
        np.array([item.hour * 60 + item.minute for item in shown]),
        np.array([item.toordinal() for item in shown]),
    )


def opened(calendar: Calendar, at: np.ndarray) -> np.ndarray:
    """Say at each minute whether the calendar is open."""
    index = np.searchsorted(calendar.opens, at, side="right") - 1
    return (index >= 0) & (at < calendar.closes[np.maximum(index, 0)]) if len(calendar.opens) else at < 0


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("name", SIX)
def test_windows_are_what_a_wall_clock_shows(zone: str, name: str) -> None:
    """On both days on which the clock changes, every minute is open just when the definition says so."""
    for day in ZONES[zone]:
        start = instant(day) - 2 * DAY_S
        walk = minutes(zone, start, start + 5 * DAY_S)
        window = Window(*SIX[name], zone)
        calendar = resolve([window], [], start, start + 5 * DAY_S)
        np.testing.assert_array_equal(opened(calendar, walk.at), walk.inside([window], []))


def test_the_days_above_are_days_on_which_the_clock_changes() -> None:
    """Else the test above would not look where it hurts."""
    for zone, days in ZONES.items():
        if zone in ("UTC", "Asia/Kathmandu"):
            continue
        for day, sign in zip(days, (1, -1), strict=True):
            noon = instant(day) + 12 * 3600
            before, after = (
                dt.datetime.fromtimestamp(at, ZoneInfo(zone)).utcoffset()
                for at in (noon - 2 * DAY_S, noon + DAY_S)
            )
            assert before is not None
            assert after is not None
            assert (after - before).total_seconds() * sign > 0, (zone, day)


def test_a_skipped_hour_is_skipped_and_a_repeated_one_stays_open() -> None:
    """02:00-03:00 in Berlin: nothing in March; in October until the clock shows 03:00, two hours later."""
    window = Window(EVERY_DAY, 120, 180, "Europe/Berlin")
    march = resolve([window], [], instant("2027-03-28"), instant("2027-03-29"))
    october = resolve([window], [], instant("2027-10-31"), instant("2027-11-01"))
    assert march.opens.tolist() == []
    assert october.opens.tolist() == [instant("2027-10-31T02:00+02:00")]
    assert october.closes.tolist() == [instant("2027-10-31T03:00+01:00")]
    (day,) = skipped([window], instant("2027-03-20"), instant("2027-10-31"), ["UTC"])
    assert str(day).startswith("no window on 2027-03-28")


@pytest.mark.parametrize(
    ("window", "opens", "closes"),
    [
        (Window(EVERY_DAY, 0, 0, "Europe/London"), "2025-10-25T00:00+01:00", "2025-10-28T00:00+00:00"),
        (Window((5,), 22 * 60, 6 * 60, "Europe/Berlin"), "2025-10-25T22:00+02:00", "2025-10-26T06:00+01:00"),
    ],
)
def test_a_window_stays_open_through_the_repeated_hour(window: Window, opens: str, closes: str) -> None:
    """Whole days in London, and a night in Berlin, are one span over the night on which the clock goes back."""
    calendar = resolve([window], [], instant("2025-10-25T00:00+01:00"), instant("2025-10-28T00:00+00:00"))
    assert calendar.opens.tolist() == [instant(opens)]
    assert calendar.closes.tolist() == [instant(closes)]


def test_a_wave_comes_once_each_day() -> None:
    """At 02:00 in Berlin for an hour: at 03:00 where 02:00 is skipped, the first time only where it occurs twice."""
    wave = Window(EVERY_DAY, 120, 120, "Europe/Berlin", lasts_s=3600)
    for day, at in (
        ("2027-03-28", "T03:00+02:00"),
        ("2027-10-31", "T02:00+02:00"),
        ("2027-11-01", "T02:00+01:00"),
    ):
        start = instant(f"{day}T00:00") - 3 * 3600
        calendar = resolve([wave], [], start, start + DAY_S)
        assert calendar.opens.tolist() == [instant(day + at)]
        assert (calendar.closes - calendar.opens).tolist() == [3600]
    lost = Window((4,), 120, 120, "Pacific/Apia", lasts_s=3600)
    assert not len(resolve([lost], [], instant("2011-12-28"), instant("2012-01-02")).opens)


@pytest.mark.parametrize(
    ("zone", "rrule", "first", "day", "is_frozen"),
    [
        ("Europe/Berlin", "FREQ=DAILY;UNTIL=20241130T230000Z", dt.date(2024, 11, 28), "2024-12-01", True),
        ("Asia/Tokyo", "FREQ=DAILY;UNTIL=20241130T230000Z", dt.date(2024, 11, 28), "2024-12-01", True),
        ("America/New_York", "FREQ=DAILY;UNTIL=20241130T230000Z", dt.date(2024, 11, 28), "2024-12-01", False),
        ("Europe/Berlin", "FREQ=DAILY;UNTIL=20241130", dt.date(2024, 11, 28), "2024-11-30", True),
        ("Europe/Berlin", "FREQ=DAILY;UNTIL=20241130", dt.date(2024, 11, 28), "2024-12-01", False),
        ("Europe/Berlin", "FREQ=DAILY;UNTIL=20241130T230000", dt.date(2024, 11, 28), "2024-12-01", False),
        (
            "Europe/Berlin",
            "FREQ=WEEKLY;UNTIL=20261213T230000Z;BYDAY=MO",
            dt.date(2026, 12, 14),
            "2026-12-14",
            True,
        ),
    ],
)
def test_until_in_utc_is_an_instant(zone: str, rrule: str, first: dt.date, day: str, is_frozen: bool) -> None:
    """As Outlook and Google write it: the last local day that it still reaches is frozen."""
    noon = dt.datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=ZoneInfo(zone))
    calendar = resolve(
        [], [Freeze(first, first, zone, rrule=rrule)], int(noon.timestamp()), int(noon.timestamp()) + 60
    )
    assert bool(len(calendar.opens)) is not is_frozen


def test_a_freeze_of_hours() -> None:
    """12:00-14:00 on pay day, the 25th; and a night from 22:00 to 02:00."""
    lunch = Freeze(dt.date(2027, 1, 25), dt.date(2027, 1, 25), "Europe/Berlin", from_min=720, to_min=840)
    night = Freeze(
        dt.date(2027, 1, 1),
        dt.date(2027, 1, 1),
        "Europe/Berlin",
        rrule="FREQ=MONTHLY;BYMONTHDAY=25",
        from_min=1320,
        to_min=120,
    )
    start = instant("2027-01-25T00:00+01:00")
    calendar = resolve([], [lunch, night], start, start + 2 * DAY_S)
    shut = [
        int(item) - start
        for pair in zip(calendar.closes[:-1], calendar.opens[1:], strict=True)
        for item in pair
    ]
    assert shut == [12 * 3600, 14 * 3600, 22 * 3600, 26 * 3600]
    assert "12:00-14:00" in str(lunch)


def test_a_day_that_a_zone_never_had_has_no_window() -> None:
    """Samoa went from Thursday 29 to Saturday 31 December 2011."""
    window = Window((4,), 0, 0, "Pacific/Apia")
    assert not len(resolve([window], [], instant("2011-12-28"), instant("2012-01-02")).opens)


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_opens() -> None:
    """Friday 22:00-05:00 reaches into Saturday; a start within it is found too."""
    window = Window((4,), 22 * 60, 5 * 60, "UTC")
    calendar = resolve([window], [], instant("2027-01-16T01:00"), instant("2027-01-24"))
    assert calendar.opens.tolist() == [instant("2027-01-16T01:00"), instant("2027-01-22T22:00")]
    assert calendar.closes.tolist() == [instant("2027-01-16T05:00"), instant("2027-01-23T05:00")]


def test_windows_that_touch_or_overlap_are_one() -> None:
    """Twice the same, one within another, and two that meet at 06:00."""
    shapes = [(60, 360), (60, 360), (120, 180), (360, 420)]
    windows = [Window(EVERY_DAY, first, last, "UTC") for first, last in shapes]
    calendar = resolve(windows, [], instant("2027-01-11"), instant("2027-01-12"))
    assert calendar.opens.tolist() == [instant("2027-01-11T01:00")]
    assert calendar.closes.tolist() == [instant("2027-01-11T07:00")]


def test_a_freeze_takes_whole_local_days() -> None:
    """24-26 December in Berlin, while the window goes by New York's clock."""
    freeze = Freeze(dt.date(2026, 12, 24), dt.date(2026, 12, 26), "Europe/Berlin", "Christmas")
    calendar = resolve([], [freeze], instant("2026-12-20"), instant("2026-12-30"))
    assert calendar.closes.tolist() == [instant("2026-12-24T00:00+01:00"), instant("2026-12-30")]
    assert calendar.opens.tolist() == [instant("2026-12-20"), instant("2026-12-27T00:00+01:00")]
    assert str(freeze) == "2026-12-24 to 2026-12-26 Europe/Berlin: Christmas"


def test_a_freeze_by_rule_takes_the_days_of_the_rule() -> None:
    """Patch Tuesday and the day after it, half a year long."""
    freeze = Freeze(dt.date(2027, 1, 1), dt.date(2027, 1, 1), "UTC", rrule="FREQ=MONTHLY;BYDAY=2TU", days=2)
    calendar = resolve([], [freeze], instant("2027-01-01"), instant("2027-07-01"))
    frozen = list(zip(calendar.closes[:-1].tolist(), calendar.opens[1:].tolist(), strict=True))
    tuesdays = ["2027-01-12", "2027-02-09", "2027-03-09", "2027-04-13", "2027-05-11", "2027-06-08"]
    assert frozen == [(instant(day), instant(day) + 2 * DAY_S) for day in tuesdays]


def test_a_rule_that_began_before_the_start_still_counts() -> None:
    """A freeze of ten days that began nine days ago is still there."""
    freeze = Freeze(dt.date(2027, 1, 1), dt.date(2027, 1, 1), "UTC", rrule="FREQ=YEARLY", days=10)
    calendar = resolve([], [freeze], instant("2027-01-10"), instant("2027-01-20"))
    assert calendar.opens.tolist() == [instant("2027-01-11")]


def test_windows_in_the_devices_time_resolve_by_its_zone() -> None:
    """zone = "device" stands for the zone that is asked for."""
    window = Window(EVERY_DAY, 120, 180, "device")
    span = (instant("2027-01-11"), instant("2027-01-12"))
    there = resolve([window], [], *span, "Asia/Kathmandu")
    assert there.opens.tolist() == [instant("2027-01-12T02:00+05:45")]


def test_without_windows_it_is_always_open() -> None:
    """And only until the calendar ends."""
    calendar = resolve([], [], 100, 200)
    assert [cal.is_open(calendar, at) for at in (99, 100, 199, 200)] == [False, True, True, False]


SOME = Calendar(np.array([10, 30, 60]), np.array([20, 50, 70]))


def test_lookups_at_the_edges() -> None:
    """An interval holds its first second and not its last."""
    assert [cal.next_open(SOME, at) for at in (0, 10, 19, 20, 49, 50, 69, 70)] == [
        10,
        10,
        19,
        30,
        49,
        60,
        69,
        None,
    ]
    assert cal.active_between(SOME, 15, 65) == 5 + 20 + 5
    assert cal.active_between(SOME, 65, 15) == 0
    assert [cal.instant_after(SOME, 0, active) for active in (0, 1, 10, 11, 30, 40, 41)] == [
        0,
        11,
        20,
        31,
        50,
        70,
        None,
    ]


def test_an_empty_calendar_never_opens() -> None:
    """All look-ups say so."""
    empty = resolve([Window((0,), 0, 60, "UTC")], [], instant("2027-01-12"), instant("2027-01-13"))
    assert cal.next_open(empty, 0) is None
    assert cal.instant_after(empty, 0, 1) is None
    assert cal.active_between(empty, 0, 2**40) == 0
    assert not cal.is_open(empty, instant("2027-01-12"))


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    """Some sorted, disjoint intervals of seconds."""
    edges = sorted(draw(st.sets(st.integers(0, 300), max_size=20)))
    edges = edges[: len(edges) // 2 * 2]
    return Calendar(np.array(edges[::2], dtype=np.int64), np.array(edges[1::2], dtype=np.int64))


@settings(derandomize=True, max_examples=300, deadline=None)
@given(calendars(), st.integers(-5, 310), st.integers(-5, 310), st.integers(0, 200))
def test_active_time_is_counted_second_by_second(
    calendar: Calendar, since: int, until: int, active: int
) -> None:
    """All look-ups agree with counting single seconds."""
    open_seconds = {
        second
        for first, last in zip(calendar.opens.tolist(), calendar.closes.tolist(), strict=True)
        for second in range(first, last)
    }
    assert cal.active_between(calendar, since, until) == sum(
        since <= second < until for second in open_seconds
    )
    assert cal.is_open(calendar, since) == (since in open_seconds)
    assert cal.next_open(calendar, since) == min(
        (second for second in open_seconds if second >= since), default=None
    )
    later = sorted(second for second in open_seconds if second >= since)
    expected = since if active == 0 else later[active - 1] + 1 if len(later) >= active else None
    assert cal.instant_after(calendar, since, active) == expected


@pytest.mark.slow
def test_ten_thousand_windows_and_freezes_against_the_walk() -> None:
    """Any mixture of windows and freezes of one zone, around the days on which its clock changes."""
    rng = np.random.default_rng(2027)
    spans = [(zone, instant(day) - 3 * DAY_S) for zone, days in ZONES.items() for day in days]
    for _ in range(10_000):
        zone, start = spans[rng.integers(len(spans))]
        walk = minutes(zone, start, start + 7 * DAY_S)
        windows = [_any_window(rng, zone) for _ in range(rng.integers(0, 4))]
        freezes = [_any_freeze(rng, zone, start) for _ in range(rng.integers(0, 3))]
        calendar = resolve(windows, freezes, start, start + 7 * DAY_S)
        expected = walk.inside(windows, freezes)
        np.testing.assert_array_equal(opened(calendar, walk.at), expected, err_msg=f"{windows} {freezes}")
        assert int((calendar.closes - calendar.opens).sum()) == int(expected.sum()) * 60
        assert (calendar.opens[1:] > calendar.closes[:-1]).all()


def changes(zone: str, year: int) -> list[int]:
    """Noons of the days of a year on which a zone's clock is changed, found by asking at each noon."""
    noons = [instant(f"{year}-01-01T12:00") + day * DAY_S for day in range(365)]
    offsets = [dt.datetime.fromtimestamp(at, ZoneInfo(zone)).utcoffset() for at in noons]
    return [
        at
        for at, offset, before in zip(noons[1:], offsets[1:], offsets[:-1], strict=True)
        if offset != before
    ]


def compare_with_the_walk(trials: int, seed: int) -> int:
    """Any windows or waves and freezes, by any zone's clock in any year; give how many were around a change."""
    rng = np.random.default_rng(seed)
    zones = sorted(available_timezones() - {"Factory", "localtime"})
    around = 0
    for _ in range(trials):
        zone, year = str(rng.choice(zones)), int(rng.integers(1975, 2038))
        noons = changes(zone, year)
        around += bool(noons)
        start = int(rng.choice(noons or [instant(f"{year}-07-01T12:00")])) - int(rng.integers(2, 5)) * DAY_S
        walk = minutes(zone, start, start + 7 * DAY_S)
        is_wave = rng.random() < 0.3
        windows = [_any_wave(rng, zone)] if is_wave else [_any_window(rng, zone) for _ in range(2)]
        freezes = [] if is_wave else [_any_freeze(rng, zone, start), _any_hours(rng, zone, start)]
        # What began before the walk cannot be seen in it: both are compared from its third day on.
        calendar = resolve(windows, freezes, start + 2 * DAY_S, start + 7 * DAY_S)
        seen = walk.at >= start + 2 * DAY_S
        expected = walk.inside(windows, freezes) & seen
        np.testing.assert_array_equal(
            opened(calendar, walk.at), expected, err_msg=f"{windows} {freezes} {start}"
        )
    return around


def test_any_zone_in_any_year_against_the_walk() -> None:
    """Half an hour, a quarter of a day, a whole day; twice a year or by decree: every minute as defined."""
    assert compare_with_the_walk(60, 16) > 20


@pytest.mark.slow
def test_many_zones_and_years_against_the_walk() -> None:
    """The same for 1,500 of them."""
    assert compare_with_the_walk(1_500, 1975) > 500


def _any_wave(rng: np.random.Generator, zone: str) -> Window:
    window = _any_window(rng, zone)
    return Window(window.days, window.from_min, window.from_min, zone, int(rng.choice([300, 3600, 4 * 3600])))


def _any_hours(rng: np.random.Generator, zone: str, start: int) -> Freeze:
    days = _any_freeze(rng, zone, start)
    first, last = (
        int(item) for item in rng.choice([0, 30, 90, 120, 150, 720, 840, 1410, 1440], 2, replace=False)
    )
    return Freeze(days.first, days.last, zone, from_min=first % 1440, to_min=last)


def _any_window(rng: np.random.Generator, zone: str) -> Window:
    days = tuple(np.flatnonzero(rng.random(7) < 0.6).tolist()) or (0,)
    first, last = (
        int(item) for item in rng.choice([0, 30, 60, 90, 120, 150, 180, 210, 480, 1020, 1380, 1410], 2)
    )
    return Window(days, first, last, zone)


def _any_freeze(rng: np.random.Generator, zone: str, start: int) -> Freeze:
    first = dt.date(1970, 1, 1) + dt.timedelta(days=start // DAY_S + int(rng.integers(-1, 7)))
    return Freeze(first, first + dt.timedelta(days=int(rng.integers(0, 3))), zone)


def test_a_whole_day_is_written_as_people_write_it() -> None:
    """Not 00:00-00:00."""
    assert str(Window((0, 6), 0, 0, "Europe/London")) == "Mon Sun 00:00-24:00 Europe/London"


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Europe/Berlin", "America/Los_Angeles"])
def test_a_rule_until_the_end_of_time_is_followed(zone: str) -> None:
    """Calendars write the year 9999 for a rule without end; no zone has that instant."""
    start = 1_796_000_000
    for until in ("99991231T235959Z", "99991231T235959", "99991231"):
        freeze = Freeze(
            dt.date(2026, 1, 1), dt.date(2026, 1, 1), zone, rrule=f"FREQ=WEEKLY;BYDAY=MO;UNTIL={until}"
        )
        assert len(occurrences(freeze, start, start + 70 * 86400, zone)) in (10, 11)
