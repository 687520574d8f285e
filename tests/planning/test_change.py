"""Change under way: nobody planned moves, newcomers go to the tail, a person wins."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_builders import MONDAY, make_fleet, make_inventory, make_policy, plan_of

from rollout.pacing import extended_by, linear, released_by
from rollout.planning.change import NOT_OURS, RELEASED_BEFORE, continue_plan, take_in, undo_plan
from rollout.planning.drift import compare, extended, membership_drift
from rollout.planning.feasibility import feasibility
from rollout.planning.schedule import nominal_batches, nominal_releases
from rollout.policy import Policy
from rollout.values import DAY_S, HOUR_S, Finding, Fleet, Inventory, Plan, Severity, texts_at

TAKEN = MONDAY + 5 * DAY_S


def inventory_of(fleet: Fleet) -> Inventory:
    return Inventory(fleet, TAKEN, (("later", "test", len(fleet)),))


def sub_fleet(fleet: Fleet, rows: list[int]) -> Fleet:
    """Some devices of a fleet, in that order."""
    some = np.array(rows, dtype=np.int32)
    return Fleet(
        fleet.ids[some],
        fleet.names[some],
        fleet.resource_ids[some],
        fleet.serials[some],
        {name: column.take(some) for name, column in fleet.factors.items()},
        {name: column[some] for name, column in fleet.flags.items()},
        {name: column[some] for name, column in fleet.times.items()},
    )


def planned(n: int = 3000, **document: Any) -> tuple[Plan, Inventory, Policy]:
    """A plan over three sites and four models, with its inventory and policy."""
    names = {"site": [f"S{row % 3}" for row in range(n)], "model": [f"M{row % 4}" for row in range(n)]}
    inventory = make_inventory(n, zone=["Asia/Tokyo", "Europe/Berlin"] * (n // 2), **names)
    return plan_of(inventory, **document), inventory, make_policy(**document)


def later(inventory: Inventory, *, without: int, reimaged: int, newcomers: int) -> Inventory:
    """The fleet of another day: some have left, some came back under new ids, some are new; rows in another order."""
    fleet = inventory.fleet
    stay = sub_fleet(fleet, list(range(without + reimaged, len(fleet))))
    serials = fleet.serials[without : without + reimaged].tolist()
    again = make_fleet(reimaged, prefix="again", serials=serials, site="S1", model="M9", zone="UTC")
    fresh = make_fleet(newcomers, prefix="new", site="S7", model="M1", zone="America/Lima")
    both = extended(inventory_of(stay), inventory_of(again), np.arange(reimaged, dtype=np.int32))
    whole = extended(both, inventory_of(fresh), np.arange(newcomers, dtype=np.int32)).fleet
    shuffled = np.random.default_rng(1).permutation(len(whole)).tolist()
    return inventory_of(sub_fleet(whole, shuffled))


def test_drift_is_found_by_id_and_hardware_by_serial() -> None:
    """Who left, who is new, and who is known hardware under a new id."""
    plan, inventory, _ = planned()
    newer = later(inventory, without=10, reimaged=20, newcomers=30)
    drift = compare(plan, inventory.fleet, newer.fleet)
    assert sorted(drift.removed.tolist()) == list(range(30))
    assert len(drift.newcomers) == 50
    assert sorted(old for old, _ in drift.reimaged) == list(range(10, 30))
    for old, new in drift.reimaged:
        assert inventory.fleet.serials[old] == newer.fleet.serials[new]
    assert [sentence.split()[0] for sentence in drift.sentences()] == ["50", "20", "30"]


def test_a_serial_that_many_devices_hold_tells_nothing() -> None:
    """Makers fill it with the same words everywhere."""
    plan = plan_of(make_inventory(3, serials=["To be filled", "to be filled", ""]))
    known = make_fleet(3, serials=["To be filled", "to be filled", ""])
    newer = make_fleet(2, prefix="x", serials=["To be filled", ""])
    assert compare(plan, known, newer).reimaged == ()


def test_the_fleet_of_another_plan_is_a_mistake() -> None:
    """Rows must mean the same."""
    with pytest.raises(ValueError, match="expected the fleet of the plan"):
        compare(plan_of(make_inventory(3)), make_fleet(4), make_fleet(4))


def order_digest(plan: Plan) -> str:
    """Give the SHA-256 of the release order of all phases but the tail."""
    seal = hashlib.sha256()
    for phase in plan.phases:
        if phase.name != "tail":
            seal.update(
                f"\n{phase.name}\n".encode() + "\n".join(texts_at(plan.ids, phase.order).tolist()).encode()
            )
    return seal.hexdigest()


@pytest.mark.parametrize("windows", [[], [{"from": "20:00", "to": "06:00", "zone": "device"}]])
def test_a_thousand_changes_move_nobody(windows: list[dict[str, str]]) -> None:
    """1,000 left, 1,000 re-imaged, 1,000 new: every planned device keeps row, phase, place and batch."""
    plan, inventory, policy = planned(6000, windows=windows)
    newer = later(inventory, without=1000, reimaged=1000, newcomers=1000)
    changed = take_in(plan, inventory, newer, [], policy)
    after = changed.plan
    assert order_digest(after) == order_digest(plan)
    assert after.ids[: len(plan)].tolist() == plan.ids.tolist()
    assert changed.inventory.fleet.ids.tolist() == after.ids.tolist()
    assert after.inventory_digest == changed.inventory.fleet.digest
    np.testing.assert_array_equal(after.phase_of[: len(plan)], plan.phase_of)
    for before, now in zip(plan.phases[:-1], after.phases[:-1], strict=True):
        np.testing.assert_array_equal(before.order, now.order)
        assert before.curve == now.curve
    old, new = nominal_releases(plan), nominal_releases(after)
    for before, now in zip(old, new, strict=False):
        assert (before.at, before.phase, before.rows.tolist()) == (now.at, now.phase, now.rows.tolist())
    assert {release.phase for release in new[len(old) :]} == {len(plan.phases) - 1}
    assert sorted(after.phases[-1].order.tolist()) == list(range(6000, 8000))
    assert sorted(changed.drift.removed.tolist()) == list(range(2000))
    np.testing.assert_array_equal(after.strata.codes[:6000], plan.strata.codes)
    assert after.strata.names[: len(plan.strata.names)] == plan.strata.names
    assert after.strata.names[-1] == "M9"
    assert after.continues == plan.digest
    if windows:
        assert "America/Lima" in after.zone_names


def test_later_newcomers_stand_behind_earlier_ones() -> None:
    """A second change moves nobody of the first one."""
    plan, inventory, policy = planned(60)
    first = take_in(plan, inventory, later(inventory, without=0, reimaged=0, newcomers=5), [], policy)
    late = extended(first.inventory, inventory_of(make_fleet(3, prefix="late")), np.arange(3, dtype=np.int32))
    second = take_in(first.plan, first.inventory, late, [], policy)
    assert second.plan.phases[-1].order[:5].tolist() == first.plan.phases[-1].order.tolist()
    assert sorted(second.plan.phases[-1].order[5:].tolist()) == [65, 66, 67]
    assert second.plan.continues == first.plan.digest


def test_newcomers_are_checked_like_everybody() -> None:
    """A blocked newcomer leaves with its rule; known devices keep their reasons."""
    plan, inventory, policy = planned(60)
    newer = later(inventory, without=0, reimaged=0, newcomers=4)
    rows = [row for row, item in enumerate(newer.fleet.ids.tolist()) if item.startswith("new")]
    findings = [Finding("E6", Severity.BLOCK, rows[0], "s", "a")]
    changed = take_in(plan, inventory, newer, findings, policy)
    assert changed.plan.excluded_by_reason() == {"E6": 1}
    assert len(changed.plan.phases[-1]) == 3


def test_nothing_new_changes_nothing_but_the_record() -> None:
    """The same fleet again: same orders, same excluded, same schedule."""
    plan, inventory, policy = planned(300)
    changed = take_in(plan, inventory, inventory, [], policy)
    assert order_digest(changed.plan) == order_digest(plan)
    assert nominal_batches(changed.plan) == nominal_batches(plan)
    assert changed.drift.sentences() == ()


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.integers(0, 5000), st.integers(1, 5000), st.integers(1, 100))
def test_a_longer_tail_keeps_the_instants_of_those_before(size: int, more: int, hours: int) -> None:
    """Who was in the tail goes when he was to go, within a device at an instant between two whole ones."""
    before = linear(hours * HOUR_S)
    curve = extended_by(before, size, more, 10 * HOUR_S)
    assert released_by(curve, curve.length_s, size + more) == size + more
    if size:
        for at in range(0, hours * HOUR_S + 1, HOUR_S):
            assert 0 <= released_by(curve, at, size + more) - released_by(before, at, size) <= 1
        assert released_by(curve, hours * HOUR_S, size + more) == size


def test_continue_keeps_phases_and_never_releases_twice() -> None:
    """The released are out, the waiting keep their phase, newcomers go to the tail, the gone are gone."""
    plan, inventory, policy = planned(3000)
    released = np.concatenate([plan.phases[0].order, plan.phases[1].order[:1000]])
    newer = later(inventory, without=50, reimaged=20, newcomers=30)
    again = continue_plan(plan, released, newer, [], policy, mature_after_s=None, created=TAKEN)
    before = {item: int(plan.phase_of[row]) for row, item in enumerate(plan.ids.tolist())}
    out = set(plan.ids[released].tolist())
    tail = len(again.phases) - 1
    for row, item in enumerate(again.ids.tolist()):
        if item in out:
            assert again.phase_of[row] == -1
            assert again.exclusion_reasons[again.excluded[row] - 1] == RELEASED_BEFORE
        else:
            assert again.phase_of[row] == before.get(item, tail)
    assert len(again.phases[tail]) == 50
    assert again.continues == plan.digest
    assert again.start > TAKEN
    assert feasibility(again).feasible


def test_continue_draws_the_waiting_anew_under_a_new_salt() -> None:
    """And under the same salt those who wait stay in the order that they had."""
    plan, inventory, policy = planned(400, strata=[])
    released = plan.phases[1].order[:100]
    same = continue_plan(plan, released, inventory, [], policy, mature_after_s=None, created=TAKEN)
    waiting = plan.ids[plan.phases[1].order[100:]].tolist()
    assert same.ids[same.phases[1].order].tolist() == waiting
    salted = make_policy(strata=[], salt="again")
    other = continue_plan(plan, released, inventory, [], salted, mature_after_s=None, created=TAKEN)
    assert other.ids[other.phases[1].order].tolist() != waiting
    assert sorted(other.ids[other.phases[1].order].tolist()) == sorted(waiting)


def test_continue_sends_those_without_a_phase_to_the_tail() -> None:
    """The new policy has no phase 'all' any more."""
    plan, inventory, _ = planned(400)
    policy = make_policy(phases=[{"name": "pilot"}])
    again = continue_plan(
        plan, plan.phases[0].order[:2], inventory, [], policy, mature_after_s=None, created=TAKEN
    )
    assert {phase.name: len(phase) for phase in again.phases} == {"pilot": 2, "tail": 396}


def test_undo_takes_out_what_we_put_in_and_only_that() -> None:
    """The last first, at once and without windows; the plan says that it does not un-enroll."""
    plan, _, _ = planned(400, windows=[{"days": "Sun", "zone": "device"}])
    ours = plan.phases[1].order[:50]
    undo = undo_plan(plan, ours, created=TAKEN)
    assert undo.action == "undo:enroll"
    assert undo.phases[0].order.tolist() == ours[::-1].tolist()
    assert undo.excluded_by_reason() == {NOT_OURS: 350}
    assert sum(count for _, _, count in nominal_batches(undo)) == 50
    assert any("does not un-enroll" in warning for warning in undo.warnings)
    assert undo.continues == plan.digest
    assert nominal_batches(undo)[-1][0] < TAKEN + DAY_S


def test_a_person_wins() -> None:
    """Members that we never added are adopted; those who were taken out are not ours to add again."""
    drift = membership_drift(np.array([1, 2, 3], dtype=np.int32), np.array([3, 4], dtype=np.int32))
    assert drift.adopted.tolist() == [4]
    assert drift.withdrawn.tolist() == [1, 2]
