"""What a gate does to good and bad rollouts: its operating characteristic, by simulation of the gate alone.

Devices are released along a given course, failures come fast and successes slowly, and the gate looks at
regular intervals. The same boundaries decide as in `rollout.gates`; the clients, the network and the loop
are left out, so that a thousand rollouts take a second. What phases add (a PASS between them, a person's
approval) is seen in `rollout simulate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rollout.gates import check_policy, groups_of
from rollout.gates.evidence import halt_boundary, pass_boundary
from rollout.gates.groups import Groups
from rollout.gates.thresholds import trips
from rollout.values import BoolArray, GatePolicy, IntArray, LongArray, ThresholdGate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FloatArray = NDArray[np.float64]

PLAIN = ThresholdGate(percent=3.0, count=1, min_executed=20)
"""The threshold that an admin would have written: 3 % of at least 20 executed."""

CELLS = 4_000_000
"""At most so many counts (runs x looks x groups) are held at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """How releases and answers come.

    released : (looks,) int64 non-decreasing, devices released at each look; the last looks are the soak.
    look_s : seconds between looks. fail_s, enroll_s : mean seconds from release to failure and success.
    """

    released: LongArray
    look_s: int = 3600
    fail_s: float = 3600.0
    enroll_s: float = 86400.0


def steady_course(
    devices: int,
    hours: float,
    soak_hours: float = 168.0,
    *,
    look_s: int = 3600,
    fail_s: float,
    enroll_s: float,
) -> Course:
    """Release `devices` evenly over `hours`, then watch them for `soak_hours`."""
    releasing = max(1, round(hours * 3600 / look_s))
    soaking = max(1, round(soak_hours * 3600 / look_s))
    rising = devices * np.arange(1, releasing + 1, dtype=np.int64) // releasing
    released = np.concatenate([rising, np.full(soaking, devices, dtype=np.int64)])
    return Course(released, look_s, fail_s, enroll_s)


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of the runs at one true failure rate, under one kind of gate.

    halted, passed : share of the runs; the rest ended as HOLD. named : share of the runs halted by the bad
    stratum. exposed : devices released at the end or at the HALT, mean; median and p95 beside it.
    """

    rate: float
    halted: float
    passed: float
    named: float
    exposed: float
    exposed_median: float
    exposed_p95: float


@dataclass(frozen=True, slots=True)
class GateCheck:
    """The operating characteristic of a policy, beside a plain threshold on the same runs.

    ours, plain : one entry a true rate. devices, strata, runs, seed : what was simulated.
    bad : name of the stratum whose rate varies, "" if all do. p_ok, p_bad, alpha : of the policy, 0 if it
    has no evidence gate. threshold : the plain rule in words.
    """

    ours: tuple[Tried, ...]
    plain: tuple[Tried, ...]
    devices: int
    strata: int
    runs: int
    seed: int
    bad: str
    p_ok: float
    p_bad: float
    alpha: float
    threshold: str

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the chance to halt against the true failure rate."""
        axes = ax if ax is not None else _axes()
        self._lines(axes, "halted", 100.0)
        for rate, name in ((self.p_ok, "p_ok"), (self.p_bad, "p_bad")):
            if rate:
                axes.axvline(100 * rate, color="0.6", linewidth=0.8)
                label = f" {name} {100 * rate:g} %"
                axes.annotate(label, (100 * rate, 50), rotation=90, ha="right", va="center", fontsize=8)
        if self.alpha:
            axes.axhline(100 * self.alpha, color="0.6", linewidth=0.8, linestyle=":")
            axes.annotate("alpha", (100 * self.ours[-1].rate, 100 * self.alpha + 1), ha="right", fontsize=8)
        axes.set_ylim(-2, 110)
        axes.set_ylabel("chance to halt (%)")
        axes.legend(loc="center right", frameon=False)
        axes.set_title(self._caption(), fontsize=9)
        return axes

    def plot_exposed(self, ax: Axes | None = None) -> Axes:
        """Draw the mean number of devices released before the end or the HALT."""
        axes = ax if ax is not None else _axes()
        self._lines(axes, "exposed", 1.0)
        axes.set_ylim(0, 1.08 * self.devices)
        axes.set_ylabel("devices released (mean)")
        axes.legend(loc="upper right", frameon=False)
        axes.set_title(self._caption(), fontsize=9)
        return axes

    def _lines(self, axes: Axes, field: str, scale: float) -> None:
        styles: tuple[tuple[tuple[Tried, ...], str, dict[str, Any]], ...] = (
            (self.ours, "this gate", {"color": "0.1", "marker": "o", "markersize": 4}),
            (
                self.plain,
                self.threshold,
                {"color": "0.45", "marker": "s", "markersize": 4, "linestyle": "--"},
            ),
        )
        for tried, label, style in styles:
            rates = [100 * one.rate for one in tried]
            axes.plot(rates, [scale * getattr(one, field) for one in tried], label=label, **style)
        axes.set_xlabel(f"true failure rate of {self.bad or 'all devices'} (%)")

    def _caption(self) -> str:
        return f"{self.devices:,} devices, {self.strata} strata, {self.runs} runs a rate, seed {self.seed}"


def _axes() -> Axes:
    from matplotlib.figure import Figure

    return Figure(figsize=(7, 4.2), layout="constrained").subplots()


def simulate_gates(
    policy: GatePolicy,
    *,
    planned: LongArray,
    names: Sequence[str],
    rates: Sequence[float],
    course: Course,
    plain: ThresholdGate = PLAIN,
    bad: int | None = None,
    good_rate: float = 0.005,
    runs: int = 200,
    seed: int = 1,
) -> GateCheck:
    """Try the gate at each true failure rate.

    planned : (strata,) int64 devices; released in one random order, the same in all runs. rates : of all
    devices, or of the stratum `bad` alone while the others have `good_rate`. plain : the threshold that
    runs beside it. The same seed gives the same result. Raise a `ValueError` on impossible parameters.
    """
    check_policy(policy)
    _check(planned, names, rates, course, runs)
    codes = _order(planned, seed)
    groups = groups_of(policy, planned, names)
    ours, beside = [], []
    for index, rate in enumerate(rates):
        chance = np.full(len(codes), rate) if bad is None else np.where(codes == bad, rate, good_rate)
        draw = np.random.default_rng([seed, index])
        group = _group_of(names[bad], groups) if bad is not None else -1
        one, other = _try(policy, plain, groups, codes, chance, course, runs, draw, group)
        ours.append(_summary(rate, course, *one))
        beside.append(_summary(rate, course, *other))
    gate = policy.evidence
    return GateCheck(
        tuple(ours),
        tuple(beside),
        devices=len(codes),
        strata=len(planned),
        runs=runs,
        seed=seed,
        bad="" if bad is None else names[bad],
        p_ok=gate.p_ok if gate else 0.0,
        p_bad=gate.p_bad if gate else 0.0,
        alpha=gate.alpha if gate else 0.0,
        threshold=f"{plain.percent:g} % of at least {plain.min_executed} executed",
    )


def _check(
    planned: LongArray, names: Sequence[str], rates: Sequence[float], course: Course, runs: int
) -> None:
    if len(planned) != len(names) or not len(planned) or planned.min() < 0 or not planned.sum():
        raise ValueError("expected planned devices by stratum, with one name each")
    if not all(0 <= rate <= 1 for rate in rates):
        raise ValueError(f"expected failure rates between 0 and 1, found {list(rates)}")
    if (np.diff(course.released) < 0).any() or course.released[-1] != planned.sum():
        raise ValueError("expected a course that rises to the number of planned devices")
    if course.look_s <= 0 or course.fail_s <= 0 or course.enroll_s <= 0:
        raise ValueError("expected positive times of a course")
    if runs < 1:
        raise ValueError(f"expected at least one run, found {runs}")


def _order(planned: LongArray, seed: int) -> IntArray:
    """Give the stratum of each device in release order."""
    codes = np.repeat(np.arange(len(planned), dtype=np.int32), planned)
    return np.random.default_rng([seed, 2**31]).permutation(codes)


def _group_of(name: str, groups: Groups) -> int:
    if name in groups.names:
        return groups.names.index(name)
    return len(groups.names) - 1  # pooled, or -1 without groups


Ends = tuple[LongArray, BoolArray, BoolArray]
"""Of each run: look of the HALT (looks if none), whether it passed, whether the bad stratum halted it."""


def _try(
    policy: GatePolicy,
    plain: ThresholdGate,
    groups: Groups,
    codes: IntArray,
    chance: FloatArray,
    course: Course,
    runs: int,
    draw: np.random.Generator,
    bad: int,
) -> tuple[Ends, Ends]:
    """Play the runs in chunks that fit into memory; a chunk's draws follow those of the one before."""
    looks, cells = len(course.released), max(1, len(groups.names))
    size = max(1, CELLS // max(looks * cells, len(codes)))
    ours: list[Ends] = []
    beside: list[Ends] = []
    for first in range(0, runs, size):
        failed, enrolled = _play(groups, codes, chance, course, min(size, runs - first), draw)
        ours.append(_judge(policy, groups, codes, failed, enrolled, course, bad))
        whole = failed.sum(axis=2) if groups.names else failed[..., 0]
        beside.append(_plain(plain, whole, enrolled))
    return _join(ours), _join(beside)


def _join(parts: list[Ends]) -> Ends:
    at, passed, named = zip(*parts, strict=True)
    return np.concatenate(at), np.concatenate(passed), np.concatenate(named)


def _play(
    groups: Groups, codes: IntArray, chance: FloatArray, course: Course, runs: int, draw: np.random.Generator
) -> tuple[LongArray, LongArray]:
    """Give what each look sees: failed (runs, looks, groups), enrolled (runs, looks), both cumulative.

    A look at t sees events strictly before t; the releases of that look come after it.
    """
    looks, cells = len(course.released), max(1, len(groups.names))
    released_at = np.searchsorted(course.released, np.arange(len(codes)), side="right")
    fails = draw.random((runs, len(codes))) < chance
    delay = draw.standard_exponential((runs, len(codes)), dtype=np.float32)
    delay *= np.where(
        fails, np.float32(course.fail_s / course.look_s), np.float32(course.enroll_s / course.look_s)
    )
    seen_at = (released_at + 1 + delay).astype(np.int64)
    run = np.broadcast_to(np.arange(runs)[:, None], fails.shape)
    known = seen_at < looks
    cell = _cells(groups, codes)
    hit = fails & known
    where = (run[hit] * looks + seen_at[hit]) * cells + np.broadcast_to(cell, fails.shape)[hit]
    failed = np.bincount(where, minlength=runs * looks * cells).reshape(runs, looks, cells)
    hit = ~fails & known
    enrolled = np.bincount(run[hit] * looks + seen_at[hit], minlength=runs * looks).reshape(runs, looks)
    return failed.cumsum(axis=1), enrolled.cumsum(axis=1)


def _cells(groups: Groups, codes: IntArray) -> LongArray:
    """Give the group of each device in release order, 0 where nothing is judged apart."""
    if not groups.names:
        return np.zeros(len(codes), dtype=np.int64)
    cell = np.full(int(codes.max()) + 1, len(groups.names) - 1, dtype=np.int64)
    own = groups.own[groups.own < len(cell)]
    cell[own] = np.arange(len(own))
    return cell[codes]


def _counted(groups: Groups, codes: IntArray, course: Course) -> LongArray:
    """Give the devices that each look counts, shape ``(looks, groups)``: those released before it."""
    cells = max(1, len(groups.names))
    before = np.concatenate([[0], course.released[:-1]])
    out = np.empty((len(before), cells), dtype=np.int64)
    for group in range(cells):
        rising = np.concatenate([[0], np.cumsum(_cells(groups, codes) == group)])
        out[:, group] = rising[before]
    return out


def _judge(
    policy: GatePolicy,
    groups: Groups,
    codes: IntArray,
    failed: LongArray,
    enrolled: LongArray,
    course: Course,
    bad: int,
) -> Ends:
    """Let the policy look at each instant of each run; thresholds of the policy included."""
    runs, looks = enrolled.shape
    whole, counted = failed.sum(axis=2), _counted(groups, codes, course)
    over = np.zeros((runs, looks), dtype=bool)
    apart = np.zeros((runs, looks, 1), dtype=bool)
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
    executed, lost = whole[:, -1] + enrolled[:, -1], whole[:, -1]
    passed = (at == looks) & (executed >= min(policy.min_executed, len(codes)))
    if gate is not None:
        passed &= pass_boundary(gate).passes(lost, executed) & ~halt_boundary(gate).halts(lost, executed)
    for rule in policy.thresholds:
        passed &= ~trips(rule, lost, executed)
    named = (
        (at < looks)
        & (bad >= 0)
        & apart[np.arange(runs), np.minimum(at, looks - 1), bad if groups.names else 0]
    )
    return at, passed, named


def _plain(rule: ThresholdGate, failed: LongArray, enrolled: LongArray) -> Ends:
    at = _first(trips(rule, failed, failed + enrolled))
    passed = at == failed.shape[1]
    return at, passed, np.zeros(len(at), dtype=bool)


def _first(over: BoolArray) -> LongArray:
    first: LongArray = np.where(over.any(axis=1), over.argmax(axis=1), over.shape[1])
    return first


def _summary(rate: float, course: Course, at: LongArray, passed: BoolArray, named: BoolArray) -> Tried:
    before = np.concatenate([[0], course.released])[at]
    halted = float((at < len(course.released)).mean())
    return Tried(
        rate,
        halted,
        float(passed.mean()),
        float(named.mean()),
        float(before.mean()),
        float(np.median(before)),
        float(np.quantile(before, 0.95)),
    )
