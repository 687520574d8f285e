"""The way back through the same loop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from building import MONDAY, make_plan
from command_line import QUICK, Cli

from rollout.loop.drive import drive, pump
from rollout.loop.undo import UndoDirectory
from rollout.pacing.calendar import is_open, resolve
from rollout.planning import nominal_batches
from rollout.planning.change import undo_plan
from rollout.values import DAY_S, Outcome, State, Window
from rollout.values.plan_warnings import OUTSIDE_WINDOWS
from sim.world.directory import Collection, SimClock
from sim.world.journal import MemoryJournal


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


def test_an_undo_says_that_it_does_not_wait_for_windows() -> None:
    """By default it goes at any hour and says so; asked to, it keeps to the windows of the plan that it undoes."""
    ours = np.array([1, 2], dtype=np.int32)
    window = Window((0, 1, 2, 3, 4), 8 * 60, 16 * 60, "UTC")
    calendar = resolve((window,), (), MONDAY, MONDAY + 60 * DAY_S)
    plan = replace(make_plan(), windows=(window,), calendar=calendar, freezes=("2027-01-12",))
    undo = undo_plan(plan, ours, created=MONDAY)
    assert (undo.windows, undo.freezes) == ((), ())
    assert undo.warnings[0] == OUTSIDE_WINDOWS
    kept = undo_plan(plan, ours, created=MONDAY, in_windows=True)
    assert OUTSIDE_WINDOWS not in kept.warnings
    assert (kept.windows, kept.freezes) == (plan.windows, plan.freezes)
    assert all(is_open(calendar, at) for at, _, _ in nominal_batches(kept))
    free = undo_plan(replace(plan, windows=(), freezes=()), ours, created=MONDAY)
    assert OUTSIDE_WINDOWS not in free.warnings


def test_the_verbs_say_it(cli: Cli) -> None:
    """plan, approve and run each say it; --in-windows without --undo is a mistake."""
    windows = '[[rollout.windows]]\ndays = "Mon-Sun"\nfrom = "00:00"\nto = "23:00"\n[rollout.gate.evidence]'
    Path("quick.toml").write_text(QUICK.replace("[rollout.gate.evidence]", windows), encoding="utf-8")
    cli("simulate", "quick.toml", "--runs", "1", "--workers", "1")
    cli("run", "--speed", "max", "--once")
    assert "outside the change windows" in cli("plan", "--undo", "run-1").out
    cli("abort", "--by", "Kim")
    assert "outside the change windows" in " ".join(cli("approve", "--by", "Kim", "--json").json["warnings"])
    assert "outside the change windows" in cli("run", "--speed", "max").err
    assert cli("plan", "quick.toml", "--in-windows").code == 2
    kept = cli("plan", "--undo", "run-1", "--in-windows", "--json").json
    assert not any("outside the change windows" in item for item in kept["warnings"])
