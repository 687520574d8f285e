"""Which system manages a workload on a device: a total function, for every device and every workload.

Configuration Manager manages all workloads of a device that is not co-managed, whatever its flags say; the client
log confirms it. If co-management or the flags are unknown, so is the authority: it is never a guess.
"""

from __future__ import annotations

from enum import StrEnum

from rollout.workloads.flags import DISK_ENCRYPTION_BIT, FORCED_SINCE, WorkloadFlags
from rollout.workloads.sliders import WORKLOADS


class Authority(StrEnum):
    """The system that manages one workload of one device."""

    CONFIGMGR = "Configuration Manager"
    INTUNE = "Intune"
    UNKNOWN = "unknown"


def authority(
    workload: str, comanaged: int, flags: WorkloadFlags, site_version: int | None = None
) -> Authority:
    """Return the authority of a workload according to a device's records.

    comanaged : 1 yes, 0 no, -1 unknown. site_version : such as 2403, None if unknown.
    Raise `KeyError` for an unknown workload.
    """
    bit = WORKLOADS[workload].bit
    if comanaged == 0:
        return Authority.CONFIGMGR
    if comanaged != 1:
        return Authority.UNKNOWN
    if workload == "resource-access" and site_version is not None and site_version >= FORCED_SINCE:
        return Authority.INTUNE
    bits = flags.effective
    if bits is None:
        return Authority.UNKNOWN
    moved = bits & bit
    if workload == "endpoint-protection" and not moved and bits & DISK_ENCRYPTION_BIT:
        return Authority.UNKNOWN  # only half of it moved, which no documented setting does
    return Authority.INTUNE if moved else Authority.CONFIGMGR


def authorities(
    comanaged: int, flags: WorkloadFlags, site_version: int | None = None
) -> dict[str, Authority]:
    """Return the authority of each workload, by name; arguments as in `authority`."""
    return {name: authority(name, comanaged, flags, site_version) for name in WORKLOADS}
