"""Records that are the same device, and what to do about them."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rollout.errors import UsageError
from rollout.exports.reading import read_exports
from rollout.preflight import GRACE_DAYS, WorkItem, find_duplicates, worklist, worklist_csv
from rollout.values import Factor, Fleet, Inventory, texts
from sim.fleet.population import FleetModel, Problems, generate

TAKEN = 1_795_507_200
DAY_S = 86400
DATA = Path(__file__).parent.parent.parent / "scenarios" / "data"
CLEAN = Problems(**dict.fromkeys(Problems.model_fields, 0.0))


def make_fleet(*devices: dict[str, object]) -> Inventory:
    """Devices called PC unless said otherwise, hybrid, with the columns given."""
    inventory = generate(FleetModel(clients=len(devices), problems=CLEAN, comanaged=0.0), 1, TAKEN)
    fleet = inventory.fleet

    def chosen(name: str, default: object) -> list[object]:
        return [device.get(name, default) for device in devices]

    flags = {name: np.array(chosen(name, int(column[0])), np.int8) for name, column in fleet.flags.items()}
    times = {name: np.array(chosen(name, TAKEN - DAY_S), np.int64) for name in (*fleet.times, "last_sync")}
    joins = Factor.of([str(join) for join in chosen("join", "hybrid")])
    made = replace(
        fleet,
        names=texts(str(name) for name in chosen("name", "PC")),
        serials=texts(str(serial) for serial in chosen("serial", "")),
        resource_ids=np.array(chosen("resource_id", -1), np.int64),
        flags=flags,
        times=times,
        factors={**fleet.factors, "join": joins},
    )
    return replace(inventory, fleet=made)


def rows(mask: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[int]:
    return [int(row) for row in np.flatnonzero(mask)]


def fleet_of(*devices: dict[str, object]) -> Fleet:
    return make_fleet(*devices).fleet


def test_dual_state_is_a_joined_and_a_registered_record_of_a_name() -> None:
    """The names are compared without case; the records point to each other."""
    found = find_duplicates(fleet_of({"name": "Pc"}, {"name": "pC", "join": "registered"}, {"name": "other"}))
    assert (rows(found.dual_state), rows(found.registered)) == ([0], [1])
    assert found.other.tolist() == [1, 0, -1]


def test_registered_records_alone_are_no_duplicates() -> None:
    """Two registered records of a name are two users' devices, or none of ours."""
    found = find_duplicates(fleet_of({"join": "registered"}, {"join": "registered"}))
    assert not found.is_extra.any()


def test_of_twins_the_one_with_the_configmgr_record_is_kept() -> None:
    """ConfigMgr's word counts more than a fresher stamp."""
    found = find_duplicates(
        fleet_of({"last_sign_in": TAKEN}, {"resource_id": 5, "last_sign_in": TAKEN - 40 * DAY_S})
    )
    assert (rows(found.twin_extra), rows(found.twin_keep)) == ([0], [1])
    assert found.other.tolist() == [1, -1]


def test_of_twins_without_configmgr_the_more_active_is_kept() -> None:
    """The later sign-in wins."""
    device = {"last_active": -1}
    found = find_duplicates(fleet_of({**device, "last_sign_in": 100}, {**device, "last_sign_in": 200}))
    assert rows(found.twin_extra) == [0]


def test_twins_without_any_difference_are_unclear() -> None:
    """Nothing is guessed when both stamps are blank or equal."""
    for stamp in (-1, 500):
        blank = {"last_sign_in": stamp, "last_active": -1}
        found = find_duplicates(fleet_of(blank, blank))
        assert rows(found.twin_unclear) == [0, 1]
        assert not found.twin_extra.any()


def test_different_serials_are_different_computers() -> None:
    """Two computers of one name are a warning, not duplicates."""
    found = find_duplicates(fleet_of({"serial": "A"}, {"serial": "B"}))
    assert rows(found.same_name) == [0, 1]
    assert not found.is_extra.any()


def test_hybrid_and_entra_joined_records_of_a_name_are_no_twins() -> None:
    """Only records of the same join type are compared."""
    assert not find_duplicates(fleet_of({}, {"join": "entra"})).is_extra.any()


def test_of_configmgr_records_the_one_in_use_is_kept() -> None:
    """The record that joined Entra is in use; among equals the newest is. Obsolete ones do not count."""
    lone = {"entra": 0, "join": "unknown"}
    found = find_duplicates(fleet_of({"resource_id": 1}, {**lone, "resource_id": 2}))
    assert rows(found.configmgr_extra) == [1]
    found = find_duplicates(fleet_of({**lone, "resource_id": 1}, {**lone, "resource_id": 2}))
    assert rows(found.configmgr_extra) == [0]
    found = find_duplicates(fleet_of({"resource_id": 1}, {**lone, "resource_id": 2, "obsolete": 1}))
    assert not found.configmgr_extra.any()


def test_intune_records_of_a_serial_keep_the_last_to_check_in() -> None:
    """Under other names too: the serial is the computer."""
    one = {"intune": 1, "serial": "S", "name": "A", "last_sync": 100}
    found = find_duplicates(fleet_of(one, {**one, "name": "B", "last_sync": 200}))
    assert rows(found.intune_extra) == [0]
    assert found.other.tolist() == [1, -1]


def test_an_older_record_of_the_same_id_is_extra_unless_it_is_obsolete_anyway() -> None:
    """Records that lost their Entra id to a better one of the same system point to it; one rule each."""
    fleet = fleet_of(
        {"name": "A"},
        {"name": "B"},
        {"name": "C", "resource_id": 3},
        {"name": "D", "resource_id": 4, "obsolete": 1},
    )
    keep = str(fleet.ids[0])
    found = find_duplicates(
        replace(fleet, factors={**fleet.factors, "twin_of": Factor.of(["", keep, keep, keep])})
    )
    assert (rows(found.intune_extra), rows(found.configmgr_extra)) == ([1], [2])
    assert found.other.tolist() == [-1, 0, 0, 0]


def test_nameless_devices_are_not_each_others_duplicates() -> None:
    """An empty name says nothing."""
    assert not find_duplicates(fleet_of({"name": ""}, {"name": ""})).is_extra.any()


# The worklist


def steps(items: tuple[WorkItem, ...], name: str) -> list[tuple[int, str, str]]:
    return [
        (item.step, item.action, item.system.split(" (")[0])
        for item in items
        if item.name.casefold() == name.casefold()
    ]


def test_a_hybrid_record_is_handled_on_premises_first() -> None:
    """Keep, disable, wait, delete, in Active Directory; with both warnings."""
    items = worklist(make_fleet({"resource_id": 5}, {}))
    assert steps(items, "PC") == [
        (0, "keep", "every system"), (1, "disable", "Active Directory"), (2, "delete", "Active Directory"),
    ]  # fmt: skip
    assert items[2].after_days == GRACE_DAYS
    assert "BitLocker" in items[2].warning
    assert "Autopilot" in items[1].warning


def test_an_enrolled_record_is_retired_first() -> None:
    """Retire in Intune, then disable, wait, delete in Entra."""
    device = {"join": "entra", "intune": 1, "last_sign_in": TAKEN - 200 * DAY_S}
    items = worklist(make_fleet(device))
    assert steps(items, "PC") == [(1, "retire", "Intune"), (2, "disable", "Entra"), (3, "delete", "Entra")]


def test_unclear_twins_are_compared_not_deleted() -> None:
    """Where nothing tells the records apart, a person looks."""
    blank = {"last_sign_in": -1, "last_active": -1}
    assert {item.action for item in worklist(make_fleet(blank, blank))} == {"compare"}


def test_the_example_exports_give_a_list_for_each_kind() -> None:
    """Duplicates, obsolete and stale records of the examples, by name; healthy devices are not in it."""
    inventory = read_exports(
        [DATA / f"{name}-devices.csv" for name in ("entra", "intune", "configmgr")], taken=TAKEN
    )
    items = worklist(inventory)
    assert [item.name.casefold() for item in items] == sorted(item.name.casefold() for item in items)
    assert {item.rule for item in items} == {
        "D1-registered",
        "D2",
        "D2-unclear",
        "D3",
        "D5",
        "D6",
        "E1-obsolete",
    }
    assert steps(items, "CASE-D5") == [(0, "keep", "every system"), (1, "delete", "ConfigMgr")]
    assert next(item.identifier for item in items if item.rule == "D5" and item.step == 1).startswith(
        "ResourceID "
    )
    assert steps(items, "CASE-D6") == [(0, "keep", "every system"), (1, "retire", "Intune")]
    assert "It is encrypted" in next(item.warning for item in items if item.rule == "D6" and item.step == 1)


def test_no_record_to_keep_is_ever_deleted() -> None:
    """Over a drawn fleet, what one row keeps no other row disables or deletes."""
    model = FleetModel(clients=3000, problems=Problems(twins=0.1, dual_state=0.1, stale=0.1))
    items = worklist(generate(model, 3, TAKEN))
    kept = {item.identifier for item in items if item.action == "keep"}
    gone = {item.identifier for item in items if item.action in ("disable", "delete", "retire")}
    assert kept
    assert kept.isdisjoint(gone)


def test_the_worklist_refuses_low_thresholds() -> None:
    """Fewer than 21 days would list devices in use."""
    with pytest.raises(UsageError):
        worklist(make_fleet({}), stale_days=7)


def test_the_csv_has_a_header_and_no_formulas() -> None:
    """A spreadsheet must not run a device's name."""
    inventory = make_fleet({"name": "=cmd|x", "last_sign_in": TAKEN - 200 * DAY_S})
    out = io.StringIO(newline="")
    out.write(worklist_csv(worklist(inventory)))
    rows_read = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert [row["action"] for row in rows_read] == ["disable", "delete"]
    assert rows_read[0]["name"] == "'=cmd|x"
