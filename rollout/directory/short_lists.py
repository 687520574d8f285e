"""When an answer lacks so many rows that are known that it cannot be true."""

from __future__ import annotations

import numpy as np

from rollout.text import instant
from rollout.values import IntArray

MISSING_MAX = 10
"""This many known rows may be missing from a list at once, whatever the size of the fleet."""

MISSING_SHARE = 20
"""One row in so many may be missing from a large list at once."""

PROBES = 200
"""The most rows of a list that are read one by one to confirm what a list shows of more."""


class ShortListError(Exception):
    """A directory answered with success and with a list that cannot be true. sentence : why, for people."""

    def __init__(self, who: str, missing: int, known: int, what: str, since: int) -> None:
        super().__init__()
        self.sentence = sentence(who, missing, known, what, since)


def may_be_missing(known: int) -> int:
    """Return how many of `known` rows may be missing at once: 10 or 5 %; of few rows half of them, at least 2."""
    return min(max(MISSING_MAX, known // MISSING_SHARE), max(2, known // 2))


def is_short(missing: int, known: int) -> bool:
    """Return whether a list lacks so many of the `known` rows that it is incomplete rather than true."""
    return missing > may_be_missing(known)


def sentence(who: str, missing: int, known: int, what: str, since: int) -> str:
    """Return why a list is not believed.

    who : the service. what : what the devices were, such as "enrolled". since : Unix seconds of the last good
    observation, -1 if it is not known.
    """
    when = f" at {instant(since)}" if since >= 0 else " before"
    return (
        f"{who} lists {known - missing} of the {known} devices that were {what}{when}: the list is incomplete"
    )


def probes(rows: IntArray) -> IntArray:
    """Return up to PROBES of `rows`, evenly spread."""
    if len(rows) <= PROBES:
        return rows
    return np.asarray(rows[np.linspace(0, len(rows) - 1, PROBES).astype(np.int64)], dtype=np.int32)
