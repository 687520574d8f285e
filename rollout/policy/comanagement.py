"""What a scenario says about co-management itself: what the console shows, and what Intune has ready.

No export shows it and no documented call reads all of it, so a person writes it down; planning holds the plan
against it and refuses what would enroll or move all devices, or leave a device without a manager.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from rollout.fields import Day, Part
from rollout.values.clouds import CLOUDS
from rollout.workloads import WORKLOADS

AUTO_ENROLLMENT = "Intune Auto Enrollment"


def _cloud(name: str) -> str:
    if name not in CLOUDS:
        raise ValueError(f"a cloud out of {', '.join(CLOUDS)}")
    return name


def _workload(name: str) -> str:
    if name not in WORKLOADS:
        raise ValueError(f"a workload out of {', '.join(WORKLOADS)}")
    return name


CloudName = Annotated[str, AfterValidator(_cloud)]
WorkloadName = Annotated[str, AfterValidator(_workload)]


Written = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
"""A text that a person has filled in."""


class Counterpart(Part):
    """A person's confirmation that Intune has what a workload needs, assigned to the devices that move.

    policy : its name in Intune, or the reason why none is needed ("no VPN profiles in use").
    """

    policy: Written
    by: Written
    on: Day


class PreflightPolicy(Part):
    """How preflight checks the inventory of a plan.

    stale_days : days without sign-in after which a device is stale. off : rules switched off, each with a reason.
    """

    stale_days: int = Field(default=90, ge=21, le=3650)
    off: Mapping[str, Annotated[str, Field(min_length=1)]] = Field(default_factory=dict)


class CoManagement(Part):
    """The keys of [rollout] about co-management.

    cloud : which of Microsoft's clouds. site_version : of Configuration Manager, such as 2403; 0 unknown.
    automatic_enrollment : what the console shows while the plan runs; a phased plan needs "pilot".
    auto_enrollment : the auto-enrollment collection, in which a staging collection must lie.
    slider : what the console shows for the workload while the plan runs; staging needs "pilot".
    moved : workloads that are at Intune already. counterparts : by workload; one is needed for each that moves.
    """

    cloud: CloudName = "public"
    site_version: int = Field(default=0, ge=0, le=9999)
    automatic_enrollment: Literal["none", "pilot", "all"] = "pilot"
    auto_enrollment: str = Field(default=AUTO_ENROLLMENT, min_length=1)
    slider: Literal["configmgr", "pilot", "intune"] = "pilot"
    moved: tuple[WorkloadName, ...] = ()
    counterparts: Mapping[WorkloadName, Counterpart] = Field(default_factory=dict)
    preflight: PreflightPolicy = PreflightPolicy()
