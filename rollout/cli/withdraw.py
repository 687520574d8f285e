"""`rollout withdraw`: take single devices out of the collection again, if this rollout added them."""

from __future__ import annotations

from typing import Annotated

import typer

from rollout.api.databases import open_db
from rollout.cli.options import DEFAULT_DB, By, Db, Json, Reason, Settings, Verbose
from rollout.cli.terminal import emit, note, say
from rollout.errors import RefusedError
from rollout.executor import directories
from rollout.executor.withdrawal import withdraw_devices


def withdraw(
    devices: Annotated[list[str], typer.Argument(metavar="DEVICE...", help="Device ids or names.")],
    rollout: Annotated[str | None, typer.Option(help="Rollout id (default: the latest).")] = None,
    reason: Reason = "",
    by: By = "",
    settings: Settings = directories.DEFAULT_SETTINGS,
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Take released devices out of the collection again, if this rollout added them.

    Members that others added stay, and so do devices that are staged for a workload. Leaving the collection does
    not un-enroll a device; its outcome stays counted, and it is not released again. A running executor takes the
    devices out before its next chunk; without one this command does. Exit 4 if no named device can be taken out.

    Example: rollout withdraw PC-0042 --reason "board member, call first"
    """
    database = open_db(db)
    found = withdraw_devices(database, devices, rollout, by=by, reason=reason, settings=settings, note=note)
    if as_json:
        emit(found)
    else:
        for device in found.devices:
            say(device.sentence)
    if refused := [device for device in found.devices if device.result == "refused"]:
        raise RefusedError(
            f"{found.rollout}: {len(refused)} devices were not taken out: {refused[0].sentence}",
            "take them out in the console, if that is intended",
        )
