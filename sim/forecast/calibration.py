"""The model, fitted to the observed outcomes of a pilot.

The likelihood of queues, switched-off devices and censored outcomes has no closed form, but it can be simulated:
the pilot's own releases are simulated many times with drawn assumptions, and the simulations that resemble the real
pilot show which assumptions fit (approximate Bayesian computation with regression adjustment, Beaumont et al. 2002,
on regression summaries, Fearnhead and Prangle 2012). Early rounds find the region, the last round samples it. Devices
without an outcome are treated alike in the pilot and in the simulations, so censoring needs no correction.

Fitted: the client's random window, the service's capacity, the time that devices are online, the duration of
enrollment and report; and the share of devices that fail, for which counting is enough (Jeffreys' interval).
Not fitted, because results do not show them: the failure rates of attempts that succeed after a retry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from rollout.gates.beta import log_beta, log_beta_below
from rollout.values import DAY_S, HOUR_S
from rollout.values.durations import format_duration
from sim.assumptions import assumed
from sim.forecast.pilot import FloatArray, Pilot, SimulatedOutcomes, ages_of, simulate_pilot
from sim.model import ClientModel, FailureCode, Model
from sim.workers import InProcess, Workers

NAMES: Final = ("window", "capacity", "online", "lag")
"""Assumptions that are fitted by simulation: seconds, enrollments per minute, factor, factor."""
LOW: Final = np.array([np.log(900.0), 0.05, np.log(0.55), np.log(0.3)])
HIGH: Final = np.array([np.log(10.0 * DAY_S), 1.2, np.log(1.4), np.log(3.0)])
"""Bounds of the uniform prior. Scale: logarithmic, except for the capacity, which is drawn as 1 / sqrt(capacity),
from 0.7 to 400 per minute, because capacities above the demand have the same effect.
"""
IMMEDIATE_S: Final = 1800
"""A window below this number of seconds counts as immediate."""
PRESETS: Final = {"24h": DAY_S, "72h": 3 * DAY_S, "5d": 5 * DAY_S}
LEVELS: Final = np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.96])
WORLDS: Final = (500, 400, 600)
"""Simulations in each round."""
KEPT: Final = 0.3
"""Share of a round's simulations that are kept: those that resemble the pilot most."""
BINDS: Final = 4.0
"""The capacity is identified if the bounds of its interval differ by less than this factor."""
FOLDS: Final = 5
CHUNK: Final = 50


@dataclass(frozen=True, slots=True)
class Estimate:
    """A fitted assumption: its median and the bounds of its 90 % interval, in its unit.

    seen : whether the pilot identifies the value; otherwise the scenario's own value stays.
    """

    name: str
    unit: str
    low: float
    median: float
    high: float
    seen: bool = True

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def sentence(self) -> str:
        """Return the estimate as a sentence."""
        if not self.seen:
            return (
                f"{self.name}: not seen in this pilot; its busiest hour had {60 * self.low:,.0f} enrollments"
            )
        return f"{self.name}: {self.median:,.3g} {self.unit} ({self.low:,.3g} … {self.high:,.3g})"


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """A fitted model.

    estimates : by name: window (hours), capacity (per minute), online, lag (factors), failures (share).
    preset : the documented window that fits (99 % interval), "" if none does. model : the model with all medians.
    base : the model with the estimated failures and all other assumptions unchanged.
    samples : (s, 4) draws from the posterior on the scale of LOW and HIGH, without the failures.
    failed, executed : devices that failed, and devices with an outcome. devices : released devices.
    """

    estimates: Mapping[str, Estimate]
    preset: str
    model: Model
    base: Model
    samples: FloatArray
    failed: int
    executed: int
    devices: int

    def sampled(self, index: int) -> Model:
        """Return a model drawn from the posterior."""
        return fitted(
            self.base, self.samples[index % len(self.samples)], seen=self.estimates["capacity"].seen
        )


def calibrate(
    pilot: Pilot,
    model: Model,
    *,
    seed: int = 1,
    workers: Workers | None = None,
    worlds: tuple[int, ...] = WORLDS,
) -> Calibration:
    """Fit `model` to a pilot. The result depends on the seed, but not on the number of workers.

    worlds : simulations in each round.
    """
    pool = workers or InProcess()
    failures, fitted_model = _failures(pilot, model)
    known = replace(pilot, traits=replace(pilot.traits, fault=np.full(len(pilot), failures.median)))
    seen = summary(pilot, pilot.ages, pilot.ended_at)
    rng = np.random.default_rng((seed, 0))
    low, high = LOW, HIGH
    for number, count in enumerate(worlds):
        thetas = rng.uniform(low, high, (count, len(NAMES)))
        table = simulate_summaries(known, fitted_model, thetas, pool, seed=seed, first=number * 1_000_000)
        samples = posterior(thetas, table, seen, low, high)
        low, high = _region(samples, low, high)
    return _calibration(pilot, fitted_model, samples, failures)


def simulate_summaries(
    pilot: Pilot, model: Model, thetas: FloatArray, workers: Workers, *, seed: int, first: int
) -> FloatArray:
    """Return the summary of the pilot simulated with each row of `thetas`, (simulations, summaries)."""
    chunks = [(thetas[at : at + CHUNK], first + at) for at in range(0, len(thetas), CHUNK)]
    return np.concatenate(workers.map(_SimulateChunk(pilot, model, seed), chunks))


@dataclass(frozen=True, slots=True, eq=False)
class _SimulateChunk:
    pilot: Pilot
    model: Model
    seed: int

    def __call__(self, chunk: tuple[FloatArray, int]) -> FloatArray:
        thetas, first = chunk
        summaries = []
        for index, theta in enumerate(thetas):
            model = fitted(self.model, theta, seen=True)
            outcomes = simulate_pilot(self.pilot, model, seed=self.seed, replication=first + index)
            summaries.append(summary_of(self.pilot, outcomes))
        return np.array(summaries)


def natural(theta: FloatArray) -> FloatArray:
    """Return the values of NAMES, (…, 4), in their units, from the scale on which they are drawn."""
    out = np.exp(theta)
    out[..., 1] = np.asarray(theta)[..., 1] ** -2.0
    return out


def fitted(model: Model, theta: FloatArray, *, seen: bool) -> Model:
    """Return the model with the values of NAMES.

    theta : the values on the scale on which they are drawn. seen : whether the capacity is set as well.
    """
    window, capacity, online, lag = natural(theta)
    changes: dict[str, Any] = {
        "window": 0 if window < IMMEDIATE_S else round(window),
        "online": float(online),
        "lag": float(lag),
    }
    if seen:
        changes["capacity_per_minute"] = float(capacity)
    return assumed(model, changes)


def summary_of(pilot: Pilot, outcomes: SimulatedOutcomes) -> FloatArray:
    """Return the summary of a simulation."""
    enrolled = outcomes.enrolled_at
    return summary(pilot, ages_of(pilot.released_at, enrolled), enrolled)


def summary(pilot: Pilot, ages: FloatArray, ended_at: Any) -> FloatArray:
    """Return the figures that are compared: quantiles of ages at enrollment by presence class, and the peak loads.

    ages : (k,) hours from release to enrollment, infinite for devices that are not enrolled, which sort last.
    """
    cap = max(1.0, float((pilot.now - pilot.released_at).max()) / HOUR_S)
    out = []
    for group in _groups(pilot):
        hours = np.sort(np.minimum(ages[group], cap))
        places = np.minimum((LEVELS * len(hours)).astype(int), len(hours) - 1)
        out.append(np.log(hours[places] + 0.05))
    known = np.sort(np.asarray(ended_at)[np.asarray(ended_at) >= 0])
    out.append(np.log1p([_busiest(known, width) for width in (300, 900, 3600, 4 * 3600)]))
    out.append(np.array([np.isfinite(ages).mean()]))
    return np.concatenate(out)


def _busiest(at: Any, width: int) -> float:
    """Return the highest number of events in any span of `width` seconds."""
    if not len(at):
        return 0.0
    return float((np.searchsorted(at, at + width) - np.arange(len(at))).max())


def _groups(pilot: Pilot) -> list[Any]:
    """Return masks of all devices, of those that stay on at night and of the others, where classes are known."""
    presence = pilot.traits.presence
    groups = [np.ones(len(pilot), dtype=bool)]
    for codes in ((0, 1), (2, 3)):
        group = np.isin(presence, codes)
        if group.sum() >= 40:
            groups.append(group)
    return groups


def posterior(
    thetas: FloatArray, table: FloatArray, seen: FloatArray, low: FloatArray, high: FloatArray
) -> FloatArray:
    """Return draws from the posterior: the most similar simulations, adjusted by regression.

    thetas : (m, p) drawn uniformly between low and high. table : (m, s) their summaries. seen : (s,) summary of the
    real pilot.
    """
    features, point = _features(table, seen)
    # The distance is measured between predicted parameters: few numbers, and the relevant ones.
    predicted, at_pilot = _cross_fit(features, thetas, point)
    scale = np.maximum((thetas - predicted).std(axis=0), 1e-9)
    near = np.argsort((((predicted - at_pilot) / scale) ** 2).sum(axis=1), kind="stable")
    kept = near[: max(10 * len(NAMES), int(KEPT * len(thetas)))]
    cross, cross_point = _squares(predicted[kept], at_pilot)
    mean, mean_at_pilot = _regress(cross, thetas[kept], cross_point, ridge=1e-3)
    residuals = thetas[kept] - mean
    # The spread varies over the parameter space (Blum and François 2010): use the spread at the pilot.
    spread, spread_at_pilot = _regress(cross, np.log(residuals**2 + 1e-12), cross_point, ridge=1e-1)
    adjusted = mean_at_pilot + residuals * np.exp(np.clip((spread_at_pilot - spread) / 2, -1.5, 1.5))
    return np.clip(adjusted, low, high)


def _features(table: FloatArray, seen: FloatArray) -> tuple[FloatArray, FloatArray]:
    middle, spread = table.mean(axis=0), np.maximum(table.std(axis=0), 1e-6)
    x, point = (table - middle) / spread, np.clip((seen - middle) / spread, -4, 4)
    return np.hstack([x, x**2]), np.concatenate([point, point**2])


def _squares(x: FloatArray, point: FloatArray) -> tuple[FloatArray, FloatArray]:
    middle, spread = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-9)
    x, point = (x - middle) / spread, (point - middle) / spread
    upper = np.triu_indices(x.shape[1])
    return (
        np.hstack([x, x[:, upper[0]] * x[:, upper[1]]]),
        np.concatenate([point, point[upper[0]] * point[upper[1]]]),
    )


def _regress(
    features: FloatArray, targets: FloatArray, point: FloatArray, ridge: float
) -> tuple[FloatArray, FloatArray]:
    """Return the ridge regression of `targets` at all rows, and at `point`."""
    fits = _fit(features, targets, ridge=ridge, points=np.vstack([features, point]))
    return fits[:-1], fits[-1]


def _cross_fit(features: FloatArray, targets: FloatArray, point: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return each row's prediction by a regression without that row, and the mean of the predictions at `point`.

    With a hundred features a regression that includes the row follows its noise, and intervals would be too narrow.
    """
    fold = np.arange(len(features)) % FOLDS
    predicted, at_point = np.empty_like(targets), []
    for number in range(FOLDS):
        train, test = fold != number, fold == number
        x, points = features[train], np.vstack([features[test], point])
        fits = _fit(x, targets[train], ridge=1e-2, points=points)
        predicted[test] = fits[:-1]
        at_point.append(fits[-1])
    return predicted, np.mean(at_point, axis=0)


def _fit(x: FloatArray, targets: FloatArray, *, ridge: float, points: FloatArray) -> FloatArray:
    """Return the ridge regression of `targets` at `points`."""
    ones = np.hstack([np.ones((len(x), 1)), x])
    penalty = ridge * len(x) * np.eye(ones.shape[1])
    penalty[0, 0] = 0.0
    weights = np.linalg.solve(ones.T @ ones + penalty, ones.T @ targets)
    out: FloatArray = np.hstack([np.ones((len(points), 1)), points]) @ weights
    return out


def _region(samples: FloatArray, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the bounds of the next round's draws: those of the posterior so far, with a margin."""
    ends = np.quantile(samples, [0.005, 0.995], axis=0)
    margin = 0.35 * (ends[1] - ends[0]) + 0.02
    return np.maximum(low, ends[0] - margin), np.minimum(high, ends[1] + margin)


def _calibration(pilot: Pilot, model: Model, samples: FloatArray, failures: Estimate) -> Calibration:
    bounds = np.sort(natural(np.quantile(samples, [0.05, 0.5, 0.95], axis=0)), axis=0)
    # Capacities are whole numbers. If no limit was reached, the busiest hour is a lower bound of the capacity.
    capacity = np.quantile(np.maximum(1, np.round(natural(samples)[:, 1])), [0.05, 0.5, 0.95])
    seen = bool(capacity[2] < BINDS * capacity[0])
    if not seen:
        known = np.sort(pilot.ended_at[pilot.enrolled])
        capacity[0] = _busiest(known, HOUR_S) / 60
    estimates = {
        "window": _estimate("random window", "hours", bounds[:, 0] / HOUR_S),
        "capacity": _estimate("service capacity", "per minute", capacity, seen),
        "online": _estimate("time online", "times the assumed value", bounds[:, 2]),
        "lag": _estimate("enrollment and report", "times as long as assumed", bounds[:, 3]),
        "failures": failures,
    }
    middle = np.median(samples, axis=0)
    # A documented window is more likely than its neighbours, so it is accepted slightly outside the interval.
    ends = np.exp(np.quantile(samples[:, 0], [0.005, 0.995]))
    preset = next((name for name, seconds in PRESETS.items() if ends[0] <= seconds <= ends[1]), "")
    if preset:
        middle[0] = np.log(PRESETS[preset])
    elif np.exp(middle[0]) >= IMMEDIATE_S:
        middle[0] = np.log(round(np.exp(middle[0]) / 600) * 600)
    return Calibration(
        estimates=estimates,
        preset=preset,
        model=fitted(model, middle, seen=estimates["capacity"].seen),
        base=model,
        samples=samples,
        failed=int(pilot.failed.sum()),
        executed=int((pilot.ended_at >= 0).sum()),
        devices=len(pilot),
    )


def _estimate(name: str, unit: str, values: FloatArray, seen: bool = True) -> Estimate:
    low, median, high = (float(value) for value in values)
    return Estimate(name, unit, low, median, high, seen)


def _failures(pilot: Pilot, model: Model) -> tuple[Estimate, Model]:
    """Return the share of devices that fail permanently, and the model with this share, split by code."""
    failed, executed = int(pilot.failed.sum()), int((pilot.ended_at >= 0).sum())
    a, b = failed + 0.5, executed - failed + 0.5
    low, median, high = (_beta_quantile(level, a, b) for level in (0.05, 0.5, 0.95))
    estimate = Estimate("failures", "of the devices", low, median, high)
    usual = [failure for failure in model.clients.failures if failure.permanent]
    total = sum(failure.rate for failure in usual) or 1.0
    # The scenario's mix counts as one further failure, because a code may not have occurred yet.
    shares = {failure.code: failure.rate / total for failure in usual}
    codes, counts = np.unique(pilot.code[pilot.failed], return_counts=True)
    for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
        shares[code] = shares.get(code, 0.0) + count
    weight = sum(shares.values()) or 1.0
    permanent = tuple(
        FailureCode(code=code, rate=round(median * share / weight, 6), permanent=True)
        for code, share in sorted(shares.items())
    )
    transient = tuple(failure for failure in model.clients.failures if not failure.permanent)
    clients = ClientModel.model_validate(
        model.clients.model_dump()
        | {"failures": [failure.model_dump() for failure in (*permanent, *transient)]}
    )
    return estimate, model.model_copy(update={"clients": clients})


def _beta_quantile(level: float, a: float, b: float) -> float:
    """Return the quantile of a beta distribution, by bisection."""
    low, high, whole = 0.0, 1.0, float(log_beta(a, b))
    for _ in range(50):
        middle = (low + high) / 2
        if float(log_beta_below(middle, a, b)) - whole < np.log(level):
            low = middle
        else:
            high = middle
    return high


def window_text(model: Model) -> str:
    """Return the window as written in a scenario."""
    return "immediate" if model.clients.window == 0 else format_duration(model.clients.window)


def model_document(model: Model) -> dict[str, Any]:
    """Return the [model] section as a TOML document."""
    document: dict[str, Any] = model.model_dump(mode="json")
    document["clients"]["window"] = window_text(model)
    return document
