"""Quantiles over many simulated runs, over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rollout.values.fleet import LongArray

AnyCounts = NDArray[np.int64] | NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Bands:
    """Quantiles over many simulated runs.

    at : (t,) int64 Unix seconds. levels : q increasing quantile levels in (0, 1), 0.5 among them.
    values : (q, t), what the level says at that instant.
    """

    at: LongArray
    levels: tuple[float, ...]
    values: AnyCounts

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.levels), len(self.at)):
            raise ValueError(
                f"values: expected {(len(self.levels), len(self.at))}, found {self.values.shape}"
            )
        if 0.5 not in self.levels:
            raise ValueError(f"levels: expected 0.5 among them, found {self.levels}")

    def level(self, level: float) -> AnyCounts:
        """Return the quantile nearest to `level`, shape (t,)."""
        nearest = min(range(len(self.levels)), key=lambda index: abs(self.levels[index] - level))
        row: AnyCounts = self.values[nearest]
        return row
