"""The stated chances of a wrong verdict are true: late reports of failures, and failures in clusters."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rollout.gates import GateCounts, halt_boundary, judge
from rollout.gates.evidence import log_halt
from rollout.values import DAY_S, HOUR_S, OUTCOMES, EvidenceGate, GatePolicy, Outcome, Verdict

GATE = EvidenceGate(p_ok=0.02, p_bad=0.05, prior_b=20)
POLICY = GatePolicy(evidence=GATE)
DEVICES, SOAK_S, DELAY_S = 500, 2 * DAY_S, 6 * DAY_S


def end_of_pilot(rate: float, delay_s: int, draw: np.random.Generator) -> tuple[Verdict, float]:
    """Judge a pilot every eight hours from the end of its soak; give the verdict and the days waited for it.

    Nine in ten devices try within about a day, seven in a hundred are rarely on, three never answer.
    """
    kind = draw.random(DEVICES)
    tries = np.where(kind < 0.9, draw.exponential(0.7, DEVICES), draw.exponential(6, DEVICES)) * DAY_S
    tries[kind > 0.97] = math.inf
    fails = draw.random(DEVICES) < rate
    seen_at = tries + HOUR_S + fails * delay_s
    for now in range(SOAK_S, 20 * DAY_S, 8 * HOUR_S):
        known = seen_at < now
        rows = np.zeros((1, OUTCOMES), dtype=np.int64)
        rows[0, Outcome.FAILED] = np.count_nonzero(known & fails)
        rows[0, Outcome.ENROLLED] = np.count_nonzero(known & ~fails)
        rows[0, Outcome.PENDING] = DEVICES - rows.sum()
        settled = np.array([np.count_nonzero(seen_at <= now - DELAY_S)])
        planned = np.array([100_000])
        counts = GateCounts(rows, rows, rows, planned, ("all",), True, True, waited_s=now, settled=settled)
        verdict = judge(POLICY, counts).verdict
        if verdict is not Verdict.WAIT:
            return verdict, (now - SOAK_S) / DAY_S
    raise AssertionError("the patience has no end")


@pytest.mark.parametrize("rate", [GATE.p_bad, 2 * GATE.p_bad])
@pytest.mark.parametrize("delay_d", [0, 1, 3, 5, 6])
def test_a_bad_pilot_passes_at_most_with_beta_however_late_failures_are_reported(
    rate: float, delay_d: int
) -> None:
    runs = 150
    passed = sum(
        end_of_pilot(rate, delay_d * DAY_S, np.random.default_rng([7, delay_d, run]))[0] is Verdict.PASS
        for run in range(runs)
    )
    assert passed / runs <= GATE.beta + 3 * math.sqrt(GATE.beta * (1 - GATE.beta) / runs)


@pytest.mark.parametrize(("rate", "least"), [(0.005, 0.97), (0.01, 0.93), (0.015, 0.85)])
def test_a_healthy_pilot_passes_by_itself_within_a_week_of_its_soak(rate: float, least: float) -> None:
    """It waits for late reports: at most a week, and no person is asked."""
    ends = [end_of_pilot(rate, 45 * 60, np.random.default_rng([8, run])) for run in range(100)]
    days = [waited for verdict, waited in ends if verdict is Verdict.PASS]
    assert len(days) / len(ends) >= least
    assert np.quantile(days, 0.95) <= 7


def halted(correlation: float, fleets: int, seed: int) -> tuple[float, float]:
    """Give the share of fleets that fail at p_ok on average and are halted: by the boundary, and by evidence alone.

    25 sites of Zipf sizes, their rates beta-distributed; 100,000 devices in random order, looked at every 250.
    """
    draw = np.random.default_rng(seed)
    weights = 1 / np.arange(1, 26) ** 0.7
    weights /= weights.sum()
    spread = 1 / correlation - 1
    rates = draw.beta(GATE.p_ok * spread, (1 - GATE.p_ok) * spread, (fleets, 25)) @ weights
    seen = np.arange(250, 100_001, 250)
    failed = draw.binomial(250, rates[:, None], (fleets, len(seen))).cumsum(axis=1)
    ours = halt_boundary(GATE).halts(failed, seen).any(axis=1)
    evidence = log_halt(failed.ravel(), np.broadcast_to(seen, failed.shape).ravel(), GATE).reshape(
        failed.shape
    )
    return float(ours.mean()), float((evidence >= -math.log(GATE.alpha)).any(axis=1).mean())


def test_good_fleets_whose_failures_come_in_clusters_are_seldom_halted() -> None:
    """As the README says; the evidence alone would halt a third of them."""
    small, alone = halted(0.01, 400, 9)
    assert small <= 0.09
    assert alone > 0.25
    large, _ = halted(0.05, 400, 10)
    assert 0.08 < large <= 0.24


def test_the_margin_costs_nothing_where_harm_is_plain() -> None:
    """10 % and 5 % failing from the first device on: HALT at the same number of failures as by evidence alone."""
    seen = np.arange(1, 2001)
    for rate in (0.05, 0.1):
        draw = np.random.default_rng(11)
        failed = (draw.random((200, 2000)) < rate).cumsum(axis=1)
        ours = halt_boundary(GATE).halts(failed, seen).argmax(axis=1)
        evidence = log_halt(failed.ravel(), np.tile(seen, 200), GATE).reshape(failed.shape)
        alone = (evidence >= -math.log(GATE.alpha)).argmax(axis=1)
        assert (ours == alone).mean() > 0.98
