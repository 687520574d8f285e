"""The eleven invariants of the design, each a function over the record of a rollout; an empty list is well.

Three of them are judged elsewhere as well: the 7th by comparing a killed rollout with an untouched one, the 11th by
running the same seed again, and the 4th for all flags in the tests of `rollout.workloads`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from faults.case import Record, answers_of
from faults.outside import PERSON, US, Call
from rollout.gates import GateCounts, judge
from rollout.pacing import released_by, step_limit
from rollout.pacing.calendar import active_between, is_open
from rollout.values import Batch, Outcome, PhaseEnd, State, Verdict
from rollout.workloads import Authority, authorities, decode

Complaints = Iterator[str]
SLACK_S = 1
"""Clocks count whole seconds."""


def one_batch_each(record: Record) -> Complaints:
    """1. A device is in at most one batch, of its own phase, and is planned."""
    rows = [int(row) for batch in record.journal.batches() for row in batch.rows]
    if len(set(rows)) != len(rows):
        yield f"{len(rows) - len(set(rows))} devices are in two batches"
    for batch in record.journal.batches():
        if (record.plan.phase_of[batch.rows] != batch.phase).any():
            yield f"batch {batch.number} has devices of another phase"


def never_ahead(record: Record) -> Complaints:
    """2. Never more released than curve, step, windows and budgets allow; true time counts, not a wall clock."""
    plan = record.plan
    begun = {0: plan.start} | {row.phase: row.at for row, _ in _begins(record)}
    done = [0] * len(plan.phases)
    for batch in record.journal.batches():
        phase = plan.phases[batch.phase]
        done[batch.phase] += len(batch)
        active = active_between(plan.calendar, begun[batch.phase], batch.at)
        allowed = released_by(phase.curve, active, len(phase))
        if done[batch.phase] > allowed:
            yield f"batch {batch.number}: {done[batch.phase]} released, the curve allows {allowed}"
        if len(batch) > step_limit(phase):
            yield f"batch {batch.number}: {len(batch)} at once, a step has {step_limit(phase)}"
        if not is_open(plan.calendar, batch.at):
            yield f"batch {batch.number} was released outside the windows"
        if plan.budgets.per_step and len(batch) > plan.budgets.per_step:
            yield f"batch {batch.number}: {len(batch)} at once, the step's budget is {plan.budgets.per_step}"
    yield from _true_time(record)
    yield from _in_flight(record)
    for call in record.world.calls:
        if not is_open(plan.calendar, call.woke):
            yield f"{len(call.rows)} devices were sent outside the windows, at {call.at}"
    if max(record.backlog, default=0) > 1:
        yield f"{max(record.backlog)} batches waited unsent at once: they go in a burst"


def _true_time(record: Record) -> Complaints:
    at = {batch.at for batch in record.journal.batches()}
    for true, _, look in record.intended_at:
        if look is not None and look.at in at and look.at > true + SLACK_S:
            yield f"released at {look.at}, when it was {true}"


def _in_flight(record: Record) -> Complaints:
    budgets = record.plan.budgets
    if not budgets.in_flight:
        return
    for batch, look in _released_at(record):
        assert look.counts is not None
        known = int(look.counts[:, :, Outcome.ENROLLED :].sum())
        before = sum(len(item) for item in record.journal.batches() if item.number < batch.number)
        if before - known + len(batch) > budgets.in_flight:
            yield f"batch {batch.number}: {before - known + len(batch)} in flight of {budgets.in_flight}"


def superset_holds(record: Record) -> Complaints:
    """3. Nobody is in a staging collection who is not in the auto-enrollment collection."""
    superset = record.world.superset
    if superset is not None and (record.world.ever & (record.world.by == US) & ~superset).any():
        yield "a device outside the auto-enrollment collection was made a member"


def authority_is_total(record: Record) -> Complaints:
    """4. Each device has an authority for each workload, and one that says nothing has none that we guess."""
    for outcome in set(record.world.outcome().tolist()):
        comanaged = {Outcome.ENROLLED: 1, Outcome.FAILED: 0}.get(outcome, -1)
        said = authorities(comanaged, decode(None))
        if comanaged == -1 and set(said.values()) != {Authority.UNKNOWN}:
            yield "an authority was guessed"


def nothing_unintended_nothing_lost(record: Record) -> Complaints:
    """5. What is sent was intended, what was intended is sent or answered, nobody is sent who is seen as a member."""
    world, journal = record.world, record.journal
    yield from world.wrong
    batches = {batch.number: set(batch.rows.tolist()) for batch in journal.batches()}
    for call in world.calls:
        if not call.intended or not set(call.rows) <= batches.get(call.batch, set()):
            yield f"a call at {call.at} sent what batch {call.batch} does not have"
        if call.visible:
            yield f"a call at {call.at} sent {len(call.visible)} that were members already"
    yield from _answers(record, batches)
    ours = world.ever & (world.by == US)
    intended = {row for rows in batches.values() for row in rows}
    if not set(np.flatnonzero(ours).tolist()) <= intended:
        yield "somebody was added who is in no batch"
    cancelled = any(row.state in (State.HALTED, State.ABORTED) for row in journal.decisions())
    # An excluded device of a batch that is not sent yet is left out of it.
    excluded = {row for _, commands in record.commands for row in commands.excluded}
    for number, rows in batches.items():
        if record.progress is not None and journal.confirmed(number) < len(rows):
            yield f"batch {number} is not confirmed to its end"
        refused = (
            ~world.superset if world.superset is not None else np.zeros(len(record.plan), dtype=np.bool_)
        )
        lost = [row for row in rows - excluded if not world.ever[row] and not refused[row]]
        if lost and not cancelled and record.progress is not None:
            yield f"batch {number}: {len(lost)} were never added"


def _answers(record: Record, batches: dict[int, set[int]]) -> Complaints:
    world = record.world
    answered: dict[int, list[int]] = {number: [] for number in batches}
    for _, number, applied in answers_of(record):
        answered[number] += [
            *applied.accepted.tolist(),
            *applied.adopted.tolist(),
            *applied.rejected.tolist(),
        ]
        theirs = [int(accepted) for accepted in applied.accepted if int(accepted) not in world.sent_by_us]
        # After a death nobody can know whether it was we who sent them.
        if theirs and record.sessions == 1:
            yield f"{len(theirs)} members were called ours that we never sent"
    for number, rows in answered.items():
        if len(set(rows)) != len(rows) or not set(rows) <= batches[number]:
            yield f"batch {number}: somebody was answered twice, or for another batch"
        confirmed = record.journal.confirmed(number)
        ended = record.progress is not None and record.progress.state in (State.HALTED, State.ABORTED)
        if len(rows) < confirmed and not ended:
            yield f"batch {number}: {confirmed} confirmed, {len(rows)} answered"


def stopped_means_stopped(record: Record) -> Complaints:
    """6. After a pause or an abort at most the chunk under way goes out; while held or halted none does."""
    asked = record.commands
    for index, (at, commands) in enumerate(asked):
        if not (commands.paused or commands.aborted):
            continue
        until = next(
            (when for when, later in asked[index + 1 :] if not (later.paused or later.aborted)), 1 << 60
        )
        late = [call for call in record.world.calls if at < call.began < until]
        if late:
            yield f"{len(late)} chunks were begun after the stop at {at}"
    states = [
        (true, row) for (true, _, _), row in zip(record.intended_at, record.journal.decisions(), strict=False)
    ]
    for (true, row), (end, _) in pairwise([*states, (1 << 60, None)]):
        if row is None or row.state is State.RUNNING:
            continue
        late = [call for call in record.world.calls if true < call.began < end]
        if late:
            yield f"{len(late)} chunks were sent while {row.state.value}, from {true}"


def it_ends(record: Record) -> Complaints:
    """7. Whatever happened, the rollout comes to its end, and everybody who was released is accounted for."""
    if record.progress is None or not record.progress.state.is_final:
        state = record.progress.state.value if record.progress else "lost"
        why = record.progress.reason if record.progress else record.ends[-1:]
        yield f"it is {state} at its horizon: {why}"


def only_the_holder_acts(record: Record) -> Complaints:
    """8. Nobody without the lease writes or sends."""
    yield from record.strange_writes
    for call in record.world.calls:
        if not call.holder:
            yield f"session {call.session} sent {len(call.rows)} devices without the lease, at {call.at}"


def no_gate_is_skipped(record: Record) -> Complaints:
    """9. A phase begins only after the one before was released, soaked and judged good by the counts of that look."""
    plan, journal = record.plan, record.journal
    for row, look in _begins(record):
        before = [
            number for number in range(row.phase) if any(batch.phase == number for batch in journal.batches())
        ]
        if not before:
            continue
        phase = plan.phases[before[-1]]
        mine = [batch for batch in journal.batches() if batch.phase == before[-1]]
        if row.at < mine[-1].at + phase.soak_s:
            yield f"phase {row.phase} began before '{phase.name}' had soaked"
        if "approved" in row.reason:
            continue
        if look is None or look.counts is None:
            yield f"phase {row.phase} began without a look"
        elif phase.end is PhaseEnd.GATE and _verdict(record, look, mine, row.at) is not Verdict.PASS:
            yield f"phase {row.phase} began though the gate of '{phase.name}' did not pass"
    for batch, look in _released_at(record):
        if _halts(record, look, batch):
            yield f"batch {batch.number} was released though the gate said HALT"


def unreadable_is_hold(record: Record) -> Complaints:
    """10. After a look that failed nobody is released or sent until a look has been good."""
    for batch, look in _released_at(record):
        if not look.readable:
            yield f"batch {batch.number} was released blindly"
    for session in {look.session for look in record.world.looks}:
        looks = [look for look in record.world.looks if look.session == session]
        calls = [call for call in record.world.calls if call.session == session]
        for look, following in pairwise(looks):
            late = [call for call in calls if look.true < call.began < following.true]
            if late and not look.readable:
                yield f"{len(late)} chunks were sent blindly after {look.true}"


def signature(record: Record) -> tuple[object, ...]:
    """11. Everything that two runs of the same seed must share."""
    return (
        [(call.at, call.batch, call.rows, call.fault) for call in record.world.calls],
        list(record.journal.decisions()),
        record.ends,
        record.world.is_member.tolist(),
    )


INVARIANTS: Sequence[Callable[[Record], Complaints]] = (
    one_batch_each,
    never_ahead,
    superset_holds,
    authority_is_total,
    nothing_unintended_nothing_lost,
    stopped_means_stopped,
    it_ends,
    only_the_holder_acts,
    no_gate_is_skipped,
    unreadable_is_hold,
)


def complaints(record: Record) -> list[str]:
    """Everything that is not as it should be, each with the name of its invariant."""
    return [f"{invariant.__name__}: {text}" for invariant in INVARIANTS for text in invariant(record)]


def _begins(record: Record):  # type: ignore[no-untyped-def]
    """Each decision that begins a phase, with the look that it was made on: a clock set back gives others its time."""
    rows = record.journal.decisions()
    for row, (_, _, look) in zip(rows, record.intended_at, strict=False):
        if row.reason.startswith("phase '") and " begins " in row.reason:
            yield row, look if look is not None and look.readable else None


def _released_at(record: Record):  # type: ignore[no-untyped-def]
    """Each batch with the look that it was decided on."""
    rows = list(record.journal.decisions())
    batches = record.journal.batches()
    for row, (_, _, look) in zip(rows, record.intended_at, strict=False):
        if row.batch >= 0 and look is not None:
            yield batches[row.batch], look


def _verdict(record: Record, look, mine: list[Batch], now: int) -> Verdict:  # type: ignore[no-untyped-def]
    plan = record.plan
    mature = [batch.number for batch in mine if batch.at <= now - plan.mature_after_s]
    numbers = [batch.number for batch in mine]
    # How old the answers were is not in a look: without a delay of reports the gate passes at least as often.
    gate = plan.phases[mine[0].phase].gate
    return judge(
        replace(gate, figures=(*gate.figures, ("report_delay", 0.0))),
        GateCounts(
            cumulative=look.counts.sum(axis=0),
            phase=_counts(look, numbers),
            mature=_counts(look, mature),
            planned=plan.planned_by_stratum,
            names=plan.strata.names,
            complete=True,
            readable=True,
        ),
    ).verdict


def _counts(look, numbers: list[int]):  # type: ignore[no-untyped-def]
    known = [number for number in numbers if number < len(look.counts)]
    return look.counts[known].sum(axis=0)


def _halts(record: Record, look, batch: Batch) -> bool:  # type: ignore[no-untyped-def]
    plan = record.plan
    if look.counts is None:
        return False
    mine = [
        item.number
        for item in record.journal.batches()
        if item.phase == batch.phase and item.number < batch.number
    ]
    verdict = judge(
        plan.phases[batch.phase].gate,
        GateCounts(
            cumulative=look.counts.sum(axis=0),
            phase=_counts(look, mine),
            mature=_counts(look, []),
            planned=plan.planned_by_stratum,
            names=plan.strata.names,
            complete=False,
            readable=True,
        ),
    ).verdict
    return verdict is Verdict.HALT


__all__ = ["INVARIANTS", "PERSON", "Call", "complaints", "signature"]
