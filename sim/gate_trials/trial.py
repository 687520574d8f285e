"""Many rollouts under one gate: released along a course, answered by chance, judged at every observation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rollout.gates import (
    Groups,
    check_policy,
    check_threshold,
    groups_of,
    halt_boundary,
    pass_boundary,
    trips,
)
from rollout.values import BoolArray, GatePolicy, IntArray, LongArray, ThresholdGate
from sim.gate_trials.course import Course

FloatArray = NDArray[np.float64]

CELLS = 4_000_000
"""At most this many counts (runs x observations x groups) are held at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """The data that all runs share.

    bad : (devices,) in the order of release, those of the bad stratum; all where none is named.
    group : the group of the bad stratum, -1 none.
    cells : (devices,) group of each device, 0 where nothing is judged apart.
    counted : (observations, groups) devices that each observation counts: those released before it.
    """

    policy: GatePolicy
    plain: ThresholdGate
    course: Course
    groups: Groups
    strata: int
    bad_name: str
    bad: BoolArray
    group: int
    cells: LongArray
    counted: LongArray

    @property
    def observations(self) -> int:
        return len(self.course.released)

    @property
    def shape(self) -> tuple[int, int]:
        """(observations, groups)."""
        return self.observations, self.counted.shape[1]


def trial_of(
    policy: GatePolicy,
    codes: IntArray,
    names: Sequence[str],
    course: Course,
    plain: ThresholdGate,
    bad: str,
) -> Trial:
    """Prepare a trial; raise a `ValueError` on impossible parameters."""
    check_policy(policy)
    check_threshold(plain)
    course.check()
    if course.devices != len(codes):
        raise ValueError(f"expected a course that rises to {len(codes)} devices, found {course.devices}")
    if bad and bad not in names:
        raise ValueError(f"expected one of the strata, found {bad!r}; there are {', '.join(names[:10])}")
    groups = groups_of(policy, np.bincount(codes, minlength=len(names)).astype(np.int64), names)
    cells = _cells(groups, codes)
    return Trial(
        policy,
        plain,
        course,
        groups,
        strata=len(names),
        bad_name=bad,
        bad=codes == names.index(bad) if bad else np.ones(len(codes), dtype=bool),
        group=_group_of(bad, groups),
        cells=cells,
        counted=_counted(cells, max(1, len(groups.names)), course),
    )


def _group_of(name: str, groups: Groups) -> int:
    """Return the group that holds the bad stratum; -1 if there is none, or no groups."""
    if not name:
        return -1
    if name in groups.names:
        return groups.names.index(name)
    return len(groups.names) - 1  # pooled, or -1 without groups


Ends = tuple[LongArray, BoolArray, BoolArray]
"""Of each run: observation of the HALT (observations if none), whether it passed, whether the bad stratum halted it."""


def run_trial(trial: Trial, chance: FloatArray, runs: int, draw: np.random.Generator) -> tuple[Ends, Ends]:
    """Simulate the runs in chunks that fit into memory; a chunk's draws follow those of the previous chunk."""
    size = max(1, CELLS // max(math.prod(trial.shape), len(chance)))
    ours: list[Ends] = []
    plain: list[Ends] = []
    for first in range(0, runs, size):
        failed, enrolled = play(trial, chance, min(size, runs - first), draw)
        ours.append(judge_runs(trial, failed, enrolled))
        plain.append(_plain(trial.plain, failed.sum(axis=2), enrolled))
    return _join(ours), _join(plain)


def _join(parts: list[Ends]) -> Ends:
    at, passed, named = zip(*parts, strict=True)
    return np.concatenate(at), np.concatenate(passed), np.concatenate(named)


def play(
    trial: Trial, chance: FloatArray, runs: int, draw: np.random.Generator
) -> tuple[LongArray, LongArray]:
    """Return what each observation sees, cumulative: failed (runs, observations, groups), enrolled without groups.

    An observation at t sees events strictly before t; the releases of that observation come after it.
    """
    course, shape = trial.course, (runs, len(chance))
    observations, groups = trial.shape
    released_at = np.searchsorted(course.released, np.arange(len(chance)), side="right")
    fails = draw.random(shape) < chance
    delay = draw.standard_exponential(shape, dtype=np.float32)
    delay *= np.where(fails, np.float32(course.fail_s), np.float32(course.enroll_s)) / course.look_s
    seen_at = (released_at + 1 + delay).astype(np.int64)
    run = np.broadcast_to(np.arange(runs)[:, None], shape)
    known = seen_at < observations
    hit = fails & known
    where = (run[hit] * observations + seen_at[hit]) * groups + np.broadcast_to(trial.cells, shape)[hit]
    failed = np.bincount(where, minlength=runs * observations * groups).reshape(runs, observations, groups)
    hit = ~fails & known
    enrolled = np.bincount(run[hit] * observations + seen_at[hit], minlength=runs * observations).reshape(
        runs, observations
    )
    return failed.cumsum(axis=1), enrolled.cumsum(axis=1)


def _cells(groups: Groups, codes: IntArray) -> LongArray:
    """Return the group of each device in release order, 0 where nothing is judged apart."""
    if not groups.names:
        return np.zeros(len(codes), dtype=np.int64)
    cell = np.full(int(codes.max()) + 1, len(groups.names) - 1, dtype=np.int64)
    own = groups.own[groups.own < len(cell)]
    cell[own] = np.arange(len(own))
    return cell[codes]


def _counted(cells: LongArray, groups: int, course: Course) -> LongArray:
    before = np.concatenate([[0], course.released[:-1]])
    out = np.empty((len(before), groups), dtype=np.int64)
    for group in range(groups):
        rising = np.concatenate([[0], np.cumsum(cells == group)])
        out[:, group] = rising[before]
    return out


def judge_runs(trial: Trial, failed: LongArray, enrolled: LongArray) -> Ends:
    """Judge each instant of each run by the policy, including its thresholds but not their holds."""
    policy, groups, counted = trial.policy, trial.groups, trial.counted
    runs, observations = enrolled.shape
    whole = failed.sum(axis=2)
    over = np.zeros((runs, observations), dtype=bool)
    apart = np.zeros((runs, observations, max(1, len(groups.names))), dtype=bool)
    gate = policy.evidence
    if gate is not None:
        over = halt_boundary(gate, groups.whole).halts(whole, counted.sum(axis=1))
        if groups.names:
            apart = halt_boundary(gate, groups.apart).halts(failed, counted)
            over = over | apart.any(axis=2)
    for rule in policy.thresholds:
        if rule.action == "halt":
            over = over | trips(rule, whole, whole + enrolled)
    at = _first(over)
    passed = (at == observations) & _passes(policy, whole[:, -1], enrolled[:, -1])
    apart_at = apart[np.arange(runs), np.minimum(at, observations - 1)]
    named = (at < observations) & (apart_at[:, trial.group] if groups.names else False) & (trial.group >= 0)
    return at, passed, named


def _passes(policy: GatePolicy, failed: LongArray, enrolled: LongArray) -> BoolArray:
    """Return which runs pass in the end, as a phase that is complete and mature."""
    executed = failed + enrolled
    passed = executed >= policy.min_executed
    gate = policy.evidence
    if gate is not None:
        passed &= pass_boundary(gate).passes(failed, executed) & ~halt_boundary(gate).halts(failed, executed)
    for rule in policy.thresholds:
        passed &= ~trips(rule, failed, executed)
    return passed


def _plain(rule: ThresholdGate, failed: LongArray, enrolled: LongArray) -> Ends:
    at = _first(trips(rule, failed, failed + enrolled))
    passed = at == failed.shape[1]
    return at, passed, np.zeros(len(at), dtype=bool)


def _first(over: BoolArray) -> LongArray:
    first: LongArray = np.where(over.any(axis=1), over.argmax(axis=1), over.shape[1])
    return first
