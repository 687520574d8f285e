"""Take single devices out of the collection again, where a rollout added them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rollout.api import workflow
from rollout.api.choosing import to_command
from rollout.api.control import find_devices, user
from rollout.api.withdrawal import staying_devices, withdrawn_devices
from rollout.documents.executing import Withdrawal
from rollout.errors import LeaseError, OutsideError, RefusedError
from rollout.executor import directories
from rollout.executor.clock import LivelyTime
from rollout.executor.display import to_stderr
from rollout.executor.session import BEAT_S, embedded, lived_until, owner
from rollout.loop.decide import begin
from rollout.loop.ports import Directory
from rollout.loop.undo import take_out, to_withdraw
from rollout.store import Database, StoredRollout


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

    settings : of a real directory. note : prints what was noticed of the directory. A device that the directory
    refuses to take out has the result "refused".

    Raise `UsageError` for an unknown device, `RefusedError` if no named device can be taken out, `OutsideError` if
    the directory does not answer; the withdrawal is recorded then.
    """
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
    stay = staying_devices(database, plan, reader, rows)
    leaving = tuple(row for row in rows if row not in stay)
    if not leaving:
        raise RefusedError(
            f"{known.id}: no device is taken out: " + "; ".join(stay[row].sentence for row in rows),
            "'rollout status --device DEVICE' shows what is known of a device",
        )
    if not set(leaving) <= set(reader.commands().withdrawn):
        database.command(known.id, "withdraw", by=name, reason=reason, at=int(time.time()), rows=leaving)
    executor = _carry_out(database, known, settings, note)
    results = withdrawn_devices(plan, database.reader(known.id), leaving, executor)
    return Withdrawal(
        rollout=known.id, by=name, executor=executor or None, devices=[*stay.values(), *results]
    )


def _carry_out(database: Database, known: StoredRollout, settings: Path, note: Callable[[str], None]) -> str:
    """Take out the devices that people asked for; give the executor that does it instead, "" if we did."""
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
            take_out(plan, journal, directory, now)
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
    """Open the directory of a rollout; give it with the present instant by its clock."""
    setting = workflow.world_of_plan(database, known.plan_id)
    if known.directory == directories.EMBEDDED:
        reader = database.reader(known.id)
        now = max((reader.progress() or begin(setting.stored.plan)).at, lived_until(reader))
        yield embedded(setting, known.seed, database.membership_log(known.id)), now
        return
    with directories.opened(database, setting, known.directory, settings, known.id, lively) as real:
        for sentence in real.notes:
            note(sentence)
        yield real, directories.now()


def _beating(heartbeat: Callable[[], None]) -> Callable[[], None]:
    """Give what keeps the lease alive while the directory waits."""
    last = [time.monotonic()]

    def alive() -> None:
        if time.monotonic() - last[0] >= BEAT_S:
            heartbeat()
            last[0] = time.monotonic()

    return alive
