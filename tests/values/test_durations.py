"""Durations as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.values.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("5m", 300),
        ("36h", 129_600),
        ("7d", 604_800),
        ("1w", 604_800),
        ("1d12h", 129_600),
        ("1.5h", 5400),
    ],
)
def test_units(text: str, seconds: int) -> None:
    """Every unit, combinations and fractions."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "h", "5 y", "-5m", "5m5m", "soon", "0.5s", "1h-"])
def test_nonsense_is_refused(text: str) -> None:
    """The message says what was expected and what was found."""
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(text)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.integers(0, 10**8))
def test_writing_and_reading_agree(seconds: int) -> None:
    """A duration that was written is read back."""
    assert parse_duration(format_duration(seconds)) == seconds


def test_no_negative_duration() -> None:
    """A negative duration is the caller's mistake."""
    with pytest.raises(ValueError, match="at least 0"):
        format_duration(-1)
