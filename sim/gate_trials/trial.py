"""Many rollouts under one gate: released along a course, answered by chance, judged at every observation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rollout.gates import (
    Groups,
    answers_needed,
    check_policy,
    check_threshold,
    groups_of,
    halt_boundary,
    pass_boundary,
    success_needed,
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
"""Of each run: observation at which it was stopped (observations if never), whether it passed, whether the bad stratum
stopped it."""


def run_trial(trial: Trial, chance: FloatArray, runs: int, draw: np.random.Generator) -> tuple[Ends, Ends]:
    """Simulate the runs in chunks that fit into memory; a chunk's draws follow those of the previous chunk."""
    size = max(1, CELLS // max(math.prod(trial.shape), len(chance)))
    ours: list[Ends] = []
    plain: list[Ends] = []
    for first in range(0, runs, size):
        failed, enrolled = play(trial, chance, min(size, runs - first), draw)
        ours.append(judge_runs(trial, failed, enrolled))
        plain.append(_plain(trial.plain, failed.sum(axis=2), enrolled.sum(axis=2)))
    return _join(ours), _join(plain)


def _join(parts: list[Ends]) -> Ends:
    at, passed, named = zip(*parts, strict=True)
    return np.concatenate(at), np.concatenate(passed), np.concatenate(named)


def play(
    trial: Trial, chance: FloatArray, runs: int, draw: np.random.Generator
) -> tuple[LongArray, LongArray]:
    """Return what each observation sees, cumulative: failed and enrolled, (runs, observations, groups) each.

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
    group = np.broadcast_to(trial.cells, shape)
    size = runs * observations * groups

    def seen(hit: BoolArray) -> LongArray:
        where = (run[hit] * observations + seen_at[hit]) * groups + group[hit]
        return np.bincount(where, minlength=size).reshape(runs, observations, groups).cumsum(axis=1)

    return seen(fails & known), seen(~fails & known)


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
    """Judge each instant of each run by the policy, including its thresholds but not their holds.

    failed, enrolled : (runs, observations, groups). A run is stopped by a HALT, or by the hold of the bad stratum.
    """
    policy, trials = trial.policy, np.arange(len(failed))
    observations = trial.observations
    held = _held(trial, failed)
    rest, most = ~held, _is_most(trial, held)
    counted = np.broadcast_to(trial.counted, failed.shape)
    over = np.zeros(failed.shape[:2], dtype=bool)
    if policy.evidence is not None:
        tested = rest | most[..., None]
        over = halt_boundary(policy.evidence, trial.groups.whole).halts(
            (failed * tested).sum(axis=2), (counted * tested).sum(axis=2)
        )
    lost, good = (failed * rest).sum(axis=2), (enrolled * rest).sum(axis=2)
    for rule in policy.thresholds:
        if rule.action == "halt":
            over = over | trips(rule, lost, lost + good)
    if policy.evidence is not None and policy.on_stratum == "halt" and trial.groups.names:
        over = over | _condemned(trial, failed).any(axis=2)
    if trial.group >= 0 and trial.groups.names:
        over = over | held[:, :, trial.group]
    at = _first(over)
    end = (lost[:, -1], good[:, -1], (counted[:, -1] * rest[:, -1]).sum(axis=1))
    passed = (at == observations) & _passes(policy, *end)
    named = np.zeros(len(at), dtype=bool)
    if trial.group >= 0 and trial.groups.names:
        last = np.minimum(at, observations - 1)
        named = (at < observations) & _condemned(trial, failed)[trials, last, trial.group]
    return at, passed, named


def _condemned(trial: Trial, failed: LongArray) -> BoolArray:
    """Return which groups' own tests trip, (runs, observations, groups)."""
    gate = trial.policy.evidence
    if gate is None or not trial.groups.names:
        return np.zeros(failed.shape, dtype=bool)
    return halt_boundary(gate, trial.groups.apart).halts(failed, trial.counted)


def _held(trial: Trial, failed: LongArray) -> BoolArray:
    """Return which groups are held: once condemned a group stays out, (runs, observations, groups)."""
    if trial.policy.on_stratum != "hold":
        return np.zeros(failed.shape, dtype=bool)
    return np.asarray(np.maximum.accumulate(_condemned(trial, failed), axis=1))


def _is_most(trial: Trial, held: BoolArray) -> BoolArray:
    """Return where the held groups are half of the plan or more, (runs, observations)."""
    sizes = np.bincount(trial.cells, minlength=held.shape[2])
    return np.asarray(held.any(axis=2) & (2 * (held @ sizes) >= sizes.sum()))


def _passes(policy: GatePolicy, failed: LongArray, enrolled: LongArray, released: LongArray) -> BoolArray:
    """Return which runs pass in the end, as a phase that is complete and mature and has waited for late reports."""
    executed = failed + enrolled
    answers = np.array([answers_needed(policy, number) for number in released.tolist()])
    successes = np.array([success_needed(policy, number) for number in released.tolist()])
    small = np.minimum(policy.min_executed, np.where(answers > 0, answers, released))
    needed = np.where(released < policy.min_executed, small, policy.min_executed)
    passed = (
        (executed >= np.maximum(needed, 1)) & (executed >= answers) & (enrolled >= np.maximum(successes, 1))
    )
    gate = policy.evidence
    if gate is not None:
        passed &= pass_boundary(gate).passes(failed, executed) & ~halt_boundary(gate).halts(failed, executed)
    for rule in policy.thresholds:
        passed &= ~trips(replace(rule, min_executed=0), failed, executed)
    return np.asarray(passed)


def _plain(rule: ThresholdGate, failed: LongArray, enrolled: LongArray) -> Ends:
    at = _first(trips(rule, failed, failed + enrolled))
    passed = at == failed.shape[1]
    return at, passed, np.zeros(len(at), dtype=bool)


def _first(over: BoolArray) -> LongArray:
    first: LongArray = np.where(over.any(axis=1), over.argmax(axis=1), over.shape[1])
    return first
