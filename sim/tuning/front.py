"""The front: plans that no other plan beats in both time and peak load, the area they dominate, and the chosen plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot, log

import numpy as np

from sim.scenario import Targets
from sim.tuning.candidates import Candidate, FloatArray
from sim.tuning.evaluation import Score
from sim.tuning.robustness import Robustness


@dataclass(frozen=True, slots=True)
class Tried:
    """A candidate with its score. number : 0 is the scenario as written."""

    number: int
    candidate: Candidate
    score: Score


def front_of(tried: Sequence[Tried], targets: Targets) -> list[Tried]:
    """Return the plans that meet the targets and that no other beats in both objectives, fastest first.

    If no plan meets the targets, those that miss them least.
    """
    least = min((entry.score.violation(targets) for entry in tried), default=0.0)
    able = [entry for entry in tried if entry.score.violation(targets) <= least + 1e-9]
    out: list[Tried] = []
    for entry in sorted(able, key=lambda entry: (entry.score.hours, entry.score.peak, entry.number)):
        if not out or entry.score.peak < out[-1].score.peak:
            out.append(entry)
    return out


def spread(front: Sequence[Tried], count: int) -> list[Tried]:
    """Return some plans of the front, including its ends."""
    if len(front) <= count:
        return list(front)
    places = sorted({round(index * (len(front) - 1) / (count - 1)) for index in range(count)})
    return [front[place] for place in places]


def choose(front: Sequence[Tried], robust: Sequence[Robustness], targets: Targets) -> tuple[Tried, str]:
    """Choose a plan of the front and return it with the reason.

    With a target for the end: the gentlest plan that keeps it, under every assumption if there is one. Without: the
    one from which a further hour, or a further device per hour, gains least (the front's knee).
    """
    if front[0].score.violation(targets) > 0:
        best = min(front, key=lambda entry: (entry.score.violation(targets), entry.score.peak, entry.number))
        missed = ", ".join(best.score.misses(targets)) or "the horizon"
        return best, f"no plan meets all targets; this one misses them least ({missed})"
    if targets.finish_within_h:
        sure = {entry.candidate for entry in robust if not entry.missed(targets)}
        safe = [entry for entry in front if entry.candidate in sure]
        best = min(safe or front, key=lambda entry: (entry.score.peak, entry.number))
        how = "under every assumption tried" if safe else "as the scenario assumes"
        return best, (
            f"the gentlest plan that is done within {targets.finish_within_h:g} h {how}: "
            f"{best.score.peak:,.0f} attempts per hour at its peak"
        )
    best = _knee(front)
    return best, (
        f"the knee of the front: 90 % enrolled after {best.score.hours / 24:.1f} days with "
        f"{best.score.peak:,.0f} attempts per hour at the peak; faster costs more load, gentler more days"
    )


def _knee(front: Sequence[Tried]) -> Tried:
    """Return the point nearest to the best of both, each on a scale from the front's best to its worst, in ratios."""

    def place(values: Sequence[float], value: float) -> float:
        low, high = log(max(min(values), 1e-9)), log(max(max(values), 1e-9))
        return (log(max(value, 1e-9)) - low) / (high - low) if high > low else 0.0

    hours, peaks = [entry.score.hours for entry in front], [entry.score.peak for entry in front]
    return min(
        front,
        key=lambda entry: (
            round(hypot(place(hours, entry.score.hours), place(peaks, entry.score.peak)), 9),
            entry.number,
        ),
    )


def staircase(points: FloatArray) -> FloatArray:
    """Return the points of (n, 2) that no other beats in both figures, by their first figure."""
    ordered = points[np.lexsort((points[:, 1], points[:, 0]))]
    lowest = np.minimum.accumulate(np.concatenate([[np.inf], ordered[:-1, 1]]))
    return ordered[ordered[:, 1] < lowest]


def gains(points: FloatArray, front: FloatArray, corner: FloatArray) -> FloatArray:
    """Return the area (n,) that each point (n, 2) would add to what a front dominates, up to a corner.

    front : (k, 2), a staircase by its first figure.
    """
    across, ceiling = front[:, 0], np.minimum(front[:, 1], corner[1])
    below = np.concatenate([[0.0], np.cumsum(np.diff(across) * ceiling[:-1])])

    def under(at: FloatArray) -> FloatArray:
        """Return the area under the staircase from its first step to `at`."""
        step = np.searchsorted(across, at, side="right") - 1
        before = corner[1] * (at - across[0])
        area: FloatArray = np.where(step < 0, before, below[step] + ceiling[step] * (at - across[step]))
        return area

    x, y = np.minimum(points[:, 0], corner[0]), np.minimum(points[:, 1], corner[1])
    ends = np.minimum(np.concatenate([across, corner[:1]]), corner[0])
    end = np.maximum(x, ends[np.searchsorted(-ceiling, -y)])
    out: FloatArray = np.maximum(under(end) - under(x) - y * (end - x), 0.0)
    return out
