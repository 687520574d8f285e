"""Models so plain that the answer is known: the engines must give it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rollout.values import DAY_S, HOUR_S, FlagArray, LongArray, Outcome
from sim.clients.draws import Draws, make_draws, traits_like
from sim.engines.engine import make_engine
from sim.engines.port import EngineRun
from sim.model import Model

START = 1_767_596_400
ALWAYS = {"weekday": 1.0, "weekend": 1.0, "turned_off": 0.0, "pause": 0.0}
ONE_SECOND = {"median": 1, "p90": 1}


def plain(clients: dict[str, Any], service: dict[str, Any] | None = None) -> Model:
    """Give a model without failures, blocks, lags or offline devices."""
    quiet: dict[str, Any] = {
        "collection_evaluation": 0,
        "policy_evaluation": 0,
        "blocked_share": 0.0,
        "device_token_share": 1.0,
        "unenroll_per_year": 0.0,
        "enrollment": ONE_SECOND,
        "report_lag": ONE_SECOND,
        "failures": [],
    }
    return Model.model_validate(
        {
            "clients": quiet | clients,
            "service": {"capacity_per_minute": 0} | (service or {}),
            "presence": {"always_on": ALWAYS, "mix": [1, 0, 0, 0]},
            "horizon": "14d",
        }
    )


def enroll(model: Model, n: int, seed: int) -> tuple[LongArray, EngineRun]:
    """Release `n` devices at START; give when the site saw each enrolled, in seconds after START."""
    traits = traits_like(n, model)
    draws: Draws = make_draws(model, traits, seed, 0, START)
    engine = make_engine(
        model,
        traits,
        draws,
        start=START,
        strata=np.zeros(n, dtype=np.int32),
        n_strata=1,
        straggler_after_s=20 * DAY_S,
    )
    engine.release(np.arange(n, dtype=np.int32), 0, START)
    engine.advance(START + 14 * DAY_S)
    states: FlagArray = engine.outcome
    assert (states == Outcome.ENROLLED).all()
    return engine.outcome_at - START, engine


def trapezoid(window: float, poll: float) -> Callable[[Any], Any]:
    """Give the distribution function of the sum of two uniform times, [0, window) and [0, poll)."""

    def half(t: Any) -> Any:
        return np.maximum(t, 0.0) ** 2 / 2

    def cdf(t: Any) -> Any:
        return (half(t) - half(t - window) - half(t - poll) + half(t - window - poll)) / (window * poll)

    return cdf


@pytest.mark.parametrize("seed", range(10))
def test_the_enrolled_curve_is_the_convolution_of_poll_and_window(seed: int) -> None:
    """Kolmogorov-Smirnov, p > 0.01: a poll uniform in an hour, then a timer uniform in a day."""
    stats = pytest.importorskip("scipy.stats")
    at, _ = enroll(plain({"window": "24h"}), 3000, seed)
    fixed = 1 + 1 + 1  # evaluation, enrollment and report take a second each
    # Times are whole seconds, rounded down: half a second on average.
    result = stats.kstest(at - fixed + 0.5, trapezoid(DAY_S, HOUR_S))
    assert result.pvalue > 0.01


def test_another_window_is_told_apart() -> None:
    """The test above can fail: a window of 23 hours is rejected."""
    stats = pytest.importorskip("scipy.stats")
    at, _ = enroll(plain({"window": "23h"}), 3000, 0)
    assert stats.kstest(at - 2.5, trapezoid(DAY_S, HOUR_S)).pvalue < 1e-4


@pytest.mark.parametrize(("n", "capacity"), [(1000, 10), (1200, 40), (500, 500)])
def test_all_at_once_takes_devices_by_capacity_minutes(n: int, capacity: int) -> None:
    """Capacity C a minute, everybody asking every minute: each minute is full, done in N / C minutes."""
    every_minute = {"backoff": "1m", "backoff_max": "1m", "backoff_jitter": 0.0}
    model = plain(
        {"window": "immediate", "policy_poll": "60s"}, {"capacity_per_minute": capacity, **every_minute}
    )
    at, engine = enroll(model, n, 1)
    minutes, served = np.unique((at + START - 2) // 60, return_counts=True)
    assert served.max() <= capacity
    assert (served[1:-1] == capacity).all()
    assert n // capacity <= len(minutes) <= n // capacity + 1
    assert minutes[-1] - minutes[0] == len(minutes) - 1
    load = engine.load()
    assert int(load.attempts.sum() - load.throttled.sum()) == n


def test_retries_are_geometric() -> None:
    """Each attempt fails with chance p: the mean number of attempts of a device is 1 / (1 - p)."""
    p = 0.3
    failures = [{"code": 0x80180005, "rate": p}]
    _, engine = enroll(plain({"window": "1h", "failures": failures, "next_cycle": "1h"}), 5000, 2)
    assert engine.load().attempts.sum() / 5000 == pytest.approx(1 / (1 - p), rel=0.02)


def test_permanent_failures_have_their_share_and_use_all_attempts() -> None:
    """A share of devices fails for good, each after exactly three attempts."""
    model = plain({"window": "1h", "failures": [{"code": 5, "rate": 0.1, "permanent": True}]})
    n = 5000
    traits = traits_like(n, model)
    engine = make_engine(
        model,
        traits,
        make_draws(model, traits, 3, 0, START),
        start=START,
        strata=np.zeros(n, dtype=np.int32),
        n_strata=1,
        straggler_after_s=20 * DAY_S,
    )
    engine.release(np.arange(n, dtype=np.int32), 0, START)
    engine.advance(START + 10 * DAY_S)
    failed = engine.failed_codes[5]
    assert failed / n == pytest.approx(0.1, abs=0.015)
    assert engine.load().attempts.sum() == n + 2 * failed
    assert engine.settled()
