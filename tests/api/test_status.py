"""A running rollout compared with the stored simulation of its plan."""

from __future__ import annotations

import numpy as np

from rollout.api.status import compare_with_plan
from rollout.report.facts import PlanSimulation
from rollout.values import HOUR_S
from rollout.values.bands import Bands

START = 1_799_650_800


def test_the_comparison_says_behind_and_ahead_by_how_much() -> None:
    """Against a band of 10 devices an hour: inside, three hours behind, four ahead; no simulation, no verdict."""
    hours = np.arange(1, 21)
    devices = hours * 10.0
    values = np.stack([devices - 5, devices, devices + 5])
    simulation = PlanSimulation(
        enrolled=Bands(START + hours * HOUR_S, (0.1, 0.5, 0.9), values),
        origin=START,
        eta_hours=(20.0, 20.0, 20.0),
        runs=1,
        seed=1,
        final={"enrolled": 1000, "excluded": 40},
    )
    now = START + 10 * HOUR_S

    def verdict(enrolled: int) -> str:
        return compare_with_plan(simulation, now, enrolled)

    assert verdict(103).startswith("on plan: expected 100 (95 … 105), found 103")
    assert verdict(107).startswith("on plan: expected 100 (95 … 105), found 107"), "0.2 % outside is nothing"
    assert verdict(108).startswith("ahead of plan")
    assert verdict(70).startswith("behind plan by 3.0 h")
    assert verdict(140).startswith("ahead of plan by 4.0 h")
    assert "no simulation" in compare_with_plan(None, now, 5)
