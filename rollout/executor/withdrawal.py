"""Take single devices out of the collection again, where a rollout added them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rollout.api.control import find_devices, to_command, user
from rollout.api.device_status import withdrawn_at
from rollout.api.scenarios import world_of_plan
from rollout.api.staging import staged_devices
from rollout.arguments import require_plain
from rollout.documents.executing import Withdrawal, WithdrawnDevice
from rollout.errors import LeaseError, OutsideError, RefusedError
from rollout.executor import directories
from rollout.executor.clock import LivelyTime, steady
from rollout.executor.display import to_stderr
from rollout.executor.session import BEAT_S, owner
from rollout.loop.ports import Directory
from rollout.loop.undo import still_ours, to_withdraw, withdraw_requested
from rollout.store import Database, JournalReader, StoredRollout
from rollout.text import instant
from rollout.values import Plan


def withdraw_devices(
    database: Database,
    devices: Sequence[str],
    rollout: str | None = None,
    *,
    by: str = "",
    reason: str = "",
    settings: Path = directories.DEFAULT_SETTINGS,
    note: Callable[[str], None] = to_stderr,
) -> Withdrawal:
    """Take released devices, by id or name, out of the collection; a running executor does it in our place.

    settings : of a real directory. note : prints remarks about the directory. A device that the directory
    refuses to take out has the result "refused".

    Raise `UsageError` for an unknown device, `RefusedError` if no named device can be taken out, `OutsideError` if
    the directory does not answer; the withdrawal is recorded then.
    """
    require_plain("--by", by)
    require_plain("--reason", reason)
    known = to_command(database, rollout)
    stored = database.plan(known.plan_id)
    plan = stored.plan
    if plan.is_undo:
        raise RefusedError(
            f"{known.id} takes devices out itself: no device can be withdrawn from it",
            "name the rollout that added the devices with --rollout",
        )
    rows = tuple(dict.fromkeys(find_devices(database, stored.inventory_id, devices)))
    reader, name = database.reader(known.id), by or user()
    stay = _staying(database, plan, reader, rows)
    leaving = tuple(row for row in rows if row not in stay)
    if not leaving:
        raise RefusedError(
            f"{known.id}: no device is taken out: " + "; ".join(stay[row].sentence for row in rows),
            "'rollout status --device DEVICE' shows what is known of a device",
        )
    if not set(leaving) <= set(reader.commands().withdrawn):
        database.command(known.id, "withdraw", by=name, reason=reason, at=int(time.time()), rows=leaving)
    executor = _carry_out(database, known, settings, note)
    results = _results(plan, database.reader(known.id), leaving, executor)
    return Withdrawal(
        rollout=known.id, by=name, executor=executor or None, devices=(*stay.values(), *results)
    )


def _staying(
    database: Database, plan: Plan, reader: JournalReader, rows: Sequence[int]
) -> dict[int, WithdrawnDevice]:
    """Return those of `rows` that cannot be taken out, each with the reason."""
    added = set(reader.added().tolist())
    released = {int(row) for batch in reader.batches() for row in batch.rows}
    staged = set().union(*staged_devices(database).values()) if plan.action == "enroll" else set()
    stay = {}
    for row in rows:
        device = str(plan.ids[row])
        if row not in released:
            sentence = f"{device} is not released; 'rollout exclude {device}' keeps it out"
            stay[row] = WithdrawnDevice(device=device, result="not_released", sentence=sentence)
        elif row not in added and _is_answered(reader, row):
            sentence = f"{device} was not added by this rollout, so it stays as it is"
            stay[row] = WithdrawnDevice(device=device, result="not_ours", sentence=sentence)
        elif device in staged:
            sentence = f"{device} is still staged for a workload and stays in auto-enrollment until that is taken back"
            stay[row] = WithdrawnDevice(device=device, result="staged", sentence=sentence)
    return stay


def _is_answered(reader: JournalReader, row: int) -> bool:
    """Return whether the directory has answered for a released device; if not, its batch is not sent yet."""
    for batch in reader.batches():
        places = (batch.rows == row).nonzero()[0]
        if len(places):
            return int(places[0]) < reader.confirmed(batch.number)
    return False


def _results(plan: Plan, reader: JournalReader, rows: Sequence[int], executor: str) -> list[WithdrawnDevice]:
    """Return the results for devices to be taken out. executor : the one that takes them out, "" for none."""
    ours = set(still_ours(reader).tolist())
    return [_result(plan, reader, row, row in ours, executor) for row in rows]


def _result(plan: Plan, reader: JournalReader, row: int, is_ours: bool, executor: str) -> WithdrawnDevice:
    device = str(plan.ids[row])
    refusals = [
        reason
        for _, answer in reader.withdrawals()
        for rejected, reason in zip(answer.rejected, answer.reasons, strict=True)
        if rejected == row
    ]
    if is_ours and refusals:
        sentence = f"{device} was not taken out, the directory refused it: {refusals[-1]}"
        return WithdrawnDevice(device=device, result="refused", sentence=sentence)
    if is_ours or not _is_answered(reader, row):
        then = f"{executor} takes it out before its next chunk" if executor else "it will not be sent"
        sentence = f"{device}: the withdrawal is recorded; {then}"
        return WithdrawnDevice(device=device, result="noted", sentence=sentence)
    at = withdrawn_at(reader, row)
    when = f" at {instant(at, plan.zone)}" if at is not None else ""
    sentence = f"{device} is out of '{plan.collection}'{when}; its outcome stays counted"
    return WithdrawnDevice(device=device, result="withdrawn", sentence=sentence)


def _carry_out(database: Database, known: StoredRollout, settings: Path, note: Callable[[str], None]) -> str:
    """Take out the devices that people asked for; return the executor that does it instead, "" if we did."""
    plan = database.plan(known.plan_id).plan
    if not len(to_withdraw(plan, database.reader(known.id))):
        return database.rollout(known.id).lease.holder
    if known.lease.is_taken(database.now()):
        return known.lease.holder
    lively = LivelyTime()
    try:
        with (
            _opened(database, known, settings, lively, note) as (directory, now),
            database.journal(known.id, owner=owner()) as journal,
        ):
            lively.held_s, lively.alive = journal.held_s, _beating(journal.heartbeat)
            directory.prepare(plan)
            directory.restore(journal.batches())
            withdraw_requested(plan, journal, directory, now)
    except LeaseError:
        return database.rollout(known.id).lease.holder
    except OutsideError as error:
        hint = f"'rollout withdraw' with the same devices, or 'rollout run', carries it out; {error.hint}"
        raise OutsideError(
            f"{error.message}; the withdrawal is recorded but not carried out yet", hint.rstrip("; ")
        ) from error
    return ""


@contextmanager
def _opened(
    database: Database,
    known: StoredRollout,
    settings: Path,
    lively: LivelyTime,
    note: Callable[[str], None],
) -> Iterator[tuple[Directory, int]]:
    """Open the directory of a rollout; return it with the current instant by its clock."""
    setting = world_of_plan(database, known.plan_id)
    if known.directory == directories.EMBEDDED:
        now = directories.simulated_now(setting.stored.plan, database.reader(known.id))
        yield directories.simulated(setting, known.seed, database.membership_log(known.id)), now
        return
    with directories.opened(database, setting, known.directory, settings, known.id, lively) as real:
        for sentence in real.notes:
            note(sentence)
        yield real, directories.now()


def _beating(heartbeat: Callable[[], None]) -> Callable[[], None]:
    """Return a function that keeps the lease alive while the directory waits."""
    last = [steady()]

    def alive() -> None:
        if steady() - last[0] >= BEAT_S:
            heartbeat()
            last[0] = steady()

    return alive
