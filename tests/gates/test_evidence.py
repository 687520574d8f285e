"""Evidence and its boundaries, against published values, scipy and exact enumeration."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import pytest
from evidence_values import halt_evidence, pass_evidence
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from rollout.gates.beta import log_beta, log_beta_above, log_beta_below, log_gamma
from rollout.gates.evidence import (
    HaltBoundary,
    PassBoundary,
    boundary_of,
    check_counts,
    check_evidence_gate,
    halt_boundary,
    log_halt,
    log_pass,
    pass_boundary,
)
from rollout.gates.intervals import finite_fleet_interval
from rollout.values import EvidenceGate

FLAT = EvidenceGate(prior_a=1, prior_b=1)
LEANING = EvidenceGate()  # Beta(1, 30)
MILLION = 10**6


def test_log_gamma_agrees_with_the_standard_library() -> None:
    """From tiny to huge arguments."""
    x = np.array([1e-8, 0.01, 0.5, 1, 2, 3.7, 9.999, 10, 10.001, 55.5, 1e3, 1e6, 1e12])
    expected = np.array([math.lgamma(value) for value in x])
    np.testing.assert_allclose(log_gamma(x), expected, rtol=2e-14, atol=2e-14)


def test_incomplete_beta_agrees_with_scipy() -> None:
    """Both parts, left and right of the mean, in the body of the distribution."""
    rng = np.random.default_rng(1)
    a, b = rng.uniform(0.3, 60, 400), rng.uniform(0.3, 4000, 400)
    for x in (0.001, 0.01, 0.03, 0.3, 0.9):
        below, above = special.betainc(a, b, x), special.betainc(b, a, 1 - x)
        ours = np.exp(log_beta_below(x, a, b) - log_beta(a, b))
        np.testing.assert_allclose(ours, below, rtol=1e-9, atol=1e-200)
        ours = np.exp(log_beta_above(x, a, b) - log_beta(a, b))
        np.testing.assert_allclose(ours, above, rtol=1e-9, atol=1e-200)


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        (FLAT, [50.5, 3.03008, 1.61785, 3.44931, 0.11138, 0.0099]),
        (LEANING, [4.19355, 8.15102, 10.19256, 29.3882, 2.379, 0.23077]),
    ],
)
def test_halt_evidence_has_its_check_values(gate: EvidenceGate, expected: list[float]) -> None:
    """E_halt to the printed digits, for both priors."""
    counts = [(1, 1), (2, 20), (3, 50), (5, 100), (10, 500), (0, 100)]
    assert [round(halt_evidence(s, n, gate), 5) for s, n in counts] == expected


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        (FLAT, [2.36326, 6.62026, 21.07421, 11.66882, 51.80274]),
        (LEANING, [2.61988, 7.94733, 26.72128, 13.49687, 58.86715]),
    ],
)
def test_pass_evidence_has_its_check_values(gate: EvidenceGate, expected: list[float]) -> None:
    """E_pass to the printed digits, for both priors."""
    counts = [(0, 50), (0, 100), (0, 150), (1, 200), (3, 400)]
    assert [round(pass_evidence(s, n, gate), 5) for s, n in counts] == expected


def test_halting_boundary_has_its_check_values() -> None:
    """The failures that halt at 5 %; at 5,000 devices a rate of 1.67 % asks for more than the evidence (75) does."""
    n = np.array([10, 50, 100, 500, 1000, 5000])
    assert halt_boundary(LEANING).critical(n).tolist() == [3, 4, 5, 13, 21, 84]
    assert [halt_boundary(LEANING).fewest(int(each)) for each in n] == [3, 4, 5, 13, 21, 84]


@pytest.mark.parametrize(
    ("rate", "halted", "mean"),
    [(0.005, 0.0015, 214), (0.01, 0.0239, 351), (0.02, 0.6103, 528), (0.03, 0.9644, 275), (0.05, 0.9991, 98)],
)
def test_both_rules_together_have_their_check_values(rate: float, halted: float, mean: int) -> None:
    """Chance to halt and mean devices, looked at after each device, by exact enumeration."""
    chance, devices = _walk(rate)
    assert round(chance, 4) == halted
    assert round(devices) == mean


@lru_cache
def _walk(rate: float, longest: int = 20_000) -> tuple[float, float]:
    edges = boundary_of(LEANING, np.arange(longest + 1))
    alive = np.zeros(800)
    alive[0] = 1.0
    halted = devices = 0.0
    for n in range(1, longest + 1):
        alive[1:] = alive[1:] * (1 - rate) + alive[:-1] * rate
        alive[0] *= 1 - rate
        halt, passing = int(edges.halt[n]), int(edges.passing[n])
        halted += alive[halt:].sum()
        devices += n * (alive[halt:].sum() + alive[: passing + 1].sum())
        alive[halt:] = 0
        alive[: passing + 1] = 0
        if alive.sum() < 1e-9:
            return halted, devices
    raise AssertionError("the walk did not end")


@pytest.mark.parametrize(
    ("counts", "interval"),
    [
        ((0, 100, 1000), (0, 69)),
        ((5, 100, 1000), (9, 154)),
        ((10, 500, 1000), (10, 44)),
        ((10, 900, 1000), (10, 18)),
        ((20, 1000, 100_000), (739, 4204)),
        ((1000, 50_000, 100_000), (1813, 2204)),
        ((0, 0, 1000), (0, 1000)),
        ((7, 1000, 1000), (7, 7)),
        ((0, 1, 1), (0, 0)),
        ((1, 1, 1), (1, 1)),
    ],
)
def test_finite_fleet_interval_has_its_check_values(
    counts: tuple[int, int, int], interval: tuple[int, int]
) -> None:
    """How many of this fleet will have failed at the end; exact once all are seen."""
    assert finite_fleet_interval(*counts) == interval


def test_finite_fleet_interval_holds_at_every_look() -> None:
    """Over 150 fleets looked at 20 times each, at most 5 % (plus chance) ever leave out the truth."""
    rng = np.random.default_rng(3)
    fleet, fleets, missed = 500, 150, 0
    for _ in range(fleets):
        failed = np.zeros(fleet, dtype=bool)
        failed[: rng.integers(0, 100)] = True
        known = np.cumsum(rng.permutation(failed))
        looks = range(25, fleet + 1, 25)
        spans = [finite_fleet_interval(int(known[n - 1]), n, fleet) for n in looks]
        missed += any(not low <= failed.sum() <= high for low, high in spans)
    assert missed <= fleets * 0.05 + 3 * math.sqrt(fleets * 0.05 * 0.95)


def test_sprt_is_beaten_by_neither_rule_by_far() -> None:
    """Wald's lines, an independent oracle, say the same of clearly good and clearly bad counts."""
    p0, p1, alpha, beta = 0.01, 0.10, 0.05, 0.10
    step = math.log(p1 * (1 - p0) / (p0 * (1 - p1)))
    h1, h2 = math.log((1 - alpha) / beta) / step, math.log((1 - beta) / alpha) / step
    slope = math.log((1 - p0) / (1 - p1)) / step
    assert (round(h1, 6), round(h2, 6), round(slope, 6)) == (0.938862, 1.205379, 0.039747)
    gate = EvidenceGate(p_ok=p0, p_bad=p1, alpha=alpha, beta=beta)
    for n in (100, 300, 1000):
        ours = boundary_of(gate, np.array([n]))
        assert h2 + slope * n > ours.halt[0]  # ours asks only for "more than 1 %", not for "10 %"
        assert math.floor(slope * n - h1) <= ours.passing[0] < 0.1 * n


@pytest.mark.parametrize("gate", [FLAT, LEANING])
def test_evidence_at_the_extremes(gate: EvidenceGate) -> None:
    """Nothing seen is evidence 1; a million devices overflow nothing."""
    assert halt_evidence(0, 0, gate) == pytest.approx(1)
    assert pass_evidence(0, 0, gate) == pytest.approx(1)
    assert halt_evidence(MILLION, MILLION, gate) == math.inf
    assert pass_evidence(MILLION, MILLION, gate) < 1e-5
    assert 0 < halt_evidence(0, MILLION, gate) < 1e-3
    assert pass_evidence(0, MILLION, gate) == math.inf
    assert halt_evidence(1, 1, gate) > 1 > halt_evidence(0, 1, gate)
    assert pass_evidence(1, 1, gate) < 1 < pass_evidence(0, 1, gate)


@pytest.mark.parametrize(
    ("s", "n", "text"),
    [
        (math.nan, 10, "whole number of failures, found nan"),
        (1, math.nan, "whole number of devices, found nan"),
        (math.inf, math.inf, "whole number"),
        (-1, 10, "no negative number of failures, found -1"),
        (1, -10, "no negative number of devices, found -10"),
        (11, 10, "at most as many failures as devices, found 11 of 10"),
        (1.5, 10, "whole number of failures, found 1.5"),
    ],
)
def test_impossible_counts_are_a_clear_error(s: float, n: float, text: str) -> None:
    """In every pure function."""
    for call in (
        lambda: halt_evidence(s, n, LEANING),
        lambda: pass_evidence(s, n, LEANING),
        lambda: finite_fleet_interval(s, n, 100),
        lambda: check_counts(s, n),
    ):
        with pytest.raises(ValueError, match=text):
            call()


def test_impossible_fleets_and_levels_are_a_clear_error() -> None:
    """More seen than there are, an alpha of 0."""
    with pytest.raises(ValueError, match="devices seen"):
        finite_fleet_interval(1, 100, 50)
    with pytest.raises(ValueError, match="alpha"):
        finite_fleet_interval(1, 10, 50, alpha=0)
    with pytest.raises(ValueError, match="share"):
        HaltBoundary(LEANING, 0)


@pytest.mark.parametrize(
    ("gate", "text"),
    [
        (EvidenceGate(p_ok=0), "p_ok"),
        (EvidenceGate(p_ok=0.03, p_bad=0.03), "p_bad"),
        (EvidenceGate(p_bad=1), "p_bad"),
        (EvidenceGate(alpha=0), "alpha"),
        (EvidenceGate(beta=1), "beta"),
        (EvidenceGate(prior_a=0), "prior_a"),
        (EvidenceGate(prior_b=math.nan), "prior_b"),
    ],
)
def test_impossible_parameters_are_a_clear_error(gate: EvidenceGate, text: str) -> None:
    """The first that is wrong is named."""
    with pytest.raises(ValueError, match=text):
        check_evidence_gate(gate)


gates = st.builds(
    EvidenceGate,
    p_ok=st.floats(1e-4, 0.2),
    p_bad=st.floats(0.21, 0.9),
    alpha=st.floats(1e-6, 0.5),
    beta=st.floats(1e-6, 0.5),
    prior_a=st.floats(0.2, 5),
    prior_b=st.floats(0.2, 60),
)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(
    gate=gates, counts=st.lists(st.tuples(st.integers(0, 120), st.integers(0, 2000)), min_size=1, max_size=20)
)
def test_a_boundary_says_what_the_evidence_says(gate: EvidenceGate, counts: list[tuple[int, int]]) -> None:
    """For any parameters and counts; at the edge itself rounding may go either way."""
    s = np.array([min(pair) for pair in counts])
    n = np.array([max(pair) for pair in counts])
    halts, limit = log_halt(s, n, gate), -math.log(gate.alpha)
    sure = np.abs(halts - limit) > 1e-6
    rate = gate.p_ok + (gate.p_bad - gate.p_ok) / 3
    sure &= np.abs(s - rate * n) > 1e-6
    assert (HaltBoundary(gate).halts(s, n) == ((halts >= limit) & (s > rate * n)))[sure].all()
    passes, limit = log_pass(s, n, gate), -math.log(gate.beta)
    sure = np.abs(passes - limit) > 1e-6
    assert (PassBoundary(gate).passes(s, n) == (passes >= limit))[sure].all()


@settings(derandomize=True, deadline=None, max_examples=60)
@given(gate=gates, n=st.integers(1, 3000))
def test_evidence_is_monotone(gate: EvidenceGate, n: int) -> None:
    """E_halt rises in s and falls in n; E_pass the other way round. All of the gate rests on it."""
    s = np.arange(0, n + 1, max(1, n // 50))
    tolerance = 1e-7
    assert (np.diff(log_halt(s, np.full_like(s, n), gate)) >= -tolerance).all()
    assert (np.diff(log_pass(s, np.full_like(s, n), gate)) <= tolerance).all()
    assert (
        log_halt(s, np.full_like(s, n), gate) >= log_halt(s, np.full_like(s, n + 7), gate) - tolerance
    ).all()
    assert (
        log_pass(s, np.full_like(s, n), gate) <= log_pass(s, np.full_like(s, n + 7), gate) + tolerance
    ).all()


def test_boundaries_do_not_depend_on_the_order_of_questions() -> None:
    """A table grown by large questions first answers like one grown step by step."""
    one, other = HaltBoundary(LEANING), HaltBoundary(LEANING)
    other.halts(400, 30_000)
    n = np.arange(1, 5000, 7)
    assert (one.critical(n) == other.critical(n)).all()
    assert one.fewest(0) == 1
    few, many = PassBoundary(LEANING), PassBoundary(LEANING)
    many.passes(400, 20_000)
    assert [few.needed(s) for s in range(120)] == [many.needed(s) for s in range(120)]
    assert (few.allowed(n) == many.allowed(n)).all()
    assert bool(HaltBoundary(LEANING).halts(MILLION, MILLION))
    assert not PassBoundary(LEANING).passes(MILLION, MILLION)


def test_needed_and_allowed_are_two_readings_of_one_boundary() -> None:
    """At `needed(s)` devices s failures pass, at one device fewer they do not."""
    edge = pass_boundary(LEANING)
    assert [edge.needed(s) for s in range(3)] == [139, 218, 286]
    for s in range(30):
        assert edge.allowed([edge.needed(s), edge.needed(s) - 1]).tolist() == [s, s - 1]
