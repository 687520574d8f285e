"""One contract for every directory: the embedded world, a ConfigMgr site, an Entra tenant, CSV files in a folder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from building import MONDAY
from directory_kinds import KINDS, MODEL, REAL, Opened
from emulators.web import Fault
from opened import fleet_plan

from rollout.errors import OutsideError, RefusedError
from rollout.loop.drive import drive, pump
from rollout.loop.undo import to_withdraw
from rollout.values import (
    DAY_S,
    HOUR_S,
    NOT_RELEASED,
    Applied,
    Batch,
    Commands,
    Outcome,
    State,
)
from sim.model import FailureCode
from sim.world.journal import MemoryJournal

NOBODY = np.empty(0, dtype=np.int32)


@pytest.fixture(params=list(KINDS))
def it(request: pytest.FixtureRequest) -> Opened:
    """A directory with 40 devices of which none is a member."""
    return KINDS[request.param](fleet_plan(40, chunk=10)[1], MODEL)


def test_nobody_is_a_member_before_anything_is_applied(it: Opened) -> None:
    """An empty collection has no members, and nothing is counted."""
    assert len(it.directory.members(np.arange(40, dtype=np.int32))) == 0
    seen = it.directory.observe(it.pass_(300))
    assert seen.readable
    assert int(seen.counts.sum()) == 0


def test_what_is_applied_is_accepted_and_a_member(it: Opened) -> None:
    """Applied rows come back as accepted, in their order, and are members then."""
    rows = np.array([3, 1, 7], dtype=np.int32)
    applied = it.directory.apply(0, rows, it.pass_(0))
    assert applied.accepted.tolist() == [3, 1, 7]
    assert len(applied.rejected) == len(applied.reasons) == 0
    assert it.directory.members(np.arange(10, dtype=np.int32)).tolist() == [1, 3, 7]
    assert it.directory.members(np.array([7, 2, 1], dtype=np.int32)).tolist() == [7, 1]


def test_applying_twice_equals_once(it: Opened) -> None:
    """Invariant 5: the second time changes nothing, neither members nor counts."""
    rows = np.arange(5, dtype=np.int32)
    it.directory.apply(0, rows, it.pass_(0))
    it.directory.apply(0, rows, it.pass_(0))
    assert it.directory.members(np.arange(40, dtype=np.int32)).tolist() == [0, 1, 2, 3, 4]
    assert int(it.directory.observe(it.pass_(300)).counts.sum()) == 5


def test_counts_are_by_batch_stratum_and_outcome(it: Opened) -> None:
    """Fresh members are pending, each in its batch and stratum (the plan's strata alternate)."""
    it.directory.apply(0, np.array([0, 2, 4], dtype=np.int32), it.pass_(0))
    it.directory.apply(1, np.array([1, 6], dtype=np.int32), it.pass_(0))
    counts = it.directory.observe(it.pass_(1)).counts
    assert counts[0, :, Outcome.PENDING].tolist() == [3, 0]
    assert counts[1, :, Outcome.PENDING].tolist() == [1, 1]
    assert int(counts.sum()) == 5


def test_outcomes_tell_of_each_device(it: Opened) -> None:
    """Released devices have an outcome with its time, the others none."""
    it.directory.apply(0, np.arange(6, dtype=np.int32), it.pass_(0))
    it.directory.observe(it.pass_(60))
    told = it.directory.outcomes()
    assert told.outcome[:6].tolist() == [Outcome.PENDING] * 6
    assert (told.outcome[6:] == NOT_RELEASED).all()
    assert (told.at[6:] == -1).all()
    assert (told.at[:6] >= MONDAY).all()


def test_devices_enroll_and_are_counted_so(it: Opened) -> None:
    """After the straggler time nobody is pending: each has enrolled, failed or timed out."""
    it.directory.apply(0, np.arange(10, dtype=np.int32), it.pass_(0))
    for _ in range(9):
        counts = it.directory.observe(it.pass_(DAY_S)).counts.sum(axis=(0, 1))
    assert counts[Outcome.PENDING] == 0
    assert counts.sum() == 10
    assert counts[Outcome.ENROLLED] > 0


def test_another_fleet_is_refused(it: Opened) -> None:
    """A plan of other devices is refused before anything is sent."""
    with pytest.raises(RefusedError):
        it.directory.prepare(fleet_plan(12)[1])


# The loop over each of them.


class Clock:
    """Jumps to where the loop wants to be, and takes the emulator along."""

    def __init__(self, opened: Opened) -> None:
        self.now = opened.plan.start
        self._pass = opened.pass_

    def wait_until(self, at: int) -> int:
        if at > self.now:
            self._pass(at - self.now)
            self.now = at
        return self.now


def rolled(opened: Opened, days: int = 40) -> tuple[MemoryJournal, list[int]]:
    """Carry the plan out; gives the journal and the members at the end."""
    journal = MemoryJournal()
    pump(
        drive(opened.plan, journal, opened.directory, opened.plan.start + days * DAY_S),
        Clock(opened).wait_until,
    )
    return journal, opened.directory.members(np.arange(len(opened.plan), dtype=np.int32)).tolist()


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_same_scenario_ends_the_same_everywhere(seed: int) -> None:
    """Same plan, model and seed: same members and the same decision rows, whichever directory executes."""
    plan = replace(fleet_plan(60, sizes=(20, 40, 0), chunk=7)[1], look_s=7200)
    journals = {name: rolled(make(plan, MODEL, seed)) for name, make in KINDS.items()}
    first, members = journals["embedded"]
    assert len(first.decisions()) > 5
    for name, (journal, theirs) in journals.items():
        assert theirs == members, name
        assert list(journal.decisions()) == list(first.decisions()), name


def test_failures_halt_the_same_everywhere() -> None:
    """A model in which most enrollments fail for good: every directory lets the gate halt, in the same row."""
    bad = FailureCode(code=0x80180018, rate=0.7, permanent=True)
    model = MODEL.model_copy(update={"clients": MODEL.clients.model_copy(update={"failures": (bad,)})})
    plan = replace(fleet_plan(60, sizes=(30, 30, 0), chunk=10)[1], look_s=7200)
    ends = {name: rolled(make(plan, model, 3))[0] for name, make in KINDS.items()}
    rows = {name: list(journal.decisions()) for name, journal in ends.items()}
    assert rows["embedded"][-1].state is State.HALTED
    assert rows["adminservice"] == rows["embedded"]
    assert rows["graph"] == rows["embedded"]
    assert rows["csv"] == rows["embedded"]


@pytest.mark.parametrize("kind", ["adminservice", "graph"])
def test_lost_answers_and_outages_change_nothing_in_the_end(kind: str) -> None:
    """Every third write loses its answer, reads fail for an hour: everybody is in once at the end."""
    plan = replace(fleet_plan(60, sizes=(20, 40, 0), chunk=7)[1], look_s=7200)
    opened = KINDS[kind](plan, MODEL)
    assert opened.setting is not None
    emulator = opened.setting.emulator
    emulator.faults.append(Fault(r"AddMembershipRule|PATCH /", skip=1, drop=True))
    for skip in range(2, 60, 3):
        emulator.faults.append(Fault(r"AddMembershipRule|PATCH /", skip=skip, lose=True))
    emulator.faults.append(Fault(r"^GET", skip=40, times=12, drop=True))
    journal, members = rolled(opened)
    assert members == list(range(60))
    kinds = {kind for _, kind, _ in journal.sessions}
    assert "unanswered" in kinds
    assert journal.decisions()[-1].state is State.FINISHED


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.slow] * (kind == "graph")) for kind in REAL]
)
def test_killed_and_resumed_it_ends_the_same(kind: str) -> None:
    """A new process with a new directory takes the batches up: same members, nobody sent twice."""
    plan = replace(fleet_plan(40, sizes=(20, 20, 0), chunk=7)[1], look_s=7200)
    whole = rolled(KINDS[kind](plan, MODEL))[1]
    for kill_at in (3, 20):
        opened = KINDS[kind](plan, MODEL)
        assert opened.outside is not None
        journal, clock = MemoryJournal(), Clock(opened)
        steps = drive(plan, journal, opened.directory)
        wanted = next(steps)
        for _ in range(kill_at):
            wanted = steps.send(clock.wait_until(wanted))
        steps.close()
        opened.directory.close()  # type: ignore[attr-defined]
        again = opened.outside.again()
        pump(drive(plan, journal, again, plan.start + 40 * DAY_S), clock.wait_until)
        assert again.members(np.arange(40, dtype=np.int32)).tolist() == whole


@pytest.mark.parametrize("kind", REAL)
def test_an_unreadable_directory_raises_and_never_guesses(kind: str) -> None:
    """What cannot be read raises `OutsideError`: the loop makes HOLD of it."""
    opened = KINDS[kind](fleet_plan(40, chunk=10)[1], MODEL)
    assert opened.outside is not None
    opened.directory.apply(0, np.arange(8, dtype=np.int32), opened.pass_(0))
    at = opened.pass_(HOUR_S)
    opened.outside.cut()
    with pytest.raises(OutsideError):
        opened.directory.observe(at)
    with pytest.raises(OutsideError):
        opened.directory.members(np.arange(8, dtype=np.int32))


def test_restored_batches_are_counted(it: Opened) -> None:
    """Members of an earlier session count in their batch; half-sent devices do not."""
    if it.outside is None:
        pytest.skip("the embedded world restores from its own log")
    it.directory.apply(0, np.arange(4, dtype=np.int32), it.pass_(0))
    again = it.outside.again()
    again.prepare(it.plan)
    again.restore([Batch(0, 0, MONDAY, np.arange(6, dtype=np.int32), NOBODY)])
    counts = again.observe(it.pass_(60)).counts
    assert counts.sum() == 4
    assert counts[0, :, Outcome.PENDING].sum() == 4


def test_withdrawn_devices_are_members_no_more(it: Opened) -> None:
    """The way back: who is taken out is out, taking out twice changes nothing, the others stay."""
    if it.setting is not None:
        it.setting.emulator.world.leave = lambda _row: None  # the simulator's clients stay enrolled
    everybody = np.arange(40, dtype=np.int32)
    it.directory.apply(0, np.arange(6, dtype=np.int32), it.pass_(0))
    out = np.array([1, 4], dtype=np.int32)
    assert it.directory.withdraw(0, out, it.pass_(0)).rejected.tolist() == []
    assert it.directory.members(everybody).tolist() == [0, 2, 3, 5]
    it.directory.withdraw(0, out, it.pass_(0))
    assert it.directory.members(everybody).tolist() == [0, 2, 3, 5]


def test_a_batch_that_is_followed_counts_its_adopted_members(it: Opened) -> None:
    """Members from before count with the batch that has them; devices that are not sent yet do not."""
    rows = np.array([0, 1, 2, 3], dtype=np.int32)
    adopted = NOBODY
    if it.outside is not None:
        adopted = rows[:2]
        it.outside.add(adopted.tolist())
    it.directory.follow(Batch(0, 0, it.pass_(0), rows, adopted))
    assert int(it.directory.observe(it.pass_(60)).counts.sum()) == len(adopted)


def test_who_is_withdrawn_leaves_and_stays_counted(it: Opened) -> None:
    """Members no more, in this session and in a new one; what became of them counts as before."""
    rows = np.arange(10, dtype=np.int32)
    it.directory.apply(0, rows, it.pass_(0))
    for _ in range(9):
        before = it.directory.observe(it.pass_(DAY_S)).counts
    gone = np.array([2, 5, 7], dtype=np.int32)
    assert it.directory.withdraw(-1, gone, it.pass_(0)).accepted.tolist() == [2, 5, 7]
    it.directory.keep_counting(gone)
    assert (it.directory.observe(it.pass_(HOUR_S)).counts == before).all()
    assert it.directory.members(rows).tolist() == [0, 1, 3, 4, 6, 8, 9]


class Dying(MemoryJournal):
    """A journal whose executor is killed right after the directory has answered a withdrawal."""

    deaths = 1

    def confirm_withdrawal(self, applied: Applied, at: int) -> None:
        if self.deaths:
            self.deaths -= 1
            raise KeyboardInterrupt
        super().confirm_withdrawal(applied, at)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_withdrawal_in_the_middle_of_a_rollout(kind: str) -> None:
    """Only whom we added leaves, before the next chunk; killed after the answer, the next session finds it done.

    Nobody who was withdrawn is sent, neither again nor, if it waited in a batch, for the first time.
    """
    plan = replace(fleet_plan(60, sizes=(20, 40, 0), chunk=7)[1], look_s=7200)
    opened, journal = KINDS[kind](plan, MODEL), Dying()
    opened.directory.apply(0, plan.phases[0].order[:1], opened.pass_(0))  # somebody else added it
    clock, end = Clock(opened), plan.start + 40 * DAY_S
    first = plan.phases[0].order[:3]
    steps = drive(plan, journal, opened.directory, end)
    at = next(steps)
    while not journal.applied:
        at = steps.send(clock.wait_until(at))
    journal.commands_now = Commands(withdrawn=tuple(sorted(int(row) for row in first)))
    at = steps.send(clock.wait_until(at))  # what was asked for takes effect at the next look
    with pytest.raises(KeyboardInterrupt):
        steps.send(clock.wait_until(at))
    assert to_withdraw(plan, journal).tolist() == first[1:].tolist(), "intended, not confirmed"
    pump(drive(plan, journal, opened.directory, end), clock.wait_until)
    ((_, told),) = journal.withdrawals()
    assert sorted([*told.accepted.tolist(), *told.adopted.tolist()]) == sorted(first[1:].tolist())
    members = opened.directory.members(np.arange(60, dtype=np.int32)).tolist()
    assert set(first.tolist()) & set(members) == {int(first[0])}, "the one that others added stays"
    assert len(members) == 58
    batched = np.concatenate([batch.rows for batch in journal.batches()]).tolist()
    assert len(batched) == len(set(batched)) == 60
    assert sum(journal.decisions()[-1].totals) == 60, "all stay counted"
