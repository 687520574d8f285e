"""The state of one device in a rollout."""

from __future__ import annotations

from typing import Literal

from rollout.api import exclusions
from rollout.api.control import find_devices
from rollout.api.scenarios import policy_of
from rollout.api.workloads import flags_of, workloads_of_device
from rollout.documents.comanagement import DeviceWorkloads
from rollout.documents.executing import OUTCOME_NAMES, DeviceStatus
from rollout.store import Database, JournalReader, StoredPlan
from rollout.text import iso
from rollout.values import Outcome
from rollout.values.failures import explain
from rollout.workloads import moves_with


def read_device_status(database: Database, device: str, rollout: str | None = None) -> DeviceStatus:
    """Return a device's phase, place in the order, batch, outcome and workloads, in the latest rollout by default.

    device : its id or name. Raise `UsageError` for an unknown or ambiguous one.
    """
    known = database.rollout(rollout)
    stored = database.plan(known.plan_id)
    plan, reader = stored.plan, database.reader(known.id)
    row = find_devices(database, stored.inventory_id, [device])[0]
    phase = plan.phases[plan.phase_of[row]] if plan.phase_of[row] >= 0 else None
    excluded = None
    if phase is None:
        excluded = exclusions.of_device(plan, row, database.findings(stored.inventory_id))
    batch = next((batch for batch in reader.batches() if (batch.rows == row).any()), None)
    withdrawal, withdrawn = _withdrawal(reader, row)
    outcomes = reader.outcomes()
    outcome = Outcome(int(outcomes.outcome[row])) if outcomes.outcome[row] >= 0 else None
    is_known = outcome is not None
    failure = explain(int(outcomes.code[row])) if is_known and outcomes.code[row] else None
    next_action = failure.next_action if failure else excluded.next_action if excluded else None
    return DeviceStatus(
        device=str(plan.ids[row]),
        rollout=known.id,
        phase=phase.name if phase else None,
        place=int((phase.order == row).argmax()) + 1 if phase else None,
        of=len(phase) if phase else None,
        excluded=excluded.reason if excluded else None,
        because=excluded.sentence if excluded else None,
        next_action=next_action,
        batch=batch.number + 1 if batch else None,
        released_at=iso(batch.at) if batch else None,
        withdrawal=withdrawal,
        withdrawn_at=withdrawn,
        outcome=OUTCOME_NAMES[outcome] if outcome is not None else None,
        since=iso(int(outcomes.at[row])) if is_known and outcomes.at[row] >= 0 else None,
        code=failure.hex if failure else None,
        name=failure.name if failure else None,
        workloads=_workloads(database, stored, row, is_done=outcome is Outcome.ENROLLED),
    )


def _workloads(database: Database, stored: StoredPlan, row: int, *, is_done: bool) -> DeviceWorkloads:
    """Return which tool manages each workload, by the planned inventory and by what the directory has reported since.

    is_done : the device enrolled, or its workload moved, as this rollout wanted.
    """
    comanaged, flags = flags_of(database.inventory(stored.inventory_id).fleet, row)
    action = stored.plan.action
    is_enrolled = is_done and not stored.plan.is_undo
    moved: tuple[str, ...] = ()
    if is_enrolled and action.startswith("workload:"):
        moved = tuple(moves_with(action.removeprefix("workload:")))
    site_version = policy_of(stored).site_version or None
    return workloads_of_device(flags, 1 if is_enrolled else comanaged, site_version, moved)


def withdrawn_at(reader: JournalReader, row: int) -> int | None:
    """Return when a device was taken out, Unix seconds; None if it was not."""
    answers = reader.withdrawals()
    return next((at for at, answer in answers if row in answer.accepted or row in answer.adopted), None)


def _withdrawal(reader: JournalReader, row: int) -> tuple[Literal["done", "asked"] | None, str | None]:
    """Return ("done" or "asked", UTC instant of it) of a device's withdrawal; None if nobody requested it."""
    at = withdrawn_at(reader, row)
    if at is not None:
        return "done", iso(at)
    return ("asked", None) if row in reader.commands().withdrawn else (None, None)
