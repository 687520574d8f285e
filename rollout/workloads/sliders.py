"""The seven workloads: names, flag bits, what moves with what, in which order, and the superset rule.

Flag bits are those of ConfigMgr's co-management flags; 2, 4 and 16 are confirmed by Microsoft's log samples,
the others come from third parties. What moves with what and what a move back leaves behind is Microsoft's
documentation of workloads; the usual order is that of its co-management FAQ.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

COMANAGED_BIT = 1
"""Set on every co-managed client; says nothing about workloads."""


class Slider(StrEnum):
    """Where the slider of a workload stands in the console."""

    CONFIGMGR = "configmgr"
    PILOT = "pilot"  # Pilot Intune: only members of the workload's staging collection move
    INTUNE = "intune"  # every co-managed device moves


@dataclass(frozen=True, slots=True)
class Workload:
    """One slider of the co-management properties.

    bit : of the client's flags. switch : the parameter of New-CMCoManagementPolicy.
    counterpart : what must be deployed in Intune first, so that the device always has one manager.
    implies : workloads that move with it. supported : False if it can no longer be moved by itself.
    log : the client's log in which the move can be seen, "" where none is documented.
    reverts, stays : what a move back to Configuration Manager gives back, and what it leaves behind.
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
        """A name for its staging collection, for who has none yet."""
        return f"Co-management Staging {self.title}"


_ALL = (
    Workload(
        "compliance",
        "Compliance policies",
        2,
        "CAWorkloadEnabled",
        "a compliance policy",
        reverts="Configuration Manager's compliance baselines decide again.",
        stays="Nothing documented; Intune's last verdict presumably stands until the client reports anew.",
        log="ComplRelayAgent.log",
        note="Conditional Access needs it. An Intune policy can still demand Configuration Manager's compliance.",
    ),
    Workload(
        "resource-access",
        "Resource access policies",
        4,
        "RAWorkloadEnabled",
        "certificate, Wi-Fi and VPN profiles",
        reverts="Nothing: from site version 2403 on its slider is forced to Intune.",
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
        stays="Settings that Intune wrote may stay tattooed: Intune removes them only while this workload is its own.",
        implies=("resource-access", "endpoint-protection"),
        note="Settings catalog policies always follow this slider. At Pilot Intune its policies are not removed when "
        "they are unassigned; that needs Intune.",
    ),
    Workload(
        "windows-update",
        "Windows Update policies",
        16,
        "WufbWorkloadEnabled",
        "update rings",
        reverts="Configuration Manager scans and deploys updates again, once its client setting is switched on.",
        stays="Windows keeps the version it has; it is not taken back.",
        log="WUAHandler.log",
        note="Software updates must be switched off in a client setting too.",
    ),
    Workload(
        "endpoint-protection",
        "Endpoint Protection",
        32,
        "EPWorkloadEnabled",
        "endpoint security policies",
        reverts="Configuration Manager's antimalware policies apply again.",
        stays="Settings may stay tattooed; removing all of them needs device configuration at Intune too.",
        note="Configuration Manager's policy stays until Intune's overwrites it, so there is no gap. At Pilot Intune "
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
        note="Intune's PowerShell scripts run on 1903 and later without it.",
    ),
    Workload(
        "office",
        "Office Click-to-Run apps",
        128,
        "O365WorkloadEnabled",
        "the Microsoft 365 Apps assignment",
        reverts="Configuration Manager manages Office updates again.",
        stays="Office keeps the version it has; it is not taken back.",
        note="It may take 24 hours or a restart until the move shows.",
    ),
)

WORKLOADS: Mapping[str, Workload] = MappingProxyType({item.name: item for item in _ALL})
"""All workloads by name, in the order of their bits."""

AUTOPATCH = ("windows-update", "device-configuration", "office")
"""What Windows Autopatch needs at Intune."""

USUAL_ORDER = (
    "compliance",
    "office",
    "client-apps",
    "windows-update",
    "endpoint-protection",
    "device-configuration",
)
"""A usual order of moves: compliance first, then the three that most begin with, those with tattooed settings last."""


def moves_with(name: str) -> tuple[str, ...]:
    """Return the workloads that a switch of `name` moves, itself first."""
    return (name, *WORKLOADS[name].implies)


def workloads_of(flags: int) -> tuple[str, ...]:
    """Return the workloads that Intune manages by a client's flags; unknown bits are ignored."""
    return tuple(item.name for item in _ALL if flags & item.bit)


def missing_counterparts(name: str, confirmed: Collection[str]) -> tuple[str, ...]:
    """Return the workloads that would move with `name` without a confirmed counterpart in Intune."""
    return tuple(move for move in moves_with(name) if move not in confirmed)


def order_advice(name: str, at_intune: Iterable[str]) -> tuple[str, ...]:
    """Say what Microsoft's order and dependencies mean for moving `name` next.

    at_intune : the workloads that Intune manages already. Advice only: nothing of it is refused.
    """
    there = {move for moved in at_intune for move in moves_with(moved)}
    workload, out = WORKLOADS[name], []
    if workload.implies:
        titles = " and ".join(WORKLOADS[imply].title for imply in workload.implies)
        out.append(f"{workload.title} takes {titles} along")
    if name != "compliance" and "compliance" not in there:
        out.append("compliance policies usually move first: Conditional Access depends on them")
    if name in AUTOPATCH:
        rest = [WORKLOADS[item].title for item in AUTOPATCH if item != name and item not in there]
        if rest:
            out.append(f"Windows Autopatch needs {' and '.join(rest)} at Intune as well")
    return tuple(out)


def outside_superset(auto_enrollment: Collection[str], staging: Collection[str]) -> tuple[str, ...]:
    """Return the members of a staging collection that are not in the auto-enrollment collection, sorted.

    The auto-enrollment collection must contain every staging collection: a device that is not enrolled has
    nothing to switch. The caller refuses a change after which this is not empty.
    """
    allowed = set(auto_enrollment)
    return tuple(sorted(item for item in staging if item not in allowed))


def breaks_superset(
    auto_enrollment: Collection[str], staging: Mapping[str, Collection[str]]
) -> Mapping[str, int]:
    """Count, by workload, the members of staging collections outside the auto-enrollment collection."""
    outside = {name: len(outside_superset(auto_enrollment, members)) for name, members in staging.items()}
    return {name: count for name, count in outside.items() if count}
