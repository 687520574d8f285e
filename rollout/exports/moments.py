"""Dates and yes/no values as the exports write them.

A date without a time zone is read as UTC: Intune and Entra export UTC, and Get-CMDevice is off by a few hours at
most, which does not matter to rules with a threshold of 21 days or more.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from rollout.values import UNKNOWN

EXPECTED_DATE = "a date such as 2026-03-04T05:06:07Z"
YEAR_FROM, YEAR_TO = 1981, 2199
"""Years outside this range are placeholders for "never": 0001, 1601, 1970, 1980, 9999."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = datetime(1970, 1, 1)
_JSON = re.compile(r"/Date\((-?\d{1,17})(?:[+-]\d{4})?\)/", re.ASCII)
_LOCAL = re.compile(
    r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})(?:,?\s+(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?(?:\s*([AaPp])\.?[Mm]\.?)?)?",
    re.ASCII,
)
_YEAR_FIRST = re.compile(r"(\d{4})/(\d{1,2})/(\d{1,2})(?:\s+(\d{1,2}):(\d{2})(?::(\d{2}))?)?", re.ASCII)


class DateError(ValueError):
    """A text that is not a date. expected : the form that a date must have."""

    def __init__(self, expected: str = EXPECTED_DATE) -> None:
        super().__init__(expected)
        self.expected = expected


class Dates:
    """Parses a column of dates and remembers the order of day and month.

    Numeric dates such as 03/04/2026 do not show their order. With AM/PM they are read month first, as en-US writes
    them; otherwise a number above 12 in an earlier line must show it. A column that shows both orders is refused
    from the first contradiction on: guessing could be wrong by months.
    """

    def __init__(self, day_first: bool | None = None) -> None:
        self.day_first = day_first
        self._known: dict[str, int] = {}

    def seconds(self, text: str) -> int:
        """Return Unix seconds, -1 for empty text and placeholders. Raise `DateError` for any other text."""
        known = self._known.get(text)
        if known is None:
            known = self._parse(text.strip())
            if len(self._known) < 20_000:  # bounded: a column of distinct times gains nothing
                self._known[text] = known
        return known

    def _parse(self, text: str) -> int:
        if not text or text.casefold() in ("n/a", "null", "none", "never", "-"):
            return UNKNOWN
        if text[4:5] == "-":
            return _iso(text)
        if match := _JSON.fullmatch(text):
            return _clip(int(match[1]) // 1000)
        if match := _YEAR_FIRST.fullmatch(text):
            year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
            return _utc(year, month, day, hour, minute, second)
        if match := _LOCAL.fullmatch(text):
            return self._local(match)
        raise DateError

    def _local(self, match: re.Match[str]) -> int:
        first, mark, second = int(match[1]), match[2], int(match[3])
        half = (match[8] or "").lower()
        day_first = self._order(first, second, dotted=mark == ".", halves=bool(half))
        day, month = (first, second) if day_first else (second, first)
        hour = int(match[5] or 0)
        if half:
            if not 1 <= hour <= 12:
                raise DateError
            hour = hour % 12 + (12 if half == "p" else 0)
        return _utc(int(match[4]), month, day, hour, int(match[6] or 0), int(match[7] or 0))

    def _order(self, first: int, second: int, *, dotted: bool, halves: bool) -> bool:
        """Return whether the day comes first in a numeric date."""
        shows = True if first > 12 else False if second > 12 else None
        if dotted:
            return True
        if shows is None:
            if first == second:
                return True
            if self.day_first is None and halves:
                self.day_first = False
            if self.day_first is None:
                raise DateError("a date whose day and month cannot be confused, such as 2026-03-04")
            return self.day_first
        if self.day_first is None:
            self.day_first = shows
        if self.day_first != shows:
            order = "the day" if self.day_first else "the month"
            raise DateError(f"a date with {order} first, as in earlier lines")
        return shows


def _iso(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise DateError from error
    if not YEAR_FROM <= moment.year <= YEAR_TO:
        return UNKNOWN
    delta = moment - (_EPOCH if moment.tzinfo else _NAIVE_EPOCH)
    return delta.days * 86400 + delta.seconds


def _utc(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int:
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise DateError from error
    return _clip(int((moment - _EPOCH).total_seconds()))


_FROM = int((datetime(YEAR_FROM, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds())
_TO = int((datetime(YEAR_TO + 1, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds())


def _clip(seconds: int) -> int:
    return seconds if _FROM <= seconds < _TO else UNKNOWN


_YES_NO = {
    "true": 1, "yes": 1, "1": 1,
    "false": 0, "no": 0, "0": 0,
    "": UNKNOWN, "n/a": UNKNOWN, "unknown": UNKNOWN, "null": UNKNOWN, "none": UNKNOWN,
}  # fmt: skip


def yes_no(text: str) -> int:
    """Return 1 for True, Yes, 1; 0 for False, No, 0; -1 (unknown) for no value. Raise `ValueError` for others."""
    try:
        return _YES_NO[text.strip().casefold()]
    except KeyError as error:
        raise ValueError("True or False") from error
