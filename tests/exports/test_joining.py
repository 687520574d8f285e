"""Which records are the same device, and which system takes precedence for which column."""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random

import numpy as np
import pytest
from export_builders import (
    TAKEN,
    column,
    configmgr,
    configmgr_row,
    entra,
    entra_row,
    guid,
    intune,
    intune_row,
    read,
    refused,
)
from fleet_files import ORDERS, by_name, write_exports
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.preflight import preflight
from rollout.values import Fleet, Inventory
from sim.fleet.population import FleetModel, generate


def test_files_join_on_the_entra_id(tmp_path: Path) -> None:
    """Three records with the same Entra ID are one device, whatever their names."""
    taken = read(
        entra(tmp_path, [entra_row(1)]),
        intune(tmp_path, [intune_row(1, **{"Device name": "OTHER", "Serial number": "S1", "Model": "M"})]),
        configmgr(
            tmp_path, [configmgr_row(7, AADDeviceID=guid(1).upper(), ADSiteName="Berlin")], "AADDeviceID"
        ),
    )
    fleet = taken.fleet
    assert fleet.ids.tolist() == [guid(1)]
    assert fleet.names.tolist() == ["PC-1"]
    assert fleet.resource_ids.tolist() == [7]
    assert fleet.serials.tolist() == ["S1"]
    assert (column(fleet, "site"), column(fleet, "model")) == (["Berlin"], ["M"])
    assert column(fleet, "configmgr_join") == ["id"]


@pytest.mark.parametrize("order", ["as drawn", *ORDERS])
def test_the_order_of_files_does_not_matter(tmp_path: Path, order: str) -> None:
    """The order of the exports does not change the fleet, even if they are sorted by name."""
    fleet = generate(FleetModel(clients=300), 3, TAKEN).fleet
    paths = write_exports(by_name(fleet, order) if order in ORDERS else fleet, tmp_path)
    assert read(*paths).fleet.digest == read(*reversed(paths)).fleet.digest


def test_without_an_id_a_unique_serial_joins_then_a_unique_name(tmp_path: Path) -> None:
    """The file's note says how many records were joined by each kind of match."""
    taken = read(
        entra(tmp_path, [entra_row(1), entra_row(2)]),
        intune(tmp_path, [intune_row(1, **{"Serial number": "S1"})]),
        configmgr(
            tmp_path, [configmgr_row(11, SerialNumber="s1", Name="RENAMED"), configmgr_row(12, Name="pc-2")]
        ),
    )
    assert taken.fleet.resource_ids.tolist() == [11, 12]
    assert column(taken.fleet, "configmgr_join") == ["serial", "name"]
    assert "1 serial, 1 name" in taken.files[2][1]


def test_placeholder_serials_join_nothing(tmp_path: Path) -> None:
    """'To be filled by O.E.M.' on both sides is not the same computer."""
    serial = "To Be Filled By O.E.M."
    taken = read(
        entra(tmp_path, [entra_row(1)]),
        intune(tmp_path, [intune_row(1, **{"Serial number": serial})]),
        configmgr(tmp_path, [configmgr_row(11, SerialNumber=serial, Name="OTHER")]),
    )
    assert taken.fleet.ids.tolist() == [guid(1), "cm:11"]


def test_an_ambiguous_name_joins_nothing_and_says_so(tmp_path: Path) -> None:
    """With two Entra records of a name, the ConfigMgr record is not joined, and all three are marked."""
    rows = [entra_row(1, displayName="TWIN"), entra_row(2, displayName="twin"), entra_row(3)]
    taken = read(entra(tmp_path, rows), configmgr(tmp_path, [configmgr_row(5, Name="Twin")]))
    fleet = taken.fleet
    assert fleet.ids.tolist() == [guid(1), guid(2), guid(3), "cm:5"]
    assert column(fleet, "configmgr_join") == ["ambiguous", "ambiguous", "", "ambiguous"]
    assert fleet.flags["client"].tolist() == [-1, -1, 0, 1]
    assert fleet.flags["entra"].tolist() == [1, 1, 1, -1]
    assert "1 ambiguous" in taken.files[1][1]


def test_a_registered_record_does_not_make_a_name_ambiguous(tmp_path: Path) -> None:
    """Dual state is not ambiguous: the ConfigMgr client is on the joined device."""
    rows = [
        entra_row(1, displayName="DUAL", **{"joinType (trustType)": "Workplace"}),
        entra_row(2, displayName="DUAL"),
    ]
    fleet = read(entra(tmp_path, rows), configmgr(tmp_path, [configmgr_row(5, Name="DUAL")])).fleet
    assert fleet.resource_ids.tolist() == [-1, 5]


def test_an_obsolete_record_does_not_make_a_name_ambiguous(tmp_path: Path) -> None:
    """The current ConfigMgr record is joined, the obsolete record keeps its own row."""
    rows = [configmgr_row(5, Name="PC-1", IsObsolete="True"), configmgr_row(6, Name="PC-1")]
    fleet = read(entra(tmp_path, [entra_row(1)]), configmgr(tmp_path, rows)).fleet
    assert fleet.ids.tolist() == [guid(1), "cm:5"]
    assert fleet.resource_ids.tolist() == [6, 5]


def test_two_records_with_one_entra_id_keep_the_better_one(tmp_path: Path) -> None:
    """Of two Intune records, the last to check in is joined; of two ConfigMgr records, the current one."""
    first = intune_row(1, **{"Device ID": guid(91), "Last check-in": "2026-01-01", "Serial number": "OLD"})
    second = intune_row(1, **{"Device ID": guid(92), "Last check-in": "2026-02-01", "Serial number": "NEW"})
    rows = [configmgr_row(n, AADDeviceID=guid(1), IsObsolete=str(n == 9)) for n in (9, 8, 7)]
    fleet = read(
        entra(tmp_path, [entra_row(1)]),
        intune(tmp_path, [second, first]),
        configmgr(tmp_path, rows, "AADDeviceID"),
    ).fleet
    assert fleet.ids.tolist() == [guid(1), f"intune:{guid(91)}", "cm:9", "cm:7"]
    assert fleet.resource_ids.tolist() == [8, -1, 9, 7]
    assert fleet.serials.tolist()[:2] == ["NEW", "OLD"]
    assert column(fleet, "twin_of") == ["", guid(1), guid(1), guid(1)]


def test_each_column_comes_from_the_system_that_knows_it_best(tmp_path: Path) -> None:
    """ConfigMgr determines OS and build, Entra join and name, Intune the model; then the next system does."""
    old = {"operatingSystemVersion": "10.0.1.0", "model": "entra", "userNames": "a@entra.example"}
    rows = [entra_row(1, **old), entra_row(2, **old), entra_row(3, **old)]
    new = {
        "OS version": "10.0.2.0",
        "Model": "intune",
        "JoinType": "azureADJoined",
        "Primary user UPN": "a@intune.example",
    }
    server = {"DeviceOS": "Microsoft Windows NT Server 10.0", "DeviceOSBuild": "10.0.3.0"}
    fleet = read(
        entra(tmp_path, rows),
        intune(tmp_path, [intune_row(1, **new), intune_row(2, **new)]),
        configmgr(tmp_path, [configmgr_row(9, AADDeviceID=guid(1), Name="CM", **server)], "AADDeviceID"),
    ).fleet
    assert column(fleet, "os_version") == ["10.0.3.0", "10.0.2.0", "10.0.1.0"]
    assert column(fleet, "os") == ["Windows Server", "Windows", "Windows"]
    assert column(fleet, "model") == ["intune", "intune", "entra"]
    assert column(fleet, "join") == ["hybrid"] * 3
    assert column(fleet, "upn_domain") == ["intune.example", "intune.example", "entra.example"]
    assert fleet.names.tolist() == ["PC-1", "PC-2", "PC-3"]


def test_records_that_entra_does_not_know_stay(tmp_path: Path) -> None:
    """Nothing is lost: a record without a match gets its own row, and is known not to be in Entra."""
    fleet = read(
        entra(tmp_path, [entra_row(1)]),
        intune(
            tmp_path,
            [intune_row(2), intune_row(3, **{"Microsoft Entra Device ID": guid(0).replace("1", "0")[:0]})],
        ),
        configmgr(tmp_path, [configmgr_row(4, AADDeviceID=guid(2)), configmgr_row(5)], "AADDeviceID"),
    ).fleet
    assert fleet.ids.tolist() == [guid(1), guid(2), f"intune:{guid(0xA0003)}", "cm:5"]
    assert fleet.flags["entra"].tolist() == [1, 0, 0, 0]
    assert fleet.resource_ids.tolist() == [-1, 4, -1, 5]


def test_a_system_without_an_export_is_unknown_and_one_with_says_no(tmp_path: Path) -> None:
    """With Entra alone the client is unknown; with Get-CMDevice, a device without a record has none."""
    alone = read(entra(tmp_path, [entra_row(1)])).fleet
    assert {name: int(alone.flags[name][0]) for name in ("entra", "client", "intune", "comanaged")} == {
        "entra": 1, "client": -1, "intune": -1, "comanaged": -1,
    }  # fmt: skip
    beside = read(entra(tmp_path, [entra_row(1)]), configmgr(tmp_path, [configmgr_row(2)])).fleet
    assert beside.flags["client"].tolist() == [0, 1]


def test_pending_is_what_the_registration_says(tmp_path: Path) -> None:
    """The word Pending is yes, a date is no, nothing is unknown."""
    rows = [entra_row(1, registrationTime="Pending"), entra_row(2), entra_row(3, registrationTime="")]
    fleet = read(entra(tmp_path, rows)).fleet
    assert fleet.flags["pending"].tolist() == [1, 0, -1]
    assert fleet.times["registered"][0] == -1


def test_halves_of_an_export_are_laid_together_and_must_not_overlap(tmp_path: Path) -> None:
    """Two Entra files form one list; an ID in both is refused, and both places are named."""
    one, two = (
        entra(tmp_path, [entra_row(1)], "one.csv"),
        entra(tmp_path, [entra_row(2), entra_row(3)], "two.csv"),
    )
    whole = entra(tmp_path, [entra_row(n) for n in (1, 2, 3)], "whole.csv")
    assert read(one, two).fleet.digest == read(whole).fleet.digest
    error = refused(whole, two)
    assert "two.csv, line 2" in error.message
    assert "first in whole.csv, line 3" in error.message


def test_only_the_domain_of_a_user_is_kept(tmp_path: Path) -> None:
    """No person's name gets into the fleet."""
    fleet = read(
        entra(tmp_path, [entra_row(1, userNames="kim@Example.com;lee@example.org", registeredOwners="Kim")])
    ).fleet
    kept = " ".join(level for factor in fleet.factors.values() for level in factor.levels)
    assert column(fleet, "upn_domain") == ["example.com"]
    assert "kim" not in kept.casefold()


JOINS = ("ServerAd", "AzureAd", "Workplace")


@st.composite
def tenants(draw: st.DrawFn) -> tuple[list[dict[str, str]], list[dict[str, str]], list[dict[str, str]]]:
    """Draw three exports with so few names, IDs and serial numbers that everything collides."""
    small = st.integers(1, 4)
    count = st.integers(1, 6)
    first = [
        entra_row(
            n, displayName=f"PC-{draw(small)}", **{"joinType (trustType)": draw(st.sampled_from(JOINS))}
        )
        for n in range(1, draw(count) + 1)
    ]
    second = [
        intune_row(
            draw(st.integers(1, 8)),
            **{
                "Device ID": guid(0xB0000 + n),
                "Device name": f"PC-{draw(small)}",
                "Serial number": draw(st.sampled_from(["", "S1", "S2", "None"])),
                "Last check-in": f"2026-01-{n + 1:02}",
            },
        )
        for n in range(draw(count))
    ]
    third = [
        configmgr_row(
            n,
            Name=f"PC-{draw(small)}",
            SerialNumber=draw(st.sampled_from(["", "S1", "S2", "None"])),
            AADDeviceID=draw(st.sampled_from(["", "", guid(1), guid(2), guid(9)])),
            IsObsolete=draw(st.sampled_from(["True", "False"])),
            ClientActiveStatus=draw(st.sampled_from(["0", "1"])),
        )
        for n in range(1, draw(count) + 1)
    ]
    return first, second, third


@given(tenants(), st.randoms(use_true_random=False))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_no_record_is_lost_doubled_or_joined_by_chance(
    rows: tuple[list[dict[str, str]], list[dict[str, str]], list[dict[str, str]]], random: Random
) -> None:
    """Every record has exactly one row, IDs are unique, and the order of lines does not matter."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def fleet_of(
            first: list[dict[str, str]], second: list[dict[str, str]], third: list[dict[str, str]]
        ) -> Fleet:
            paths = entra(folder, first), intune(folder, second), configmgr(folder, third, "AADDeviceID")
            return read(*paths).fleet

        fleet = fleet_of(*rows)
        shuffled = fleet_of(*(random.sample(part, len(part)) for part in rows))
    first, second, third = rows
    ids = fleet.ids.tolist()
    assert len(set(ids)) == len(ids)
    assert {row["deviceId"] for row in first} == {
        ids[row] for row in np.flatnonzero(fleet.flags["entra"] == 1)
    }
    assert int((fleet.flags["intune"] == 1).sum()) == len(second)
    assert sorted(fleet.resource_ids[fleet.resource_ids >= 0].tolist()) == [
        int(row["ResourceID"]) for row in third
    ]
    assert dict(zip(ids, fleet.resource_ids.tolist(), strict=True)) == dict(
        zip(shuffled.ids.tolist(), shuffled.resource_ids.tolist(), strict=True)
    )
    assert preflight(Inventory(fleet, TAKEN, ()))
