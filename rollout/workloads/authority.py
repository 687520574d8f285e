"""Who manages a workload on a device: a total function, for every device and every workload.

A device that is not co-managed is managed by Configuration Manager in all workloads, whatever its flags say: its
log writes so. Where co-management or the flags are not known, the authority is unknown, never a guess.
"""

from __future__ import annotations

from enum import StrEnum

from rollout.workloads.flags import DISK_ENCRYPTION_BIT, FORCED_SINCE, WorkloadFlags
from rollout.workloads.sliders import WORKLOADS, Slider


class Authority(StrEnum):
    """Who manages one workload of one device."""

    CONFIGMGR = "Configuration Manager"
    INTUNE = "Intune"
    UNKNOWN = "unknown"


def authority(
    workload: str, comanaged: int, flags: WorkloadFlags, site_version: int | None = None
) -> Authority:
    """Say who manages a workload by what a device's records say.

    comanaged : 1 yes, 0 no, -1 unknown. site_version : such as 2403, None unknown.
    Raise `KeyError` for a workload that does not exist.
    """
    one = WORKLOADS[workload]
    if comanaged == 0:
        return Authority.CONFIGMGR
    if comanaged != 1:
        return Authority.UNKNOWN
    if workload == "resource-access" and site_version is not None and site_version >= FORCED_SINCE:
        return Authority.INTUNE
    bits = flags.effective
    if bits is None:
        return Authority.UNKNOWN
    moved = bits & one.bit
    if workload == "endpoint-protection" and not moved and bits & DISK_ENCRYPTION_BIT:
        return Authority.UNKNOWN  # only half of it moved, which no documented switch does
    return Authority.INTUNE if moved else Authority.CONFIGMGR


def authorities(
    comanaged: int, flags: WorkloadFlags, site_version: int | None = None
) -> dict[str, Authority]:
    """Give the authority of each workload, by name; arguments as in `authority`."""
    return {name: authority(name, comanaged, flags, site_version) for name in WORKLOADS}


def expected_authority(slider: Slider, *, comanaged: int, staged: bool, workload: str = "") -> Authority:
    """Say who will manage a workload once policy has arrived, by the console's slider.

    staged : the device is in the workload's staging collection, which counts at Pilot Intune only: at Intune
    every co-managed device moves, and at Configuration Manager none.
    """
    if comanaged == 0:
        return Authority.CONFIGMGR
    if comanaged != 1:
        return Authority.UNKNOWN
    if slider is Slider.INTUNE or (workload and not WORKLOADS[workload].supported):
        return Authority.INTUNE
    return Authority.INTUNE if slider is Slider.PILOT and staged else Authority.CONFIGMGR
