"""`rollout workloads`: the seven workloads, the tool that manages each, and a client's flags bit by bit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rollout.api.databases import open_db
from rollout.api.file_names import expand_one
from rollout.api.workloads import (
    ManagedWorkloads,
    count_authorities,
    flag_lines,
    list_workloads,
    read_device_workloads,
    read_exported_workloads,
    read_workload_flags,
)
from rollout.cli.options import DEFAULT_DB, Db, Json, Verbose
from rollout.cli.terminal import emit, say, table
from rollout.documents.comanagement import FleetAuthority, Workloads
from rollout.errors import UsageError
from rollout.workloads import WORKLOADS, Authority


def workloads(
    file: Annotated[
        Path | None,
        typer.Argument(help="Export of v_ClientCoManagementState; shows how many devices each tool manages."),
    ] = None,
    flags: Annotated[
        str | None, typer.Option(metavar="MDMWORKLOADS", help="Read a client's flags, such as 8193.")
    ] = None,
    cap: Annotated[
        int | None,
        typer.Option(min=0, max=2**32 - 1, help="'max capabilities' in the client's log, such as 4095."),
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            metavar="ID",
            help="Show which tool manages a device (id or name) in the file or in the inventory.",
        ),
    ] = "",
    site_version: Annotated[
        int | None,
        typer.Option(min=0, max=9999, help="Version of the Configuration Manager site, such as 2403."),
    ] = None,
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Show what each workload needs, what moves with it, and which tool manages it.

    Without an option or a file, it also shows what a move back restores and leaves behind. With --flags, --device or
    an export of the site, it shows which tool manages each workload; what is unknown is shown as unknown.

    Example: rollout workloads --flags 8193
    """
    if flags is not None and (file or device):
        raise UsageError("--flags cannot be combined with --device or a file")
    if file is not None:
        file = expand_one(file, "FILE")
    if flags is not None:
        _show_device(read_workload_flags(flags, cap, site_version), as_json=as_json)
    elif device and file:
        _show_device(read_exported_workloads(file, device, site_version), as_json=as_json)
    elif device:
        _show_device(read_device_workloads(open_db(db), device, site_version), as_json=as_json)
    elif file:
        _show_authority(count_authorities(file, site_version), as_json=as_json)
    else:
        _show_table(list_workloads(), as_json=as_json)


def _show_device(found: ManagedWorkloads, *, as_json: bool) -> None:
    document = found.document
    if as_json:
        emit(document)
        return
    rows = [
        [WORKLOADS[name].title, WORKLOADS[name].bit, manager.value]
        for name, manager in document.authority.items()
    ]
    table(["workload", "bit", "managed by"], rows, title=f"Device {found.device}" if found.device else "")
    for line in flag_lines(found.flags):
        say(line)
    if document.comanaged is False:
        say("not co-managed: Configuration Manager manages all workloads, whatever the flags say")
    elif document.comanaged is None:
        say("whether it is co-managed is unknown")


def _show_authority(found: FleetAuthority, *, as_json: bool) -> None:
    if as_json:
        emit(found)
        return
    rows = [
        [WORKLOADS[name].title, *(counts[manager] for manager in Authority)]
        for name, counts in found.authority.items()
    ]
    head = ["workload", *(manager.value for manager in Authority)]
    table(head, rows, title=f"{found.devices} devices")
    for bit, count in found.unknown_bits.items():
        say(f"bit {bit} is undocumented; {count} devices have it")
    say('next: rollout plan with action = "workload"; see scenarios/workload-compliance.toml')


def _show_table(found: Workloads, *, as_json: bool) -> None:
    if as_json:
        emit(found)
        return
    rows = [
        [row.name, row.bit, ", ".join(row.moves_with) or "-", row.counterpart, row.note]
        for row in found.workloads
    ]
    table(["workload", "bit", "moves with it", "needs in Intune", "note"], rows)
    back = [[row.name, row.reverts, row.stays] for row in found.workloads]
    table(["workload", "a move back restores", "and leaves behind"], back)
    say(f"usual order: {', '.join(found.usual_order)}")
    say(f"Windows Autopatch needs {', '.join(found.autopatch)}")
    say(
        "a device is staged only when it is enrolled; the staging collection must lie within the auto-enrollment "
        "collection"
    )
