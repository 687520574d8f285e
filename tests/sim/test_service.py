"""The enrollment service: outages, throttling, the gateway."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.values import DAY_S, HOUR_S, LongArray
from sim.clients.draws import make_draws, traits_like
from sim.clients.service import OUTAGE_CODE, draw_outages, gateway_delay, sigma_of
from sim.engines.engine import make_engine
from sim.model import LogNormal, Model, ServiceModel

START = 1_767_596_400


def outages(seed: int, **service: object) -> LongArray:
    """Return the outages drawn for a year."""
    model = ServiceModel.model_validate(service)
    return draw_outages(model, np.random.default_rng(seed), START, 365 * DAY_S)


@given(
    fixed=st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**6)), max_size=8),
    rate=st.sampled_from([0.0, 5.0, 400.0]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=200, derandomize=True, deadline=None)
def test_outages_are_sorted_and_disjoint(fixed: list[tuple[int, int]], rate: float, seed: int) -> None:
    """Overlapping outages are merged, and every fixed outage is covered."""
    fixed_outages = [{"after": after, "lasts": lasts} for after, lasts in fixed]
    spans = outages(seed, outages=fixed_outages, outages_per_year=rate)
    flat = spans.ravel()
    assert (np.diff(flat) > 0).all()
    for after, lasts in fixed:
        inside = (spans[:, 0] <= START + after) & (spans[:, 1] >= START + after + lasts)
        assert lasts == 0 or inside.any()


def test_random_outages_have_the_rate_and_the_lengths_of_the_source() -> None:
    """Azure's operator incidents 2018-19: median 4.5 h, 90th percentile 16 h."""
    spans = np.concatenate([outages(seed, outages_per_year=12) for seed in range(100)])
    lengths = (spans[:, 1] - spans[:, 0]) / HOUR_S
    assert len(spans) / 100 == pytest.approx(12, rel=0.1)
    assert np.median(lengths) == pytest.approx(4.5, rel=0.12)
    assert np.quantile(lengths, 0.9) == pytest.approx(16, rel=0.15)


def test_sigma_gives_back_the_ninetieth_percentile() -> None:
    """exp(1.2816 sigma) is the ratio of p90 and median."""
    assert np.exp(1.2815515655 * sigma_of(LogNormal(median="1h", p90="4h"))) == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("instances", "devices", "delay"),
    [(0, 100_000, 0), (16, 100_000, 0), (1, 20_000, 0), (1, 40_000, 3600), (1, 60_000, 7200)],
)
def test_a_crowded_gateway_delays(instances: int, devices: int, delay: int) -> None:
    """10,000 clients per instance, half of the devices on the internet: twice the limit waits up to one more poll."""
    service = ServiceModel(cmg_instances=instances, cmg_clients=10_000, internet_share=0.5)
    assert gateway_delay(service, devices, 3600) == delay


def test_during_an_outage_no_device_enrolls_and_attempts_fail_with_its_code() -> None:
    """During an outage on the first day no device enrolls, and failures carry the service's code."""
    model = Model.model_validate(
        {
            "clients": {"window": "immediate", "next_cycle": "2d"},
            "service": {"outages": [{"after": 0, "lasts": "1d"}]},
            "horizon": "5d",
        }
    )
    traits = traits_like(500, model)
    engine = make_engine(
        model,
        traits,
        make_draws(model, traits, 1, 0, START),
        start=START,
        strata=np.zeros(500, dtype=np.int32),
        n_strata=1,
        straggler_after_s=10 * DAY_S,
    )
    engine.release(np.arange(500, dtype=np.int32), 0, START)
    engine.advance(START + DAY_S)
    assert engine.load().completions.sum() == 0
    assert set(engine.failed_codes) == {OUTAGE_CODE}
    engine.advance(START + 5 * DAY_S)
    assert engine.load().completions.sum() > 300
    assert engine.failed_codes.get(OUTAGE_CODE, 0) < 200
