"""Durations as people write them: "90s", "5m", "36h", "7d", "1w", and combinations such as "1d12h"."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
EXPECTED = 'a duration such as "90s", "5m", "36h", "7d" or "1d12h"'
MAX_S = 3650 * UNITS_S["d"]
"""The longest duration: a rollout is planned for two years at most, and no sum with a date may overflow."""
_LONGEST_TEXT = 64
FIRST_DAY = dt.date(1990, 1, 1)
LAST_DAY = dt.date(2199, 12, 31)
"""Dates beyond these are typing errors; within them every sum of a date and a duration is a date."""

_PIECE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")


def parse_duration(text: str) -> int:
    """Return the seconds of a duration; fractions are allowed if they amount to whole seconds.

    Raise a `ValueError` that names what was expected and found.
    """
    if len(text) > _LONGEST_TEXT:
        raise ValueError(f"expected {EXPECTED}, found {len(text)} characters")
    squeezed = text.strip().lower()
    pieces = _PIECE.findall(squeezed)
    rest = _PIECE.sub("", squeezed).strip()
    if not pieces or rest or len({unit for _, unit in pieces}) < len(pieces):
        raise ValueError(f"expected {EXPECTED}, found {text!r}")
    seconds = sum(Decimal(number) * UNITS_S[unit] for number, unit in pieces)
    if seconds > MAX_S:
        raise ValueError(f"expected a duration of at most {MAX_S // UNITS_S['d']} days, found {text!r}")
    if seconds != int(seconds):
        raise ValueError(f"expected a duration of whole seconds, found {text!r}")
    return int(seconds)


def format_duration(seconds: int) -> str:
    """Return seconds as text that `parse_duration` reads: the largest units first, such as "1d12h"."""
    if seconds < 0:
        raise ValueError(f"expected a duration of at least 0 s, found {seconds}")
    out = []
    for unit in ("d", "h", "m", "s"):
        count, seconds = divmod(seconds, UNITS_S[unit])
        if count:
            out.append(f"{count}{unit}")
    return "".join(out) or "0s"
