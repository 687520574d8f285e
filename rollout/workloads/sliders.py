"""The seven workloads: names, flag bits, what moves with what, in which order, and the superset rule.

Flag bits are those of ConfigMgr's co-management flags; Microsoft's log samples confirm 2, 4 and 16, the others come
from third parties. What moves with what, and what a move back leaves behind, follows Microsoft's documentation of
workloads; the usual order follows its co-management FAQ.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

COMANAGED_BIT = 1
"""Set on every co-managed client; says nothing about workloads."""


class Slider(StrEnum):
    """The position of a workload's slider in the console."""

    CONFIGMGR = "configmgr"
    PILOT = "pilot"  # Pilot Intune: only members of the workload's staging collection move
    INTUNE = "intune"  # every co-managed device moves


@dataclass(frozen=True, slots=True)
class Workload:
    """One slider of the co-management properties.

    bit : its bit in the client's flags. switch : the parameter of New-CMCoManagementPolicy.
    counterpart : what must be deployed in Intune first, so that the device is always managed.
    implies : workloads that move with it. supported : False if it can no longer be moved by itself.
    log : the client log that shows the move, "" if none is documented.
    reverts, stays : what a move back to Configuration Manager restores, and what it leaves behind.
    note : what else Microsoft documents about the move.
    """

    name: str
    title: str
    bit: int
    switch: str
    counterpart: str
    reverts: str
    stays: str
    implies: tuple[str, ...] = ()
    supported: bool = True
    log: str = ""
    note: str = ""

    @property
    def staging(self) -> str:
        """The suggested name of its staging collection."""
        return f"Co-management Staging {self.title}"


_ALL = (
    Workload(
        "compliance",
        "Compliance policies",
        2,
        "CAWorkloadEnabled",
        "a compliance policy",
        reverts="Configuration Manager's compliance baselines apply again.",
        stays="Nothing documented; Intune's last verdict presumably remains until the client reports again.",
        log="ComplRelayAgent.log",
        note="Conditional Access needs it. An Intune policy can still require Configuration Manager's compliance.",
    ),
    Workload(
        "resource-access",
        "Resource access policies",
        4,
        "RAWorkloadEnabled",
        "certificate, Wi-Fi and VPN profiles",
        reverts="Nothing: from site version 2403 on, its slider is forced to Intune.",
        stays="Certificates and profiles that Intune installed, as part of device configuration.",
        supported=False,  # since 2203; from 2403 its slider is forced to Intune
        log="CIAgent.log",
        note="Part of device configuration. Policies left over in Configuration Manager block the upgrade to 2403.",
    ),
    Workload(
        "device-configuration",
        "Device configuration",
        8,
        "DCWorkloadEnabled",
        "configuration profiles or settings catalog policies",
        reverts="Configuration Manager's configuration items and baselines apply again.",
        stays="Settings that Intune wrote may stay tattooed: Intune removes them only while it manages this workload.",
        implies=("resource-access", "endpoint-protection"),
        note="Settings catalog policies always follow this slider. At Pilot Intune, its policies are not removed when "
        "they are unassigned; that needs Intune.",
    ),
    Workload(
        "windows-update",
        "Windows Update policies",
        16,
        "WufbWorkloadEnabled",
        "update rings",
        reverts="Configuration Manager scans and deploys updates again once its client setting is turned on.",
        stays="Windows keeps its version; updates are not rolled back.",
        log="WUAHandler.log",
        note="Software updates must also be turned off in a client setting.",
    ),
    Workload(
        "endpoint-protection",
        "Endpoint Protection",
        32,
        "EPWorkloadEnabled",
        "endpoint security policies",
        reverts="Configuration Manager's antimalware policies apply again.",
        stays="Settings may stay tattooed; to remove all of them, device configuration must be at Intune too.",
        note="Configuration Manager's policy stays until Intune's overwrites it, so there is no gap. At Pilot Intune, "
        "policies are not removed when they are unassigned.",
    ),
    Workload(
        "client-apps",
        "Client apps",
        64,
        "ClientAppsWorkloadEnabled",
        "the apps' assignments",
        reverts="Configuration Manager alone installs apps again; its own deployments never stopped.",
        stays="Apps that Intune installed presumably stay installed; nothing is documented.",
        note="On Windows 10 version 1903 and later, Intune's PowerShell scripts run without it.",
    ),
    Workload(
        "office",
        "Office Click-to-Run apps",
        128,
        "O365WorkloadEnabled",
        "the Microsoft 365 Apps assignment",
        reverts="Configuration Manager manages Office updates again.",
        stays="Office keeps its version; updates are not rolled back.",
        note="The move may take 24 hours or a restart to take effect.",
    ),
)

WORKLOADS: Mapping[str, Workload] = MappingProxyType({workload.name: workload for workload in _ALL})
"""All workloads by name, in the order of their bits."""

AUTOPATCH = ("windows-update", "device-configuration", "office")
"""The workloads that Windows Autopatch needs at Intune."""

USUAL_ORDER = (
    "compliance",
    "office",
    "client-apps",
    "windows-update",
    "endpoint-protection",
    "device-configuration",
)
"""The usual order: compliance, the three workloads that most start with, then those that may tattoo settings."""


def moves_with(name: str) -> tuple[str, ...]:
    """Return the workloads that move with `name`, itself first."""
    return (name, *WORKLOADS[name].implies)


def missing_counterparts(name: str, confirmed: Collection[str]) -> tuple[str, ...]:
    """Return the workloads that would move with `name` without a confirmed counterpart in Intune."""
    return tuple(moved for moved in moves_with(name) if moved not in confirmed)


def order_advice(name: str, at_intune: Iterable[str]) -> tuple[str, ...]:
    """Return what Microsoft's order and dependencies mean for moving `name` next.

    at_intune : the workloads that Intune already manages. This is advice; nothing is refused.
    """
    there = {moved for workload in at_intune for moved in moves_with(workload)}
    workload, out = WORKLOADS[name], []
    if workload.implies:
        titles = " and ".join(WORKLOADS[implied].title for implied in workload.implies)
        out.append(f"{workload.title} moves {titles} with it")
    if name != "compliance" and "compliance" not in there:
        out.append("compliance policies usually move first: Conditional Access depends on them")
    if name in AUTOPATCH:
        rest = [WORKLOADS[other].title for other in AUTOPATCH if other != name and other not in there]
        if rest:
            out.append(f"Windows Autopatch also needs {' and '.join(rest)} at Intune")
    return tuple(out)


def outside_superset(auto_enrollment: Collection[str], staging: Collection[str]) -> tuple[str, ...]:
    """Return the members of a staging collection that are not in the auto-enrollment collection, sorted.

    The auto-enrollment collection must contain every staging collection: a device that is not enrolled has no
    workload to move. The caller refuses a change after which this is not empty.
    """
    allowed = set(auto_enrollment)
    return tuple(sorted(member for member in staging if member not in allowed))
