"""What people ask of a rollout: pause, resume, abort, exclude devices, approve a gate.

A command is written into the journal, where the executor reads it before its next chunk.
"""

from __future__ import annotations

import getpass
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rollout.api.choosing import to_command
from rollout.documents.executing import Command, CommandName
from rollout.errors import RefusedError, UsageError
from rollout.store import Database, StoredRollout
from rollout.text import instant, is_plain, visible
from rollout.values import Plan


def pause(database: Database, rollout: str | None = None, *, by: str = "", reason: str = "") -> Command:
    """Stop releasing new devices. Raise `RefusedError` for a rollout that has ended; see `to_command`."""
    return _record(database, to_command(database, rollout), "pause", by=by, reason=reason)


def resume(database: Database, rollout: str | None = None, *, by: str = "", reason: str = "") -> Command:
    """Resume releasing after a pause. Raises as `pause` does."""
    return _record(database, to_command(database, rollout), "resume", by=by, reason=reason)


def abort(database: Database, rollout: str | None = None, *, by: str = "", reason: str = "") -> Command:
    """End a rollout for good. Raises as `pause` does."""
    return _record(database, to_command(database, rollout), "abort", by=by, reason=reason)


def approve_gate(
    database: Database, phase: str, rollout: str | None = None, *, by: str, reason: str = ""
) -> Command:
    """Approve the inconclusive gate of a phase. Raise `UsageError` for an unknown phase; else as `pause` does."""
    known = to_command(database, rollout)
    names = [each.name for each in database.plan(known.plan_id).plan.phases]
    _refuse_if_final(database, known)
    if phase not in names:
        raise UsageError(f"--gate: expected a phase of the plan ({', '.join(names)}), found '{phase}'")
    return _record(database, known, "approve-gate", by=by, reason=reason, phase=names.index(phase))


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Devices were excluded. too_late : device id -> a sentence, for devices that were released already."""

    document: Command
    too_late: dict[str, str]


def exclude_devices(
    database: Database,
    devices: Sequence[str],
    rollout: str | None = None,
    *,
    by: str = "",
    reason: str = "",
) -> Exclusion:
    """Exclude devices, by id or name, that are not released yet; they never will be.

    Raise `UsageError` for an unknown device, `RefusedError` if all of them were released already, or the rollout has
    ended.
    """
    known = to_command(database, rollout)
    stored = database.plan(known.plan_id)
    rows = find_devices(database, stored.inventory_id, devices)
    late = _released(database, known.id, stored.plan, rows)
    if late and len(late) == len(set(rows)):
        raise RefusedError(
            f"{known.id}: no device was excluded: {'; '.join(late.values())}",
            f"to take them out again: rollout withdraw {' '.join(devices)}",
        )
    waiting = tuple(row for row in rows if row not in late)
    too_late = {str(stored.plan.ids[row]): sentence for row, sentence in late.items()}
    command = _record(database, known, "exclude", by=by, reason=reason, rows=waiting, released=list(too_late))
    return Exclusion(command, too_late)


def _released(database: Database, rollout: str, plan: Plan, rows: Sequence[int]) -> dict[int, str]:
    """Give those of `rows` that were released, each with a sentence: an exclusion comes too late for them."""
    wanted, late = set(rows), {}
    for batch in database.reader(rollout).batches():
        for row in wanted.intersection(batch.rows.tolist()):
            late[row] = f"{plan.ids[row]} was released at {instant(batch.at, plan.zone)} and stays a member"
    return {row: late[row] for row in rows if row in late}


def _refuse_if_final(database: Database, known: StoredRollout) -> None:
    progress = database.reader(known.id).progress()
    if progress is not None and progress.state.is_final:
        raise RefusedError(f"{known.id} is {progress.state.value}: commands are for rollouts that still run")


def _record(
    database: Database,
    known: StoredRollout,
    command: CommandName,
    *,
    by: str,
    reason: str,
    rows: tuple[int, ...] = (),
    phase: int = -1,
    released: Sequence[str] = (),
) -> Command:
    """Write a command into the journal. released : ids of named devices for which it comes too late."""
    _refuse_if_final(database, known)
    name = by or user()
    database.command(known.id, command, by=name, reason=reason, at=int(time.time()), rows=rows, phase=phase)
    return Command(rollout=known.id, command=command, by=name, devices=len(rows), released=list(released))


def find_devices(database: Database, inventory_id: str, devices: Sequence[str]) -> tuple[int, ...]:
    """Give the fleet row of each id or name. Raise `UsageError` for an unknown or ambiguous one."""
    fleet = database.inventory(inventory_id).fleet
    rows = []
    for device in devices:
        # numpy refuses to compare with a lone surrogate, as an argument that is no UTF-8 becomes.
        name = device if is_plain(device) else ""
        hits = np.flatnonzero((fleet.ids == name.lower()) | (fleet.names == name))
        hits = hits if name else hits[:0]
        if not len(hits):
            raise UsageError(f"no device '{device}'", "ids and names are listed in the inventory's exports")
        if len(hits) > 1:
            raise UsageError(f"{len(hits)} devices are named '{device}'", "give the device id")
        rows.append(int(hits[0]))
    return tuple(rows)


def user() -> str:
    """Give the name of the user who runs this process."""
    try:
        return visible(getpass.getuser())
    except (KeyError, OSError, ImportError):  # Windows without USERNAME has no module pwd
        return "unknown"
