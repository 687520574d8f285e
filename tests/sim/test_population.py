"""A generated fleet is reproducible, plausible, and as the scenario describes it."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from rollout.preflight import exclusions, preflight
from rollout.values import Inventory
from sim.clients.draws import CLASSES
from sim.fleet.population import (
    PROBLEMS,
    Build,
    FleetModel,
    HardwareModel,
    JoinShares,
    PresenceShares,
    Problems,
    Site,
    generate,
)

TAKEN = 1_795_507_200
DAY_S = 86400
GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def inventory() -> Inventory:
    return generate(FleetModel(clients=50_000), 1, TAKEN)


def test_the_same_seed_gives_the_same_fleet() -> None:
    """The digests are equal; another seed gives another fleet."""
    model = FleetModel(clients=500)
    assert generate(model, 7, TAKEN).fleet.digest == generate(model, 7, TAKEN).fleet.digest
    assert generate(model, 7, TAKEN).fleet.digest != generate(model, 8, TAKEN).fleet.digest


def test_ids_names_and_serials_look_real_and_differ(inventory: Inventory) -> None:
    """Ids are GUIDs and unique; names fit NetBIOS; only second records share a name."""
    fleet = inventory.fleet
    ids, names = fleet.ids.tolist(), fleet.names.tolist()
    assert all(GUID.fullmatch(device_id) for device_id in ids[:2000])
    assert len(set(ids)) == len(ids)
    assert max(map(len, names)) <= 15
    seconds = 50_000 - len(set(names))
    assert 0.003 < seconds / 50_000 < 0.005  # dual_state + twins
    known = [serial for serial in fleet.serials.tolist() if serial]
    assert len(set(known)) == len(known)
    resource = fleet.resource_ids[fleet.resource_ids >= 0]
    assert len(np.unique(resource)) == len(resource)


def test_about_three_percent_are_excluded(inventory: Inventory) -> None:
    """The default problems exclude about 3 % of the devices."""
    share = len(exclusions(preflight(inventory))) / len(inventory.fleet)
    assert 0.027 < share < 0.034


def test_shares_are_kept(inventory: Inventory) -> None:
    """Presence, join and problems have the shares of the model, within 4 standard errors."""
    fleet, n = inventory.fleet, len(inventory.fleet)
    for name, share in PresenceShares().model_dump().items():
        found = float(fleet.factors["presence"].where(name.replace("_", "-")).mean())
        assert abs(found - share) < 4 * np.sqrt(share * (1 - share) / n), name
    disabled = float((fleet.flags["enabled"] == 0).mean())
    assert abs(disabled - Problems().disabled) < 4 * np.sqrt(Problems().disabled / n)


def test_there_are_about_40_models_and_25_sites_in_several_zones(inventory: Inventory) -> None:
    """Enough strata for gates, and each site lies in one zone."""
    factors = inventory.fleet.factors
    assert 35 <= len(factors["model"].levels) <= 45
    assert 20 <= len(factors["site"].levels) <= 30
    assert len(factors["zone"].levels) >= 8
    pairs = set(zip(factors["site"].codes.tolist(), factors["zone"].codes.tolist(), strict=True))
    assert len(pairs) == len(factors["site"].levels)


def test_presence_classes_are_those_of_the_client_model(inventory: Inventory) -> None:
    """The fleet uses the simulator's names of the classes."""
    assert set(inventory.fleet.factors["presence"].levels) == set(CLASSES)


def test_all_times_lie_before_the_snapshot(inventory: Inventory) -> None:
    """No time is in the future, and no sign-in is earlier than the registration."""
    for name, times in inventory.fleet.times.items():
        assert (times[times >= 0] < TAKEN).all(), name
    both = (inventory.fleet.times["registered"] >= 0) & (inventory.fleet.times["last_sign_in"] >= 0)
    assert (inventory.fleet.times["registered"] < inventory.fleet.times["last_sign_in"])[both].all()


def test_second_records_have_a_first_one() -> None:
    """A dual or twin record shares its name with a healthy device."""
    model = FleetModel(clients=2000, problems=Problems(dual_state=0.1, twins=0.1))
    fleet = generate(model, 2, TAKEN).fleet
    names = fleet.names.tolist()
    registered = np.flatnonzero(fleet.factors["join"].where("registered")).tolist()
    shared = [row for row in registered if names.count(names[row]) > 1]
    assert len(shared) > 150


def test_a_twin_is_joined_as_its_first_record_is() -> None:
    """Twins have the same join type as their first record."""
    model = FleetModel(clients=1000, problems=Problems(twins=0.2), join=JoinShares(hybrid=0.5, entra=0.5))
    fleet = generate(model, 2, TAKEN).fleet
    joins: dict[str, set[int]] = {}
    for name, join in zip(fleet.names.tolist(), fleet.factors["join"].codes.tolist(), strict=True):
        if fleet.factors["join"].levels[join] != "registered":
            joins.setdefault(name, set()).add(join)
    assert {len(kinds) for kinds in joins.values()} == {1}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_fleet_of_one_problem_is_excluded_whole(problem: str) -> None:
    """Every problem that the model knows is one that preflight finds."""
    shares = dict.fromkeys(PROBLEMS, 0.0)
    inventory = generate(FleetModel(clients=200, problems=Problems(**{**shares, problem: 1.0})), 1, TAKEN)
    assert len(exclusions(preflight(inventory))) == 200


def test_a_scenario_may_define_everything_itself() -> None:
    """Only the scenario's own sites, models, builds and shares are used."""
    model = FleetModel(
        clients=100,
        sites=(Site(name="Oslo", zone="Europe/Oslo"),),
        models=(HardwareModel(name="Box", manufacturer="Maker"),),
        builds=(Build(version="10.0.26100.1"),),
        presence=PresenceShares(always_on=1, office=0, laptop=0, rarely_on=0),
        problems=Problems(**dict.fromkeys(PROBLEMS, 0.0)),
        comanaged=0.25,
    )
    fleet = generate(model, 1, TAKEN).fleet
    assert [fleet.factors[name].levels for name in ("site", "zone", "model", "os_version", "presence")] == [
        ("Oslo",), ("Europe/Oslo",), ("Box",), ("10.0.26100.1",), ("always-on",),
    ]  # fmt: skip
    assert 10 < int((fleet.flags["comanaged"] == 1).sum()) < 45


@pytest.mark.parametrize(
    "bad",
    [
        {"clients": 0},
        {"devices": 5},
        {"sites": ()},
        {"sites": ({"name": "A", "zone": "Europe/Atlantis"},)},
        {"sites": ({"name": "A", "zone": "UTC"}, {"name": "A", "zone": "UTC"})},
        {"models": ({"name": "M", "manufacturer": "X", "share": -1},)},
        {"builds": ({"version": "22H2"},)},
        {"problems": {"stale": 0.7, "disabled": 0.7}},
        {"problems": {"stale": -0.1}},
        {"presence": {"always_on": 0, "office": 0, "laptop": 0, "rarely_on": 0}},
        {"comanaged": 2},
    ],
)
def test_a_wrong_model_is_refused(bad: dict[str, object]) -> None:
    """Unknown keys, impossible shares and unknown zones are refused."""
    with pytest.raises(ValidationError):
        FleetModel.model_validate(bad)


@given(st.integers(1, 300), st.integers(0, 2**32), st.floats(0, 1 / len(PROBLEMS)))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_any_model_gives_a_whole_fleet(n: int, seed: int, share: float) -> None:
    """Every generated fleet has n devices with unique ids and can be checked by preflight."""
    model = FleetModel(clients=n, problems=Problems(**dict.fromkeys(PROBLEMS, share)))
    inventory = generate(model, seed, TAKEN)
    assert len(set(inventory.fleet.ids.tolist())) == n
    preflight(inventory)


@pytest.mark.slow
def test_a_hundred_thousand_devices_take_less_than_a_second_of_work() -> None:
    """Generation and preflight are vectorised; measured in processor time, so that other processes do not matter."""
    begin = time.process_time()
    inventory = generate(FleetModel(clients=100_000), 1, TAKEN)
    drawn = time.process_time()
    preflight(inventory)
    assert drawn - begin < 1.5
    assert time.process_time() - drawn < 2.0
