"""`rollout withdraw`: take single devices out of the collection again, where this rollout added them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rollout.api.choosing import to_command
from rollout.api.control import find_devices, user
from rollout.api.databases import open_db
from rollout.api.scenarios import world_of_plan
from rollout.api.staging import staged_devices
from rollout.cli.options import DEFAULT_DB, By, Db, Json, Reason, Settings, Verbose
from rollout.cli.terminal import emit, note, say
from rollout.errors import LeaseError, OutsideError, RefusedError
from rollout.executor import directories
from rollout.executor.clock import LivelyTime
from rollout.executor.session import BEAT_S, embedded, lived_until, owner
from rollout.loop.decide import begin
from rollout.loop.undo import still_ours, take_out, to_withdraw
from rollout.text import instant, iso

if TYPE_CHECKING:
    from pathlib import Path

    from rollout.loop.ports import Directory
    from rollout.store import Database, StoredRollout
    from rollout.store.journal.reader import JournalReader
    from rollout.values import Plan


def withdraw(
    devices: Annotated[list[str], typer.Argument(metavar="DEVICE...", help="Device ids or names.")],
    rollout: Annotated[str | None, typer.Option(help="Rollout id; the latest by default.")] = None,
    reason: Reason = "",
    by: By = "",
    settings: Settings = directories.DEFAULT_SETTINGS,
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Take released devices out of the collection again, where this rollout added them.

    Members that others added stay, and so do devices that are staged for a workload. Leaving the collection does
    not un-enroll a device; its outcome stays counted, and it is not released again. A running executor takes the
    devices out before its next chunk; without one this command does. Exit 4 if no named device can be taken out.

    Example: rollout withdraw PC-0042 --reason "board member, call first"
    """
    database = open_db(db)
    known = to_command(database, rollout)
    stored = database.plan(known.plan_id)
    if stored.plan.is_undo:
        raise RefusedError(
            f"{known.id} takes devices out itself: nobody can be withdrawn from it",
            "name the rollout that added the devices with --rollout",
        )
    rows = find_devices(database, stored.inventory_id, devices)
    reader, who = database.reader(known.id), by or user()
    stay = _staying(database, stored.plan, reader, rows)
    going = tuple(row for row in dict.fromkeys(rows) if row not in stay)
    if not going:
        raise RefusedError(
            f"{known.id}: no device is taken out: " + "; ".join(stay[row].sentence for row in rows),
            "'rollout status --device DEVICE' shows what is known of a device",
        )
    if _is_open(reader, going):
        database.command(known.id, "withdraw", by=who, reason=reason, at=int(time.time()), rows=going)
    executor = _carry_out(database, known, settings)
    told = [*(stay[row] for row in dict.fromkeys(rows) if row in stay)]
    told += _answers(stored.plan, database.reader(known.id), going, executor)
    _tell(known.id, who, executor, told, as_json=as_json)


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one named device. result : a word for scripts. sentence : the same for people."""

    device: str
    result: str
    sentence: str


def _staying(database: Database, plan: Plan, reader: JournalReader, rows: Sequence[int]) -> dict[int, Told]:
    """Give those of `rows` that are not taken out, each with the reason."""
    added, released = (
        set(reader.added().tolist()),
        {int(row): batch.at for batch in reader.batches() for row in batch.rows},
    )
    staged = set().union(*staged_devices(database).values()) if plan.action == "enroll" else set()
    stay = {}
    for row in rows:
        device = str(plan.ids[row])
        if row not in released:
            text = f"{device} is not released; 'rollout exclude {device}' keeps it out"
            stay[row] = Told(device, "not_released", text)
        elif row not in added and _is_answered(reader, row):
            text = f"{device} was not added by this rollout, so it stays as it is"
            stay[row] = Told(device, "not_ours", text)
        elif device in staged:
            text = f"{device} is still staged for a workload and stays in auto-enrollment until that is taken back"
            stay[row] = Told(device, "staged", text)
    return stay


def _is_answered(reader: JournalReader, row: int) -> bool:
    """Whether the directory has answered for a released device; if not, it is in a batch that is not sent yet."""
    for batch in reader.batches():
        places = (batch.rows == row).nonzero()[0]
        if len(places):
            return int(places[0]) < reader.confirmed(batch.number)
    return False


def _is_open(reader: JournalReader, rows: Sequence[int]) -> bool:
    """Whether a command is needed: somebody of `rows` was neither asked for nor taken out before."""
    return not set(rows) <= set(reader.commands().withdrawn)


def _carry_out(database: Database, known: StoredRollout, settings: Path) -> str:
    """Take out who is asked for; give the executor that does it instead, "" if we did."""
    plan = database.plan(known.plan_id).plan
    if not len(to_withdraw(plan, database.reader(known.id))):
        return database.rollout(known.id).lease.holder
    if known.lease.is_taken(database.now()):
        return known.lease.holder
    lively = LivelyTime()
    try:
        with (
            _opened(database, known, settings, lively) as (directory, now),
            database.journal(known.id, owner=owner()) as journal,
        ):
            lively.held_s, lively.alive = journal.held_s, _beating(journal.heartbeat)
            directory.prepare(plan)
            directory.restore(journal.batches())
            take_out(plan, journal, directory, now)
    except LeaseError:
        return database.rollout(known.id).lease.holder
    except OutsideError as error:
        raise OutsideError(
            f"{error.message}; the withdrawal is noted and not carried out yet",
            f"'rollout withdraw' with the same devices, or 'rollout run', goes on with it; {error.hint}".rstrip(
                "; "
            ),
        ) from error
    return ""


@contextmanager
def _opened(
    database: Database, known: StoredRollout, settings: Path, lively: LivelyTime
) -> Iterator[tuple[Directory, int]]:
    """Open the directory of a rollout; give it with the present instant by its clock."""
    setting = world_of_plan(database, known.plan_id)
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
    beaten = [time.monotonic()]

    def alive() -> None:
        if time.monotonic() - beaten[0] >= BEAT_S:
            heartbeat()
            beaten[0] = time.monotonic()

    return alive


def _answers(plan: Plan, reader: JournalReader, rows: Sequence[int], executor: str) -> list[Told]:
    """Say what became of those who were to go."""
    ours, answers = set(still_ours(reader).tolist()), reader.withdrawals()
    out = []
    for row in rows:
        device = str(plan.ids[row])
        if row in ours:
            refused = [
                why
                for _, one in answers
                for r, why in zip(one.rejected, one.reasons, strict=True)
                if r == row
            ]
            if refused:
                text = f"{device} was not taken out, the directory refused it: {refused[-1]}"
                out.append(Told(device, "refused", text))
                continue
        if row in ours or not _is_answered(reader, row):
            who = f"{executor} takes it out before its next chunk" if executor else "it is not sent any more"
            out.append(Told(device, "noted", f"{device}: the withdrawal is noted; {who}"))
            continue
        at = next((at for at, one in answers if row in one.accepted or row in one.adopted), None)
        when = f" at {instant(at, plan.zone)}" if at is not None else ""
        out.append(
            Told(
                device,
                "withdrawn",
                f"{device} is out of '{plan.collection}'{when}; its outcome stays counted",
            )
        )
    return out


def _tell(rollout: str, who: str, executor: str, told: Sequence[Told], *, as_json: bool) -> None:
    """Print it. Raise `RefusedError` if the directory refused a device."""
    document: dict[str, Any] = {
        "rollout": rollout,
        "by": who,
        "executor": executor or None,
        "devices": [{"device": one.device, "result": one.result, "sentence": one.sentence} for one in told],
    }
    if as_json:
        emit(document)
    else:
        for one in told:
            say(one.sentence)
    if refused := [one for one in told if one.result == "refused"]:
        raise RefusedError(
            f"{rollout}: {len(refused)} devices were not taken out: {refused[0].sentence}",
            "take them out in the console, if that is meant",
        )


def withdrawal_of(reader: JournalReader, row: int) -> tuple[str | None, str | None]:
    """Give ("done" or "asked", UTC instant of it) of a device's withdrawal; None where nobody asked."""
    for at, told in reader.withdrawals():
        if row in told.accepted or row in told.adopted:
            return "done", iso(at)
    return ("asked", None) if row in reader.commands().withdrawn else (None, None)
