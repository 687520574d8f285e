"""Every scenario, however strange, is planned and simulated within seconds, or refused in one line."""

from __future__ import annotations

import random

import pytest
from fuzzing import answer_of, scenario_text

from sim.gate_trials.gatecheck import simulate_plan_gates
from sim.planning import plan_scenario
from sim.scenario import parse_scenario
from sim.simulation import simulate

DEVICES = 60


def _through(text: str) -> str:
    """Load a scenario, plan it for a small fleet, simulate it, and try its gate."""
    scenario = parse_scenario(text, "fuzz.toml")
    scenario = scenario.with_clients(min(scenario.fleet.clients, DEVICES))
    made = plan_scenario(scenario)
    simulation = simulate(made.plan, made.fleet, made.model, runs=1)
    if made.plan.planned:
        simulate_plan_gates(made.plan, rates=[0.02], fail_s=3600, enroll_s=7200, runs=2)
    return str(simulation.figures)


def _try(seed: int, count: int) -> dict[str, int]:
    counts = {"ok": 0, "refused": 0}
    for number in range(count):
        text = scenario_text(random.Random(f"{seed}-{number}"))
        try:
            kind, _ = answer_of(lambda text=text: _through(text))  # type: ignore[misc]
        except BaseException as error:
            error.add_note(f"seed {seed}, case {number}:\n{text[:3000]}")
            raise
        counts[kind] += 1
    return counts


def test_a_strange_scenario_is_simulated_or_refused_in_a_line() -> None:
    """Of sixty scenarios, some are simulated and some are refused."""
    counts = _try(1, 60)
    assert counts["ok"] > 3
    assert counts["refused"] > 18


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_five_hundred_strange_scenarios_each(seed: int) -> None:
    """2,000 scenarios in total."""
    assert sum(_try(seed, 500).values()) == 500
