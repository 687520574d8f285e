"""Devices in flight: released, and no older than the latency. Little's law, counted instead of averaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rollout.planning.schedule import Release
from rollout.values import HOUR_S, Budgets, IntArray, LongArray


@dataclass(frozen=True, slots=True)
class Peaks:
    """The most that a schedule asks for: devices in one step, in flight, in flight of one level, in an hour."""

    per_step: int
    in_flight: int
    per_level: int
    per_hour: int

    def beyond(self, budgets: Budgets) -> dict[str, int]:
        """Return the smallest sufficient figure of each budget that is too small."""
        need = {"per_step": self.per_step, "in_flight": self.in_flight, "per_level": self.per_level}
        have = {"per_step": budgets.per_step, "in_flight": budgets.in_flight, "per_level": budgets.per_level}
        return {name: need[name] for name in need if have[name] and need[name] > have[name]}


def peaks_of(releases: Sequence[Release], latency_s: int, codes: IntArray, *, by_level: bool) -> Peaks:
    """Measure a schedule.

    latency_s : how long a device is in flight. codes : (n,) level of the budget's column by fleet row.
    by_level : whether to count levels at all (it costs a sort of all devices).
    """
    if not releases:
        return Peaks(0, 0, 0, 0)
    at = np.array([release.at for release in releases], dtype=np.int64)
    counts = np.array([len(release.rows) for release in releases], dtype=np.int64)
    level = 0
    if by_level:
        rows = np.concatenate([release.rows for release in releases])
        level = _peak_of_levels(np.repeat(at, counts), codes[rows].astype(np.int64), latency_s)
    return Peaks(int(counts.max()), _peak(at, counts, latency_s), level, _peak(at, counts, HOUR_S))


def _peak(at: LongArray, counts: LongArray, span_s: int) -> int:
    """The most devices in any (t - span_s, t]."""
    sums = np.concatenate([[0], np.cumsum(counts)])
    return int((sums[1:] - sums[np.searchsorted(at, at - span_s, side="right")]).max())


def _peak_of_levels(at: LongArray, codes: LongArray, span_s: int) -> int:
    """The most devices of one level in any (t - span_s, t]; both arrays by device, in order of time."""
    width = int(at[-1] - at[0]) + span_s + 1  # levels lie on one axis, too far apart to see each other
    by_level = np.argsort(codes, kind="stable")
    axis = (at - at[0] + codes * width)[by_level]
    ends = np.searchsorted(axis, axis, side="right")
    return int((ends - np.searchsorted(axis, axis - span_s, side="right")).max())
