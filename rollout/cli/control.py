"""`rollout pause`, `resume`, `abort`, `exclude`: what people ask of a rollout; effective before the next chunk."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from rollout.api.choosing import to_command
from rollout.api.control import find_devices, user
from rollout.api.databases import open_db
from rollout.cli.options import DEFAULT_DB, By, Db, Json, Reason, Verbose
from rollout.cli.terminal import emit, say
from rollout.errors import RefusedError, UsageError
from rollout.text import instant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout.store import Database
    from rollout.values import Plan

Rollout = Annotated[str | None, typer.Argument(help="Rollout id; the latest by default.")]


def pause(
    rollout: Rollout = None,
    reason: Reason = "",
    by: By = "",
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Stop releasing; what was released goes on. Example: rollout pause --reason "help desk is full"."""
    give(open_db(db), rollout, "pause", by=by, reason=reason, as_json=as_json)


def resume(
    rollout: Rollout = None,
    reason: Reason = "",
    by: By = "",
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Release on after a pause. Example: rollout resume."""
    give(open_db(db), rollout, "resume", by=by, reason=reason, as_json=as_json)


def abort(
    rollout: Rollout = None,
    reason: Reason = "",
    by: By = "",
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """End a rollout for good; nobody else is released. Example: rollout abort --reason "wrong collection"."""
    give(open_db(db), rollout, "abort", by=by, reason=reason, as_json=as_json)


def exclude(
    devices: Annotated[list[str], typer.Argument(metavar="DEVICE...", help="Device ids or names.")],
    rollout: Annotated[str | None, typer.Option(help="Rollout id; the latest by default.")] = None,
    reason: Reason = "",
    by: By = "",
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Take devices out: those not yet released never will be.

    Example: rollout exclude PC-0042 --reason "board member, call first"
    """
    database = open_db(db)
    known = to_command(database, rollout)
    plan = database.plan(known.plan_id)
    rows = find_devices(database, plan.inventory_id, devices)
    late = _released(database, known.id, plan.plan, rows)
    if late and len(late) == len(set(rows)):
        raise RefusedError(
            f"{known.id}: nobody is excluded: {'; '.join(late.values())}",
            f"to take them out again: rollout withdraw {' '.join(devices)}",
        )
    waiting = tuple(row for row in rows if row not in late)
    ids = [str(plan.plan.ids[row]) for row in late]
    give(database, known.id, "exclude", by=by, reason=reason, rows=waiting, as_json=as_json, released=ids)
    for row, sentence in late.items():
        say(f"{sentence}; to take it out: rollout withdraw {plan.plan.ids[row]}", as_json=as_json)


def _released(database: Database, rollout: str, plan: Plan, rows: Sequence[int]) -> dict[int, str]:
    """Give those of `rows` that were released, each with a sentence: an exclusion comes too late for them."""
    wanted, late = set(rows), {}
    for batch in database.reader(rollout).batches():
        for row in wanted.intersection(batch.rows.tolist()):
            late[row] = f"{plan.ids[row]} was released at {instant(batch.at, plan.zone)} and stays a member"
    return {row: late[row] for row in rows if row in late}


def give(
    database: Database,
    rollout: str | None,
    kind: str,
    *,
    by: str,
    reason: str,
    rows: tuple[int, ...] = (),
    phase: str = "",
    as_json: bool = False,
    released: Sequence[str] = (),
) -> None:
    """Write a command into the journal, where the executor reads it before its next chunk.

    released : ids of devices that were named and for which it comes too late.
    """
    known = to_command(database, rollout)
    plan = database.plan(known.plan_id).plan
    progress = database.reader(known.id).progress()
    if progress is not None and progress.state.is_final:
        raise RefusedError(f"rollout {known.id} is {progress.state.value}: expected one that still runs")
    index = _phase_index(plan.phases, phase) if phase else -1
    who = by or user()
    database.command(known.id, kind, by=who, reason=reason, at=int(time.time()), rows=rows, phase=index)
    if as_json:
        facts = {"rollout": known.id, "command": kind, "by": who, "devices": len(rows)}
        emit({**facts, "released": list(released)})
        return
    what = f"{kind} of {len(rows)} devices" if rows else kind
    say(f"rollout {known.id}: {what} is noted, by {who}; it takes effect before the next chunk")


def _phase_index(phases: tuple[object, ...], name: str) -> int:
    names = [getattr(one, "name", "") for one in phases]
    if name not in names:
        raise UsageError(f"--gate: expected a phase of the plan ({', '.join(names)}), found '{name}'")
    return names.index(name)
