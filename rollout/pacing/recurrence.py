"""Recurrence rules of whole days: the RRULE of RFC 5545, section 3.3.10, read strictly and at a bounded cost.

The library that finds the days accepts almost any text, and looks for a day that never occurs until the year 9999.
So a rule is checked here before it gets there, and it is looked up as late in those years as the calendar repeats:
the days and weekdays of 400 years are those of the next 400. Rules of hours, minutes or seconds are refused.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY")
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
EARLIEST = dt.date(1900, 1, 1)
"""A rule starts on this day at the earliest; where none is written, it started then."""

_CYCLE = 400  # years after which the Gregorian calendar repeats, weekdays included
_LIMIT = 1_000_000  # for INTERVAL and COUNT; there are not that many days in question
_NUMBERS = {  # the largest number of each part, and whether numbers may count from the end
    "BYMONTH": (12, False),
    "BYMONTHDAY": (31, True),
    "BYYEARDAY": (366, True),
    "BYWEEKNO": (53, True),
    "BYSETPOS": (366, True),
}
_OF_HOURS = ("BYHOUR", "BYMINUTE", "BYSECOND")
_KNOWN = ("FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", *_NUMBERS, "WKST")
_BY_DAY = re.compile(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)")
_UNTIL = re.compile(r"([0-9]{8})(?:(T[0-9]{6})(Z?))?")


def parse_rule(text: str) -> dict[str, str]:
    """Split a rule into its parts and check them; a name before it ("RRULE:") is dropped.

    Raise a `ValueError` that says what was expected.
    """
    parts = _parts(text)
    if parts.get("FREQ") not in FREQUENCIES:
        raise ValueError("a rule of days, such as FREQ=MONTHLY;BYDAY=2TU")
    if set(_OF_HOURS) & parts.keys():
        raise ValueError('a rule of days; write the hours as hours = "12:00-14:00"')
    for name in ("INTERVAL", "COUNT"):
        if name in parts:
            _check_number(name, parts[name], 1, _LIMIT)
    for name in _NUMBERS.keys() & parts.keys():
        _check_numbers(name, parts[name])
    if parts.get("WKST", "MO") not in WEEKDAYS:
        raise ValueError("WKST in the rule to be a weekday such as MO")
    if "BYDAY" in parts:
        _check_weekdays(parts)
    if "UNTIL" in parts:
        last_day(parts["UNTIL"], "UTC")
    _check_together(parts)
    return parts


def needs_first(parts: Mapping[str, str]) -> bool:
    """Return whether the days of a rule depend on the day on which it begins."""
    if parts.keys() & {"INTERVAL", "COUNT"}:
        return True
    return parts["FREQ"] != "DAILY" and not parts.keys() & {"BYDAY", "BYMONTHDAY", "BYYEARDAY"}


def rule_days(
    text: str, first: dt.date, begin: dt.date, end: dt.date, zone: str = "UTC", from_min: int = 0
) -> tuple[dt.date, ...]:
    """Return the days from `begin` to `end`, both included, on which a rule that starts on `first` occurs.

    zone : the rule follows its clock. An UNTIL in UTC (`…Z`) is an instant, as calendars write it.
    from_min : the minute of the day at which the rule occurs; what an UNTIL with a time of day is compared with.
    """
    parts = parse_rule(text)
    until = last_day(parts.pop("UNTIL"), zone, from_min) if "UNTIL" in parts else end
    if not needs_first(parts):  # as if it started a year before: nothing is counted from its start
        first = max(first, dt.date(max(dt.MINYEAR, begin.year - 1), 1, 1))
    return _days(_text(parts), first, begin, min(until, end))


def ever_occurs(parts: Mapping[str, str], first: dt.date) -> bool:
    """Return whether a rule has any day within 400 years from `first` on, its UNTIL aside."""
    rule = _text({name: value for name, value in parts.items() if name != "UNTIL"})
    return next(iter(_library_rule(rule, _later(first, _shift(first)))), None) is not None


def last_day(until: str, zone: str, from_min: int = 0) -> dt.date:
    """Return the last day on which an occurrence at `from_min` on the clock of `zone` is not after UNTIL.

    Raise a `ValueError` if it is neither a date nor a time.
    """
    found = _UNTIL.fullmatch(until)
    try:
        if found and not found[2]:
            return dt.datetime.strptime(found[1], "%Y%m%d").date()
        local = dt.datetime.strptime(until.removesuffix("Z"), "%Y%m%dT%H%M%S") if found else dt.datetime.min
    except ValueError:
        found = None
    if found and local.year == dt.MAXYEAR:
        return dt.date(dt.MAXYEAR, 12, 30)  # calendars write this year for "for ever"; no zone goes beyond it
    if not found or not EARLIEST.year <= local.year < dt.MAXYEAR:
        raise ValueError("UNTIL in the rule to be a date (20261224) or a time (20261224T225959Z)")
    if found[3]:
        local = local.replace(tzinfo=dt.UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    is_reached = 60 * local.hour + local.minute >= from_min
    return local.date() if is_reached else local.date() - dt.timedelta(days=1)


def _parts(text: str) -> dict[str, str]:
    whole = text.strip().upper()
    if "DTSTART" in whole:
        raise ValueError(
            "the rule alone, such as FREQ=MONTHLY;BYDAY=2TU; write its DTSTART as from = 2026-12-24"
        )
    if re.search("EXDATE|RDATE|EXRULE", whole):
        raise ValueError(
            "the rule alone, such as FREQ=MONTHLY;BYDAY=2TU; EXDATE, RDATE and EXRULE are not read"
        )
    pieces = [part.partition("=") for part in whole.removeprefix("RRULE:").rstrip(";").split(";")]
    names = [name for name, _, _ in pieces]
    strange = [name for name in names if name not in (*_KNOWN, *_OF_HOURS)]
    if strange:
        raise ValueError(f"an RFC 5545 recurrence rule of {', '.join(_KNOWN)} (not '{strange[0][:20]}')")
    if len(set(names)) < len(names):
        raise ValueError("a recurrence rule that has each part once")
    return {name: value for name, _, value in pieces}


def _check_number(name: str, text: str, low: int, high: int) -> None:
    if not re.fullmatch(r"[+-]?[0-9]{1,7}", text) or not low <= int(text) <= high:
        raise ValueError(f"{name} in the rule to be a whole number from {low} to {high}")


def _check_numbers(name: str, text: str) -> None:
    high, is_from_end = _NUMBERS[name]
    for word in text.split(","):
        _check_number(name, word.removeprefix("-") if is_from_end else word, 1, high)


def _check_weekdays(parts: Mapping[str, str]) -> None:
    found = [_BY_DAY.fullmatch(day) for day in parts["BYDAY"].split(",")]
    high = 53 if parts["FREQ"] == "YEARLY" else 5
    if not all(match and (not match[1] or 1 <= abs(int(match[1])) <= high) for match in found):
        raise ValueError("BYDAY in the rule to be weekdays such as MO,FR, or 2TU for the second Tuesday")
    is_counted = any(match and match[1] for match in found)
    if is_counted and (parts["FREQ"] not in ("YEARLY", "MONTHLY") or "BYWEEKNO" in parts):
        raise ValueError("a weekday with a number, such as 2TU, with FREQ=MONTHLY or FREQ=YEARLY")


def _check_together(parts: Mapping[str, str]) -> None:
    """Refuse what the standard does not allow together, and what a library would read as something else."""
    if {"COUNT", "UNTIL"} <= parts.keys():
        raise ValueError("COUNT or UNTIL in the rule, not both")
    if parts.keys() & {"BYWEEKNO", "BYYEARDAY"} and parts["FREQ"] != "YEARLY":
        raise ValueError("BYWEEKNO and BYYEARDAY with FREQ=YEARLY only")
    if "BYWEEKNO" in parts and "BYDAY" not in parts:
        raise ValueError("BYWEEKNO in the rule with BYDAY")
    if "BYMONTHDAY" in parts and parts["FREQ"] == "WEEKLY":
        raise ValueError("BYMONTHDAY with another FREQ than WEEKLY")
    if "BYSETPOS" in parts and not parts.keys() & (_NUMBERS.keys() - {"BYSETPOS"} | {"BYDAY"}):
        raise ValueError("BYSETPOS in the rule with another BY part")


def _text(parts: Mapping[str, str]) -> str:
    return ";".join(f"{name}={value}" for name, value in parts.items())


@lru_cache(maxsize=4096)
def _days(rule: str, first: dt.date, begin: dt.date, end: dt.date) -> tuple[dt.date, ...]:
    """The days of a rule without UNTIL from `begin` to `end`."""
    if end < max(first, begin):
        return ()
    years = _shift(end)
    found = _library_rule(rule, _later(first, years)).between(
        dt.datetime.combine(_later(begin, years), dt.time()),
        dt.datetime.combine(_later(end, years), dt.time()),
        inc=True,
    )
    return tuple(_later(day.date(), -years) for day in found)


def _shift(end: dt.date) -> int:
    """Return how many years later a rule is looked up, so that few are left after `end`."""
    return (dt.MAXYEAR - end.year) // _CYCLE * _CYCLE


def _later(day: dt.date, years: int) -> dt.date:
    return day.replace(year=day.year + years)


def _library_rule(rule: str, first: dt.date) -> Any:
    return rrulestr(rule, dtstart=dt.datetime.combine(first, dt.time()))
