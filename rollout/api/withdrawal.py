"""Single devices taken out of the collection again: which may leave, and what became of each.

What talks to the directory is `rollout.executor.withdrawal`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rollout.api.staging import staged_devices
from rollout.documents.executing import WithdrawnDevice
from rollout.loop.undo import still_ours
from rollout.store import Database, JournalReader
from rollout.text import instant, iso
from rollout.values import Plan


def staying_devices(
    database: Database, plan: Plan, reader: JournalReader, rows: Sequence[int]
) -> dict[int, WithdrawnDevice]:
    """Give those of `rows` that cannot be taken out, each with the reason."""
    added = set(reader.added().tolist())
    released = {int(row) for batch in reader.batches() for row in batch.rows}
    staged = set().union(*staged_devices(database).values()) if plan.action == "enroll" else set()
    stay = {}
    for row in rows:
        device = str(plan.ids[row])
        if row not in released:
            sentence = f"{device} is not released; 'rollout exclude {device}' keeps it out"
            stay[row] = WithdrawnDevice(device=device, result="not_released", sentence=sentence)
        elif row not in added and is_answered(reader, row):
            sentence = f"{device} was not added by this rollout, so it stays as it is"
            stay[row] = WithdrawnDevice(device=device, result="not_ours", sentence=sentence)
        elif device in staged:
            sentence = f"{device} is still staged for a workload and stays in auto-enrollment until that is taken back"
            stay[row] = WithdrawnDevice(device=device, result="staged", sentence=sentence)
    return stay


def is_answered(reader: JournalReader, row: int) -> bool:
    """Whether the directory has answered for a released device; if not, it is in a batch that is not sent yet."""
    for batch in reader.batches():
        places = (batch.rows == row).nonzero()[0]
        if len(places):
            return int(places[0]) < reader.confirmed(batch.number)
    return False


def withdrawn_devices(
    plan: Plan, reader: JournalReader, rows: Sequence[int], executor: str
) -> list[WithdrawnDevice]:
    """Say what became of devices that were to leave. executor : the one that takes them out, "" for none."""
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
    if is_ours or not is_answered(reader, row):
        then = f"{executor} takes it out before its next chunk" if executor else "it will not be sent"
        sentence = f"{device}: the withdrawal is recorded; {then}"
        return WithdrawnDevice(device=device, result="noted", sentence=sentence)
    at = _withdrawn_at(reader, row)
    when = f" at {instant(at, plan.zone)}" if at is not None else ""
    sentence = f"{device} is out of '{plan.collection}'{when}; its outcome stays counted"
    return WithdrawnDevice(device=device, result="withdrawn", sentence=sentence)


def _withdrawn_at(reader: JournalReader, row: int) -> int | None:
    answers = reader.withdrawals()
    return next((at for at, answer in answers if row in answer.accepted or row in answer.adopted), None)


def withdrawal_of(reader: JournalReader, row: int) -> tuple[Literal["done", "asked"] | None, str | None]:
    """Give ("done" or "asked", UTC instant of it) of a device's withdrawal; None where nobody asked."""
    at = _withdrawn_at(reader, row)
    if at is not None:
        return "done", iso(at)
    return ("asked", None) if row in reader.commands().withdrawn else (None, None)
