"""Devices that leave before their first batch can be judged: counted, and told with the figure that works."""

from __future__ import annotations

import re
from typing import Any

import pytest
from plan_builders import make_inventory, plan_of

from rollout.planning.exposure import MOST, before_judged
from rollout.planning.schedule import nominal_releases
from rollout.values import Plan

OFFICE = [{"days": "Mon-Fri", "from": "07:00", "to": "19:00"}]


def exposed(plan: Plan) -> list[str]:
    return [line for line in plan.warnings if "before its first batch can be judged" in line]


def unjudged(plan: Plan) -> dict[int, int]:
    return before_judged(nominal_releases(plan), plan.mature_after_s)


def test_devices_are_counted_until_the_first_batch_is_mature() -> None:
    """100 an hour for five hours of a phase of 1,000."""
    phases = [{"name": "all", "pacing": {"mode": "rate", "devices": 100}}]
    assert unjudged(plan_of(make_inventory(1000), mature_after="5h", phases=phases)) == {0: 500}


def test_5_000_devices_in_five_hours_are_told() -> None:
    """Judged five days later; the pace of the sentence works, and so does the phase before it."""
    document: dict[str, Any] = {"mature_after": "5d", "windows": OFFICE}
    phases: list[dict[str, Any]] = [{"name": "pilot", "devices": 50}, {"name": "all"}]
    plan = plan_of(make_inventory(5000), phases=phases, **document)
    (line,) = exposed(plan)
    assert line.startswith(
        "phase 'all': 4,950 of 5,000 devices of the plan leave within 4h, before its first batch"
    )
    assert "judged (5d after its release)" in line
    hours = int(re.findall(r'duration = "(\d+)h"', line)[0])
    paced = [phases[0], {"name": "all", "pacing": {"mode": "duration", "duration": f"{hours}h"}}]
    slower = plan_of(make_inventory(5000), phases=paced, **document)
    assert exposed(slower) == []
    assert MOST * 5000 - 100 < unjudged(slower)[1] <= MOST * 5000
    ring = int(re.findall(r"a phase of ([\d,]+) devices before it", line)[0].replace(",", ""))
    ringed = [phases[0], {"name": "ring", "devices": ring}, phases[1]]
    assert exposed(plan_of(make_inventory(5000), phases=ringed, **document)) == []


@pytest.mark.parametrize("n", [1, 60, 1000])
@pytest.mark.parametrize("windows", [[], OFFICE])
def test_the_pace_of_the_sentence_works(n: int, windows: list[Any]) -> None:
    """For fleets of any size that have more than one batch to judge."""
    document: dict[str, Any] = {"mature_after": "2d", "windows": windows}
    (line,) = exposed(plan_of(make_inventory(n), phases=[{"name": "all"}], **document))
    hours = int(re.findall(r'duration = "(\d+)h"', line)[0])
    paced = [{"name": "all", "pacing": {"mode": "duration", "duration": f"{hours}h"}}]
    assert bool(exposed(plan_of(make_inventory(n), phases=paced, **document))) == (n == 1)


def test_a_pilot_that_takes_the_whole_fleet_is_told() -> None:
    """With a figure that leaves devices to the phases that follow."""
    phases: list[dict[str, Any]] = [{"name": "pilot", "devices": 500}, {"name": "all"}]
    plan = plan_of(make_inventory(300), phases=phases)
    (line,) = [line for line in plan.warnings if "takes all" in line]
    assert line.startswith("phase 'pilot' takes all 300 devices of the plan and leaves none to 'all'")
    phases[0]["devices"] = int(line.split("devices = ")[1].split(" ")[0])
    fewer = plan_of(make_inventory(300), phases=phases)
    assert not [line for line in fewer.warnings if "takes all" in line]


def test_a_slow_phase_and_a_pilot_are_not_told() -> None:
    """A pilot leaves as a whole before it is judged: its size bounds the harm."""
    phases = [
        {"name": "pilot", "devices": 50},
        {"name": "all", "pacing": {"mode": "duration", "duration": "10d"}},
    ]
    assert exposed(plan_of(make_inventory(5000), mature_after="2d", phases=phases)) == []
