"""`rollout pause`, `resume`, `abort`, `exclude`: commands to a rollout; effective before its next chunk."""

from __future__ import annotations

from typing import Annotated

import typer

from rollout.api import control
from rollout.api.databases import open_db
from rollout.cli.options import DEFAULT_DB, By, Db, Json, Reason, Verbose
from rollout.cli.printing import print_command
from rollout.cli.terminal import say

Rollout = Annotated[str | None, typer.Argument(help="Rollout id (default: the latest).")]


def pause(
    rollout: Rollout = None,
    reason: Reason = "",
    by: By = "",
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Stop releasing new devices; released ones continue.

    Example: rollout pause --reason "help desk is full"
    """
    print_command(control.pause(open_db(db), rollout, by=by, reason=reason), as_json=as_json)


def resume(
    rollout: Rollout = None,
    reason: Reason = "",
    by: By = "",
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Resume releasing after a pause.

    Example: rollout resume
    """
    print_command(control.resume(open_db(db), rollout, by=by, reason=reason), as_json=as_json)


def abort(
    rollout: Rollout = None,
    reason: Reason = "",
    by: By = "",
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """End a rollout for good; no further device is released.

    Example: rollout abort --reason "wrong collection"
    """
    print_command(control.abort(open_db(db), rollout, by=by, reason=reason), as_json=as_json)


def exclude(
    devices: Annotated[list[str], typer.Argument(metavar="DEVICE...", help="Device ids or names.")],
    rollout: Annotated[str | None, typer.Option(help="Rollout id (default: the latest).")] = None,
    reason: Reason = "",
    by: By = "",
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Exclude devices that are not released yet.

    An excluded device is never released by this rollout.

    Example: rollout exclude PC-0042 --reason "board member, call first"
    """
    found = control.exclude_devices(open_db(db), devices, rollout, by=by, reason=reason)
    print_command(found.document, as_json=as_json)
    for device, sentence in found.too_late.items():
        say(f"{sentence}; to take it out: rollout withdraw {device}", as_json=as_json)
