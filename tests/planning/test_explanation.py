"""Why a device is where it is."""

from __future__ import annotations

import pytest
from plan_builders import make_inventory, plan_of

from rollout.errors import UsageError
from rollout.planning.exclusions import COMANAGED
from rollout.planning.explanation import explain
from rollout.planning.order import draw_numbers
from rollout.planning.schedule import nominal_releases


def test_a_planned_device_learns_phase_place_batch_and_draw() -> None:
    """All that an auditor needs to check it."""
    inventory = make_inventory(200, site=["Berlin", "Bonn"] * 100, zone="Asia/Tokyo")
    plan = plan_of(
        inventory, windows=[{"from": "20:00", "to": "23:00", "zone": "device"}], zone="Europe/Berlin"
    )
    row = int(plan.phases[1].order[40])
    text = explain(plan, f"pc-{plan.ids[row]}", inventory.fleet)
    assert "is number 41 of 198 in phase 'all' (2 of 3)" in text
    assert f"{int(draw_numbers(plan.ids[[row]], plan.salt)[0, 0]):016x}" in text
    same = plan.phases[1].order[inventory.fleet.factors["site"].codes[plan.phases[1].order] == row % 2]
    rank = same.tolist().index(row) + 1
    site = inventory.fleet.factors["site"][row]
    assert f"Among the {len(same)} of site {site}, model unknown it is number {rank}" in text
    number = next(n for n, release in enumerate(nominal_releases(plan), 1) if row in release.rows.tolist())
    assert f"in batch {number}, at 2027-" in text
    assert "(Asia/Tokyo)" in text
    assert explain(plan, str(plan.ids[row])).startswith(str(plan.ids[row]))


def test_an_excluded_device_learns_its_reason() -> None:
    """In one line."""
    plan = plan_of(make_inventory(3, comanaged=[0, 1, 0]))
    assert explain(plan, "D0000001") == f"d0000001 is not in the plan: {COMANAGED}."


def test_a_device_that_is_never_released_learns_that() -> None:
    """It waits behind a pilot without end."""
    plan = plan_of(make_inventory(10), phases=[{"name": "p", "devices": 3, "end": "never"}, {"name": "all"}])
    assert "not released before" in explain(plan, str(plan.ids[plan.phases[1].order[0]]))


def test_unknown_and_ambiguous_devices_are_named() -> None:
    """With what to give instead."""
    inventory = make_inventory(3)
    with pytest.raises(UsageError, match="expected a device of this plan, found 'x'"):
        explain(plan_of(inventory), "x", inventory.fleet)
    inventory.fleet.names[1] = inventory.fleet.names[0]
    with pytest.raises(UsageError, match="found 2 of the name") as caught:
        explain(plan_of(inventory), "PC-d0000000", inventory.fleet)
    assert "d0000001" in caught.value.hint
