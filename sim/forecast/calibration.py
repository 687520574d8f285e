"""The model, fitted to what a pilot really did.

Likelihoods of queues, switched-off devices and censored outcomes cannot be written down, but they can be played:
the pilot's own releases are lived through in many pretend worlds with drawn assumptions, and those worlds that
look like the real one tell which assumptions it has (approximate Bayesian computation with regression adjustment,
Beaumont et al. 2002, on regression summaries, Fearnhead and Prangle 2012). Early rounds find the region, the last
one fills it. Whoever has no outcome yet counts in both worlds alike, so censoring needs no correction.

Fitted: the client's random window, the service's capacity, how much devices are online, how long enrollment and
report take; and the share of devices that fail, of which enough is known by counting (Jeffreys' interval).
Not fitted, because results do not show them: chances of attempts that a retry mends.
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
from sim.forecast.pilot import Answer, FloatArray, Pilot, ages_of, answer
from sim.model import ClientModel, FailureCode, Model
from sim.workers import InProcess, Workers

NAMES: Final = ("window", "capacity", "online", "lag")
"""What is fitted by playing: seconds, enrollments a minute, factor, factor."""
LOW: Final = np.array([np.log(900.0), 0.05, np.log(0.55), np.log(0.3)])
HIGH: Final = np.array([np.log(10.0 * DAY_S), 1.2, np.log(1.4), np.log(3.0)])
"""Where they are looked for, uniformly: in the logarithm; the capacity as 1 / sqrt(capacity), from 0.7 to 400 a
minute, since above what is asked for all capacities are alike. A window below half an hour counts as immediate.
"""
IMMEDIATE_S: Final = 1800
PRESETS: Final = {"24h": DAY_S, "72h": 3 * DAY_S, "5d": 5 * DAY_S}
LEVELS: Final = np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.96])
WORLDS: Final = (500, 400, 600)
"""Worlds played in each round."""
KEPT: Final = 0.3
"""Share of a round's worlds, the most alike, that count."""
BINDS: Final = 4.0
"""The capacity counts as seen if the ends of its interval differ by less than this factor."""
FOLDS: Final = 5
CHUNK: Final = 50


@dataclass(frozen=True, slots=True)
class Estimate:
    """A fitted assumption: its median and the bounds of its 90 % interval, in its unit.

    seen : whether the pilot shows it at all; otherwise the scenario's own value stays.
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
        """Say it for a person."""
        if not self.seen:
            return f"{self.name}: not seen in this pilot, whose busiest hour had {60 * self.low:,.0f} enrollments"
        return f"{self.name}: {self.median:,.3g} {self.unit} ({self.low:,.3g} … {self.high:,.3g})"


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """A fitted model.

    estimates : by name: window (hours), capacity (a minute), online, lag (factors), failures (share).
    preset : the documented window that fits (99 % interval), "" none. model : with all medians.
    base : the model with the failures as they are and all else as it was assumed.
    samples : (s, 4) draws from the posterior on the scale of LOW and HIGH; failures are apart.
    failed, executed : devices that were counted. devices : released.
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
        """Return one model of the posterior."""
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
    """Fit `model` to a pilot. The same seed gives the same result with any number of workers."""
    hands = workers or InProcess()
    failures, fitted_model = _failures(pilot, model)
    known = replace(pilot, traits=replace(pilot.traits, fault=np.full(len(pilot), failures.median)))
    seen = summary(pilot, pilot.ages, pilot.ended_at)
    rng = np.random.default_rng((seed, 0))
    low, high = LOW, HIGH
    for number, count in enumerate(worlds):
        thetas = rng.uniform(low, high, (count, len(NAMES)))
        table = play(known, fitted_model, thetas, hands, seed=seed, first=number * 1_000_000)
        samples = posterior(thetas, table, seen, low, high)
        low, high = _region(samples, low, high)
    return _calibration(pilot, fitted_model, samples, failures)


def play(
    pilot: Pilot, model: Model, thetas: FloatArray, workers: Workers, *, seed: int, first: int
) -> FloatArray:
    """Return the summary of the pilot lived through under each row of `thetas`, (worlds, summaries)."""
    chunks = [(thetas[at : at + CHUNK], first + at) for at in range(0, len(thetas), CHUNK)]
    return np.concatenate(workers.map(_Play(pilot, model, seed), chunks))


@dataclass(frozen=True, slots=True, eq=False)
class _Play:
    pilot: Pilot
    model: Model
    seed: int

    def __call__(self, chunk: tuple[FloatArray, int]) -> FloatArray:
        thetas, first = chunk
        out = []
        for index, theta in enumerate(thetas):
            told = fitted(self.model, theta, seen=True)
            said = answer(self.pilot, told, seed=self.seed, replication=first + index)
            out.append(summary_of(self.pilot, said))
        return np.array(out)


def natural(theta: FloatArray) -> FloatArray:
    """Return the values of NAMES, (…, 4), from the scale on which they are drawn."""
    out = np.exp(theta)
    out[..., 1] = np.asarray(theta)[..., 1] ** -2.0
    return out


def fitted(model: Model, theta: FloatArray, *, seen: bool) -> Model:
    """Return the model with the values of NAMES, on the scale on which they are drawn; `seen`: the capacity too."""
    window, capacity, online, lag = natural(theta)
    changes: dict[str, Any] = {
        "window": 0 if window < IMMEDIATE_S else round(window),
        "online": float(online),
        "lag": float(lag),
    }
    if seen:
        changes["capacity_per_minute"] = float(capacity)
    return assumed(model, changes)


def summary_of(pilot: Pilot, said: Answer) -> FloatArray:
    """Return the summary of a played world."""
    enrolled = said.enrolled_at
    return summary(pilot, ages_of(pilot.released_at, enrolled), enrolled)


def summary(pilot: Pilot, ages: FloatArray, ended_at: Any) -> FloatArray:
    """Return what is compared: ages at enrollment as quantiles, by class of presence, and the busiest hours.

    ages : (k,) hours, infinite without enrollment. Who is not enrolled stands at the end of each list.
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
    """Return the most events in any span of `width` seconds."""
    if not len(at):
        return 0.0
    return float((np.searchsorted(at, at + width) - np.arange(len(at))).max())


def _groups(pilot: Pilot) -> list[Any]:
    """All devices, and those that are on at night from those that are not, where classes are known."""
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
    """Return draws from the posterior: the most similar worlds, moved by what regression says of the rest.

    thetas : (m, p) drawn uniformly between low and high. table : (m, s) their summaries. seen : (s,).
    """
    features, point = _features(table, seen)
    # First what each summary says of each parameter, then the distance in that: few numbers, the right ones.
    said, here = _regress_apart(features, thetas, point)
    scale = np.maximum((thetas - said).std(axis=0), 1e-9)
    near = np.argsort((((said - here) / scale) ** 2).sum(axis=1), kind="stable")
    kept = near[: max(10 * len(NAMES), int(KEPT * len(thetas)))]
    cross, cross_point = _squares(said[kept], here)
    mean, mean_here = _regress(cross, thetas[kept], cross_point, ridge=1e-3)
    rest = thetas[kept] - mean
    # The spread is another in other places (Blum and François 2010): that of here counts.
    size, size_here = _regress(cross, np.log(rest**2 + 1e-12), cross_point, ridge=1e-1)
    moved = mean_here + rest * np.exp(np.clip((size_here - size) / 2, -1.5, 1.5))
    return np.clip(moved, low, high)


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
    """Return ridge regression's fit of `targets` at all rows, and at `point`."""
    fits = _fit(features, targets, ridge=ridge, points=np.vstack([features, point]))
    return fits[:-1], fits[-1]


def _regress_apart(
    features: FloatArray, targets: FloatArray, point: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return each row's fit by a regression that has not seen it, and the mean of those fits at `point`.

    With a hundred features a row's own fit follows its noise, and intervals would come out too narrow.
    """
    fold = np.arange(len(features)) % FOLDS
    said, here = np.empty_like(targets), []
    for number in range(FOLDS):
        seen, apart = fold != number, fold == number
        x, points = features[seen], np.vstack([features[apart], point])
        fits = _fit(x, targets[seen], ridge=1e-2, points=points)
        said[apart] = fits[:-1]
        here.append(fits[-1])
    return said, np.mean(here, axis=0)


def _fit(x: FloatArray, targets: FloatArray, *, ridge: float, points: FloatArray) -> FloatArray:
    """Return ridge regression's fit of `targets` at `points`."""
    ones = np.hstack([np.ones((len(x), 1)), x])
    penalty = ridge * len(x) * np.eye(ones.shape[1])
    penalty[0, 0] = 0.0
    weights = np.linalg.solve(ones.T @ ones + penalty, ones.T @ targets)
    out: FloatArray = np.hstack([np.ones((len(points), 1)), points]) @ weights
    return out


def _region(samples: FloatArray, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return where the next round draws: the posterior so far with room around it."""
    ends = np.quantile(samples, [0.005, 0.995], axis=0)
    room = 0.35 * (ends[1] - ends[0]) + 0.02
    return np.maximum(low, ends[0] - room), np.minimum(high, ends[1] + room)


def _calibration(pilot: Pilot, model: Model, samples: FloatArray, failures: Estimate) -> Calibration:
    bounds = np.sort(natural(np.quantile(samples, [0.05, 0.5, 0.95], axis=0)), axis=0)
    # Capacities are whole numbers; what was taken in an hour is less than any that was not felt.
    capacity = np.quantile(np.maximum(1, np.round(natural(samples)[:, 1])), [0.05, 0.5, 0.95])
    seen = bool(capacity[2] < BINDS * capacity[0])
    if not seen:
        known = np.sort(pilot.ended_at[pilot.enrolled])
        capacity[0] = _busiest(known, HOUR_S) / 60
    estimates = {
        "window": _estimate("random window", "hours", bounds[:, 0] / HOUR_S),
        "capacity": _estimate("service capacity", "a minute", capacity, seen),
        "online": _estimate("time online", "times as assumed", bounds[:, 2]),
        "lag": _estimate("enrollment and report", "times as long as assumed", bounds[:, 3]),
        "failures": failures,
    }
    middle = np.median(samples, axis=0)
    # A documented window is likelier than its neighbours: it counts a little beyond the interval's ends.
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
    """Return the share of devices that fail for good, and the model with it, code by code."""
    failed, executed = int(pilot.failed.sum()), int((pilot.ended_at >= 0).sum())
    a, b = failed + 0.5, executed - failed + 0.5
    low, median, high = (_beta_quantile(level, a, b) for level in (0.05, 0.5, 0.95))
    estimate = Estimate("failures", "of the devices", low, median, high)
    usual = [failure for failure in model.clients.failures if failure.permanent]
    total = sum(item.rate for item in usual) or 1.0
    # One failure of the scenario's mix beside those that were counted: a code may not have come up yet.
    shares = {item.code: item.rate / total for item in usual}
    codes, counts = np.unique(pilot.code[pilot.failed], return_counts=True)
    for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
        shares[code] = shares.get(code, 0.0) + count
    weight = sum(shares.values()) or 1.0
    for_good = tuple(
        FailureCode(code=code, rate=round(median * share / weight, 6), permanent=True)
        for code, share in sorted(shares.items())
    )
    mended = tuple(failure for failure in model.clients.failures if not failure.permanent)
    clients = ClientModel.model_validate(
        model.clients.model_dump() | {"failures": [item.model_dump() for item in (*for_good, *mended)]}
    )
    return estimate, model.model_copy(update={"clients": clients})


def _beta_quantile(level: float, a: float, b: float) -> float:
    """Return the quantile of a beta distribution, by halving."""
    low, high, whole = 0.0, 1.0, float(log_beta(a, b))
    for _ in range(50):
        middle = (low + high) / 2
        if float(log_beta_below(middle, a, b)) - whole < np.log(level):
            low = middle
        else:
            high = middle
    return high


def window_text(model: Model) -> str:
    """Write the window as a scenario does."""
    return "immediate" if model.clients.window == 0 else format_duration(model.clients.window)


def model_document(model: Model) -> dict[str, Any]:
    """Return the [model] section as a TOML document."""
    document: dict[str, Any] = model.model_dump(mode="json")
    document["clients"]["window"] = window_text(model)
    return document
