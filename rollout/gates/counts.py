"""What a gate judges: the counts of one observation, what makes them impossible, and the sums for rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rollout.values import OUTCOMES, BoolArray, LongArray, Outcome, Silence

MOST = 20_000_000
"""The most devices of a stratum and outcome; a larger number means damaged data."""

_PENDING, _ENROLLED, _FAILED = int(Outcome.PENDING), int(Outcome.ENROLLED), int(Outcome.FAILED)


@dataclass(frozen=True, slots=True, eq=False)
class GateCounts:
    """The counts of one observation.

    cumulative, phase, mature : (strata, OUTCOMES) int64, released devices: of the whole rollout, of the
        current phase, of the current phase's batches older than `mature_after`.
    planned : (strata,) int64, devices of the whole plan. names : one per stratum. column : the column they come from.
    complete : the phase is fully released and soaked. Only then is the verdict PASS, or HOLD for want of
        proof; before it is GO unless there is an objection.
    readable : False if the counts could not be read. blind : why they cannot be true, "" if they can.
    progress_age_s : seconds since something enrolled last; needed only if the policy has a deadline.
    failed_classes : failures of the whole rollout by `FailureClass`, for thresholds on some classes; if
        it is not known, such a threshold counts every failure.
    mending : (strata,) int64 devices among the pending ones whose last attempt failed by a failure that clients mend
        by themselves, such as an outage of the service; None if none has.
    waited_s : seconds since the last batch of the phase was sent, for the patience with silent devices.
    removed : released devices that somebody else took out of the collection, at most within one day and not yet
        accepted by a person. removed_names : some of them.
    silence : what the answers say about silence, None if it was not evaluated yet.
    held : (strata,) bool, strata that are held already: they count neither for nor against the others. None = none.
    settled : (strata,) int64 released devices that were first seen enrolled or failed at least `report_delay` ago, for
        PASS; see `settled_of`. None if it is not known: then the age of the phase's last batch stands in for it.
    """

    cumulative: NDArray[np.int64]
    phase: NDArray[np.int64]
    mature: NDArray[np.int64]
    planned: LongArray
    names: Sequence[str]
    complete: bool
    readable: bool
    progress_age_s: int = 0
    column: str = ""
    failed_classes: Mapping[str, int] | None = None
    blind: str = ""
    mending: LongArray | None = None
    waited_s: int = 0
    removed: int = 0
    removed_names: tuple[str, ...] = ()
    silence: Silence | None = None
    held: BoolArray | None = None
    settled: LongArray | None = None

    def problem(self) -> str:
        """Return what is impossible about these counts, "" if nothing is. Cheap: it runs at every observation."""
        if not self.readable:
            return self.blind or "the directory could not be read"
        shape = (len(self.names), OUTCOMES)
        arrays = (
            (self.cumulative, shape),
            (self.phase, shape),
            (self.mature, shape),
            (self.planned, shape[:1]),
        )
        for array, expected in arrays:
            if array.dtype != np.int64 or array.shape != expected:
                return f"expected counts of shape {expected} in int64, found {array.shape} in {array.dtype}"
        # As unsigned numbers negative ones are huge, so three comparisons find all that is wrong.
        every, current, old = (array.view(np.uint64) for array in (self.cumulative, self.phase, self.mature))
        if not every.size:
            return "there are no strata"
        if every.max() > MOST:
            return f"a count is negative or above {MOST}"
        if self.phase is not self.cumulative and np.count_nonzero(current > every):
            return "the phase has more devices of an outcome than the whole rollout, or a negative number"
        if np.count_nonzero(old > current):
            return "more devices of an outcome are mature than the phase has, or a negative number"
        if self.mending is None and self.settled is None and self.held is None and not self.removed:
            return ""
        return self._rare_problem(shape[0])

    def _rare_problem(self, strata: int) -> str:
        """Return what is impossible about the figures that most observations do not have."""
        for values in (self.mending, self.settled, self.held):
            if values is not None and values.shape != (strata,):
                return f"expected one value for each of {strata} strata, found {values.shape}"
        if self.mending is not None and np.any(
            (self.mending < 0) | (self.mending > self.cumulative[:, _PENDING])
        ):
            return "more devices are mending than are pending, or a negative number"
        if self.settled is not None and (self.settled < 0).any():
            return "a negative number of devices was enrolled long ago"
        if self.removed < 0:
            return "a negative number of devices was removed"
        return ""


def totals_of(counts: NDArray[np.int64]) -> list[int]:
    """Sum (strata, OUTCOMES) over the strata."""
    sums: list[int] = np.einsum("so->o", counts).tolist()  # a third of the time of sum(axis=0)
    return sums


def executed_of(counts: Sequence[int]) -> int:
    """Return the devices of which an outcome is known; counts by `Outcome`."""
    return counts[_ENROLLED] + counts[_FAILED]


def counted_of(counts: Sequence[int]) -> int:
    """Return the devices that HALT counts: executed ones, and pending ones as successes."""
    return counts[_PENDING] + counts[_ENROLLED] + counts[_FAILED]
