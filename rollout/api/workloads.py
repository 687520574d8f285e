"""The tool that manages each workload, for a client's flags, a device or a site; and the table of workloads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rollout.api.control import find_devices
from rollout.documents.comanagement import (
    DeviceFlags,
    DeviceWorkloads,
    FleetAuthority,
    Workload,
    Workloads,
)
from rollout.errors import UsageError
from rollout.exports.comanagement import read_comanagement
from rollout.store import Database
from rollout.values import Fleet
from rollout.workloads import (
    AUTOPATCH,
    USUAL_ORDER,
    WORKLOADS,
    Authority,
    WorkloadFlags,
    authorities,
    count_states,
    decode,
    moves_with,
    read_state,
)
from rollout.workloads.states import REQUIRED


@dataclass(frozen=True, slots=True)
class ManagedWorkloads:
    """The tools that manage the workloads of one client.

    comanaged : 1, 0, -1 unknown. site_version : of Configuration Manager, None if unknown. device : as it was asked
    for, "" for plain flags.
    """

    flags: WorkloadFlags
    comanaged: int = 1
    site_version: int | None = None
    device: str = ""

    @property
    def document(self) -> DeviceFlags:
        """The document of `rollout workloads --flags` and `--device`."""
        found = workloads_of_device(self.flags, self.comanaged, self.site_version)
        return DeviceFlags.build(found, device=self.device or None)


def workloads_of_device(
    flags: WorkloadFlags, comanaged: int, site_version: int | None, moved: tuple[str, ...] = ()
) -> DeviceWorkloads:
    """Return a device's flags, and which tool manages its workloads. moved : workloads known to be at Intune since."""
    managers = authorities(comanaged, flags, site_version) | dict.fromkeys(moved, Authority.INTUNE)
    return DeviceWorkloads.build(
        flags,
        comanaged={1: True, 0: False}.get(comanaged),
        flags=flags.value,
        found=flags.raw,
        authority=managers,
    )


def read_workload_flags(
    flags: str, cap: int | None = None, site_version: int | None = None
) -> ManagedWorkloads:
    """Read a co-managed client's flags. cap : the client's "max capabilities", None if unknown."""
    return ManagedWorkloads(decode(flags, cap), 1, site_version)


def read_device_workloads(
    database: Database, device: str, site_version: int | None = None
) -> ManagedWorkloads:
    """Read which tools manage a device of the latest inventory. Raise `UsageError` for an unknown id or name."""
    inventory = database.inventory_id(None)
    row = find_devices(database, inventory, [device])[0]
    comanaged, flags = flags_of(database.inventory(inventory).fleet, row)
    return ManagedWorkloads(flags, comanaged, site_version, device)


def read_exported_workloads(file: Path, device: str, site_version: int | None = None) -> ManagedWorkloads:
    """Read which tools manage a device of an export of v_ClientCoManagementState, by name or ResourceID.

    Raise `UsageError` if none or several devices have it.
    """
    states = map(read_state, read_comanagement(file, REQUIRED))
    hits = [state for state in states if device.casefold() in (state.name.casefold(), state.resource_id)]
    if not hits:
        raise UsageError(f"{file}: no device '{device}'", "names and ResourceIDs are listed in the export")
    if len(hits) > 1:
        raise UsageError(f"{file}: {len(hits)} devices are named '{device}'", "give its ResourceID")
    return ManagedWorkloads(hits[0].flags, hits[0].comanaged, site_version, device)


def count_authorities(file: Path, site_version: int | None = None) -> FleetAuthority:
    """Count the devices of an export of v_ClientCoManagementState by workload and by the tool that manages it."""
    fleet = count_states(map(read_state, read_comanagement(file, REQUIRED)), site_version)
    return FleetAuthority(
        devices=fleet.devices,
        authority={
            name: {manager: counts[manager] for manager in Authority}
            for name, counts in fleet.authority.items()
        },
        unknown_bits={str(bit): count for bit, count in sorted(fleet.unknown_bits.items())},
    )


def list_workloads() -> Workloads:
    """Return the seven workloads: what moves with each, what each needs, what a move back leaves behind."""
    sliders = tuple(
        Workload.build(slider, moves_with=moves_with(name)[1:]) for name, slider in WORKLOADS.items()
    )
    return Workloads(workloads=sliders, usual_order=USUAL_ORDER, autopatch=AUTOPATCH)


def flags_of(fleet: Fleet, row: int) -> tuple[int, WorkloadFlags]:
    """Return whether a device is co-managed (1, 0, -1 unknown) and its flags, as the inventory has them."""
    column = fleet.factors.get("workloads")
    return int(fleet.flags["comanaged"][row]), decode(column[row] if column is not None else None)


def flag_lines(flags: WorkloadFlags) -> list[str]:
    """Return what else is in the flags, in words."""
    if flags.value is None:
        return [f"flags unknown: {flags.why_unknown}"]
    bits = [str(1 << place) for place in range(flags.value.bit_length()) if flags.value >> place & 1]
    lines = [f"flags {flags.value} = {' + '.join(bits) or '0'}"]
    lines += [f"bit {marker}" for marker in flags.markers]
    if flags.unknown_bits:
        lines.append(f"undocumented bits, without effect here: {', '.join(map(str, flags.unknown_bits))}")
    if flags.above_cap:
        above = ", ".join(map(str, flags.above_cap))
        lines.append(f"bits above the client's cap {flags.cap}, which it ignores: {above}")
    return lines
