"""The loop and its decisions, over a directory that answers at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from building import MONDAY, PromptDirectory, make_plan

from rollout.errors import LeaseError, OutsideError
from rollout.loop.drive import drive, preview_next, pump
from rollout.values import (
    DAY_S,
    HOUR_S,
    Budgets,
    Commands,
    GateApproval,
    Hold,
    Outcome,
    PhaseEnd,
    Plan,
    Progress,
    State,
    Window,
)
from sim.world.journal import MemoryJournal


class JumpClock:
    """A clock that is always where the loop wants to be; `hook(now)` may do things on the way."""

    def __init__(self, start: int, hook=lambda _now: None) -> None:  # type: ignore[no-untyped-def]
        self.now = start
        self.hook = hook

    def wait_until(self, at: int) -> int:
        self.now = max(self.now, at)
        self.hook(self.now)
        return self.now


def run(plan: Plan, directory: PromptDirectory, journal: MemoryJournal, hook=lambda _now: None) -> Progress:  # type: ignore[no-untyped-def]
    clock = JumpClock(plan.start, hook)
    return pump(drive(plan, journal, directory, plan.start + 60 * DAY_S), clock.wait_until)


def test_a_good_rollout_finishes_with_everybody_in() -> None:
    """Pilot, soak, all: every device is a member once, and the last state is FINISHED."""
    plan = make_plan()
    directory, journal = PromptDirectory(plan), MemoryJournal()
    progress = run(plan, directory, journal)
    assert progress.state is State.FINISHED
    assert directory.is_member.all()
    sent = [row for _, rows in directory.sent for row in rows]
    assert sorted(sent) == list(range(100))
    assert [row.state for row in journal.decisions()][-1] is State.FINISHED


def test_nobody_is_in_two_batches() -> None:
    """Invariant 1: a device is in at most one batch."""
    plan = make_plan()
    journal = MemoryJournal()
    run(plan, PromptDirectory(plan), journal)
    rows = np.concatenate([batch.rows for batch in journal.batches()])
    assert len(np.unique(rows)) == len(rows) == 100


def test_releases_never_run_ahead_of_the_curve() -> None:
    """Invariant 2: at no instant are more released than the curve allows."""
    plan = make_plan(sizes=(40, 60, 0), hours=(4, 6, 1))
    journal = MemoryJournal()
    run(plan, PromptDirectory(plan), journal)
    pilot = [batch for batch in journal.batches() if batch.phase == 0]
    released = np.cumsum([len(batch) for batch in pilot])
    allowed = [40 * min(batch.at - MONDAY, 4 * HOUR_S) // (4 * HOUR_S) for batch in pilot]
    assert all(released <= allowed)
    assert released[-1] == 40


def test_releases_stay_inside_the_window() -> None:
    """Nothing is released outside the window, and the night costs no share of the curve."""
    window = Window((0, 1, 2, 3, 4), 9 * 60, 12 * 60, "UTC")
    plan = make_plan(windows=(window,), hours=(2, 8, 1))
    journal = MemoryJournal()
    assert run(plan, PromptDirectory(plan), journal).state is State.FINISHED
    hours = [(batch.at - MONDAY) % DAY_S / HOUR_S for batch in journal.batches()]
    assert all(9 <= hour < 12 for hour in hours)


def test_a_wave_has_one_batch_also_after_a_pause_within_it() -> None:
    """Paused from 01:00 to 02:30 on the third day: that batch goes at 02:30, and the next at 02:00 again."""
    wave = Window((0, 1, 2, 3, 4, 5, 6), 120, 120, "UTC", lasts_s=HOUR_S)
    plan = make_plan(sizes=(0, 100, 0), hours=(1, 6, 1), windows=(wave,))
    directory, journal = PromptDirectory(plan), MemoryJournal()

    def hook(now: int) -> None:
        is_paused = 2 * DAY_S + HOUR_S <= now - MONDAY < 2 * DAY_S + 9000
        journal.commands_now = Commands(paused=is_paused)

    assert run(plan, directory, journal, hook).state is State.FINISHED
    assert [(batch.at - MONDAY) / HOUR_S for batch in journal.batches()] == [26, 50.5, 74, 98, 122, 146]


def test_a_bad_pilot_halts_before_the_rest() -> None:
    """HALT: nobody of the next phase is released, and the sentence says why."""
    plan = make_plan()
    directory, journal = PromptDirectory(plan, fails=lambda row: row % 2 == 0), MemoryJournal()
    progress = run(plan, directory, journal)
    assert progress.state is State.HALTED
    assert directory.is_member.sum() <= 20
    assert progress.reason.startswith("HALT")


def test_an_inconclusive_pilot_is_held_until_a_person_approves() -> None:
    """Two failures of ten are neither good nor bad: HELD; an approval opens the next phase."""
    plan = make_plan(sizes=(10, 40, 0))
    directory, journal = PromptDirectory(plan, fails=lambda row: row == 3), MemoryJournal()
    held_at: list[int] = []

    def approve(now: int) -> None:
        progress = journal.progress()
        if progress and progress.state is State.HELD and not held_at:
            held_at.append(now)
            assert directory.is_member.sum() == 10
            assert progress.hold is not None
            answer = GateApproval(progress.hold, "Kim", now)
            journal.commands_now = Commands(approvals=(answer,), by="Kim")

    assert run(plan, directory, journal, approve).state is State.FINISHED
    assert held_at
    assert any("approved by Kim" in row.reason for row in journal.decisions())


def test_a_pilot_without_end_is_followed_by_nobody() -> None:
    """A phase with end = never releases its devices and then waits for ever."""
    plan = replace(make_plan(first_end=PhaseEnd.NEVER), look_s=3600)
    directory = PromptDirectory(plan)
    progress = run(plan, directory, MemoryJournal())
    assert progress.state is State.RUNNING
    assert directory.is_member.sum() == 20


def test_pause_takes_effect_before_the_next_chunk_and_resume_loses_nobody() -> None:
    """Invariant 6: paused in the middle of a batch, at most the chunk under way is sent."""
    plan = make_plan(sizes=(60, 40, 0), hours=(1, 1, 1), chunk=10)
    directory, journal = PromptDirectory(plan), MemoryJournal()
    seen: list[int] = []

    def hook(now: int) -> None:
        sent = int(directory.is_member.sum())
        if sent == 30 and not seen:
            seen.append(now)
            journal.commands_now = Commands(paused=True, by="Kim", reason="help desk is full")
        if seen and now < seen[0] + DAY_S:
            assert sent == 30
        if seen and now >= seen[0] + DAY_S:
            journal.commands_now = Commands()

    assert run(plan, directory, journal, hook).state is State.FINISHED
    assert directory.is_member.all()
    states = [row.state for row in journal.decisions()]
    assert State.PAUSED in states
    assert sorted(row for _, rows in directory.sent for row in rows) == list(range(100))


def test_abort_sends_nobody_else_and_cancels_the_rest() -> None:
    """After an abort in the middle of a batch the rest of it is cancelled, for good."""
    plan = make_plan(sizes=(60, 40, 0), hours=(1, 1, 1), chunk=10)
    directory, journal = PromptDirectory(plan), MemoryJournal()

    def hook(_now: int) -> None:
        if directory.is_member.sum() >= 20:
            journal.commands_now = Commands(aborted=True, by="Kim")

    assert run(plan, directory, journal, hook).state is State.ABORTED
    assert directory.is_member.sum() == 20
    assert all(journal.confirmed(batch.number) == len(batch) for batch in journal.batches())


def test_an_excluded_device_is_never_released() -> None:
    """A person takes devices out: the others go, the rollout ends without them."""
    plan = make_plan()
    directory, journal = PromptDirectory(plan), MemoryJournal()
    journal.commands_now = Commands(excluded=(5, 50))
    assert run(plan, directory, journal).state is State.FINISHED
    assert not directory.is_member[[5, 50]].any()
    assert directory.is_member.sum() == 98
    assert not any("wait" in row.reason for row in journal.decisions() if row.batch >= 0)


def test_a_lost_answer_is_looked_up_and_nothing_is_sent_twice() -> None:
    """The answer to an addition is lost though it happened: the next look finds the members."""
    plan = make_plan()
    directory, journal = PromptDirectory(plan), MemoryJournal()
    directory.troubles = [OutsideError("no answer"), None, OutsideError("no answer")]
    assert run(plan, directory, journal).state is State.FINISHED
    sent = [row for _, rows in directory.sent for row in rows]
    assert sorted(sent) == list(range(100))
    assert [kind for _, kind, _ in journal.sessions].count("unanswered") == 2


def test_a_person_who_adds_whom_a_failed_call_never_reached_was_faster() -> None:
    """A call fails after its first row, then a person adds its second: the first may be ours, the second is not."""
    plan = make_plan()
    directory, journal = PromptDirectory(plan), MemoryJournal()
    first, second, *_ = everybody = plan.phases[0].order.tolist()
    trouble = OutsideError("no answer")
    trouble.never_sent = everybody[1:]
    directory.troubles, directory.lost = [trouble], False

    def hook(_now: int) -> None:
        if not directory.troubles and not directory.sent:
            directory.is_member[[first, second]] = True

    assert run(plan, directory, journal, hook).state is State.FINISHED
    answers = [applied for _, _, applied in journal.applied]
    assert first in np.concatenate([answer.accepted for answer in answers])
    assert second in np.concatenate([answer.adopted for answer in answers])


def test_what_is_foreseen_is_what_happens() -> None:
    """At each of the first looks whom the loop then sends was foreseen, without a write; who is excluded is not."""
    plan = make_plan()
    directory, journal = PromptDirectory(plan), MemoryJournal()
    journal.commands_now = Commands(excluded=tuple(plan.phases[0].order[1:3].tolist()))
    foreseen: list[tuple[int, ...]] = []

    def hook(now: int) -> None:
        _, rows = preview_next(plan, journal, directory, now)
        foreseen.append(tuple(rows.tolist()))

    assert run(plan, directory, journal, hook).state is State.FINISHED
    batches = [tuple(batch.rows.tolist()) for batch in journal.batches()]
    assert set(batches) <= set(foreseen)
    assert len(batches) > 2


def test_a_refused_call_is_tried_again() -> None:
    """An addition that did not happen is sent again after a while."""
    plan = make_plan()
    directory, journal = PromptDirectory(plan), MemoryJournal()
    directory.lost = False
    directory.troubles = [OutsideError("503")] * 5
    assert run(plan, directory, journal).state is State.FINISHED
    assert directory.is_member.all()


def test_an_unreadable_directory_holds() -> None:
    """Invariant 10: unreadable is HOLD; when it answers again releases go on."""
    plan = make_plan()
    directory, journal = PromptDirectory(plan), MemoryJournal()

    def hook(now: int) -> None:
        directory.blind = MONDAY + HOUR_S // 2 <= now < MONDAY + 10 * HOUR_S

    assert run(plan, directory, journal, hook).state is State.FINISHED
    held = [row for row in journal.decisions() if row.state is State.HELD]
    assert held
    released_blind = [b for b in journal.batches() if MONDAY + HOUR_S // 2 <= b.at < MONDAY + 10 * HOUR_S]
    assert not released_blind


def test_members_from_before_are_adopted_and_not_sent() -> None:
    """Who was in the collection before is adopted: never sent, never ours."""
    plan = make_plan()
    directory, journal = PromptDirectory(plan, members=(0, 1, 30)), MemoryJournal()
    progress = run(plan, directory, journal)
    assert progress.state is State.FINISHED
    assert progress.enrolled == 100
    sent = {row for _, rows in directory.sent for row in rows}
    assert not sent & {0, 1, 30}
    adopted = {int(row) for batch in journal.batches() for row in batch.adopted}
    assert adopted == {0, 1, 30}
    ours = {int(row) for _, _, applied in journal.applied for row in applied.accepted}
    assert ours == set(range(100)) - {0, 1, 30}


def test_the_budget_in_flight_is_never_exceeded() -> None:
    """Invariant 2, budgets: never more than so many released devices without an outcome."""
    plan = make_plan(sizes=(50, 150, 0), hours=(1, 1, 1), budgets=Budgets(in_flight=12), step_s=600)
    directory, journal = PromptDirectory(plan, latency_s=1500), MemoryJournal()
    highest = [0]

    def hook(now: int) -> None:
        directory.now = now
        flying = int((directory.outcomes().outcome == Outcome.PENDING).sum())
        highest[0] = max(highest[0], flying)

    assert run(plan, directory, journal, hook).state is State.FINISHED
    assert 0 < highest[0] <= 12


def test_the_budget_per_site_is_never_exceeded() -> None:
    """The same for a budget per level of a column; the devices passed over come later."""
    codes = (np.arange(200) % 4).astype(np.int32)
    plan = make_plan(
        sizes=(50, 150, 0),
        hours=(1, 1, 1),
        budgets=Budgets(column="site", per_level=3),
        budget_codes=codes,
        step_s=600,
    )
    directory, journal = PromptDirectory(plan, latency_s=1500), MemoryJournal()

    def hook(now: int) -> None:
        directory.now = now
        pending = directory.outcomes().outcome == Outcome.PENDING
        assert (np.bincount(codes[pending], minlength=4) <= 3).all()

    assert run(plan, directory, journal, hook).state is State.FINISHED
    assert directory.is_member.all()


def test_after_downtime_at_most_one_step_is_caught_up() -> None:
    """Ten hours down in the pilot's five: afterwards one step's devices go, not all that were missed."""
    plan = make_plan(sizes=(50, 50, 0), hours=(5, 5, 1))
    directory, journal = PromptDirectory(plan), MemoryJournal()
    steps = drive(plan, journal, directory)
    clock = JumpClock(plan.start)
    wanted = next(steps)
    while len(journal.batches()) < 2:
        wanted = steps.send(clock.wait_until(wanted))
    clock.now += 10 * HOUR_S
    before = sum(len(batch) for batch in journal.batches())
    steps.send(clock.wait_until(wanted))
    after = sum(len(batch) for batch in journal.batches())
    assert after - before <= 10


def test_killed_anywhere_and_resumed_ends_the_same() -> None:
    """Invariant 7: killed before each yield in turn and built anew: same members, same decision rows."""
    plan = replace(make_plan(sizes=(20, 30, 0), soak_s=2 * HOUR_S), look_s=900)
    whole = MemoryJournal()
    run(plan, PromptDirectory(plan), whole)
    for kill_at in range(1, 60):
        journal, directory = MemoryJournal(), PromptDirectory(plan)
        clock = JumpClock(plan.start)
        steps = drive(plan, journal, directory)
        wanted = next(steps)
        for _ in range(kill_at):
            wanted = steps.send(clock.wait_until(wanted))
        steps.close()
        resumed = journal.progress()
        clock = JumpClock(resumed.at if resumed else plan.start)
        pump(drive(plan, journal, directory, plan.start + 60 * DAY_S), clock.wait_until)
        assert directory.is_member.all()
        assert list(journal.decisions()) == list(whole.decisions())


def test_a_lost_lease_stops_before_anything_is_sent() -> None:
    """Invariant 8: the lease is looked at right before bytes go out."""

    class Lost(MemoryJournal):
        def check(self) -> None:
            raise LeaseError("another executor has the lease")

    plan = make_plan()
    directory = PromptDirectory(plan)
    with pytest.raises(LeaseError):
        run(plan, directory, Lost())
    assert not directory.sent


def test_a_slow_batch_is_interrupted_for_a_look() -> None:
    """Sending longer than the time between looks stops for a look: a halt acts in the middle of a batch."""
    plan = make_plan(sizes=(100, 0, 0), hours=(1, 1, 1), chunk=5, strata=1)
    plan = replace(plan, look_s=60)
    directory, journal = PromptDirectory(plan, latency_s=30, fails=lambda _row: True), MemoryJournal()
    clock = JumpClock(plan.start)

    def slow(at: int) -> int:
        clock.now = max(clock.now + 20, at)
        return clock.now

    progress = pump(drive(plan, journal, directory, plan.start + 5 * DAY_S), slow)
    assert progress.state is State.HALTED
    assert directory.is_member.sum() < 50


def test_an_approval_does_not_lift_a_blind_hold() -> None:
    """Invariant 10 stands above a person's approval: unreadable counts hold all the same."""
    plan = make_plan()
    directory, journal = PromptDirectory(plan), MemoryJournal()
    journal.commands_now = Commands(approvals=(GateApproval(Hold(0, "data"), "Kim"),), by="Kim")

    def hook(now: int) -> None:
        directory.blind = now >= MONDAY + HOUR_S // 2

    assert run(plan, directory, journal, hook).state is State.HELD
    assert not directory.is_member.any()
