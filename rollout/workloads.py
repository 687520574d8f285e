"""The seven workloads: names, flag bits, what moves with what, and the superset rule.

Flag bits are those of ConfigMgr's co-management flags; 2, 4 and 16 are confirmed by Microsoft's log samples,
the others come from third parties. Test bits, never compare totals; ignore unknown ones.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

COMANAGED_BIT = 1
"""Set on every co-managed client; says nothing about workloads."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One slider of the co-management properties.

    bit : of the client's flags. switch : the parameter of New-CMCoManagementPolicy.
    implies : workloads that move with it. supported : False if it can no longer be moved by itself.
    counterpart : what must be deployed in Intune first, so that the device always has one manager.
    """

    name: str
    title: str
    bit: int
    switch: str
    counterpart: str
    implies: tuple[str, ...] = ()
    supported: bool = True


_ALL = (
    Workload("compliance", "Compliance policies", 2, "CAWorkloadEnabled", "a compliance policy"),
    Workload(
        "resource-access",
        "Resource access policies",
        4,
        "RAWorkloadEnabled",
        "certificate, Wi-Fi and VPN profiles",
        supported=False,  # since 2203; from 2403 its slider is forced to Intune
    ),
    Workload(
        "device-configuration",
        "Device configuration",
        8,
        "DCWorkloadEnabled",
        "configuration profiles or settings catalog policies",
        implies=("resource-access", "endpoint-protection"),
    ),
    Workload("windows-update", "Windows Update policies", 16, "WufbWorkloadEnabled", "update rings"),
    Workload(
        "endpoint-protection", "Endpoint Protection", 32, "EPWorkloadEnabled", "endpoint security policies"
    ),
    Workload("client-apps", "Client apps", 64, "ClientAppsWorkloadEnabled", "the apps' assignments"),
    Workload(
        "office", "Office Click-to-Run apps", 128, "O365WorkloadEnabled", "the Microsoft 365 Apps assignment"
    ),
)

WORKLOADS: Mapping[str, Workload] = {one.name: one for one in _ALL}
"""All workloads by name, in the order of their bits."""


def moves_with(name: str) -> tuple[str, ...]:
    """Give the workloads that a switch of `name` moves, itself first."""
    return (name, *WORKLOADS[name].implies)


def workloads_of(flags: int) -> tuple[str, ...]:
    """Give the workloads that Intune manages by a client's flags; unknown bits are ignored."""
    return tuple(one.name for one in _ALL if flags & one.bit)


def outside_superset(auto_enrollment: Collection[str], staging: Collection[str]) -> tuple[str, ...]:
    """Give the members of a staging collection that are not in the auto-enrollment collection, sorted.

    The auto-enrollment collection must contain every staging collection: a device that is not enrolled has
    nothing to switch. The caller refuses a change after which this is not empty.
    """
    allowed = set(auto_enrollment)
    return tuple(sorted(one for one in staging if one not in allowed))


def breaks_superset(
    auto_enrollment: Collection[str], staging: Mapping[str, Collection[str]]
) -> Mapping[str, int]:
    """Count, by workload, the members of staging collections outside the auto-enrollment collection."""
    outside = {name: len(outside_superset(auto_enrollment, members)) for name, members in staging.items()}
    return {name: count for name, count in outside.items() if count}
