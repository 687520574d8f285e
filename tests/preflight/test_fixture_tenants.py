"""Made-up tenants, each with one thing in it: its rule fires on its own device and on no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from export_builders import configmgr, configmgr_row, entra, entra_row, guid, intune, intune_row, read

from rollout.preflight import TENANT_RULES, exclusions, preflight, worklist
from rollout.values import Inventory
from rollout.values.clouds import CLOUDS

HEALTHY = (1, 2, 3)
CASE, SECOND = 9, 90

Row = Mapping[str, str]


@dataclass(frozen=True)
class Tenant:
    """Three healthy devices, and PC-9 with other cells; a second record of it in Entra; a record in Intune."""

    entra: Row = field(default_factory=dict)
    configmgr: Row = field(default_factory=dict)
    second: Row | None = None
    intune: Row | None = None
    expected: Sequence[tuple[str, int]] = ()


def joined_row(number: int, **other: str) -> dict[str, str]:
    facts = {
        "DeviceOS": "Microsoft Windows NT Workstation 10.0",
        "DeviceOSBuild": "10.0.22631.4602",
        "AADDeviceID": guid(number),
        "SerialNumber": f"SN{number}",
    }
    return configmgr_row(number, **{**facts, **other})


def inventory_of(tenant: Tenant, folder: Path) -> Inventory:
    directory = [*map(entra_row, HEALTHY), entra_row(CASE, **tenant.entra)]
    if tenant.second is not None:
        directory.append(entra_row(SECOND, displayName=f"PC-{CASE}", **tenant.second))
    site = [*map(joined_row, HEALTHY), joined_row(CASE, **tenant.configmgr)]
    devices = (
        [intune_row(CASE, **tenant.intune)] if tenant.intune is not None else [intune_row(77, **FOREIGN)]
    )
    return read(entra(folder, directory), configmgr(folder, site, "AADDeviceID"), intune(folder, devices))


FOREIGN = {"OS": "iOS", "Device name": "a phone", "Microsoft Entra Device ID": ""}
"""Intune's export is never empty: a phone stands in it, which is no Windows client (E2-os)."""

OLD = "2026-01-05T00:00:00Z"
SERVER = {"DeviceOS": "Microsoft Windows NT Advanced Server 10.0", "DeviceOSBuild": "10.0.20348.2700"}

TENANTS = {
    "healthy": Tenant(),
    "dual state": Tenant(
        second={"joinType (trustType)": "Workplace"}, expected=[("D1-registered", SECOND), ("D1", CASE)]
    ),
    "twins": Tenant(second={"approximateLastSignInDateTime": OLD}, expected=[("D2", SECOND), ("D3", SECOND)]),
    "stale": Tenant({"approximateLastSignInDateTime": OLD}, expected=[("D3", CASE)]),
    "blank stamp": Tenant({"approximateLastSignInDateTime": ""}),
    "pending": Tenant({"registrationTime": "Pending"}, expected=[("E4", CASE)]),
    "disabled": Tenant({"accountEnabled": "False"}, expected=[("E6", CASE)]),
    "other MDM": Tenant({"mdmDisplayName": "Fernside MDM"}, expected=[("E7", CASE)]),
    "registered only": Tenant({"joinType (trustType)": "Workplace"}, expected=[("E3", CASE)]),
    "server": Tenant(configmgr=SERVER, expected=[("E2-os", CASE)]),
    "1507": Tenant(configmgr={"DeviceOSBuild": "10.0.10240.20345"}, expected=[("E2", CASE)]),
    "LTSB 2016": Tenant(configmgr={"DeviceOSBuild": "10.0.14393.7606"}, expected=[("E2", CASE)]),
    "1709": Tenant(configmgr={"DeviceOSBuild": "10.0.16299.2166"}, expected=[("E2-token", CASE)]),
    "LTSC 2019": Tenant(configmgr={"DeviceOSBuild": "10.0.17763.6532"}),
    "LTSC 2021": Tenant(configmgr={"DeviceOSBuild": "10.0.19044.5247"}),
    "ARM64": Tenant(intune={"ProcessorArchitecture": "ARM64", "Managed by": "ConfigMgr", "SkuFamily": "Enterprise"}),
    "two users": Tenant({"userNames": "a@example.com;b@example.com", "registeredOwners": "a;b"}),
    "unroutable": Tenant({"userNames": "a@corp.local"}, expected=[("E14", CASE)]),
    "co-managed": Tenant(configmgr={"CoManaged": "True"}, expected=[("C1", CASE)]),
    "client gone": Tenant(configmgr={"IsClient": "False"}, expected=[("E1", CASE)]),
    "obsolete": Tenant(configmgr={"IsObsolete": "True"}, expected=[("E1-obsolete", CASE)]),
    "inactive": Tenant(configmgr={"ClientActiveStatus": "0"}, expected=[("E1-inactive", CASE)]),
}  # fmt: skip


@pytest.mark.parametrize("name", TENANTS)
def test_a_rule_fires_on_its_own_device_and_on_no_other(name: str, tmp_path: Path) -> None:
    """The findings about devices are exactly those that are expected; the tenant's are always there, apart."""
    tenant = TENANTS[name]
    inventory = inventory_of(tenant, tmp_path)
    findings = preflight(inventory)
    ids = inventory.fleet.ids
    phone = {str(ids[row]) for row in range(len(ids)) if inventory.fleet.names[row] == "a phone"}
    found = {
        (finding.rule, str(ids[finding.row]))
        for finding in findings
        if finding.row >= 0 and str(ids[finding.row]) not in phone
    }
    assert found == {(rule, guid(number)) for rule, number in tenant.expected}
    assert {rule.id for rule in TENANT_RULES} <= {finding.rule for finding in findings if finding.row < 0}


@pytest.mark.parametrize("name", TENANTS)
def test_only_the_case_leaves_the_plan(name: str, tmp_path: Path) -> None:
    """The healthy ones stay, whoever is beside them."""
    inventory = inventory_of(TENANTS[name], tmp_path)
    blocked = {str(inventory.fleet.ids[row]) for row in exclusions(preflight(inventory))}
    assert blocked.isdisjoint({guid(number) for number in HEALTHY})


def test_a_stale_hybrid_record_is_cleaned_up_on_premises_first(tmp_path: Path) -> None:
    """Disable, wait, delete, in Active Directory; a blank stamp has no steps at all."""
    steps = worklist(inventory_of(TENANTS["stale"], tmp_path))
    assert [(step.action, step.system.split(" (")[0]) for step in steps] == [
        ("disable", "Active Directory"),
        ("delete", "Active Directory"),
    ]
    assert steps[1].after_days >= 30
    assert worklist(inventory_of(TENANTS["blank stamp"], tmp_path)) == ()


@pytest.mark.parametrize(
    ("name", "attach", "graph"),
    [
        ("public", True, "graph.microsoft.com"),
        ("gcc", True, "graph.microsoft.com"),
        ("usgov", False, "graph.microsoft.us"),
        ("dod", False, "dod-graph.microsoft.us"),
        ("china", False, "microsoftgraph.chinacloudapi.cn"),
    ],
)
def test_clouds_have_their_own_hosts_and_flags(name: str, attach: bool, graph: str) -> None:
    """Only the public cloud (and GCC, which is in it) has nothing that differs; the others name their hosts."""
    cloud = CLOUDS[name]
    assert cloud.tenant_attach is attach
    assert cloud.graph == f"https://{graph}"
    assert bool(cloud.differences) is (name not in ("public", "gcc"))
    assert all(host in " ".join(cloud.differences) for host in cloud.hosts) is bool(cloud.differences)
