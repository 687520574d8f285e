"""`rollout run --dry-run`: what the next decision would do, with nothing written or sent."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rollout.api.scenarios import world_of_plan
from rollout.cli.terminal import emit, say
from rollout.documents.executing import DryRun
from rollout.executor import directories
from rollout.loop.decide import initial_progress
from rollout.loop.drive import preview_next
from rollout.loop.ports import Record
from rollout.store import Database
from rollout.text import instant, iso, number
from rollout.values import Decision, IntArray
from sim.world.journal import MemoryJournal

SHOWN = 20
"""Devices that are named."""


def preview_real(database: Database, plan_key: str, name: str, settings: Path, *, as_json: bool) -> None:
    """Print the exact requests that would be sent next. No request that changes anything is sent."""
    setting = world_of_plan(database, plan_key)
    plan, known = setting.stored.plan, database.rollout_of(setting.stored.id)
    with directories.opened(database, setting, name, settings, known, read_only=True) as real:
        now = max(directories.now(), plan.start)
        decision, rows = preview_next(plan, _record(database, known), directories.for_plan(plan, real), now)
        requests = real.plan_requests(rows)
        if as_json:
            documents = [request.document() for request in requests]  # each directory has its own keys
            emit({"reason": decision.reason, "requests": documents, "notes": list(real.notes)})
            return
        for sentence in (*real.notes, _sentence(decision, rows), *map(str, requests)):
            say(sentence)
        duration = f", {_duration(real.sending_s(len(rows)))} to send" if requests else ""
        say(f"{len(requests)} requests{duration}; nothing was changed")


def _duration(seconds: float) -> str:
    """Return the duration of sending, for a person."""
    return f"about {seconds:.0f} s" if seconds < 120 else f"about {seconds / 60:.0f} minutes"


def preview(database: Database, plan_key: str, seed: int, *, as_json: bool) -> None:
    """Print what the next decision would be in the simulated directory."""
    setting = world_of_plan(database, plan_key)
    plan, known = setting.stored.plan, database.rollout_of(setting.stored.id)
    record = _record(database, known)
    at = directories.simulated_now(plan, database.reader(known)) if known else initial_progress(plan).at
    directory = directories.simulated(setting, seed, database.membership_log(known) if known else None)
    decision, rows = preview_next(plan, record, directory, at)
    devices = [str(plan.ids[row]) for row in rows]
    if as_json:
        emit(DryRun(at=iso(at), reason=decision.reason, devices=tuple(devices)))
        return
    say(f"{instant(at, plan.zone)}: {_sentence(decision, rows)}")
    verb = "take out" if plan.is_undo else "add"
    for device in devices[:SHOWN]:
        say(f"  would {verb} {device}, collection '{plan.collection}'")
    if len(devices) > SHOWN:
        say(f"  … and {number(len(devices) - SHOWN)} more")
    say(f"next observation: {instant(decision.look_again, plan.zone)}; nothing was sent")


def _sentence(decision: Decision, rows: IntArray) -> str:
    """Return the decision's reason; if an earlier batch is unsent, it is named first."""
    if len(rows) and not np.array_equal(rows, decision.rows):
        return (
            f"{number(len(rows))} devices that were released earlier are sent first; then: {decision.reason}"
        )
    return decision.reason


def _record(database: Database, rollout_id: str | None) -> Record:
    return database.reader(rollout_id) if rollout_id else MemoryJournal()
