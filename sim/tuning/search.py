"""The choice of the next candidates: where a cheap surrogate for the runs expects the front to gain most.

It begins with each mode at all speeds, spread evenly over everything else. From then on it considers many places:
near the front (a step along some axes, another's pace, a mix of two) and anywhere. A surrogate of each figure says
what they may score, noise included; taken are those whose expected gain in the area that the front dominates is
largest, each as if those taken before it had scored what they may. Nothing is tried twice, nor what can only score
the same.

At equal budget on fresh seeds this alone is as good as with every sixth batch from Optuna's TPE (areas 1.0016 and
1.0012 of that of ten times as many random plans; under a deadline the peak is 0.2 % and 0.1 % above the best), and
TPE alone is worse (0.9986; 13 %): so there is no second optimizer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import log
from typing import Final

import numpy as np

from rollout.values import BoolArray, IntArray
from sim.scenario import Targets
from sim.tuning.candidates import AS_WRITTEN, MODES, NAMES, Candidate, FloatArray, Space
from sim.tuning.evaluation import NEVER_H, Score
from sim.tuning.front import Tried, front_of, gains, staircase
from sim.tuning.surrogate import Surrogate, one_thread

PER_MODE: Final = 8
"""Candidates of each mode to begin with."""
POOL: Final = 600
"""Places considered for each batch."""
OLD, KNOWN = 24, 200
"""A surrogate learns from this many first and latest candidates; among the best, luck would look like skill."""
WORLDS: Final = 32
CLIMB: Final = (16, 4)
"""Steps to fit a surrogate: while little is known, and later."""
EARLY: Final = 80
WORST: Final = 4.0
"""A figure this many times its limit, or the worst that finished, is as bad as any."""


class Search:
    """Proposes candidates and learns from their scores; the same seed and scores give the same candidates."""

    def __init__(self, space: Space, targets: Targets, seed: int) -> None:
        self._space, self._targets, self._seed = space, targets, seed
        self._tried: list[Tried] = []
        self._seen: set[bytes] = set()
        self._first = [AS_WRITTEN, *evenly(space, np.random.default_rng((seed, 0)))]
        self._surrogates: dict[str, Surrogate] = {}
        self._plateaus = Plateaus()
        self._threads = one_thread()

    @property
    def tried(self) -> list[Tried]:
        """All scored candidates, in order."""
        return self._tried

    def ask(self, count: int) -> list[Candidate]:
        """Return candidates that were not proposed before; fewer if there are no more."""
        out: list[Candidate] = []
        while self._first and len(out) < count:
            self._take(self._first.pop(0), out)
        if len(out) < count:
            with self._threads.limit(limits=1):
                self._expected_best(count, out)
        return out

    def tell(self, candidates: Sequence[Candidate], scores: Sequence[Score]) -> None:
        """Learn the scores of candidates."""
        for candidate, score in zip(candidates, scores, strict=True):
            one = Tried(len(self._tried), candidate, score)
            self._tried.append(one)
            if candidate.mode:
                self._plateaus.add(candidate.mode, np.array(self._space.place(candidate)), score)

    def _take(self, candidate: Candidate, out: list[Candidate]) -> None:
        mode = MODES.index(candidate.mode) if candidate.mode else -1
        place = self._space.place(candidate) if candidate.mode else [0.0]
        (key,) = _keys(np.array([mode], dtype=np.int32), np.array([place]))
        if key not in self._seen:
            self._seen.add(key)
            out.append(candidate)

    def _expected_best(self, count: int, out: list[Candidate]) -> None:
        """Take those that are expected to gain most, until there are `count`."""
        rng = np.random.default_rng((self._seed, 1 + len(self._tried)))
        ended = [entry for entry in self._tried if entry.score.hours < NEVER_H]
        front = front_of(ended or self._tried, self._targets)
        modes, places = self._pool(front, rng)
        if not len(modes):
            return
        expected = self._expected(front, modes, places, rng)
        least = min(self._missed(entry.score) for entry in front)
        while len(out) < count and expected.left.any():
            if least > 0:
                best = expected.nearer(least)
            elif self._targets.finish_within_h and len(out) % 2:
                best = expected.gentlest()
            else:
                best = expected.widest()
            self._take(self._space.at(MODES[modes[best]], places[best]), out)

    def _expected(
        self, front: Sequence[Tried], modes: IntArray, places: FloatArray, rng: np.random.Generator
    ) -> Expected:
        able = self._paced
        points = np.array([(entry.score.hours, entry.score.peak) for entry in front])
        corner = np.maximum(1.2 * points.max(axis=0), 1.05 * _ended(able).max(axis=0))
        return Expected(*self._worlds(able, modes, places, rng), points, corner)

    @property
    def _paced(self) -> list[Tried]:
        """Return the tried candidates that have a place: the scenario as written has none."""
        return [entry for entry in self._tried if entry.candidate.mode]

    def _pool(self, front: Sequence[Tried], rng: np.random.Generator) -> tuple[IntArray, FloatArray]:
        # Each mode's own front, too: the mode that is behind may only lack the right shape.
        each = [[entry for entry in self._paced if entry.candidate.mode == mode] for mode in MODES]
        own = [entry for mine in each if mine for entry in front_of(mine, self._targets)]
        parents = [*(entry for entry in front if entry.candidate.mode), *own]
        modes = np.array([MODES.index(entry.candidate.mode) for entry in parents], dtype=np.int32)
        places = np.array([self._space.place(entry.candidate) for entry in parents])
        return self._new(*around(self._space, modes, places, rng))

    def _new(self, modes: IntArray, places: FloatArray) -> tuple[IntArray, FloatArray]:
        """Leave out candidates that were proposed before or that lie on a plateau."""
        fresh = np.array([key not in self._seen for key in _keys(modes, places)], dtype=bool)
        fresh &= ~self._plateaus.hold(modes, places)
        return modes[fresh], places[fresh]

    def _worlds(
        self, able: Sequence[Tried], modes: IntArray, places: FloatArray, rng: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        """Draw what places may score: hours and peak (worlds, n, 2), and how far targets are missed (worlds, n)."""
        known = [*able[:OLD], *able[OLD:][-KNOWN:]]
        kinds = np.array([MODES.index(entry.candidate.mode) for entry in known], dtype=np.int32)
        at = np.array([self._space.place(entry.candidate) for entry in known])
        points, missed = [], np.zeros((WORLDS, len(modes)))
        for name, figures in self._teach(known):
            surrogate = self._surrogates.setdefault(name, Surrogate(len(NAMES)))
            surrogate.fit(at, kinds, figures, rng, CLIMB[len(able) > EARLY])
            mean, doubt = surrogate.predict(places, modes)
            drawn = mean + doubt * rng.normal(size=missed.shape)
            if name in ("hours", "peak"):
                points.append(np.exp(np.minimum(drawn, 50.0)))
            else:
                missed += np.maximum(drawn, 0)
        return np.stack(points, axis=2), missed

    def _missed(self, score: Score) -> float:
        """Return by how much targets are missed, as surrogates learn it."""
        return sum(log(max(1.0, min(share, WORST))) for share in score.ratios(self._targets).values())

    def _teach(self, known: Sequence[Tried]) -> list[tuple[str, FloatArray]]:
        """Return what surrogates learn: logarithms of both objectives, and of each target's figure to its limit."""
        hours, peak = np.log(_figures(known)).T
        out = [("hours", hours), ("peak", peak)]
        shares = [entry.score.ratios(self._targets) for entry in known]
        for name in shares[0]:
            out.append((name, np.log(np.clip([share[name] for share in shares], 1 / WORST, WORST))))
        return out


def _keys(modes: IntArray, places: FloatArray) -> list[bytes]:
    """Return a name of each place on the grid, the same for the same place."""
    rows = np.round(np.column_stack([modes, places]), 9) + 0.0
    return [row.tobytes() for row in rows]


class Plateaus:
    """Regions without anything new: between two candidates with exactly the same score, all others score the same.

    A budget that never binds, or a speed that the budget never lets through, changes nothing.
    """

    def __init__(self) -> None:
        self._alike: dict[tuple[str, Score], FloatArray] = {}

    def add(self, mode: str, place: FloatArray, score: Score) -> None:
        """Note where a score was seen; the box around all places with that score is a plateau."""
        box = self._alike.get((mode, score), np.array([place, place]))
        self._alike[mode, score] = np.array([np.minimum(box[0], place), np.maximum(box[1], place)])

    def hold(self, modes: IntArray, places: FloatArray) -> BoolArray:
        """Return which places (n, axes) lie on a plateau."""
        out = np.zeros(len(modes), dtype=bool)
        for (mode, _), (low, high) in self._alike.items():
            if (low < high).any():
                inside = ((places >= low - 1e-9) & (places <= high + 1e-9)).all(axis=1)
                out |= inside & (modes == MODES.index(mode))
        return out


class Expected:
    """What a pool of candidates is expected to gain: the mean over worlds in which each has drawn its figures.

    points : (worlds, n, 2) hours and peak. missed : (worlds, n) by how much targets are missed,
    0 = all are met. front : (k, 2), the fastest first. corner : up to where its area counts.
    """

    def __init__(self, points: FloatArray, missed: FloatArray, front: FloatArray, corner: FloatArray) -> None:
        self._points, self._missed, self._corner = points, missed, corner
        self._kept = missed <= 0
        self._fronts = [front] * len(points)
        self._areas = np.zeros(missed.shape)
        self._measure(range(len(points)))
        self.left: BoolArray = np.ones(points.shape[1], dtype=bool)

    def nearer(self, least: float) -> int:
        """Return the candidate that is expected to miss targets by less than `least`, and by how much less."""
        return self._take(np.maximum(least - self._missed, 0).mean(axis=0))

    def gentlest(self) -> int:
        """Return the candidate that is expected to lower the front's lowest peak most."""
        lowest = np.array([front[-1, 1] for front in self._fronts])
        return self._take((self._kept * np.maximum(lowest[:, None] - self._points[:, :, 1], 0)).mean(axis=0))

    def widest(self) -> int:
        """Return the candidate that is expected to widen most the area that the front dominates, up to the corner."""
        return self._take(self._areas.mean(axis=0))

    def _take(self, gain: FloatArray) -> int:
        best = int(np.argmax(np.where(self.left, gain, -1.0)))
        self.left[best] = False
        changed = np.flatnonzero(self._areas[:, best] > 0)
        for at in changed:
            self._fronts[at] = staircase(np.vstack([self._fronts[at], self._points[at, best]]))
        self._measure(changed)
        return best

    def _measure(self, worlds: Iterable[int]) -> None:
        for at in worlds:
            self._areas[at] = self._kept[at] * gains(self._points[at], self._fronts[at], self._corner)


def _ended(tried: Sequence[Tried]) -> FloatArray:
    """Return hours and peak, (n, 2), of those that finished; if none did, a point that beats all."""
    raw = np.array([(entry.score.hours, entry.score.peak) for entry in tried])
    ended = raw[raw[:, 0] < NEVER_H]
    return ended if len(ended) else np.zeros((1, 2))


def _figures(tried: Sequence[Tried]) -> FloatArray:
    """Return hours and peak, (n, 2); what never finishes is several times as bad as the worst that did."""
    raw = np.array([(entry.score.hours, entry.score.peak) for entry in tried])
    most = np.maximum(0.5 * WORST * _ended(tried).max(axis=0), 1.0)
    out: FloatArray = np.clip(raw, 1e-3, most)
    return out


def evenly(space: Space, rng: np.random.Generator) -> list[Candidate]:
    """Return PER_MODE candidates of each mode: all speeds, ends included, and a Latin hypercube for the rest."""
    out = []
    turns = rng.permutation(PER_MODE)
    for mode in MODES:
        cube = np.stack([rng.permutation(PER_MODE) + rng.random(PER_MODE) for _ in NAMES], axis=1) / PER_MODE
        cube[:, 0] = np.linspace(0, 1, PER_MODE)
        out.append([space.at(mode, cube[turn]) for turn in turns])
    return [candidate for turn in zip(*out, strict=True) for candidate in turn]


def around(
    space: Space, modes: IntArray, places: FloatArray, rng: np.random.Generator
) -> tuple[IntArray, FloatArray]:
    """Return POOL places at most, on the grid and each once: near parents, between them, and anywhere.

    modes : (n,) and places : (n, axes) of the parents.
    """
    one, other = rng.integers(len(modes), size=(2, POOL))
    mode, out = modes[one].copy(), places[one].copy()
    kind = rng.random(POOL)
    pace = kind < 0.35
    way = np.where(rng.random(POOL) < 0.5, 1.0, rng.uniform(-0.2, 1.0, POOL))
    out[pace, 0] += (way * (places[other, 0] - out[:, 0]))[pace]
    mixed = (kind >= 0.35) & (kind < 0.45) & (mode == modes[other])
    out = np.where(mixed[:, None] & (rng.random(out.shape) < 0.5), places[other], out)
    out = stepped(space, out, rng)
    anywhere = kind >= 0.85
    mode[anywhere] = rng.integers(len(MODES), size=int(anywhere.sum()))
    out[anywhere] = rng.random((int(anywhere.sum()), out.shape[1]))
    ends = rng.random(POOL) < 0.1
    out[ends, 0] = np.round(rng.random(int(ends.sum())))
    out = space.snap(mode, np.clip(out, 0, 1))
    _, first = np.unique(np.column_stack([mode, out]), axis=0, return_index=True)
    first.sort()
    return mode[first], out[first]


def stepped(space: Space, places: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Move places along some axes, by coarse or fine steps, but at least by one of the grid."""
    scale = 10.0 ** rng.uniform(-2.5, -0.5, (len(places), 1))
    move = rng.normal(size=places.shape) * scale
    least = np.stack([axis.least(places[:, at]) for at, axis in enumerate(space.axes)], axis=1)
    move = np.copysign(np.maximum(np.abs(move), least), move)
    return places + np.where(rng.random(places.shape) < 0.4, move, 0.0)
