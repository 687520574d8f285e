"""Tunings whose answer is known: closed forms in place of runs, with what is best planted anew by each seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sim.scenario import Targets
from sim.tuning.candidates import MODES, STEPS_S, Candidate, Space
from sim.tuning.evaluation import NEVER_H, Figures, Result, Score, Task, score_of
from sim.workers import ignore_progress


class Planted:
    """Workers that know the answer; they count how often they are asked.

    Best is a ramp of a planted step and shape at any speed: then hours are 24 and those of the straight line,
    and the peak is 10,000 over the line's hours. Everything else costs hours or peak.
    """

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng((seed, 77))
        self.step_s = STEPS_S[rng.integers(len(STEPS_S))]
        self.slow, self.factor = between(rng, 3, 24), float(rng.uniform(1.7, 3.5))
        self.rung, self.in_flight = between(rng, 0.008, 0.12), between(rng, 0.05, 0.7)
        self.asked = 0

    def map(self, function: Any, items: Sequence[Task], progress: Any = ignore_progress) -> list[Result]:
        """Score candidates; the evaluator is passed over."""
        del function, progress
        self.asked += len(items)
        return [self.result(item.candidate) for item in items]

    def result(self, candidate: Candidate) -> Result:
        """Give hours and peak of a candidate."""
        line = candidate.hours or 100.0
        hours = 24 + line * (1 + 0.1 * abs(math.log(max(1, candidate.step_s) / self.step_s)))
        return result(hours, 1e4 / line * self._waste(candidate))

    def _waste(self, candidate: Candidate) -> float:
        if candidate.mode == "ramp":
            off = (
                0.1 * math.log(candidate.slow / self.slow) ** 2
                + 0.1 * math.log(candidate.factor / self.factor) ** 2
            )
            return 1 + off + 0.05 * math.log(candidate.rung / self.rung) ** 2
        if candidate.mode == "auto":
            return 1.1 + 0.2 * math.log((candidate.in_flight or 1.0) / self.in_flight) ** 2
        return 1.3


class Well(Planted):
    """One candidate is best in both figures: 100 hours and a peak of 1,000; both rise with the distance from it."""

    def __init__(self, seed: int, space: Space) -> None:
        super().__init__(seed)
        rng = np.random.default_rng((seed, 78))
        self.best = random_candidate(space, rng)
        self._space, self._place = space, np.array(space.place(self.best))
        self._slopes = rng.uniform(0.5, 2.0, (2, len(self._place)))

    def result(self, candidate: Candidate) -> Result:
        """Give hours and peak of a candidate."""
        if not candidate.mode:
            return result(400, 4000)
        apart = (np.array(self._space.place(candidate)) - self._place) ** 2
        hours, peak = 1 + self._slopes @ apart + (candidate.mode != self.best.mode) * 0.5
        return result(100 * hours, 1000 * peak)


def result(hours: float, peak: float) -> Result:
    """Give a run in these figures; nothing fails, nothing halts."""
    hours, peak = round(hours, 4), round(peak, 4)
    return Result((Figures(hours, hours, peak, 0.0, False),))


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw evenly in ratios."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def random_candidate(space: Space, rng: np.random.Generator) -> Candidate:
    """Draw from the same space as the search."""
    mode = MODES[rng.integers(len(MODES))]
    hours = round(between(rng, 4.0, space.slowest_h), 1)
    one = Candidate(mode, hours, STEPS_S[rng.integers(len(STEPS_S))])
    if mode == "ramp":
        slow, rung = round(between(rng, 2, 32)), round(between(rng, 0.005, 0.2), 3)
        return replace(one, slow=slow, factor=round(rng.uniform(1.5, 4), 1), rung=rung)
    if mode == "auto":
        budget = round(between(rng, 0.02, 1.0), 3)
        return replace(one, in_flight=budget if budget < 0.9 else 0.0)
    return one


def by_luck(planted: Planted, space: Space, count: int, seed: int) -> list[Score]:
    """Score so many random candidates."""
    rng = np.random.default_rng(seed)
    return [score_of([planted.result(random_candidate(space, rng))], Targets()) for _ in range(count)]


def corners(*many: Sequence[Score]) -> dict[str, tuple[float, float]]:
    """Give where areas end, 5 % beyond: `far` the worst that came to an end, `near` the ends of the joint front."""
    points = sorted((score.hours, score.peak) for scores in many for score in scores if score.hours < NEVER_H)
    far = (max(hours for hours, _ in points), max(peak for _, peak in points))
    lowest = min(points, key=lambda point: (point[1], point[0]))
    near = (lowest[0], points[0][1])
    return {name: (1.05 * hours, 1.05 * peak) for name, (hours, peak) in (("far", far), ("near", near))}
