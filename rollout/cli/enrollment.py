"""`rollout enrollment`: automatic enrollment None, Pilot, All; and the funnel and status of a fleet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rollout.api.databases import has_db, open_db
from rollout.api.enrollment import (
    JOINS,
    ModeChange,
    count_enrollment,
    count_exported_enrollment,
    judge_mode_change,
    judge_unenrollment,
    list_mode_changes,
)
from rollout.api.file_names import expand_one
from rollout.cli.options import DEFAULT_DB, Db, Json, Verbose
from rollout.cli.terminal import emit, say, table
from rollout.documents.comanagement import Changes, Enrollment, Unenrolled
from rollout.errors import RefusedError, UsageError
from rollout.text import number
from rollout.workloads import EnrollmentStatus, Mode, Step


def enrollment(
    file: Annotated[
        Path | None,
        typer.Argument(help="Export of v_ClientCoManagementState (default: the latest rollout)."),
    ] = None,
    before: Annotated[
        Mode | None, typer.Option("--from", help="Mode of automatic enrollment before the change.")
    ] = None,
    after: Annotated[
        Mode | None,
        typer.Option(
            "--to", help="Mode after the change; shows its effect. Exit 4 if it breaks a phased rollout."
        ),
    ] = None,
    unenroll: Annotated[
        str,
        typer.Option(
            metavar="STEPS",
            help="Show what the steps scope, policy, retire lead to in this order. Exit 4 if it is wrong.",
        ),
    ] = "",
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Show enrollment states and error codes, or which devices each mode would enroll.

    The modes are None, Pilot and All.

    Example: rollout enrollment --from pilot --to all
    """
    if (before is None) != (after is None):
        raise UsageError("--from and --to must be given together", "--from pilot --to all")
    if unenroll:
        _show_unenrolled(judge_unenrollment(unenroll.split(",")), as_json=as_json)
    elif before is not None and after is not None:
        database = open_db(db) if has_db(db) else None
        _show_change(judge_mode_change(before, after, database), as_json=as_json)
    elif file is not None:
        _show(count_exported_enrollment(expand_one(file, "FILE")), as_json=as_json)
    elif has_db(db) and (found := count_enrollment(open_db(db))):
        _show(found, as_json=as_json)
    else:
        _show_changes(list_mode_changes(), as_json=as_json)


def _show(found: Enrollment, *, as_json: bool) -> None:
    if as_json:
        emit(found)
        return
    funnel = found.funnel
    reached = (funnel.eligible, funnel.scheduled, funnel.initiated, funnel.enrolled)
    steps = [[step.value, count] for step, count in zip(Step, reached, strict=True)]
    table(["step", "devices"], steps, title=f"Funnel of {found.of}")
    devices = {(row.status, row.join): row.devices for row in found.status}
    rows = [
        [status.value, *counts]
        for status in EnrollmentStatus
        if any(counts := [devices.get((status, join), 0) for join in JOINS])
    ]
    table(["status", "hybrid joined", "Entra joined", "join unknown"], rows)
    codes = [[row.code, row.name, row.kind.value, row.devices, row.next_action] for row in found.failures]
    if codes:
        table(["code", "name", "class", "devices", "next action"], codes)


def _show_change(found: ModeChange, *, as_json: bool) -> None:
    document = found.document
    if as_json:
        emit(document)
        if not document.allowed:
            raise typer.Exit(4)
        return
    change = f"{document.before.value.capitalize()} to {document.after.value.capitalize()}"
    say(f"{change}: {document.sentence}")
    if found.groups:
        say(
            f"in the latest inventory, {number(document.begin_to_enroll or 0)} devices start enrolling, "
            f"{number(document.stop_to_enroll or 0)} stop; {number(found.groups.enrolled)} are enrolled already"
        )
        if document.of_them_held_back:
            say(f"preflight holds back {number(document.of_them_held_back)} of the devices that start")
    if not document.allowed:
        raise RefusedError(f"automatic enrollment {change} breaks a phased rollout", document.next_action)
    say(f"next: {document.next_action}")


def _show_unenrolled(found: Unenrolled, *, as_json: bool) -> None:
    if as_json:
        emit(found)
        if not found.out_for_good:
            raise typer.Exit(4)
        return
    for sentence in found.sentences:
        say(sentence)
    if not found.out_for_good:
        raise RefusedError("the device would not stay un-enrolled", f"The right order: {found.right}.")
    say(f"the device stays un-enrolled: {found.right}")


def _show_changes(found: Changes, *, as_json: bool) -> None:
    if as_json:
        emit(found)
        return
    rows = [
        [change.before.value, change.after.value, change.sentence, change.next_action]
        for change in found.changes
    ]
    table(["from", "to", "what it does", "next action"], rows, title="Automatic enrollment in Intune")
    say("there is no rollout yet: the funnel needs one, or an export of the site")
