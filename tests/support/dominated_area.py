"""How good a front is: the area that its scores dominate."""

from __future__ import annotations

from collections.abc import Sequence

from sim.tuning.front import Score


def hypervolume(scores: Sequence[Score], reference: tuple[float, float]) -> float:
    """Give the area that scores dominate, up to a reference (hours, peak); larger is better."""
    points = sorted(
        (score.hours, score.peak)
        for score in scores
        if score.hours < reference[0] and score.peak < reference[1]
    )
    area, ceiling = 0.0, reference[1]
    for hours, peak in points:
        if peak < ceiling:
            area += (reference[0] - hours) * (ceiling - peak)
            ceiling = peak
    return area
