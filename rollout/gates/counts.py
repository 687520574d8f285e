"""The counts of one look: what cannot be true of them, and the sums that rates are made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rollout.values import OUTCOMES, LongArray, Outcome

MOST = 20_000_000
"""More devices than that of one stratum and outcome are no count but damage."""

_PENDING, _ENROLLED, _FAILED = int(Outcome.PENDING), int(Outcome.ENROLLED), int(Outcome.FAILED)


def what_is_impossible(
    cumulative: NDArray[np.int64],
    phase: NDArray[np.int64],
    mature: NDArray[np.int64],
    planned: LongArray,
    names: Sequence[str],
) -> str:
    """Say what cannot be true of these counts, "" if nothing. Cheap: it runs at every look."""
    shape = (len(names), OUTCOMES)
    for array, expected in ((cumulative, shape), (phase, shape), (mature, shape), (planned, shape[:1])):
        if array.dtype != np.int64 or array.shape != expected:
            return f"expected counts of shape {expected} in int64, found {array.shape} in {array.dtype}"
    # As unsigned numbers negative ones are huge, so three comparisons find all that is wrong.
    every, current, old = (array.view(np.uint64) for array in (cumulative, phase, mature))
    if not every.size:
        return "there are no strata"
    if every.max() > MOST:
        return f"a count is negative or above {MOST}"
    if phase is not cumulative and np.count_nonzero(current > every):
        return "the phase has more devices of an outcome than the whole rollout, or a negative number"
    if np.count_nonzero(old > current):
        return "more devices of an outcome are mature than the phase has, or a negative number"
    return ""


def totals_of(counts: NDArray[np.int64]) -> list[int]:
    """Sum (strata, OUTCOMES) over the strata."""
    sums: list[int] = np.einsum("so->o", counts).tolist()  # a third of the time of sum(axis=0)
    return sums


def executed_of(counts: Sequence[int]) -> int:
    """Give the devices of which an outcome is known; counts by `Outcome`."""
    return counts[_ENROLLED] + counts[_FAILED]


def counted_of(counts: Sequence[int]) -> int:
    """Give the devices that HALT counts: executed ones, and pending ones as successes."""
    return counts[_PENDING] + counts[_ENROLLED] + counts[_FAILED]
