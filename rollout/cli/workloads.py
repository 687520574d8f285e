"""`rollout workloads`: the seven workloads, who manages them, and a client's flags read bit by bit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rollout.api.databases import open_db
from rollout.api.file_names import expand_one
from rollout.cli.options import DEFAULT_DB, Db, Json, Verbose
from rollout.cli.terminal import emit, say, table
from rollout.errors import UsageError
from rollout.workloads import (
    AUTOPATCH,
    USUAL_ORDER,
    WORKLOADS,
    Authority,
    Flags,
    authorities,
    decode,
    moves_with,
)

if TYPE_CHECKING:
    from rollout.values import Fleet
    from rollout.workloads import Standing


def workloads(
    file: Annotated[
        Path | None, typer.Argument(help="Export of v_ClientCoManagementState: who manages what, counted.")
    ] = None,
    flags: Annotated[
        str | None, typer.Option(metavar="MDMWORKLOADS", help="Read a client's flags, such as 8193.")
    ] = None,
    cap: Annotated[
        int | None,
        typer.Option(min=0, max=2**32 - 1, help="'max capabilities' of the client's log, such as 4095."),
    ] = None,
    device: Annotated[
        str,
        typer.Option(metavar="ID", help="Who manages one device, by id or name: of FILE, or the inventory."),
    ] = "",
    site_version: Annotated[
        int | None, typer.Option(min=0, max=9999, help="Of Configuration Manager, such as 2403.")
    ] = None,
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Show the workloads: what moves with what, what each needs, what a move back leaves behind.

    With flags, a device or an export of the site: who manages each workload. Unknown stays unknown.

    Example: rollout workloads --flags 8193
    """
    if sum((flags is not None, bool(file) or bool(device))) > 1:
        raise UsageError("expected one of --flags, --device or a file, found several")
    if file is not None:
        file = expand_one(file, "FILE")
    if flags is not None:
        _show_flags(decode(flags, cap), 1, site_version, as_json=as_json)
    elif device:
        comanaged, found = _of_export(file, device) if file else _of_inventory(db, device)
        _show_flags(found, comanaged, site_version, as_json=as_json, device=device)
    elif file:
        _show_authority(_standing(file, site_version), as_json=as_json)
    else:
        _show_table(as_json=as_json)


def flags_of(fleet: Fleet, row: int) -> tuple[int, Flags]:
    """Give whether a device is co-managed (1, 0, -1 unknown) and its flags, as the inventory has them."""
    column = fleet.factors.get("workloads")
    return int(fleet.flags["comanaged"][row]), decode(column[row] if column is not None else None)


def _of_inventory(db: str, device: str) -> tuple[int, Flags]:
    from rollout.api.control import find_devices

    database = open_db(db)
    known = database.inventory_id(None)
    row = find_devices(database, known, [device])[0]
    return flags_of(database.inventory(known).fleet, row)


def _of_export(file: Path, device: str) -> tuple[int, Flags]:
    from rollout.exports.comanagement import read_comanagement
    from rollout.workloads import read_state
    from rollout.workloads.states import REQUIRED

    states = map(read_state, read_comanagement(file, REQUIRED))
    hits = [one for one in states if device.casefold() in (one.name.casefold(), one.resource_id)]
    if len(hits) != 1:
        hint = "give its ResourceID" if hits else "names and ResourceIDs stand in the export"
        raise UsageError(f"{file}: expected one device '{device}', found {len(hits) or 'none'}", hint)
    return hits[0].comanaged, hits[0].flags


def _standing(file: Path, site_version: int | None) -> Standing:
    from rollout.exports.comanagement import read_comanagement
    from rollout.workloads import count_states, read_state
    from rollout.workloads.states import REQUIRED

    return count_states(map(read_state, read_comanagement(file, REQUIRED)), site_version)


def flags_document(found: Flags, comanaged: int, site_version: int | None) -> dict[str, Any]:
    """Give a device's flags and authorities for scripts."""
    return {
        "comanaged": {1: True, 0: False}.get(comanaged),
        "flags": found.value,
        "found": found.raw,
        "why_unknown": found.why_unknown,
        "markers": list(found.markers),
        "unknown_bits": list(found.unknown_bits),
        "above_cap": list(found.above_cap),
        "authority": {name: who.value for name, who in authorities(comanaged, found, site_version).items()},
    }


def _show_flags(
    found: Flags, comanaged: int, site_version: int | None, *, as_json: bool, device: str = ""
) -> None:
    document = flags_document(found, comanaged, site_version)
    if as_json:
        emit({"device": device or None, **document})
        return
    rows = [[WORKLOADS[name].title, WORKLOADS[name].bit, who] for name, who in document["authority"].items()]
    table(["workload", "bit", "managed by"], rows, title=f"Device {device}" if device else "")
    for line in flag_lines(found):
        say(line)
    if comanaged == 0:
        say("not co-managed: Configuration Manager manages all workloads, whatever the flags say")
    elif comanaged == -1:
        say("whether it is co-managed is unknown")


def flag_lines(found: Flags) -> list[str]:
    """Say in words what else is in the flags."""
    if found.value is None:
        return [f"flags unknown: {found.why_unknown}"]
    out = [f"flags {found.value} = {' + '.join(str(1 << at) for at in _places(found.value)) or '0'}"]
    out += [f"bit {one}" for one in found.markers]
    if found.unknown_bits:
        out.append(f"bits in no table, without effect here: {', '.join(map(str, found.unknown_bits))}")
    if found.above_cap:
        out.append(
            f"bits above the client's cap {found.cap}, on which it does not act: {', '.join(map(str, found.above_cap))}"
        )
    return out


def _places(value: int) -> list[int]:
    return [at for at in range(value.bit_length()) if value >> at & 1]


def _show_authority(standing: Standing, *, as_json: bool) -> None:
    if as_json:
        emit(
            {
                "devices": standing.devices,
                "authority": {
                    name: {who.value: counts[who] for who in Authority}
                    for name, counts in standing.authority.items()
                },
                "unknown_bits": {str(bit): count for bit, count in sorted(standing.unknown_bits.items())},
            }
        )
        return
    rows = [
        [WORKLOADS[name].title, *(counts[who] for who in Authority)]
        for name, counts in standing.authority.items()
    ]
    table(["workload", *(who.value for who in Authority)], rows, title=f"{standing.devices} devices")
    for bit, count in sorted(standing.unknown_bits.items()):
        say(f"bit {bit} is in no table; {count} devices have it")
    say('next: rollout plan with action = "workload"; scenarios/workload-compliance.toml is one')


def _show_table(*, as_json: bool) -> None:
    if as_json:
        emit({"workloads": [_document(name) for name in WORKLOADS], "usual_order": list(USUAL_ORDER),
              "autopatch": list(AUTOPATCH)})  # fmt: skip
        return
    rows = [
        [one.name, one.bit, ", ".join(moves_with(one.name)[1:]) or "-", one.counterpart, one.note]
        for one in WORKLOADS.values()
    ]
    table(["workload", "bit", "moves with it", "needs in Intune", "to know"], rows)
    back = [[one.name, one.reverts, one.stays] for one in WORKLOADS.values()]
    table(["workload", "a move back gives back", "and leaves behind"], back)
    say(f"usual order: {', '.join(USUAL_ORDER)}")
    say(f"Windows Autopatch needs {', '.join(AUTOPATCH)}")
    say("a device is staged only when it is enrolled; the staging collection lies within auto-enrollment")


def _document(name: str) -> dict[str, Any]:
    one = WORKLOADS[name]
    return {
        "name": name,
        "title": one.title,
        "bit": one.bit,
        "switch": one.switch,
        "moves_with": list(moves_with(name)[1:]),
        "counterpart": one.counterpart,
        "supported": one.supported,
        "log": one.log,
        "reverts": one.reverts,
        "stays": one.stays,
        "note": one.note,
    }
