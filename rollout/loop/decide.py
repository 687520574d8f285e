"""The decision: from plan, progress and observation to the next progress, a batch and a reason.

Pure: no clock, no randomness, no input or output. Simulation and execution both use it.
Each observation leads to one decision. The first rule that applies wins:

1. a final state stays final                      6. the gate, or an unreadable directory, holds
2. a person aborts                                7. a held or paused rollout resumes
3. the gate halts                                 8. the phase is released: soak, next phase
4. a person pauses                                9. a batch is due
5. every device has an outcome: FINISHED         10. nothing: observe again later
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rollout.gates import GateCounts, is_approvable, judge
from rollout.loop.observation import (
    Situation,
    active_at,
    is_over,
    is_released,
    is_soaked,
    next_phase,
    situation_of,
)
from rollout.loop.quiet import next_observation_at, quiet_period
from rollout.pacing import released_by, step_limit
from rollout.pacing.calendar import is_open, open_zones
from rollout.values import (
    BoolArray,
    Decision,
    IntArray,
    Judgement,
    LongArray,
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
    judgement = _judge(situation)
    if judgement.verdict is Verdict.HALT:
        return _enter(situation, State.HALTED, judgement.sentence, judgement)
    if seen.commands.paused:
        return _enter(situation, State.PAUSED, f"paused{_by(seen)}", judgement)
    if is_over(situation):
        return _finish(situation, judgement)
    approved = seen.commands.gate_approved == progress.phase and is_approvable(judgement)
    if judgement.verdict is Verdict.HOLD and not approved:
        return _enter(situation, State.HELD, judgement.sentence, judgement)
    if progress.state is not State.RUNNING:
        return _enter(situation, State.RUNNING, f"releases resume: {judgement.sentence}", judgement)
    if is_released(situation):
        return _end_of_phase(situation, judgement)
    return _release(situation, judgement)


def _enter(situation: Situation, state: State, reason: str, judgement: Judgement | None = None) -> Decision:
    """Enter a state; staying in it leaves no decision row."""
    progress = replace(situation.progress, state=state)
    if situation.progress.state is state:
        reason = situation.progress.reason
        return Decision(progress, NOBODY, situation.next_observation, reason, judgement, matters=False)
    if state is State.HELD:
        progress = replace(progress, holds=progress.holds + 1)
    again = situation.seen.now if state is State.RUNNING else situation.next_observation
    return _record(progress, NOBODY, again, reason, judgement)


def _stay(
    situation: Situation, reason: str, judgement: Judgement, progress: Progress | None = None
) -> Decision:
    """Release nothing now; this leaves no decision row."""
    kept = progress or situation.progress
    again = next_observation_at(situation.plan, kept, situation.seen.now)
    calm = judgement.verdict is Verdict.GO or is_over(situation)
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


def _judge(situation: Situation) -> Judgement:
    progress, seen = situation.progress, situation.seen
    counts = GateCounts(
        cumulative=situation.total,
        phase=situation.current,
        mature=situation.mature,
        planned=situation.plan.planned_by_stratum,
        names=situation.plan.strata.names,
        complete=is_soaked(situation),
        readable=seen.observation.readable,
        progress_age_s=seen.now - max(progress.enrolled_at, progress.last_release),
        column=situation.plan.strata.column,
        failed_classes=_failed_classes(situation),
    )
    return judge(situation.phase.gate, counts)


def _failed_classes(situation: Situation) -> dict[str, int] | None:
    """Return failures by class, for gates whose thresholds apply to some classes only."""
    if not any(rule.classes for rule in situation.phase.gate.thresholds):
        return None
    classes: dict[str, int] = {}
    for code, count in situation.seen.observation.failed_codes.items():
        kind = explain(code).kind.value
        classes[kind] = classes.get(kind, 0) + count
    return classes


def _finish(situation: Situation, judgement: Judgement) -> Decision:
    # A device that its user un-enrolls is pending again, so some device may always be in flight.
    # After `straggler_after_s` every device has had enough time: the rollout ends nevertheless.
    released = sum(situation.progress.released)
    deadline = situation.progress.last_release + situation.plan.straggler_after_s
    if situation.in_flight_count and situation.seen.now <= deadline:
        return _stay(situation, "all devices are released; waiting for the last outcomes", judgement)
    done = "have left" if situation.plan.is_undo else "are enrolled"
    text = f"finished: {situation.progress.enrolled:,} of {released:,} released devices {done}"
    return _enter(situation, State.FINISHED, text, judgement)


def _end_of_phase(situation: Situation, judgement: Judgement) -> Decision:
    phase, progress, seen = situation.phase, situation.progress, situation.seen
    if phase.end is PhaseEnd.NEVER:
        return _stay(situation, f"phase '{phase.name}' never ends; no phase follows it", judgement)
    if seen.unsent:
        return _stay(situation, f"the last batch of phase '{phase.name}' is not sent yet", judgement)
    approved = seen.commands.gate_approved == progress.phase
    soaked = seen.now >= progress.last_release + phase.soak_s
    if situation.done and not (soaked and (approved or judgement.verdict is Verdict.PASS)):
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
    why = "it is empty" if not situation.done else f"approved{_by(seen)}" if approved else judgement.sentence
    name = situation.plan.phases[later].name
    return _record(
        next_progress, NOBODY, seen.now, f"phase '{name}' begins after '{phase.name}': {why}", judgement
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
    if not situation.seen.commands.excluded:
        return len(situation.phase) - situation.done
    return int((~situation.seen.gone[situation.phase.order]).sum())


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
    if seen.in_flight is None and not seen.commands.excluded and not zoned:
        return order[done : done + wanted]
    rows = order[~seen.gone[order]]
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
    recorded = replace(progress, decisions=progress.decisions + 1, verdict=verdict, reason=reason)
    return Decision(recorded, rows, again, reason, judgement, quiet=quiet)


def _by(seen: Seen) -> str:
    by = f" by {seen.commands.by}" if seen.commands.by else ""
    return by + (f": {seen.commands.reason}" if seen.commands.reason else "")
