"""Commands of people to a rollout: approve a plan or a gate, pause, resume, abort, exclude devices.

A command is written into the journal, where the executor reads it before its next chunk.
"""

from __future__ import annotations

import getpass
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rollout.arguments import require_plain
from rollout.documents.executing import Command, CommandName
from rollout.documents.planning import Approval
from rollout.errors import RefusedError, UsageError
from rollout.loop.approvals import DATA
from rollout.store import Database, StoredPlan, StoredRollout
from rollout.text import instant, is_plain, iso, visible
from rollout.values import GateApproval, Hold, Plan, Progress
from rollout.values.plan_warnings import lasting, late_start


def approve_plan(database: Database, plan: str | None = None, *, by: str) -> Approval:
    """Approve a plan, given by id or digest, the latest by default. by : the person's name.

    Raise `UsageError` for an empty name or an unknown plan.
    """
    require_name(by)
    now = int(time.time())
    stored = database.plan(plan or database.latest_plan())
    database.approve(stored.id, by, now)
    return Approval(
        plan=stored.id,
        digest=stored.digest,
        approved_by=by,
        approved_at=iso(now),
        warnings=_warnings(database, stored, now),
    )


def require_name(by: str) -> None:
    """Raise `UsageError` if the name is empty or not plain text: an approval needs a person."""
    if not by.strip():
        raise UsageError("--by is required: the name of the person who approves", 'write --by "Your Name"')
    require_plain("--by", by)


def _warnings(database: Database, stored: StoredPlan, now: int) -> tuple[str, ...]:
    """Return what a person should know of the plan now; a generated fleet has its own time."""
    found = lasting(stored.plan.warnings)
    if database.is_made_up(stored.inventory_id):
        return (*found, "the fleet of this plan is generated")
    late = late_start(stored.plan.start, now)
    return (*found, late) if late else found


def under_way(database: Database) -> list[StoredRollout]:
    """Return the rollouts that have started and have neither ended nor been aborted, the oldest first."""
    return [
        known
        for known in database.rollouts()
        if known.state is not None
        and not known.state.is_final
        and not database.reader(known.id).commands().aborted
    ]


def to_command(database: Database, key: str | None) -> StoredRollout:
    """Return the rollout that a command is for: the named rollout, else the rollout under way, else the latest.

    Raise `UsageError` if none of several was named.
    """
    if key is not None:
        return database.rollout(key)
    several = under_way(database)
    if len(several) > 1:
        names = ", ".join(f"{known.id} ({database.plan(known.plan_id).plan.name})" for known in several)
        raise UsageError(
            f"{len(several)} rollouts are under way: {names}",
            f"name the rollout, as in 'rollout pause {several[-1].id}'",
        )
    return several[0] if several else database.rollout(None)


def require_no_other_rollout(database: Database, stored: StoredPlan, directory: str) -> None:
    """Raise `RefusedError` if a plan would start while another one fills or empties the same collection.

    Two executors would release more together than either plan allows, and neither gate would see the other's devices.
    """
    for known in under_way(database):
        if known.plan_id == stored.id:
            return
        other = database.plan(known.plan_id).plan
        if known.directory == directory and other.collection == stored.plan.collection:
            raise RefusedError(
                f"{known.id} of {known.plan_id} is under way with collection '{other.collection}'; {stored.id} cannot "
                "start before it is finished or aborted; nothing was sent",
                f"continue it: rollout run {known.plan_id}; or end it: rollout abort {known.id}",
            )


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
    """Approve the hold of a phase: this one, as it stands. by : the person's name.

    Raise `UsageError` for an empty name or an unknown phase, `RefusedError` if the phase is not held: nothing is
    approved in advance; else as `pause` does.
    """
    require_name(by)
    known = to_command(database, rollout)
    plan = database.plan(known.plan_id).plan
    names = [each.name for each in plan.phases]
    _refuse_if_final(database, known)
    if phase not in names:
        raise UsageError(f"--gate: expected a phase of the plan ({', '.join(names)}), found '{phase}'")
    progress = database.reader(known.id).progress()
    hold = progress.hold if progress is not None else None
    if progress is None or hold is None or hold.phase != names.index(phase):
        raise RefusedError(
            f"{known.id}: the gate of phase '{phase}' does not hold now, and nothing is approved in advance",
            f"see 'rollout status {known.id}'",
        )
    if hold.rule == DATA:
        raise RefusedError(
            f"{known.id} cannot go on by an approval: {hold.sentence}",
            "the rollout goes on by itself once the directory can be read",
        )
    return _record(database, known, "approve-gate", by=by, reason=reason, answer=_answer(hold, by, progress))


def approve_stratum(
    database: Database, stratum: str, rollout: str | None = None, *, by: str, reason: str = ""
) -> Command:
    """Let a held stratum go on. by : the person's name.

    Raise `UsageError` for an empty name, `RefusedError` if the stratum is not held; else as `pause` does.
    """
    require_name(by)
    known = to_command(database, rollout)
    _refuse_if_final(database, known)
    progress = database.reader(known.id).progress()
    held = progress.held if progress is not None else ()
    found = [hold for hold in held if hold.stratum == stratum]
    if progress is None or not found:
        names = ", ".join(f"'{hold.stratum}'" for hold in held) or "none"
        raise RefusedError(f"{known.id}: '{stratum}' is not held; held: {names}", "see 'rollout status'")
    return _record(
        database, known, "approve-gate", by=by, reason=reason, answer=_answer(found[0], by, progress)
    )


def _answer(hold: Hold, by: str, progress: Progress) -> GateApproval:
    return GateApproval(hold, by, progress.at)


@dataclass(frozen=True, slots=True)
class ExclusionResult:
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
) -> ExclusionResult:
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
    command = _record(
        database, known, "exclude", by=by, reason=reason, rows=waiting, released=tuple(too_late)
    )
    return ExclusionResult(command, too_late)


def _released(database: Database, rollout: str, plan: Plan, rows: Sequence[int]) -> dict[int, str]:
    """Return those of `rows` that were released, each with a sentence: an exclusion comes too late for them."""
    wanted, late = set(rows), {}
    for batch in database.reader(rollout).batches():
        for row in wanted.intersection(batch.rows.tolist()):
            late[row] = f"{plan.ids[row]} was released at {instant(batch.at, plan.zone)} and stays a member"
    return {row: late[row] for row in rows if row in late}


def _refuse_if_final(database: Database, known: StoredRollout) -> None:
    progress = database.reader(known.id).progress()
    if progress is not None and progress.state.is_final:
        raise RefusedError(
            f"{known.id} is {progress.state.value}: commands apply only to rollouts that are still running"
        )


def _record(
    database: Database,
    known: StoredRollout,
    command: CommandName,
    *,
    by: str,
    reason: str,
    rows: tuple[int, ...] = (),
    answer: GateApproval | None = None,
    released: tuple[str, ...] = (),
) -> Command:
    """Write a command into the journal. released : ids of named devices for which it comes too late."""
    require_plain("--by", by)
    require_plain("--reason", reason)
    _refuse_if_final(database, known)
    name = by or user()
    database.command(known.id, command, by=name, reason=reason, at=int(time.time()), rows=rows, answer=answer)
    return Command(rollout=known.id, command=command, by=name, devices=len(rows), released=released)


def find_devices(database: Database, inventory_id: str, devices: Sequence[str]) -> tuple[int, ...]:
    """Return the fleet row of each id or name. Raise `UsageError` for an unknown or ambiguous one."""
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
    """Return the name of the user who runs this process."""
    try:
        return visible(getpass.getuser())
    except (KeyError, OSError, ImportError):  # Windows without USERNAME has no module pwd
        return "unknown"
