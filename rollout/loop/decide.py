"""The decision: from plan, progress and observation to the next progress, a batch and a reason.

Pure: no clock, no randomness, no input or output. Simulation and execution both use it.
Each observation leads to one decision. The first rule that applies wins:

1. a final state stays final                      7. the gate holds, or waits for answers
2. a person aborts                                8. a held, waiting or paused rollout resumes
3. the gate halts                                 9. the phase is released: soak, next phase
4. a person pauses                               10. a batch is due
5. a stratum is held, or is held no longer       11. nothing: observe again later
6. every device has an outcome: the end
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rollout.gates import UNPROVEN, GateCounts, judge, losses_exceeded, objections
from rollout.loop.approvals import DATA, MEMBERS, hold_of, is_answered, is_approved, strata_to_hold
from rollout.loop.observation import (
    Situation,
    active_at,
    held_rows,
    held_strata,
    is_complete,
    is_over,
    is_released,
    is_settled,
    is_soaked,
    next_phase,
    situation_of,
)
from rollout.loop.quiet import next_observation_at, quiet_period
from rollout.pacing import released_by, step_limit
from rollout.pacing.calendar import is_open, open_zones
from rollout.values import (
    DAY_S,
    HOUR_S,
    BoolArray,
    Decision,
    Fact,
    Hold,
    IntArray,
    Judgement,
    LongArray,
    Mark,
    Outcome,
    PhaseEnd,
    Plan,
    Progress,
    Quiet,
    Seen,
    State,
    Verdict,
)
from rollout.values.failures import explain

NOBODY: IntArray = np.empty(0, dtype=np.int32)
NAMED = 5
"""Devices that a sentence names."""
LAST_LOOKS_S = 4 * HOUR_S
"""Time between two observations once all devices are released and the last phase is soaked: nothing follows."""
REPEAT_S = 6 * HOUR_S
"""A rollout that stays held or waiting records its sentence of today this often, if only its figures change."""


def initial_progress(plan: Plan) -> Progress:
    """Return the progress before the first observation."""
    return Progress(
        at=plan.start,
        state=State.RUNNING,
        phase=0,
        active_s=0,
        released=(0,) * len(plan.phases),
        last_release=plan.start,
        reason="not begun",
    )


def decide(plan: Plan, progress: Progress, seen: Seen) -> Decision:
    """Make one decision; the module's list states the order of the rules."""
    if progress.state.is_final:
        return Decision(progress, NOBODY, seen.now, progress.reason, matters=False)
    situation = situation_of(plan, progress, seen)
    if seen.commands.aborted:
        return _enter(situation, State.ABORTED, f"aborted{_by(seen)}")
    counts = counts_of(situation)
    judgement = judge(situation.phase.gate, counts)
    if judgement.verdict is Verdict.HALT:
        return _enter(situation, State.HALTED, judgement.sentence, judgement)
    if seen.commands.paused:
        return _enter(situation, State.PAUSED, f"paused{_by(seen)}", judgement)
    held = strata_to_hold(progress, judgement, seen.commands)
    if held != progress.held:
        return _hold_strata(situation, held, judgement)
    standing = _objection(situation, judgement, counts)
    if is_over(situation):
        return _end(situation, judgement, standing)
    if standing is not None:
        return _object(situation, standing)
    if progress.state is not State.RUNNING:
        return _resume(situation, judgement)
    if is_released(situation):
        return _end_of_phase(situation, judgement)
    return _release(situation, judgement)


def _objection(situation: Situation, judgement: Judgement, counts: GateCounts) -> Judgement | None:
    """Return why releases may not go on, None if they may: what a person has approved leaves the other objections."""
    if judgement.verdict not in (Verdict.HOLD, Verdict.WAIT):
        return None
    phase, commands = situation.progress.phase, situation.seen.commands
    if not is_approved(hold_of(judgement, phase), commands):
        return judgement
    others = objections(situation.phase.gate, counts)
    return next((other for other in others if not is_approved(hold_of(other, phase), commands)), None)


def _object(situation: Situation, judgement: Judgement) -> Decision:
    """Hold, or wait. A person who must decide is not asked less because the gate would only wait by now."""
    hold = hold_of(judgement, situation.progress.phase)
    state = State.WAITING if judgement.verdict is Verdict.WAIT else State.HELD
    if state is State.WAITING and _needs_person(situation):
        state = State.HELD
    return _enter(situation, state, hold.sentence, judgement, hold)


def _resume(situation: Situation, judgement: Judgement) -> Decision:
    if _needs_person(situation):
        return _enter(
            situation, State.HELD, _was_held(situation.progress), judgement, situation.progress.hold
        )
    return _enter(situation, State.RUNNING, f"releases resume: {judgement.sentence}", judgement)


def _needs_person(situation: Situation) -> bool:
    """Return whether the rollout is held under a policy that lets only an approval end a hold."""
    progress = situation.progress
    if progress.state is not State.HELD or situation.phase.gate.resume != "person" or progress.hold is None:
        return False
    return progress.hold.rule != DATA and not is_answered(progress.hold, situation.seen.commands)


def _was_held(progress: Progress) -> str:
    asked = progress.hold.sentence if progress.hold is not None else progress.reason
    return f"the gate has no objection any more, a person must let releases resume; held since: {asked}"


def _enter(
    situation: Situation,
    state: State,
    reason: str,
    judgement: Judgement | None = None,
    hold: Hold | None = None,
) -> Decision:
    """Enter a state, or stay in it; today's sentence is recorded at once if it is another question, else later."""
    before = situation.progress
    progress = replace(before, state=state, hold=hold)
    if before.state is state:
        same = _is_same_question(before.hold, hold)
        if same and (reason == before.reason or situation.seen.now < before.recorded_at + REPEAT_S):
            return Decision(progress, NOBODY, situation.next_observation, reason, judgement, matters=False)
    elif state is State.HELD:
        progress = replace(progress, holds=progress.holds + 1)
    again = situation.seen.now if state is State.RUNNING else situation.next_observation
    return _record(progress, NOBODY, again, reason, judgement)


def _is_same_question(before: Hold | None, after: Hold | None) -> bool:
    if before is None or after is None:
        return before is after
    return (before.phase, before.rule, before.stratum) == (after.phase, after.rule, after.stratum)


def _hold_strata(situation: Situation, held: tuple[Hold, ...], judgement: Judgement) -> Decision:
    """Hold strata that the gate condemns, and let those go on that a person approved. The others are not affected."""
    before = situation.progress
    new = [hold.sentence for hold in held if hold not in before.held]
    column = situation.plan.strata.column or "stratum"
    freed = [hold.stratum for hold in before.held if hold not in held]
    parts = [*(f"held, the others go on: {sentence}" for sentence in new)]
    parts += [f"{column} '{name}' goes on, approved" for name in freed]
    progress = replace(before, held=held)
    return _record(progress, NOBODY, situation.seen.now, "; ".join(parts), judgement)


def _stay(
    situation: Situation, reason: str, judgement: Judgement, progress: Progress | None = None
) -> Decision:
    """Release nothing now; this leaves no decision row."""
    kept = progress or situation.progress
    again = next_observation_at(situation.plan, kept, situation.seen.now)
    if is_over(situation) and is_complete(situation):
        again = max(again, situation.seen.now + LAST_LOOKS_S)
    calm = judgement.verdict is Verdict.GO
    quiet = quiet_period(situation, kept, again) if calm else None
    return Decision(kept, NOBODY, again, reason, judgement, matters=False, quiet=quiet)


def is_step_due(plan: Plan, progress: Progress, now: int) -> bool:
    """Return whether the next batch of the current phase is due at `now`, regardless of windows."""
    # Assumes that a ramp has earned everything, so the answer is never too late.
    return active_at(plan, progress, now, len(plan)) >= progress.next_step


def may_send(plan: Plan, rows: IntArray, now: int) -> bool:
    """Return whether released devices may be sent at `now`: after a retry, too, they wait for an open window."""
    if not is_open(plan.calendar, now):
        return False
    if not plan.zone_calendars:
        return True
    return bool(open_zones(plan.zone_calendars, now)[plan.zone_codes[rows]].all())


def counts_of(situation: Situation) -> GateCounts:
    """Return what the gate judges at this observation."""
    progress, seen = situation.progress, situation.seen
    removed = _removed(seen)
    return GateCounts(
        cumulative=situation.total,
        phase=situation.current,
        mature=situation.mature,
        planned=situation.plan.planned_by_stratum,
        names=situation.plan.strata.names,
        complete=is_complete(situation),
        readable=seen.observation.readable,
        blind=seen.observation.blind,
        progress_age_s=seen.now - max(progress.enrolled_at, progress.last_release),
        column=situation.plan.strata.column,
        failed_classes=_failed_classes(situation),
        mending=_mending(situation),
        waited_s=0 if seen.unsent else max(0, seen.now - situation.sent_at),
        removed=len(removed),
        removed_names=tuple(str(situation.plan.ids[row]) for row in removed[:NAMED]),
        silence=seen.silence,
        held=held_strata(situation.plan, progress),
        settled=seen.settled,
    )


def _mending(situation: Situation) -> LongArray | None:
    marks = situation.seen.observation.marks
    if marks is None:
        return None
    return np.asarray(marks[: situation.progress.batches, :, Mark.MENDING].sum(axis=0), dtype=np.int64)


def _removed(seen: Seen) -> IntArray:
    """Return the largest group of devices that somebody took out within a day, without those that a person accepted."""
    lost = seen.observation.lost
    if lost is None:
        return NOBODY
    accepted = max(
        (answer.at for answer in seen.commands.approvals if answer.hold.rule == MEMBERS), default=-1
    )
    taken = (lost.facts == Fact.REMOVED) & (lost.at > accepted)
    order = np.argsort(lost.at[taken], kind="stable")
    rows, at = lost.rows[taken][order], lost.at[taken][order]
    if not len(rows):
        return NOBODY
    until = np.searchsorted(at, at + DAY_S)
    most = int(np.argmax(until - np.arange(len(at))))
    return np.asarray(rows[most : until[most]], dtype=np.int32)


def _failed_classes(situation: Situation) -> dict[str, int] | None:
    """Return failures by class, for gates whose thresholds apply to some classes only."""
    if not any(rule.classes for rule in situation.phase.gate.thresholds):
        return None
    classes: dict[str, int] = {}
    for code, count in situation.seen.observation.failed_codes.items():
        kind = explain(code).kind.value
        classes[kind] = classes.get(kind, 0) + count
    return classes


def _end(situation: Situation, judgement: Judgement, standing: Judgement | None) -> Decision:
    """Finish once every device has an outcome, or had time enough; the last phase is judged like any other.

    That a good rate is not proven stops nothing here: no device follows.
    """
    if situation.plan.is_undo or (standing is not None and standing.rule == UNPROVEN):
        standing = None
    if standing is not None and is_complete(situation):
        return _object(situation, standing)
    if not is_settled(situation):
        text = "all devices are released; waiting for the last outcomes"
        if situation.progress.state is not State.RUNNING:
            return _enter(situation, State.RUNNING, text, judgement)
        return _stay(situation, text, judgement)
    return _enter(situation, *_finished(situation), judgement)


def _finished(situation: Situation) -> tuple[State, str]:
    """Return the last state and its sentence: how many devices are enrolled, and what became of the others."""
    released, enrolled = sum(situation.progress.released), situation.progress.enrolled
    done = "have left" if situation.plan.is_undo else "are enrolled"
    text = f"{enrolled:,} of {released:,} released devices {done}"
    unreleased = _devices_held(situation)
    counts = situation.seen.observation.of(0, situation.progress.batches).sum(axis=0)
    is_lost = losses_exceeded(situation.phase.gate, counts.tolist())
    if situation.plan.is_undo or not (unreleased or is_lost):
        return State.FINISHED, f"finished: {text}"
    parts = [
        f"{int(counts[outcome]):,} {word}"
        for outcome, word in (
            (Outcome.FAILED, "failed"),
            (Outcome.TIMED_OUT, "silent"),
            (Outcome.REJECTED, "rejected"),
            (Outcome.PENDING, "pending"),
        )
        if counts[outcome]
    ]
    if unreleased:
        names = ", ".join(f"'{hold.stratum}'" for hold in situation.progress.held)
        parts.append(f"{unreleased:,} not released, because {situation.plan.strata.column} {names} is held")
    return State.LOSSES, f"finished with losses: {text}; {', '.join(parts)}"


def _devices_held(situation: Situation) -> int:
    """Return how many planned devices were never released because their stratum is held."""
    held = held_rows(situation.plan, situation.progress)
    if held is None:
        return 0
    return int((held & ~situation.seen.gone & (situation.plan.phase_of >= 0)).sum())


def _end_of_phase(situation: Situation, judgement: Judgement) -> Decision:
    phase, progress, seen = situation.phase, situation.progress, situation.seen
    if phase.end is PhaseEnd.NEVER:
        return _stay(situation, f"phase '{phase.name}' never ends; no phase follows it", judgement)
    if seen.unsent:
        return _stay(situation, f"the last batch of phase '{phase.name}' is not sent yet", judgement)
    approved = judgement.verdict in (
        Verdict.HOLD,
        Verdict.WAIT,
    )  # an objection that nobody approved never comes here
    if situation.done and not (is_soaked(situation) and (approved or judgement.verdict is Verdict.PASS)):
        return _stay(situation, f"phase '{phase.name}' is soaking", judgement)
    later = next_phase(situation)
    if later is None:
        raise AssertionError("a rollout with no device left is over before its phase ends")
    next_progress = replace(
        progress,
        phase=later,
        active_s=0,
        next_step=0,
        last_release=seen.now,
        first_batch=progress.batches,
        holds=0,
    )
    why = _why_passed(situation, judgement)
    name = situation.plan.phases[later].name
    return _record(
        next_progress, NOBODY, seen.now, f"phase '{name}' begins after '{phase.name}': {why}", judgement
    )


def _why_passed(situation: Situation, judgement: Judgement) -> str:
    if not situation.done:
        return "it is empty"
    if judgement.verdict is Verdict.PASS:
        return judgement.sentence
    answer = situation.seen.commands.approvals[-1]
    return (
        f"approved by {answer.by}: {judgement.sentence}" if answer.by else f"approved: {judgement.sentence}"
    )


def _release(situation: Situation, judgement: Judgement) -> Decision:
    phase, progress, now = situation.phase, situation.progress, situation.seen.now
    if progress.active_s < progress.next_step or not is_open(situation.plan.calendar, now):
        return _stay(situation, "no step is due", judgement)
    # Never more than one step: devices that waited for a window, a budget or an outage are not released in a burst.
    due = min(released_by(phase.curve, progress.active_s, len(phase)) - situation.done, step_limit(phase))
    room, limit = _room(situation)
    rows = _admissible(situation, min(due, room))
    step = (progress.active_s // phase.step_s + 1) * phase.step_s
    if not len(rows):
        stepped = replace(progress, next_step=step)
        return _stay(situation, "no device is due now" if due <= 0 else limit, judgement, stepped)
    released = list(progress.released)
    released[progress.phase] += len(rows)
    after = replace(
        progress,
        next_step=step,
        released=tuple(released),
        batches=progress.batches + 1,
        last_release=now,
    )
    devices = "1 device" if len(rows) == 1 else f"{len(rows):,} devices"
    reason = f"{devices} of phase '{phase.name}', {released[progress.phase]:,} of {len(phase):,}"
    if len(rows) < min(due, _devices_left(situation)):
        reason += f"; {limit}"
    again = next_observation_at(situation.plan, after, now)
    quiet = quiet_period(situation, after, again) if judgement.verdict is Verdict.GO else None
    return _record(after, rows, again, reason, judgement, quiet)


def _devices_left(situation: Situation) -> int:
    """Return how many devices of the phase are neither released nor excluded."""
    if not situation.masked:
        return len(situation.phase) - situation.done
    return int((~situation.gone[situation.phase.order]).sum())


def _room(situation: Situation) -> tuple[int, str]:
    """Return how many devices the budgets still admit, and a sentence that names the binding budget."""
    budgets = situation.plan.budgets
    waits_for = "budget" if budgets.column else "window"
    room, limit = len(situation.plan), f"the other devices wait for their {waits_for}"
    if budgets.per_step and budgets.per_step < room:
        room, limit = budgets.per_step, f"at most {budgets.per_step:,} per step"
    if budgets.in_flight:
        left = max(0, budgets.in_flight - situation.in_flight_count)
        if left < room:
            room, limit = (
                left,
                f"{situation.in_flight_count:,} of at most {budgets.in_flight:,} devices are in flight",
            )
    return room, limit


def _admissible(situation: Situation, wanted: int) -> IntArray:
    """Return the first `wanted` devices of the order that may be released now; skipped ones keep their place."""
    if wanted <= 0:
        return NOBODY
    order, done, seen = situation.phase.order, situation.done, situation.seen
    zoned = len(situation.plan.zone_calendars) > 0
    if seen.in_flight is None and not situation.masked and not zoned:
        return order[done : done + wanted]
    rows = order[~situation.gone[order]]
    if zoned:
        rows = rows[open_zones(situation.plan.zone_calendars, seen.now)[situation.plan.zone_codes[rows]]]
    if seen.in_flight is not None:
        rows = rows[_fits(situation.plan, rows, seen.in_flight)]
    return np.asarray(rows[:wanted], dtype=np.int32)


def _fits(plan: Plan, rows: IntArray, in_flight: LongArray) -> BoolArray:
    """Return whether each of `rows`, in this order, still fits the budget of its level."""
    codes = plan.budget_codes[rows]
    left = np.maximum(0, plan.budgets.per_level - in_flight)
    # Rank of a row within its level: sort stably by level, then count from the first row of the level.
    by_level = np.argsort(codes, kind="stable")
    grouped = codes[by_level]
    rank = np.empty(len(rows), dtype=np.int64)
    rank[by_level] = np.arange(len(rows)) - np.searchsorted(grouped, grouped, side="left")
    return np.asarray(rank < left[codes], dtype=np.bool_)


def _record(
    progress: Progress,
    rows: IntArray,
    again: int,
    reason: str,
    judgement: Judgement | None,
    quiet: Quiet | None = None,
) -> Decision:
    verdict = judgement.verdict.value if judgement else progress.verdict
    recorded = replace(
        progress,
        decisions=progress.decisions + 1,
        verdict=verdict,
        reason=reason,
        recorded_at=progress.at,
    )
    return Decision(recorded, rows, again, reason, judgement, quiet=quiet)


def _by(seen: Seen) -> str:
    by = f" by {seen.commands.by}" if seen.commands.by else ""
    return by + (f": {seen.commands.reason}" if seen.commands.reason else "")
