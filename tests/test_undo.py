"""The way back through the same loop."""

from __future__ import annotations

import numpy as np
from building import MONDAY, make_plan

from rollout.loop import drive, pump
from rollout.planning.change import undo_plan
from rollout.undo import UndoDirectory
from rollout.values import DAY_S, Outcome, State
from sim.journal import MemoryJournal
from sim.world import Collection, SimClock


def test_the_last_ones_leave_first_and_others_stay() -> None:
    """Only what we added leaves, in the reverse order of release; adopted members stay."""
    ours = np.array([3, 1, 4, 15, 9], dtype=np.int32)
    plan = undo_plan(make_plan(), ours, created=MONDAY)
    assert plan.is_undo
    assert plan.action_undone == "enroll"
    members = np.arange(20, dtype=np.int32)
    collection, journal = Collection(members, len(plan)), MemoryJournal()
    progress = pump(
        drive(plan, journal, UndoDirectory(plan, collection), plan.start + 30 * DAY_S),
        SimClock(plan.start).wait_until,
    )
    assert progress.state is State.FINISHED
    assert set(np.flatnonzero(collection.is_member)) == set(range(20)) - set(ours.tolist())
    order = [int(row) for batch in journal.batches() for row in batch.rows]
    assert order == [9, 15, 4, 1, 3]


def test_who_is_out_already_is_not_taken_out_again() -> None:
    """A person took a device out before: it counts as left, and nothing is sent for it."""
    ours = np.array([1, 2], dtype=np.int32)
    plan = undo_plan(make_plan(), ours, created=MONDAY)
    directory = UndoDirectory(plan, Collection(np.array([1], dtype=np.int32), len(plan)))
    journal = MemoryJournal()
    progress = pump(drive(plan, journal, directory, plan.start + 30 * DAY_S), SimClock(plan.start).wait_until)
    assert progress.state is State.FINISHED
    assert [applied.adopted.tolist() for _, _, applied in journal.applied if len(applied.adopted)] == [[2]]
    assert (directory.outcomes().outcome[ours] == Outcome.ENROLLED).all()
