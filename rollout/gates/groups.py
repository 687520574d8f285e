"""The strata that a gate judges apart, and whether the released mix is the planned one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rollout.gates.beta import chi_square_tail
from rollout.values import GatePolicy, LongArray

OTHER = "other"
"""The name of the pooled strata."""

RATIO_ALARM = 0.001
"""A sample-ratio check below this p-value is an alarm."""

RATIO_LEAST = 5.0
"""Cells of which fewer devices are expected are pooled: below, chi-square is not a good approximation."""


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Which strata are judged apart, and each test's share of alpha.

    own : (k,) codes of the strata with a test of their own. pooled : all others are one more, "other".
    names : one per group. whole, apart : share of alpha of the cumulative test, and of each group.
    """

    own: NDArray[np.intp]
    pooled: bool
    names: tuple[str, ...]
    whole: float
    apart: float

    def sums(self, per_stratum: LongArray) -> LongArray:
        """Return the sum over each group: (..., strata) to (..., groups)."""
        if not self.pooled and len(self.own) == per_stratum.shape[-1]:
            return per_stratum
        apart = per_stratum[..., self.own]
        if not self.pooled:
            return apart
        rest = per_stratum.sum(axis=-1) - apart.sum(axis=-1)
        return np.concatenate([apart, rest[..., None]], axis=-1)


def groups_of(policy: GatePolicy, planned: LongArray, names: Sequence[str]) -> Groups:
    """Return the groups of a plan: strata with at least `strata_min` planned devices, the rest pooled."""
    return _groups(policy.per_stratum, policy.strata_min, planned.tobytes(), tuple(names))


@lru_cache(maxsize=64)
def _groups(per_stratum: bool, smallest: int, planned: bytes, names: tuple[str, ...]) -> Groups:
    counts = np.frombuffer(planned, dtype=np.int64)
    own = np.flatnonzero(counts >= max(smallest, 1))
    pooled = int(counts[own].sum()) < int(counts.sum())
    labels = tuple(names[code] for code in own) + ((OTHER,) if pooled else ())
    if not per_stratum or len(labels) < 2:  # one group would be the cumulative test over again
        return Groups(np.zeros(0, dtype=np.intp), False, (), 1.0, 0.0)
    return Groups(own, pooled, labels, 0.5, 0.5 / len(labels))


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """How well the released mix fits the planned one. p : the chi-square p-value; alarm : p < 0.001."""

    statistic: float
    freedom: int
    p: float
    alarm: bool
    sentence: str


def sample_ratio_check(planned: LongArray, actual: LongArray, names: Sequence[str] = ()) -> SampleRatio:
    """Compare the mix of the released devices with the planned one.

    planned, actual : (strata,) devices of one phase by stratum. Every prefix of a phase is to mirror it, so
    a mix that differs means that something keeps devices back: an exclusion, a budget, a bad export.
    Raise a `ValueError` on negative, non-finite or unequally long counts.
    """
    expected, found = np.asarray(planned, dtype=np.float64), np.asarray(actual, dtype=np.float64)
    if expected.shape != found.shape or expected.ndim != 1:
        raise ValueError(f"expected as many actual strata as planned, found {found.shape}, {expected.shape}")
    if not (np.isfinite(expected).all() and np.isfinite(found).all()):
        raise ValueError("expected counts of devices, found NaN or infinity")
    if (expected < 0).any() or (found < 0).any():
        raise ValueError("expected no negative count of devices")
    unplanned = float(found[expected == 0].sum())
    if unplanned:
        sentence = f"sample ratio: {unplanned:,.0f} devices were released in strata without planned devices"
        return SampleRatio(float("inf"), 0, 0.0, True, sentence)
    return _chi_square(expected, found, names)


def _chi_square(
    planned: NDArray[np.float64], found: NDArray[np.float64], names: Sequence[str]
) -> SampleRatio:
    total = found.sum()
    if not total:
        return SampleRatio(0.0, 0, 1.0, False, "sample ratio: nothing has been released yet")
    expected = planned * (total / planned.sum())
    large = expected >= RATIO_LEAST
    rest = [(expected[~large].sum(), found[~large].sum())] if expected[~large].sum() > 0 else []
    cells = [*zip(expected[large], found[large], strict=True), *rest]
    statistic = float(sum((seen - due) ** 2 / due for due, seen in cells))
    freedom = max(len(cells) - 1, 0)
    p = chi_square_tail(statistic, freedom) if freedom else 1.0
    worst = int(np.argmax(np.abs(found - expected)))
    name = f"'{names[worst]}'" if len(names) else f"number {worst}"
    sentence = (
        f"sample ratio: the released mix {'differs from' if p < RATIO_ALARM else 'matches'} the planned one; largest "
        f"difference in stratum {name}: {found[worst]:,.0f} released, {expected[worst]:,.0f} expected (p = {p:.2g})"
    )
    return SampleRatio(statistic, freedom, p, p < RATIO_ALARM, sentence)
