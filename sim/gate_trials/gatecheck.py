"""The effect of a gate on good and bad rollouts: its operating characteristic, by simulation of the gate alone.

Devices are released along a given course, failures come fast and successes slowly, and the gate judges at
regular intervals. The same boundaries decide as in `rollout.gates`; the clients, the network and the loop
are left out, so that a thousand rollouts take a second. What phases add (a PASS or a HOLD between them, a
person's approval) is seen in `rollout simulate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout.text import visible
from rollout.values import BoolArray, GatePolicy, IntArray, LongArray, Plan, ThresholdGate
from sim.gate_trials.course import HOUR_S, Course, course_of
from sim.gate_trials.trial import Trial, run_trial, trial_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLAIN = ThresholdGate(percent=3.0, count=1, min_executed=20)
"""A threshold that an administrator would write: 3 % of at least 20 devices with an outcome."""


@dataclass(frozen=True, slots=True)
class Tried:
    """The results of the runs at one true failure rate, under one kind of gate.

    halted, passed : share of the runs; the rest ended as HOLD. A run is halted by a HALT or, if a bad stratum is named,
    when that stratum is held. named : share of the runs in which the bad stratum was condemned by then.
    exposed : devices released at the end or when the run was halted, mean; also median and p95.
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
    """The operating characteristic of a policy, and of a plain threshold on the same runs.

    ours, plain : one entry per true rate. devices, strata, runs, seed : of the simulation.
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
                axes.annotate(label, (100 * rate, 30), rotation=90, ha="left", va="center", fontsize=8)
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
            rates = [100 * summary.rate for summary in tried]
            axes.plot(rates, [scale * getattr(summary, field) for summary in tried], label=label, **style)
        who = f"stratum '{self.bad}'" if self.bad else "all devices"
        # A name is no formula, whatever dollar signs it holds.
        axes.set_xlabel(visible(f"true failure rate of {who} (%)"), parse_math=False)

    def _caption(self) -> str:
        return f"{self.devices:,} devices, {self.strata} strata, {self.runs} runs per rate, seed {self.seed}"


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
    bad: str = "",
    good_rate: float = 0.005,
    runs: int = 200,
    seed: int = 1,
) -> GateCheck:
    """Try a gate at each true failure rate.

    planned : (strata,) int64 devices; released in one random order, the same in all runs. rates : of all
    devices, or of the stratum named `bad` alone while the others have `good_rate`. plain : the threshold
    to compare with. The same seed gives the same result. Raise a `ValueError` on impossible parameters.
    """
    if len(planned) != len(names) or not len(planned) or planned.min() < 0 or not planned.sum():
        raise ValueError("expected planned devices by stratum, with one name each")
    trial = trial_of(policy, _order(planned, seed), names, course, plain, bad)
    return _characteristic(trial, rates=rates, good_rate=good_rate, runs=runs, seed=seed)


def simulate_plan_gates(
    plan: Plan,
    *,
    rates: Sequence[float],
    fail_s: float,
    enroll_s: float,
    look_s: int = HOUR_S,
    plain: ThresholdGate = PLAIN,
    bad: str = "",
    good_rate: float = 0.005,
    runs: int = 200,
    seed: int = 1,
) -> GateCheck:
    """Try the gate of a plan's first phase along the plan's own curves, order and strata.

    fail_s, enroll_s : mean seconds from release to failure and success. The rest as in `simulate_gates`.
    """
    course, codes = course_of(plan, fail_s=fail_s, enroll_s=enroll_s, look_s=look_s)
    trial = trial_of(plan.phases[0].gate, codes, plan.strata.names, course, plain, bad)
    return _characteristic(trial, rates=rates, good_rate=good_rate, runs=runs, seed=seed)


def _characteristic(
    trial: Trial, *, rates: Sequence[float], good_rate: float, runs: int, seed: int
) -> GateCheck:
    if not all(0 <= rate <= 1 for rate in (*rates, good_rate)):
        raise ValueError(f"expected failure rates between 0 and 1, found {[*rates, good_rate]}")
    if runs < 1:
        raise ValueError(f"expected at least one run, found {runs}")
    ours, threshold = [], []
    for index, rate in enumerate(rates):
        chance = np.where(trial.bad, rate, good_rate)
        by_policy, by_threshold = run_trial(trial, chance, runs, np.random.default_rng([seed, index]))
        ours.append(_summary(rate, trial.course, *by_policy))
        threshold.append(_summary(rate, trial.course, *by_threshold))
    gate, plain = trial.policy.evidence, trial.plain
    return GateCheck(
        tuple(ours),
        tuple(threshold),
        devices=trial.course.devices,
        strata=trial.strata,
        runs=runs,
        seed=seed,
        bad=trial.bad_name,
        p_ok=gate.p_ok if gate else 0.0,
        p_bad=gate.p_bad if gate else 0.0,
        alpha=gate.alpha if gate else 0.0,
        threshold=f"{plain.percent:g} % of at least {plain.min_executed} executed",
    )


def _order(planned: LongArray, seed: int) -> IntArray:
    """Return the stratum of each device in release order."""
    codes = np.repeat(np.arange(len(planned), dtype=np.int32), planned)
    return np.random.default_rng([seed, 2**31]).permutation(codes)


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
