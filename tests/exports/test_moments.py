"""Dates and flags in the spellings of three consoles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.exports.moments import DateError, Dates, yes_no


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-04T15:06:07Z", "2026-03-04T15:06:07", "2026-03-04 15:06:07", "2026-03-04T15:06:07.1234567Z",
        "2026-03-04T17:06:07+02:00", "2026-03-04T15:06:07.0000000", "03/04/2026 03:06:07 PM", "3/4/2026 3:06:07 PM",
        "04.03.2026 15:06:07", "2026/03/04 15:06:07", "/Date(1772636767000)/", "/Date(1772636767999+0100)/",
    ],
)  # fmt: skip
def test_all_ways_to_write_a_moment_give_it(text: str) -> None:
    """ISO with and without zone, .NET, en-US, German, Japanese and JSON dates are the same second."""
    assert Dates().seconds(text) == 1_772_636_767


@pytest.mark.parametrize(
    "text",
    ["", "  ", "N/A", "0001-01-01T00:00:00", "1970-01-01T00:00:00Z", "1980-01-01T00:00:00Z", "1601-01-01",
     "9999-12-31 23:59:59.0000000", "1/1/0001 12:00:00 AM", "01/01/1980 12:00:00 AM", "/Date(-62135596800000)/"],
)  # fmt: skip
def test_placeholders_are_unknown_times(text: str) -> None:
    """What the systems write for 'never' is unknown, not long ago."""
    assert Dates().seconds(text) == -1


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "2026-13-01",
        "2026-02-30T00:00:00Z",
        "31/31/2026",
        "2026",
        "13:00",
        "02/03/2026 13:00:00 PM",
        "٣/٤/٢٠٢٦",
    ],
)
def test_what_is_no_date_is_refused(text: str) -> None:
    """A text that is no date is never turned into one."""
    with pytest.raises(DateError):
        Dates().seconds(text)


def test_a_date_whose_order_is_not_known_is_refused() -> None:
    """03/04/2026 without AM or PM could be either month: it is refused until a line settles it."""
    dates = Dates()
    with pytest.raises(DateError, match="be confused"):
        dates.seconds("03/04/2026 10:00:00")
    assert dates.seconds("25/04/2026 10:00:00") > 0
    assert dates.seconds("03/04/2026 10:00:00") == Dates().seconds("2026-04-03T10:00:00Z")


def test_a_column_with_both_orders_is_refused() -> None:
    """After a month-first date a day-first one contradicts it; nothing is guessed."""
    dates = Dates()
    dates.seconds("3/4/2026 1:00:00 PM")
    with pytest.raises(DateError, match="the month first"):
        dates.seconds("25/4/2026 1:00:00 PM")


def test_the_order_can_be_said() -> None:
    """With the order given, both readings are possible."""
    assert Dates(True).seconds("03/04/2026") == Dates().seconds("2026-04-03")
    assert Dates(False).seconds("03/04/2026") == Dates().seconds("2026-03-04")


@given(st.integers(min_value=400_000_000, max_value=4_000_000_000))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_iso_dates_come_back(seconds: int) -> None:
    """Every moment survives being written as ISO 8601."""
    assert Dates().seconds(f"{np.datetime64(seconds, 's')}Z") == seconds


@pytest.mark.parametrize(
    ("text", "value"), [("True", 1), ("yes", 1), ("1", 1), ("FALSE", 0), ("No", 0), ("", -1)]
)
def test_flags_in_all_spellings(text: str, value: int) -> None:
    """Booleans of PowerShell, of the portals and of SQL."""
    assert yes_no(text) == value
