"""What the loop makes of silence, approvals, held strata, lost members and ends: evidence that does not forget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from building import MONDAY, PromptDirectory, make_plan

from rollout.loop.approvals import is_worse
from rollout.loop.drive import drive, pump
from rollout.values import (
    DAY_S,
    HOUR_S,
    NOT_RELEASED,
    Commands,
    DeviceOutcomes,
    EvidenceGate,
    Fact,
    GateApproval,
    GatePolicy,
    Hold,
    Lost,
    Observation,
    Outcome,
    Plan,
    Progress,
    State,
)
from sim.world.journal import MemoryJournal

ANSWERS = GatePolicy(
    evidence=EvidenceGate(p_ok=0.02, p_bad=0.5), min_executed=5, figures=(("report_delay", 0.0),)
)


class Quiet(PromptDirectory):
    """Devices of which some answer only at an instant of their own, or never.

    answers : Unix seconds from which on a device answers, by row; devices that are not named answer as usual.
    """

    def __init__(self, plan: Plan, answers: dict[int, float], **given: object) -> None:
        super().__init__(plan, **given)  # type: ignore[arg-type]
        self.answers = answers
        self.lost: Lost | None = None
        self.why_blind = ""

    def outcomes(self) -> DeviceOutcomes:
        known = super().outcomes()
        late = self.entered + self.plan.straggler_after_s < self.now
        for row, at in self.answers.items():
            if known.outcome[row] != NOT_RELEASED and self.now < at:
                known.outcome[row] = Outcome.TIMED_OUT if late[row] else Outcome.PENDING
        return known

    def observe(self, at: int) -> Observation:
        seen = super().observe(at)
        return replace(seen, lost=self.lost, blind=self.why_blind, readable=not self.why_blind)


NEVER = float("inf")


def run(
    plan: Plan,
    directory: PromptDirectory,
    journal: MemoryJournal,
    hook: Callable[[int], None] = lambda _now: None,
    days: int = 60,
) -> Progress:
    def wait_until(at: int) -> int:
        hook(at)
        return at

    return pump(drive(plan, journal, directory, plan.start + days * DAY_S), wait_until)


def approve(journal: MemoryJournal, hold: Hold | None = None, at: int = 0) -> None:
    progress = journal.progress()
    asked = hold or (progress.hold if progress else None)
    assert asked is not None
    before = journal.commands_now.approvals
    journal.commands_now = Commands(approvals=(*before, GateApproval(asked, "Kim", at)), by="Kim")


def states(journal: MemoryJournal) -> list[State]:
    """The states in order, each once."""
    found: list[State] = []
    for row in journal.decisions():
        if not found or found[-1] is not row.state:
            found.append(row.state)
    return found


def test_a_pilot_waits_for_answers_and_goes_on_by_itself() -> None:
    """6 of 20 answer a week later: WAIT until then, with the sentence of today; nobody is asked."""
    plan = replace(make_plan(gate=ANSWERS), look_s=HOUR_S)
    monday = MONDAY + 5 * DAY_S
    directory, journal = Quiet(plan, {row: monday + row * 8 * HOUR_S for row in range(6)}), MemoryJournal()
    assert run(plan, directory, journal).state is State.FINISHED
    assert states(journal) == [State.RUNNING, State.WAITING, State.RUNNING, State.FINISHED]
    waits = [row.reason for row in journal.decisions() if row.state is State.WAITING]
    assert "14 of 20 devices have answered" in waits[0]
    assert "15 of 20 devices have answered" in waits[-1]


def test_nobody_is_released_on_survivors_alone() -> None:
    """12 of 20 never answer: after the patience a person is asked, whatever the others did."""
    plan = replace(make_plan(gate=ANSWERS), look_s=HOUR_S)
    directory, journal = Quiet(plan, dict.fromkeys(range(12), NEVER)), MemoryJournal()
    progress = run(plan, directory, journal)
    assert progress.state is State.HELD
    assert sum(progress.released) == 20
    assert "silent" in progress.reason or "answered" in progress.reason


def test_a_held_gate_looks_again() -> None:
    """18 of 20 enrolled at the soak's end, all of them later: it goes on by itself, if the policy lets it."""
    for resume, end in (("auto", State.FINISHED), ("person", State.HELD)):
        gate = replace(
            ANSWERS,
            resume=resume,
            figures=(*ANSWERS.figures, ("patience", float(HOUR_S)), ("success", 100.0)),
        )
        plan = replace(make_plan(gate=gate), look_s=HOUR_S)
        directory, journal = Quiet(plan, {3: MONDAY + 4 * DAY_S, 4: MONDAY + 6 * DAY_S}), MemoryJournal()
        progress = run(plan, directory, journal)
        assert State.HELD in states(journal)
        assert progress.state is end, resume
    assert progress.hold is not None
    assert "a person must let releases resume" in progress.reason


def test_nothing_is_approved_in_advance() -> None:
    """An approval of another question, or of a better picture, does not lift a hold."""
    plan = replace(make_plan(gate=ANSWERS), look_s=HOUR_S)
    for hold in (
        Hold(0, "evidence", "", 12, 20),
        Hold(0, "answered", "", 1, 20),
        Hold(1, "answered", "", 12, 20),
    ):
        directory, journal = Quiet(plan, dict.fromkeys(range(12), NEVER)), MemoryJournal()
        approve(journal, hold)
        assert run(plan, directory, journal).state is State.HELD
        assert directory.is_member.sum() == 20


def test_an_approval_is_void_once_the_picture_worsens() -> None:
    """A person lets a pilot with 12 silent of 20 pass; then all of the rest fall silent, and are asked about again."""
    gate = replace(ANSWERS, straggler_max=0.2)
    plan = replace(make_plan(sizes=(20, 480, 0), hours=(2, 240, 1), gate=gate, chunk=100), look_s=HOUR_S)
    answers = dict.fromkeys([*range(12), *range(20, 500)], NEVER)
    directory, journal = Quiet(plan, answers), MemoryJournal()

    def person(now: int) -> None:
        progress = journal.progress()
        if progress and progress.hold is not None and progress.phase == 0:
            approve(journal, at=now)

    progress = run(plan, directory, journal, person, days=30)
    assert progress.phase == 1
    assert progress.state in (State.HELD, State.WAITING)
    assert journal.commands_now.approvals
    assert sum(progress.released) < 450


@pytest.mark.parametrize(
    ("now", "approved", "worse"),
    [
        ((18, 20), (18, 20), False),
        ((19, 20), (18, 20), False),
        ((46, 2000), (18, 900), False),
        ((50, 100), (5, 100), True),
        ((180, 2000), (20, 200), True),
        ((1, 20), (0, 20), False),
        ((11, 20), (0, 20), True),
    ],
)
def test_worse_is_a_larger_share_or_more_than_twice_as_many(
    now: tuple[int, int], approved: tuple[int, int], worse: bool
) -> None:
    """Chance may move a share; a large fleet is asked about again although its share stays."""
    assert is_worse(Hold(0, "answered", "", *now), Hold(0, "answered", "", *approved)) is worse


def test_a_model_that_fails_is_held_and_the_others_go_on() -> None:
    """All of M1 fail: M1 is held, M0 is released to its end, and the end says who was left out."""
    gate = GatePolicy(evidence=EvidenceGate(p_ok=0.05, p_bad=0.3), min_executed=5, strata_min=10)
    plan = replace(
        make_plan(sizes=(60, 240, 0), hours=(6, 24, 1), gate=gate, strata=6, chunk=50), look_s=HOUR_S
    )
    bad = plan.strata.codes == 1
    directory, journal = Quiet(plan, {}, fails=lambda row: bool(bad[row])), MemoryJournal()
    progress = run(plan, directory, journal)
    assert progress.state is State.LOSSES
    assert [hold.stratum for hold in progress.held] == ["M1"]
    assert "'M1' is held" in progress.reason
    released = np.concatenate([batch.rows for batch in journal.batches()])
    assert bad[released].sum() < 20
    assert (~bad[released]).sum() == 250


def test_a_held_model_goes_on_when_a_person_says_so() -> None:
    """Its approval frees it at the next observation; the audit row says so."""
    gate = GatePolicy(evidence=EvidenceGate(p_ok=0.05, p_bad=0.3), min_executed=5, strata_min=10)
    plan = replace(
        make_plan(sizes=(60, 240, 0), hours=(6, 24, 1), gate=gate, strata=6, chunk=50), look_s=HOUR_S
    )
    first = {int(row) for row in np.flatnonzero(plan.strata.codes == 1)[:9]}
    directory, journal = Quiet(plan, {}, fails=lambda row: row in first), MemoryJournal()

    def person(now: int) -> None:
        progress = journal.progress()
        if progress and progress.held and not journal.commands_now.approvals:
            approve(journal, progress.held[0], now)

    progress = run(plan, directory, journal, person)
    assert journal.commands_now.approvals
    assert not progress.held
    assert sum(progress.released) == 300
    assert any("'M1' goes on, approved" in row.reason for row in journal.decisions())


def lost(rows: list[int], at: int, fact: Fact = Fact.REMOVED) -> Lost:
    return Lost(
        np.array(rows, dtype=np.int32),
        np.full(len(rows), fact, dtype=np.int8),
        np.full(len(rows), at, dtype=np.int64),
    )


def test_a_burst_of_lost_members_holds_until_a_person_has_said_why() -> None:
    """Removed by somebody else: held, with names; accepted once, and only for those; records that are gone are not."""
    plan = replace(make_plan(sizes=(20, 480, 0), hours=(2, 240, 1), gate=ANSWERS), look_s=HOUR_S)
    directory, journal = Quiet(plan, {}), MemoryJournal()
    burst = MONDAY + 3 * DAY_S
    reasons: list[str] = []

    def world(now: int) -> None:
        progress = journal.progress()
        directory.lost = (
            lost(list(range(15)), MONDAY, Fact.GONE) if now < burst else lost(list(range(15)), burst)
        )
        if now >= burst + 4 * DAY_S:
            directory.lost = lost([*range(15), *range(30, 45)], burst)
            directory.lost.at[15:] = burst + 4 * DAY_S
        if progress and progress.state is State.HELD:
            reasons.append(progress.reason)
            if now >= burst + 2 * DAY_S and not journal.commands_now.approvals:
                approve(journal, at=progress.at)

    progress = run(plan, directory, journal, world, days=20)
    assert "15 of" in reasons[0]
    assert "device-0000" in reasons[0]
    assert progress.state is State.HELD
    assert progress.hold is not None
    assert progress.hold.harmed == 15
    at = [row.at for row in journal.decisions() if row.state is State.HELD]
    assert min(at) - burst <= 2 * HOUR_S
    assert any(row.state is State.RUNNING and row.at > burst + 2 * DAY_S for row in journal.decisions())


@pytest.mark.parametrize(
    ("resume", "act", "end"),
    [
        ("auto", "nothing", State.HELD),
        ("auto", "accepted", State.FINISHED),
        ("auto", "returned", State.FINISHED),
        ("person", "accepted", State.FINISHED),
        ("person", "returned", State.HELD),
    ],
)
def test_lost_members_are_accepted_or_come_back(resume: str, act: str, end: State) -> None:
    """Who accepts the loss lets releases go on under either policy; back in place they do so by themselves."""
    gate = replace(ANSWERS, resume=resume)
    plan = replace(make_plan(sizes=(20, 80, 0), hours=(2, 80, 1), gate=gate), look_s=HOUR_S)
    directory, journal = Quiet(plan, {}), MemoryJournal()
    burst = MONDAY + 3 * DAY_S

    def world(now: int) -> None:
        gone = now >= burst and not (act == "returned" and now >= burst + DAY_S)
        directory.lost = lost(list(range(15)), burst) if gone else None
        if act == "accepted" and now >= burst + DAY_S and not journal.commands_now.approvals:
            progress = journal.progress()
            assert progress is not None
            approve(journal, at=progress.at)

    progress = run(plan, directory, journal, world, days=20)
    assert State.HELD in states(journal)
    assert progress.state is end
    if end is State.FINISHED:
        assert sum(progress.released) == 100
    else:
        assert sum(progress.released) < 100


def test_the_last_phase_is_judged_like_the_others() -> None:
    """One phase of which nobody answers is held, not finished; one with too many lost is finished with losses."""
    plan = replace(make_plan(sizes=(0, 60, 0), gate=ANSWERS), look_s=HOUR_S)
    journal = MemoryJournal()
    progress = run(plan, Quiet(plan, dict.fromkeys(range(60), NEVER)), journal)
    assert progress.state is State.HELD
    journal = MemoryJournal()
    progress = run(plan, Quiet(plan, dict.fromkeys(range(9), NEVER)), journal)
    assert progress.state is State.LOSSES
    assert progress.reason.startswith(
        "finished with losses: 51 of 60 released devices are enrolled; 9 silent"
    )
    journal = MemoryJournal()
    assert run(plan, Quiet(plan, dict.fromkeys(range(5), NEVER)), journal).state is State.FINISHED


def test_an_answer_that_cannot_be_true_holds_and_cannot_be_approved() -> None:
    """The sentence is the directory's own; an approval does not lift it, a good answer does."""
    plan = replace(make_plan(gate=ANSWERS), look_s=HOUR_S)
    directory, journal = Quiet(plan, {}), MemoryJournal()
    from_, until = MONDAY + 90 * 60, MONDAY + DAY_S

    def world(now: int) -> None:
        directory.why_blind = "Intune lists 2 of 10 devices" if from_ <= now < until else ""
        if now >= from_ + 4 * HOUR_S and not journal.commands_now.approvals:
            approve(journal)

    progress = run(plan, directory, journal, world)
    held = [row for row in journal.decisions() if row.state is State.HELD]
    assert held
    assert held[0].reason == "HOLD: Intune lists 2 of 10 devices"
    assert not [batch for batch in journal.batches() if from_ <= batch.at < until]
    assert progress.state is State.FINISHED


def test_no_soak_before_the_batch_is_in() -> None:
    """Writes fail for three hours: no verdict on devices that were never sent, and it goes on by itself."""
    plan = replace(
        make_plan(sizes=(10, 40, 0), hours=(1, 4, 1), soak_s=2 * HOUR_S, gate=ANSWERS), look_s=HOUR_S
    )
    directory, journal = Quiet(plan, {}), MemoryJournal()
    stuck = MONDAY + 4 * HOUR_S
    send = directory.apply

    def apply(batch: int, rows: np.ndarray, at: int) -> object:  # type: ignore[type-arg]
        from rollout.errors import OutsideError

        if at < stuck:
            error = OutsideError("writes are answered 429 (throttled)")
            error.never_sent = rows.tolist()
            raise error
        return send(batch, rows, at)

    directory.apply = apply  # type: ignore[assignment]
    run(plan, directory, journal)
    rows = journal.decisions()
    assert not [
        row for row in rows if row.state in (State.HELD, State.WAITING) and row.at < stuck + 2 * HOUR_S
    ]
    second = next(row for row in rows if row.phase == 1)
    assert second.at >= stuck + 2 * HOUR_S


def test_a_restart_at_every_observation_changes_no_decision() -> None:
    """500 devices, silent and failing ones among them, a waiting pilot: new objects at each observation, same rows."""
    gate = GatePolicy(evidence=EvidenceGate(p_ok=0.05, p_bad=0.3), min_executed=5, strata_min=10)
    plan = replace(
        make_plan(sizes=(50, 450, 0), hours=(4, 45, 1), gate=gate, strata=5, chunk=100), look_s=2 * HOUR_S
    )
    answers = {row: MONDAY + (3 * DAY_S if row % 2 else 2**40) for row in range(0, 500, 7)}

    def directory() -> Quiet:
        return Quiet(plan, answers, fails=lambda row: row % 40 == 1)

    whole = MemoryJournal()
    run(plan, directory(), whole, days=30)
    world, journal = directory(), MemoryJournal()
    now, end = plan.start, plan.start + 30 * DAY_S
    for _ in range(5000):
        steps = drive(plan, journal, world, end)
        now = max(now, next(steps))
        try:
            for _ in range(2):
                now = max(now, steps.send(now))
        except StopIteration:
            break
    assert list(journal.decisions()) == list(whole.decisions())
