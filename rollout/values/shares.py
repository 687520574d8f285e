"""Shares and percentages, compared exactly: 1.1 % is 11 in 1,000, not the nearest binary fraction.

TOML reads a percentage as a binary float. The shortest decimal that represents it is what a person wrote, and all
comparisons and products use that decimal, in whole numbers.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Final

WHOLE: Final = 1_000_000_000
"""The share 1: shares are whole numbers in parts of WHOLE, so that sums, floors and comparisons are exact."""


@lru_cache(maxsize=4096)
def parts_of_share(share: float) -> int:
    """Return a share of 0 to 1 in parts of WHOLE, exactly as it is written.

    Raise a `ValueError` for more than nine decimals.
    """
    parts = Decimal(str(share)) * WHOLE
    if not 0 <= parts <= WHOLE or parts != int(parts):
        raise ValueError(f"expected a share from 0 to 1 with at most nine decimals, found {share}")
    return int(parts)


@lru_cache(maxsize=4096)
def parts_of_percent(percent: float) -> int:
    """Return 0 to 100 percent in parts of WHOLE, exactly as it is written.

    Raise a `ValueError` for more than seven decimals.
    """
    parts = Decimal(str(percent)) * (WHOLE // 100)
    if not 0 <= parts <= WHOLE or parts != int(parts):
        raise ValueError(f"expected a percentage from 0 to 100 with at most seven decimals, found {percent}")
    return int(parts)


def share_of(percent: float) -> float:
    """Return a percentage as a share of 1, however fine: 0.007 for 0.7 (0.7 / 100 is slightly less)."""
    return float(Fraction(str(percent)) / 100)


def ceil_of(size: int, share: float) -> int:
    """Return a share of `size`, exactly as it is written, rounded up to a whole number."""
    return math.ceil(Fraction(str(share)) * size)


def part_of(size: int, parts: int) -> int:
    """Return a share (in parts of WHOLE) of `size`, rounded up to a whole number."""
    return -(-size * parts // WHOLE)
