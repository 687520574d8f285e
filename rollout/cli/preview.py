"""`rollout run --dry-run`: what the next look would do, with nothing written or sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rollout.api.scenarios import world_of_plan
from rollout.cli.terminal import emit, say
from rollout.executor import directories
from rollout.executor.session import embedded, lived_until
from rollout.loop.decide import begin
from rollout.loop.drive import foresee
from rollout.text import instant, iso, number

if TYPE_CHECKING:
    from rollout.loop.ports import Record
    from rollout.store import Database
    from rollout.values import Decision, IntArray

SHOWN = 20


def preview_real(database: Database, plan_key: str, name: str, settings: Path, *, as_json: bool) -> None:
    """Print the exact requests of what would be sent next. No request that changes anything goes out."""
    setting = world_of_plan(database, plan_key)
    plan, known = setting.stored.plan, database.rollout_of(setting.stored.id)
    with directories.opened(database, setting, name, settings, known, only_look=True) as real:
        now = max(directories.now(), plan.start)
        decision, rows = foresee(plan, _record(database, known), directories.seen_as(setting, real), now)
        calls = real.plan_requests(rows)
        if as_json:
            requests = [call.document() for call in calls]
            emit({"reason": decision.reason, "requests": requests, "notes": list(real.notes)})
            return
        for sentence in real.notes:
            say(sentence)
        say(_sentence(decision, rows))
        for call in calls:
            say(str(call))
        takes = f", {_duration(real.sending_s(len(rows)))} to send" if calls else ""
        say(f"{len(calls)} requests{takes}; nothing was changed")


def _duration(seconds: float) -> str:
    """Write how long sending takes for a person."""
    return f"about {seconds:.0f} s" if seconds < 120 else f"about {seconds / 60:.0f} minutes"


def preview(database: Database, plan_key: str, seed: int, *, as_json: bool) -> None:
    """Say what the next look would decide in the embedded directory."""
    setting = world_of_plan(database, plan_key)
    plan, known = setting.stored.plan, database.rollout_of(setting.stored.id)
    record = _record(database, known)
    at = max((record.progress() or begin(plan)).at, lived_until(database.reader(known)) if known else 0)
    directory = embedded(setting, seed, database.membership_log(known) if known else None)
    decision, rows = foresee(plan, record, directory, at)
    names = [str(plan.ids[row]) for row in rows]
    if as_json:
        emit({"at": iso(at), "reason": decision.reason, "devices": names})
        return
    say(f"{instant(at, plan.zone)}: {_sentence(decision, rows)}")
    verb = "take out" if plan.is_undo else "add"
    for name in names[:SHOWN]:
        say(f"  would {verb} {name}, collection '{plan.collection}'")
    if len(names) > SHOWN:
        say(f"  … and {number(len(names) - SHOWN)} more")
    say(f"next look: {instant(decision.look_again, plan.zone)}; nothing was sent")


def _sentence(decision: Decision, rows: IntArray) -> str:
    """Say what the look decides; where an earlier batch is unsent, that comes first."""
    if len(rows) and not np.array_equal(rows, decision.rows):
        return f"{number(len(rows))} devices that were released before go out first; then: {decision.reason}"
    return decision.reason


def _record(database: Database, rollout_id: str | None) -> Record:
    from sim.world.journal import MemoryJournal

    return database.reader(rollout_id) if rollout_id else MemoryJournal()
