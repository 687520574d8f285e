"""`rollout enrollment`: automatic enrollment None, Pilot, All; and the funnel and status of a fleet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from rollout.api.databases import has_db, open_db
from rollout.api.file_names import expand_one
from rollout.api.staging import left_rows
from rollout.cli.options import DEFAULT_DB, Db, Json, Verbose
from rollout.cli.terminal import emit, say, table
from rollout.errors import RefusedError, UsageError
from rollout.loop.undo import withdrawn_rows
from rollout.text import number
from rollout.values import NOT_RELEASED, Outcome
from rollout.values.failures import explain
from rollout.workloads import (
    TRANSITIONS,
    UNENROLL_ORDER,
    Groups,
    Leave,
    Mode,
    Standing,
    Status,
    Step,
    Transition,
    count_states,
    judge_unenroll,
    read_state,
    transition,
)
from rollout.workloads.states import REQUIRED

if TYPE_CHECKING:
    from rollout.store import Database
    from rollout.values import BoolArray, Fleet

SIGN_IN = 0xCAA10001


def enrollment(
    file: Annotated[
        Path | None, typer.Argument(help="Export of v_ClientCoManagementState; else the latest rollout.")
    ] = None,
    before: Annotated[
        Mode | None, typer.Option("--from", help="What a change of automatic enrollment does: from ...")
    ] = None,
    after: Annotated[
        Mode | None, typer.Option("--to", help="... to. Exit 4 where a plan forbids it.")
    ] = None,
    unenroll: Annotated[
        str,
        typer.Option(metavar="STEPS", help="What an order of scope,policy,retire leads to. Exit 4 if wrong."),
    ] = "",
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Show where a fleet stands: the funnel, the status, the codes. Or what None, Pilot and All do to whom.

    Example: rollout enrollment --from pilot --to all
    """
    if (before is None) != (after is None):
        raise UsageError("expected --from and --to together, found one of them", "--from pilot --to all")
    if unenroll:
        _unenroll(unenroll, as_json=as_json)
        return
    if before is not None and after is not None:
        _change(open_db(db) if has_db(db) else None, transition(before, after), as_json=as_json)
        return
    if file is not None:
        from rollout.exports.comanagement import read_comanagement

        export = expand_one(file, "FILE")
        standing = count_states(map(read_state, read_comanagement(export, REQUIRED)))
        _show(standing, f"the site's export {export.name}", as_json=as_json)
        return
    if not has_db(db):
        _show_changes(as_json=as_json)
        return
    database = open_db(db)
    for known in reversed(database.rollouts()):
        plan = database.plan(known.plan_id).plan
        if not plan.is_undo:
            _show(standing_of(database, known.id), f"rollout {known.id} ({plan.action})", as_json=as_json)
            return
    _show_changes(as_json=as_json)


def standing_of(database: Database, rollout_id: str) -> Standing:
    """Count the devices of a rollout's plan from its journal; who is enrolled already counts as enrolled.

    A device that waits for a sign-in shows only by its code; all others that wait are enrolling.
    """
    known = database.rollout(rollout_id)
    stored = database.plan(known.plan_id)
    fleet = database.inventory(stored.inventory_id).fleet
    told = database.reader(known.id).outcomes()
    planned = stored.plan.phase_of >= 0
    names = np.array([{"hybrid": "hybrid", "entra": "entra"}.get(one, "unknown") for one in _joins(fleet)])
    join = names[fleet.factors["join"].codes]
    sign_in = planned & (told.outcome == Outcome.FAILED) & (told.code == SIGN_IN)
    rows = {
        Status.SUCCESS: planned & (told.outcome == Outcome.ENROLLED),
        Status.FAILURE: planned & (told.outcome == Outcome.FAILED) & ~sign_in,
        Status.PENDING: sign_in,
        Status.ENROLLING: planned & np.isin(told.outcome, (Outcome.PENDING, Outcome.TIMED_OUT)),
        Status.NOT_BEGUN: planned & np.isin(told.outcome, (NOT_RELEASED, Outcome.REJECTED)),
    }
    standing = Standing(devices=int(planned.sum()))
    for status, chosen in rows.items():
        for level in ("hybrid", "entra", "unknown"):
            if count := int((chosen & (join == level)).sum()):
                standing.status[status, level] = count
    enrolled, failed = int(rows[Status.SUCCESS].sum()), int((rows[Status.FAILURE] | sign_in).sum())
    standing.funnel[Step.ELIGIBLE] = standing.devices
    standing.funnel[Step.SCHEDULED] = standing.devices - int(rows[Status.NOT_BEGUN].sum())
    standing.funnel[Step.INITIATED] = enrolled + failed
    standing.funnel[Step.ENROLLED] = enrolled
    codes, counts = np.unique(told.code[rows[Status.FAILURE] | sign_in], return_counts=True)
    standing.failures.update(dict(zip(codes.tolist(), counts.tolist(), strict=True)))
    return standing


def _joins(fleet: Any) -> tuple[str, ...]:
    levels: tuple[str, ...] = fleet.factors["join"].levels
    return levels


def _show(standing: Standing, of: str, *, as_json: bool) -> None:
    if as_json:
        emit(_document(standing, of))
        return
    table(
        ["step", "devices"],
        [[step.value, standing.funnel[step]] for step in Step],
        title=f"Funnel of {of}",
    )
    joins = ("hybrid", "entra", "unknown")
    rows = [
        [status.value, *counts]
        for status in Status
        if any(counts := [standing.status[status, join] for join in joins])
    ]
    table(["status", "hybrid joined", "Entra joined", "join unknown"], rows)
    codes = [
        [known.hex, known.name, known.kind.value, count, known.next_action]
        for code, count in standing.failures.most_common()
        for known in (explain(code),)
    ]
    if codes:
        table(["code", "name", "class", "devices", "next action"], codes)


def _document(standing: Standing, of: str) -> dict[str, Any]:
    return {
        "of": of,
        "devices": standing.devices,
        "funnel": {step.value: standing.funnel[step] for step in Step},
        "status": [
            {"status": status.value, "join": join, "devices": count}
            for (status, join), count in sorted(standing.status.items())
        ],
        "failures": [
            {
                "code": explain(code).hex,
                "name": explain(code).name,
                "class": explain(code).kind.value,
                "devices": count,
                "next_action": explain(code).next_action,
            }
            for code, count in standing.failures.most_common()
        ],
    }


def groups_of(database: Database) -> Groups | None:
    """Count the latest inventory by what a mode means to its devices; None without one.

    Eligible is what Configuration Manager itself takes: an active Windows client of 1709 or later, joined. Members
    are what our enrollment rollouts released and no undo took out.
    """
    from rollout.preflight.check import exclusions, preflight
    from rollout.preflight.rules import BUILD_1709, view_of

    try:
        inventory = database.inventory(None)
    except UsageError:
        return None
    fleet = inventory.fleet
    view = view_of(inventory, 90)
    eligible = view.flag("client") & ~view.flag("obsolete") & view.level("os", "Windows")
    eligible &= view.level("join", "hybrid", "entra") & ((view.build < 0) | (view.build >= BUILD_1709))
    enrolled = view.flag("comanaged")
    member, done = _members(database, fleet)
    enrolled = enrolled | done
    blocked = np.zeros(len(fleet), dtype=np.bool_)
    blocked[list(exclusions(preflight(inventory)))] = True
    waiting = eligible & ~enrolled
    return Groups(
        members=int((waiting & member).sum()),
        others=int((waiting & ~member & ~blocked).sum()),
        held=int((waiting & ~member & blocked).sum()),
        enrolled=int(enrolled.sum()),
    )


def _members(database: Database, fleet: Fleet) -> tuple[BoolArray, BoolArray]:
    """Say who is in the auto-enrollment collection and who enrolled, by our rollouts of this fleet, (n,) each."""
    member, done = np.zeros(len(fleet), dtype=np.bool_), np.zeros(len(fleet), dtype=np.bool_)
    for known in database.rollouts():
        plan = database.plan(known.plan_id).plan
        if plan.ids.tolist() != fleet.ids.tolist():
            continue
        if plan.action == "enroll":
            told = database.reader(known.id).outcomes()
            inside = (told.outcome >= 0) & (told.outcome != Outcome.REJECTED)
            inside[withdrawn_rows(database.reader(known.id))] = False
            member |= inside
            done |= told.outcome == Outcome.ENROLLED
        elif plan.action_undone == "enroll":
            member[left_rows(database, known.id)] = False
    return member, done


def _change(database: Database | None, change: Transition, *, as_json: bool) -> None:
    groups = groups_of(database) if database else None
    fits = change.fits(groups)
    if as_json:
        emit(_change_document(change, groups))
        if not fits:
            raise typer.Exit(4)
        return
    what = f"{change.before.value.capitalize()} to {change.after.value.capitalize()}"
    say(f"{what}: {change.sentence}")
    if groups:
        say(
            f"by the latest inventory {number(change.enrolls(groups))} devices begin to enroll, "
            f"{number(change.stops(groups))} stop; {number(groups.enrolled)} are enrolled already"
        )
        if held := _held(change, groups):
            say(f"{number(held)} of those that begin are held back by preflight")
    if not fits:
        raise RefusedError(f"automatic enrollment {what} breaks a phased rollout", change.next_action)
    say(f"next: {change.next_action}")


def _held(change: Transition, groups: Groups) -> int:
    """Devices that preflight holds back and that begin to enroll all the same."""
    return groups.held if change.after is Mode.ALL and change.before is not Mode.ALL else 0


def _change_document(change: Transition, groups: Groups | None) -> dict[str, Any]:
    return {
        "from": change.before.value,
        "to": change.after.value,
        "sentence": change.sentence,
        "next_action": change.next_action,
        "allowed": change.fits(groups),
        "begin_to_enroll": change.enrolls(groups) if groups else None,
        "of_them_held_back": _held(change, groups) if groups else None,
        "stop_to_enroll": change.stops(groups) if groups else None,
    }


def _unenroll(text: str, *, as_json: bool) -> None:
    words = [word.strip().upper() for word in text.split(",")]
    unknown = [word for word in words if word not in Leave.__members__]
    if unknown:
        raise UsageError(
            f"--unenroll: expected steps out of scope, policy, retire, found '{unknown[0].lower()}'",
            "--unenroll scope,policy,retire",
        )
    judged = judge_unenroll([Leave[word] for word in words])
    right = "; then ".join(step.value for step in UNENROLL_ORDER)
    if as_json:
        emit({"out_for_good": judged.out_for_good, "sentences": list(judged.sentences), "right": right})
        if not judged.out_for_good:
            raise typer.Exit(4)
        return
    for sentence in judged.sentences:
        say(sentence)
    if not judged.out_for_good:
        raise RefusedError("the device would not be out for good", f"The right order: {right}.")
    say(f"the device is out for good: {right}")


def _show_changes(*, as_json: bool) -> None:
    changes = list(TRANSITIONS.values())
    if as_json:
        emit(
            {
                "changes": [
                    {"from": one.before.value, "to": one.after.value, "allowed": one.allowed,
                     "sentence": one.sentence, "next_action": one.next_action}
                    for one in changes
                ]
            }
        )  # fmt: skip
        return
    rows = [[one.before.value, one.after.value, one.sentence, one.next_action] for one in changes]
    table(["from", "to", "what it does", "next action"], rows, title="Automatic enrollment in Intune")
    say("no rollout yet: the funnel shows once one runs, or from an export of the site")
