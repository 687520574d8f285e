"""What is known of each device, as a function of the recorded facts alone: a restart rebuilds exactly the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rollout.values import BoolArray, Fact, Facts, IntArray, LongArray
from rollout.values.failures import AGAIN_S, mends

MEMBERSHIP = (Fact.MEMBER, Fact.GONE, Fact.LEFT, Fact.REMOVED, Fact.RETURNED)
"""Facts that only a device can have that was a member."""

OUT = (Fact.GONE, Fact.LEFT, Fact.REMOVED)
"""Facts of a device that is a member no more."""

STATES = (Fact.ENROLLED, Fact.FAILED, Fact.UNENROLLED)
"""Facts that say what a device is now; the latest counts."""

NONE = 0
"""Stands for "no such fact"."""


class DeviceFacts:
    """The facts of the devices of one plan, all shape (n,).

    member : was seen as a member. counted : is known to have been released, whatever became of its membership.
    rejected, silent : latched. now : the latest of STATES, NONE before the first. since : when `now` began.
    code : HRESULT of the last failure. harmed : a failure counts, whatever the device did later.
    failing_since : first instant of the failure that lasts now. out : why the device is out now, NONE if it is not.
    out_at : since when. answered_at : first instant at which it was enrolled or failed, -1 if never.
    """

    def __init__(self, devices: int) -> None:
        self.member, self.counted, self.rejected, self.silent, self.harmed = (
            np.zeros(devices, dtype=np.bool_) for _ in range(5)
        )
        self.now, self.out = (np.full(devices, NONE, dtype=np.int8) for _ in range(2))
        self.since, self.failing_since, self.out_at, self.answered_at = (
            np.full(devices, -1, dtype=np.int64) for _ in range(4)
        )
        self.code = np.zeros(devices, dtype=np.int64)

    def take_in(self, facts: Facts) -> None:
        """Adopt what one observation showed. A device has at most one of STATES in it, so the order is no matter."""
        for value in np.unique(facts.facts).tolist():
            fact, here = Fact(value), facts.facts == value
            rows = facts.rows[here]
            if fact is not Fact.REJECTED:
                self.counted[rows] = True
            if fact in MEMBERSHIP:
                self.member[rows] = True
            self._take_in(fact, rows, facts.codes[here], facts.at)

    def _take_in(self, fact: Fact, rows: IntArray, codes: LongArray, at: int) -> None:
        if fact is Fact.REJECTED:
            self.rejected[rows] = True
        elif fact is Fact.SILENT:
            self.silent[rows] = True
        elif fact is Fact.RETURNED:
            self.out[rows], self.out_at[rows] = NONE, -1
        elif fact in OUT:
            self.out[rows], self.out_at[rows] = fact, at
        elif fact in STATES:
            if fact is Fact.FAILED:
                self._fail(rows, codes, at)
            if fact is not Fact.UNENROLLED:
                self.answered_at[rows[self.answered_at[rows] < 0]] = at
            self.since[rows[self.now[rows] != fact]] = at
            self.now[rows] = fact

    def _fail(self, rows: IntArray, codes: LongArray, at: int) -> None:
        """A failure that does not mend by itself counts at once, another one when it comes back or lasts."""
        begins = rows[self.now[rows] != Fact.FAILED]
        self.failing_since[begins] = at
        lasts = at - self.failing_since[rows] >= AGAIN_S
        self.code[rows] = codes
        self.harmed[rows[lasts | ~mending(codes)]] = True


def mending(codes: LongArray) -> BoolArray:
    """Return which failures clients may mend by themselves."""
    kinds, place = np.unique(codes, return_inverse=True)
    may = np.array([mends(int(code)) for code in kinds], dtype=np.bool_)
    return np.asarray(may[place], dtype=np.bool_)


def facts_of(at: int, found: list[tuple[Fact, BoolArray]], code: LongArray) -> Facts | None:
    """Return the facts of one observation, None if it showed nothing new. found : each fact and its devices, (n,)."""
    parts = [(fact, np.flatnonzero(devices).astype(np.int32)) for fact, devices in found]
    parts = [(fact, rows) for fact, rows in parts if len(rows)]
    if not parts:
        return None
    rows = np.concatenate([rows for _, rows in parts])
    facts: NDArray[np.int8] = np.concatenate(
        [np.full(len(rows), int(fact), dtype=np.int8) for fact, rows in parts]
    )
    return Facts(at, rows, facts, np.where(facts == Fact.FAILED, code[rows], 0))
