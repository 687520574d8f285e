"""Recurrence rules against a walk over every day that knows only RFC 5545, section 3.3.10."""

from __future__ import annotations

import datetime as dt
import random
import time
from calendar import monthrange
from zoneinfo import ZoneInfo

import pytest

from rollout.errors import UsageError
from rollout.pacing.calendar import Freeze, resolve
from rollout.pacing.recurrence import EARLIEST, ever_occurs, parse_rule, rule_days
from rollout.policy import load_policy
from rollout.values import DAY_S

DAY = dt.timedelta(days=1)
NAMES = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


def walked(rule: dict[str, str], first: dt.date, end: dt.date) -> list[dt.date]:
    """Ask for each day from `first` on whether the rule means it; UNTIL is a date here."""
    out = []
    day = first
    while day <= end and len(out) < int(rule.get("COUNT", "1000000")):
        if "UNTIL" in rule and f"{day:%Y%m%d}" > rule["UNTIL"]:
            break
        if periods(rule["FREQ"], first, day) % int(rule.get("INTERVAL", "1")) == 0 and means(
            rule, first, day
        ):
            out.append(day)
        day += DAY
    return out


def periods(frequency: str, first: dt.date, day: dt.date) -> int:
    """Days, weeks from Monday, months or years since the first."""
    if frequency == "DAILY":
        return (day - first).days
    if frequency == "WEEKLY":
        return ((day - day.weekday() * DAY) - (first - first.weekday() * DAY)).days // 7
    return (day.year - first.year) * (12 if frequency == "MONTHLY" else 1) + (
        day.month - first.month if frequency == "MONTHLY" else 0
    )


def means(rule: dict[str, str], first: dt.date, day: dt.date) -> bool:
    length = monthrange(day.year, day.month)[1]
    if "BYMONTH" in rule and str(day.month) not in rule["BYMONTH"].split(","):
        return False
    if "BYMONTHDAY" in rule and not {str(day.day), str(day.day - length - 1)} & set(
        rule["BYMONTHDAY"].split(",")
    ):
        return False
    if "BYDAY" in rule:
        return any(is_weekday(rule, part, day, length) for part in rule["BYDAY"].split(","))
    if "BYMONTHDAY" in rule or rule["FREQ"] == "DAILY":
        return True
    if rule["FREQ"] == "WEEKLY":
        return day.weekday() == first.weekday()
    is_month = rule["FREQ"] == "MONTHLY" or "BYMONTH" in rule or day.month == first.month
    return day.day == first.day and is_month


def is_weekday(rule: dict[str, str], text: str, day: dt.date, length: int) -> bool:
    if NAMES[day.weekday()] != text[-2:]:
        return False
    if len(text) == 2:
        return True
    if rule["FREQ"] == "MONTHLY" or "BYMONTH" in rule:
        place, left = day.day, length - day.day
    else:
        place, left = day.timetuple().tm_yday, (dt.date(day.year, 12, 31) - day).days
    return int(text[:-2]) in ((place - 1) // 7 + 1, -(left // 7) - 1)


def any_rule(rng: random.Random) -> dict[str, str]:
    rule = {"FREQ": rng.choice(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"])}
    if rng.random() < 0.4:
        rule["INTERVAL"] = str(rng.choice([1, 2, 3, 5]))
    if rng.random() < 0.3:
        rule["COUNT"] = str(rng.randint(1, 30))
    elif rng.random() < 0.4:
        rule["UNTIL"] = f"{dt.date(2025, 1, 1) + rng.randint(0, 1500) * DAY:%Y%m%d}"
    if rng.random() < 0.4:
        rule["BYMONTH"] = ",".join(str(item) for item in sorted(rng.sample(range(1, 13), 3)))
    if rule["FREQ"] != "WEEKLY" and rng.random() < 0.4:
        rule["BYMONTHDAY"] = rng.choice(["1", "25", "-1", "13,-3", "29,30,31", "1,2,3,4,5,6,7"])
    if rng.random() < 0.5:
        counted = rule["FREQ"] in ("MONTHLY", "YEARLY") and rng.random() < 0.6
        numbers = ["2", "-1", "5", "+1"] if counted else [""]
        rule["BYDAY"] = ",".join(rng.choice(numbers) + item for item in rng.sample(NAMES, rng.randint(1, 3)))
    return rule


def test_rules_mean_what_the_standard_says() -> None:
    """500 rules with INTERVAL, COUNT, UNTIL, months, days and weekdays with and without numbers."""
    rng = random.Random(5545)
    for _ in range(500):
        rule = any_rule(rng)
        text = ";".join(f"{name}={value}" for name, value in rule.items())
        first = dt.date(2024, 1, 1) + rng.randint(0, 900) * DAY
        begin = first + rng.randint(-400, 400) * DAY
        end = begin + rng.randint(0, 800) * DAY
        expected = [day for day in walked(rule, first, end) if day >= begin]
        assert list(rule_days(text, first, begin, end)) == expected, (text, first, begin, end)


def test_the_last_of_a_rule_of_positions_and_weeks() -> None:
    """The last working day of each month; the Monday of week 1, which lies in the year before."""
    last = rule_days(
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", EARLIEST, dt.date(2027, 1, 1), dt.date(2027, 3, 31)
    )
    assert [str(item) for item in last] == ["2027-01-29", "2027-02-26", "2027-03-31"]
    week = rule_days("FREQ=YEARLY;BYWEEKNO=1;BYDAY=MO", EARLIEST, dt.date(2024, 12, 1), dt.date(2025, 2, 1))
    assert [str(item) for item in week] == ["2024-12-30"]


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "Asia/Tokyo", "America/New_York", "Pacific/Apia", "America/Sao_Paulo"]
)
@pytest.mark.parametrize("hours", [(0, 1440), (12 * 60, 14 * 60), (22 * 60, 2 * 60)])
def test_until_in_utc_is_the_instant_of_the_last_occurrence(zone: str, hours: tuple[int, int]) -> None:
    """As Outlook and Google write it: the start of the last one, in UTC. A second less, and it is not there."""
    for day in (dt.date(2018, 11, 4), dt.date(2024, 3, 10), dt.date(2024, 12, 1), dt.date(2024, 10, 27)):
        local = dt.datetime.combine(day, dt.time(hours[0] // 60), ZoneInfo(zone))
        at = dt.datetime.fromtimestamp(local.timestamp(), dt.UTC)
        first = day - 5 * DAY
        for until, last in ((at, day), (at - dt.timedelta(seconds=1), day - DAY)):
            rule = f"FREQ=DAILY;UNTIL={until:%Y%m%dT%H%M%SZ}"
            assert rule_days(rule, first, first, day + 9 * DAY, zone, hours[0])[-1] == last, (zone, until)


@pytest.mark.parametrize(
    ("until", "last"),
    [("20241130", 30), ("20241130T000000", 30), ("20241130T115900", 29), ("20241130T120000", 30)],
)
def test_until_as_a_date_and_as_local_time(until: str, last: int) -> None:
    """A date holds all of its day; a local time is compared with the time of the occurrence, here noon."""
    noon = 12 * 60 if until != "20241130T000000" else 0
    days = rule_days(
        f"FREQ=DAILY;UNTIL={until}",
        dt.date(2024, 11, 28),
        dt.date(2024, 11, 1),
        dt.date(2024, 12, 31),
        from_min=noon,
    )
    assert days[-1] == dt.date(2024, 11, last)


def freezes(rrule: str, **more: object) -> Freeze:
    policy = load_policy({"name": "x", "freezes": [{"rrule": rrule, **more}]}, "x.toml")
    return policy.freezes[0].freezes("Europe/Berlin")[0]


@pytest.mark.parametrize(
    "text", ["RRULE:FREQ=MONTHLY;BYDAY=2TU", "rrule:freq=monthly;byday=2tu;", " FREQ=MONTHLY;BYDAY=+2TU\n"]
)
def test_a_rule_pasted_from_a_calendar(text: str) -> None:
    """With its name, in small letters, with a last semicolon or line break."""
    freeze = freezes(text)
    days = rule_days(freeze.rrule, freeze.first, dt.date(2027, 1, 1), dt.date(2027, 2, 28))
    assert [str(day) for day in days] == ["2027-01-12", "2027-02-09"]


def test_a_freeze_over_new_year_that_began_last_year() -> None:
    """24 December for 14 days, written without a year, freezes 2 January of a plan that starts then."""
    freeze = freezes("FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=24", days=14)
    start = int(dt.datetime(2027, 1, 2, tzinfo=ZoneInfo("Europe/Berlin")).timestamp())
    calendar = resolve([], [freeze], start, start + 30 * DAY_S)
    assert calendar.opens.tolist() == [start + 5 * DAY_S]
    assert str(freeze) == "FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=24, 14 days each Europe/Berlin"


REFUSED = {
    "FREQ=DAILY;INTERVAL=0": "INTERVAL in the rule to be a whole number from 1",
    "FREQ=DAILY;INTERVAL=-1": "INTERVAL in the rule to be a whole number from 1",
    "FREQ=DAILY;INTERVAL=" + "9" * 6000: "INTERVAL in the rule to be a whole number from 1",
    "FREQ=DAILY;COUNT=0": "COUNT in the rule to be a whole number from 1",
    "FREQ=DAILY;COUNT=3;UNTIL=20261224": "COUNT or UNTIL",
    "FREQ=DAILY;UNTIL=2024": "UNTIL in the rule to be a date",
    "FREQ=DAILY;UNTIL=20241341": "UNTIL in the rule to be a date",
    "FREQ=DAILY;UNTIL=20241130Z": "UNTIL in the rule to be a date",
    "FREQ=DAILY;UNTIL=tomorrow": "UNTIL in the rule to be a date",
    "FREQ=WEEKLY;BYDAY=2TU": "a weekday with a number",
    "FREQ=MONTHLY;BYDAY=6TU": "BYDAY in the rule to be weekdays",
    "FREQ=WEEKLY;BYDAY=": "BYDAY in the rule to be weekdays",
    "FREQ=MONTHLY;BYMONTHDAY=0": "BYMONTHDAY in the rule to be a whole number from 1",
    "FREQ=MONTHLY;BYMONTHDAY=32": "BYMONTHDAY in the rule to be a whole number from 1",
    "FREQ=YEARLY;BYMONTH=-1;BYMONTHDAY=1": "BYMONTH in the rule to be a whole number from 1",
    "FREQ=DAILY;BYEASTER=0": "not 'BYEASTER'",
    "FREQ=DAILY;FREQ=SECONDLY": "each part once",
    "FREQ=SECONDLY": "a rule of days",
    "FREQ=DAILY;BYSECOND=1": 'hours = "12:00-14:00"',
    "FREQ=WEEKLY;WKST=XX;BYDAY=MO": "WKST in the rule",
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30": "a rule that occurs at least once",
    "FREQ=MONTHLY;BYDAY=5MO;BYMONTHDAY=1": "a rule that occurs at least once",
    "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=6": "a rule that occurs at least once",
    "FREQ=WEEKLY": "expected 'from' (a date)",
    "FREQ=YEARLY;BYMONTH=12": "expected 'from' (a date)",
    "DTSTART;TZID=Europe/Berlin:20241128T000000\nRRULE:FREQ=DAILY": "write its DTSTART as from = 2026-12-24",
    "FREQ=DAILY\nEXDATE:20241225": "EXDATE, RDATE and EXRULE are not read",
    "every Tuesday": "an RFC 5545 recurrence rule",
    "": "one of 'on' (dates)",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_rule_of_days_is_refused_in_a_line(text: str) -> None:
    with pytest.raises(UsageError) as error:
        freezes(text)
    assert REFUSED[text] in error.value.message
    assert "\n" not in error.value.message
    assert len(error.value.message) < 400


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"from": dt.date(1, 1, 1)}, "a date from 1990-01-01 to 2199-12-31"),
        ({"from": dt.date(9999, 12, 31)}, "a date from 1990-01-01 to 2199-12-31"),
        ({"from": dt.date(2024, 12, 25)}, "UNTIL in the rule not before 'from'"),
    ],
)
def test_a_rule_starts_within_reason(more: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        freezes("FREQ=DAILY;UNTIL=20241201", **more)


@pytest.mark.parametrize("until", ["99991231T235959Z", "99991231", "99991231T000000"])
def test_a_rule_until_the_last_year_has_no_end(until: str) -> None:
    """As some calendars write "for ever"."""
    freeze = freezes(f"FREQ=DAILY;UNTIL={until}")
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        assert (
            len(rule_days(freeze.rrule, freeze.first, dt.date(2027, 1, 1), dt.date(2027, 12, 31), zone))
            == 365
        )


def test_the_cost_of_a_rule_is_bounded() -> None:
    """A daily rule for a day that never comes: a twentieth of what looking until the year 9999 costs, 15 s."""
    begun = time.process_time()
    assert not ever_occurs(parse_rule("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"), EARLIEST)
    assert len(rule_days("FREQ=DAILY;INTERVAL=1", EARLIEST, dt.date(2027, 1, 1), dt.date(2029, 1, 1))) == 732
    assert time.process_time() - begun < 8
