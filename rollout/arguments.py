"""Checks of what a script passes to the public functions: `UsageError` names the argument and what was expected."""

from __future__ import annotations

import math

from rollout.errors import UsageError
from rollout.text import ALLOWED, is_plain

LATEST_INSTANT = 4_102_444_800
"""2100-01-01 in Unix seconds: calendars and time zones are known until then."""


def require_plain(name: str, text: str) -> str:
    """Return a text to be kept. Raise `UsageError` if it could control a terminal or appear in another order."""
    if not is_plain(text):
        raise UsageError(f"{name}: expected {ALLOWED}, found {text[:60]!r}", "write it in one plain line")
    return text


def require_runs(runs: int) -> None:
    """Raise `UsageError` for less than one run."""
    if runs < 1:
        raise UsageError(f"runs: expected at least 1, found {runs}")


def require_seed(seed: int) -> None:
    """Raise `UsageError` for a seed that no draw can start from, or that a database cannot keep."""
    if not 0 <= seed < 2**63:
        raise UsageError(f"seed: expected a whole number from 0 to {2**63 - 1}, found {seed}")


def require_share(name: str, share: float) -> None:
    """Raise `UsageError` for what is not a share from 0 to 1, such as "nan"."""
    if not 0 <= share <= 1:
        raise UsageError(f"{name}: expected a share from 0 to 1, found {share}")


def require_time(name: str, amount: float) -> None:
    """Raise `UsageError` for a length of time that is not above 0 and finite."""
    if not 0 < amount < math.inf:
        raise UsageError(f"{name}: expected a time above 0, found {amount}")


def require_instant(name: str, instant: int) -> int:
    """Return an instant in Unix seconds. Raise `UsageError` if it is before 1970 or after 2099."""
    if not 0 <= instant < LATEST_INSTANT:
        raise UsageError(f"{name}: expected Unix seconds of the years 1970 to 2099, found {instant}")
    return instant
