"""The strata that a gate judges separately."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rollout.values import BoolArray, GatePolicy, LongArray

OTHER = "other"
"""The name of the pooled strata."""


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

    def strata(self, groups: Sequence[int], strata: int) -> BoolArray:
        """Return which of all strata belong to some groups, (strata,) bool; the last of pooled groups is "other"."""
        out = np.zeros(strata, dtype=bool)
        for group in groups:
            if group < len(self.own):
                out[self.own[group]] = True
            else:
                out |= ~np.isin(np.arange(strata), self.own)
        return out


def strata_named(policy: GatePolicy, planned: LongArray, names: Sequence[str], stratum: str) -> BoolArray:
    """Return which strata a `Hold.stratum` means, (strata,) bool: that one, or all pooled ones. None if unknown."""
    groups = groups_of(policy, planned, names)
    found = [index for index, name in enumerate(groups.names) if name == stratum]
    return groups.strata(found, len(planned))


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
