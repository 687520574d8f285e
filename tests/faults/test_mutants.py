"""A harness that never complains proves nothing: five executors, each wrong in one way, are each caught."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from faults.case import Case
from faults.cases import SCENARIOS, drawn, plain_plan, quiet_world
from faults.chances import SENDING, Chances, Kills
from faults.invariants import complaints
from faults.sql import database_of, shelve
from sqlalchemy import update

from rollout.errors import DatabaseError, OutsideError
from rollout.loop import drive
from rollout.loop.decide import decide
from rollout.store import SqlJournal
from rollout.store.journal import lease
from rollout.values import DAY_S, Applied, Batch, Decision, IntArray, Plan, Progress, Seen

SEEDS = 120
"""So many seeds at most until a mutant is caught."""

Mutant = Callable[[pytest.MonkeyPatch], None]
_add = drive._Session._add


def skip_the_look(patch: pytest.MonkeyPatch) -> None:
    """Send without looking who is a member already."""

    def add(self: Any, batch: Batch, rows: IntArray, now: int) -> Applied:
        self.journal.check()
        return self.directory.apply(batch.number, rows, now)  # type: ignore[no-any-return]

    patch.setattr(drive._Session, "_add", add)


def confirm_before_sending(patch: pytest.MonkeyPatch) -> None:
    """Write down that a chunk is answered, then send it."""

    def add(self: Any, batch: Batch, rows: IntArray, now: int) -> Applied | None:
        upto = self.journal.confirmed(batch.number) + len(rows)
        self.journal.confirm(batch.number, upto, Applied(rows, drive.NOBODY, drive.NOBODY), now)
        answer = _add(self, batch, rows, now)
        return answer and Applied(drive.NOBODY, drive.NOBODY, drive.NOBODY)

    patch.setattr(drive._Session, "_add", add)


def resend_all_when_throttled(patch: pytest.MonkeyPatch) -> None:
    """After an answer that did not come, send the whole batch again."""

    def add(self: Any, batch: Batch, rows: IntArray, now: int) -> Applied | None:
        try:
            return _add(self, batch, rows, now)
        except OutsideError:
            self.directory.apply(batch.number, batch.rows, now)
            raise

    patch.setattr(drive._Session, "_add", add)


def skip_the_gate_when_late(patch: pytest.MonkeyPatch) -> None:
    """After downtime, catch up without asking the gate."""

    def hasty(plan: Plan, progress: Progress, seen: Seen) -> Decision:
        if seen.now - progress.at > 2 * plan.look_s:
            phases = [replace(phase, gate=replace(phase.gate, dry_run=True)) for phase in plan.phases]
            plan = replace(plan, phases=tuple(phases))
        return decide(plan, progress, seen)

    patch.setattr(drive, "decide", hasty)


@pytest.mark.parametrize("mutant", [skip_the_look, confirm_before_sending, resend_all_when_throttled])
def test_a_wrong_executor_is_caught(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within some seeds the harness complains; the right executor has none (see test_seeds)."""
    mutant(monkeypatch)
    for seed in range(SEEDS):
        found = complaints(drawn(seed).run())
        if found:
            print(f"\n{mutant.__name__}: seed {seed}: {found[0]}")
            return
    pytest.fail(f"{mutant.__name__} was not caught in {SEEDS} seeds")


class Late(Kills):
    """Killed once, and down for two days."""

    def downtime(self) -> int:
        return 2 * DAY_S


def skipped_gates() -> list[str]:
    """Kill the executor of a bad pilot at each of its first checkpoints; give what is said of gates."""
    found = []
    for place in range(4, 60, 5):
        chances = Late(place)
        plan = plain_plan()
        case = Case(plan, quiet_world(plan, chances, fails=(0, 1, 2)), chances, horizon_s=6 * DAY_S)
        found += [
            complaint for complaint in complaints(case.run()) if complaint.startswith("no_gate_is_skipped")
        ]
    return found


def test_a_gate_is_asked_after_downtime_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Invariant 9: half a pilot failed while the executor was down; one that forgets the gate then is caught."""
    assert skipped_gates() == []
    skip_the_gate_when_late(monkeypatch)
    found = skipped_gates()
    assert found
    print(f"\n{found[0]}")


class Stalled(Chances):
    """At one checkpoint another executor takes over."""

    def __init__(self, place: int) -> None:
        super().__init__()
        self._left = place

    def at(self, point: str) -> str:
        if point in SENDING or self.calm:
            return ""
        self._left -= 1
        return "stall" if self._left == 0 else ""


def stalls(folder: Path) -> Iterator[list[str]]:
    """Stall an executor over a real journal at many places; give what is found each time."""
    points = Kills()
    SCENARIOS["plain"](points).run()
    database, digest = database_of(folder / "a.db")
    for place in range(2, len(points.points), 5):
        case = shelve(SCENARIOS["plain"](Stalled(place)), database, digest, f"stalled {place}")
        case.again = False
        try:
            yield complaints(case.run())
        except (ValueError, DatabaseError) as error:
            yield [f"it crashed: {error}"]
    database.close()


def test_an_executor_that_was_overtaken_does_nothing(tmp_path: Path) -> None:
    """Invariant 8 over the real journal: stalled anywhere and overtaken, the first one neither writes nor sends."""
    assert [found for found in stalls(tmp_path) if found] == []


def test_without_the_epoch_the_overtaken_executor_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same with an executor whose writes do not name their epoch: it goes on, and the harness says so."""
    where = lease.LEASE.c.rollout_id == lease.bindparam("run")
    before = lease.LEASE.c.head_number == lease.bindparam("before")
    values = {
        "head_number": lease.bindparam("number"),
        "head_seal": lease.bindparam("seal"),
        "expires": lease.bindparam("until"),
    }
    monkeypatch.setattr(lease, "_ADVANCE", update(lease.LEASE).where(where, before).values(**values))
    monkeypatch.setattr(SqlJournal, "_mine", lambda _self, _info: None)
    found = (item for complaint in stalls(tmp_path) for item in complaint)
    caught = next((item for item in found if item.startswith(("only_the_holder_acts", "it crashed"))), "")
    print(f"\n{caught}")
    assert caught
