"""The decision: plan, progress and what is seen in; the next progress, a batch and a reason out.

Pure: no clock, no chance, no outside. What is simulated and what is executed both come from here.
Each look decides one thing, in this order, first match wins:

1. a final state stays final                      6. the gate, or a blind look, holds
2. a person aborts                                7. what was held goes on
3. the gate says HALT                             8. the phase is released: soak, next phase
4. a person pauses                                9. a batch is due
5. everybody has an outcome: FINISHED            10. nothing: look again
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rollout.gates import GateCounts, is_approvable, judge
from rollout.loop.observation import Look, active_at, is_over, is_released, is_soaked, look_of, next_phase
from rollout.loop.quiet import look_again, quiet_of
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


def begin(plan: Plan) -> Progress:
    """Give the progress before the first look."""
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
    """Decide one thing for this look; see the module's list for the order."""
    if progress.state.is_final:
        return Decision(progress, NOBODY, seen.now, progress.reason, matters=False)
    look = look_of(plan, progress, seen)
    if seen.commands.aborted:
        return _turn(look, State.ABORTED, f"aborted{_by(seen)}")
    judgement = _judge(look)
    if judgement.verdict is Verdict.HALT:
        return _turn(look, State.HALTED, judgement.sentence, judgement)
    if seen.commands.paused:
        return _turn(look, State.PAUSED, f"paused{_by(seen)}", judgement)
    if is_over(look):
        return _finish(look, judgement)
    approved = seen.commands.gate_approved == progress.phase and is_approvable(judgement)
    if judgement.verdict is Verdict.HOLD and not approved:
        return _turn(look, State.HELD, judgement.sentence, judgement)
    if progress.state is not State.RUNNING:
        return _turn(look, State.RUNNING, f"releases go on: {judgement.sentence}", judgement)
    if is_released(look):
        return _end_of_phase(look, judgement)
    return _release(look, judgement)


def _turn(look: Look, state: State, reason: str, judgement: Judgement | None = None) -> Decision:
    """Enter a state; staying in it leaves no row."""
    progress = replace(look.progress, state=state)
    if look.progress.state is state:
        return Decision(progress, NOBODY, look.soon, look.progress.reason, judgement, matters=False)
    if state is State.HELD:
        progress = replace(progress, holds=progress.holds + 1)
    again = look.seen.now if state is State.RUNNING else look.soon
    return _record(progress, NOBODY, again, reason, judgement)


def _stay(look: Look, reason: str, judgement: Judgement, progress: Progress | None = None) -> Decision:
    """Release nobody now; leaves no row."""
    kept = progress or look.progress
    again = look_again(look.plan, kept, look.seen.now)
    calm = judgement.verdict is Verdict.GO or is_over(look)
    quiet = quiet_of(look, kept, again) if calm else None
    return Decision(kept, NOBODY, again, reason, judgement, matters=False, quiet=quiet)


def is_step_due(plan: Plan, progress: Progress, now: int) -> bool:
    """Say whether the current phase's next batch is due at `now`; windows are not looked at."""
    # A ramp is taken to have earned all: then a step is due at the latest when it truly is.
    return active_at(plan, progress, now, len(plan)) >= progress.next_step


def may_send(plan: Plan, rows: IntArray, now: int) -> bool:
    """Say whether devices that are released may be sent at `now`: who waited for an answer waits for a window."""
    if not is_open(plan.calendar, now):
        return False
    if not plan.zone_calendars:
        return True
    return bool(open_zones(plan.zone_calendars, now)[plan.zone_codes[rows]].all())


def _judge(look: Look) -> Judgement:
    progress, seen = look.progress, look.seen
    counts = GateCounts(
        cumulative=look.total,
        phase=look.current,
        mature=look.mature,
        planned=look.plan.planned_by_stratum,
        names=look.plan.strata.names,
        complete=is_soaked(look),
        readable=seen.observation.readable,
        progress_age_s=seen.now - max(progress.enrolled_at, progress.last_release),
        column=look.plan.strata.column,
        failed_classes=_failed_classes(look),
    )
    return judge(look.phase.gate, counts)


def _failed_classes(look: Look) -> dict[str, int] | None:
    """Failures by class, for gates with thresholds on some classes only."""
    if not any(rule.classes for rule in look.phase.gate.thresholds):
        return None
    classes: dict[str, int] = {}
    for code, count in look.seen.observation.failed_codes.items():
        kind = explain(code).kind.value
        classes[kind] = classes.get(kind, 0) + count
    return classes


def _finish(look: Look, judgement: Judgement) -> Decision:
    # A device that its user un-enrolls is pending again, so there may always be somebody in flight.
    # Who had `straggler_after_s` had time enough: then the rollout is over all the same.
    released = sum(look.progress.released)
    patience = look.progress.last_release + look.plan.straggler_after_s
    if look.flying and look.seen.now <= patience:
        return _stay(look, "all are released; waiting for the last outcomes", judgement)
    done = "have left" if look.plan.is_undo else "are enrolled"
    text = f"finished: {look.progress.enrolled} of {released} released devices {done}"
    return _turn(look, State.FINISHED, text, judgement)


def _end_of_phase(look: Look, judgement: Judgement) -> Decision:
    phase, progress, seen = look.phase, look.progress, look.seen
    if phase.end is PhaseEnd.NEVER:
        return _stay(look, f"phase '{phase.name}' has no end: nobody follows it", judgement)
    if seen.unsent:
        return _stay(look, f"the last batch of phase '{phase.name}' is not sent yet", judgement)
    approved = seen.commands.gate_approved == progress.phase
    soaked = seen.now >= progress.last_release + phase.soak_s
    if look.done and not (soaked and (approved or judgement.verdict is Verdict.PASS)):
        return _stay(look, f"phase '{phase.name}' soaks", judgement)
    later = next_phase(look)
    if later is None:
        raise AssertionError("a rollout without anybody left is over before its phase ends")
    begun = replace(
        progress,
        phase=later,
        active_s=0,
        next_step=0,
        last_release=seen.now,
        first_batch=progress.batches,
        holds=0,
    )
    why = "it is empty" if not look.done else f"approved{_by(seen)}" if approved else judgement.sentence
    name = look.plan.phases[later].name
    return _record(begun, NOBODY, seen.now, f"phase '{name}' begins after '{phase.name}': {why}", judgement)


def _release(look: Look, judgement: Judgement) -> Decision:
    phase, progress, now = look.phase, look.progress, look.seen.now
    if progress.active_s < progress.next_step or not is_open(look.plan.calendar, now):
        return _stay(look, "no step is due", judgement)
    # Never more than a step's worth: who waited for a window, a budget or an outage does not go in a burst.
    due = min(released_by(phase.curve, progress.active_s, len(phase)) - look.done, step_limit(phase))
    room, limit = _room(look)
    rows = _admissible(look, min(due, room))
    step = (progress.active_s // phase.step_s + 1) * phase.step_s
    if not len(rows):
        stepped = replace(progress, next_step=step)
        return _stay(look, "the curve asks for nobody now" if due <= 0 else limit, judgement, stepped)
    released = list(progress.released)
    released[progress.phase] += len(rows)
    after = replace(
        progress,
        next_step=step,
        released=tuple(released),
        batches=progress.batches + 1,
        last_release=now,
    )
    reason = f"{len(rows)} devices of phase '{phase.name}', {released[progress.phase]} of {len(phase)}"
    if len(rows) < due:
        reason += f"; {limit}"
    again = look_again(look.plan, after, now)
    quiet = quiet_of(look, after, again) if judgement.verdict is Verdict.GO else None
    return _record(after, rows, again, reason, judgement, quiet)


def _room(look: Look) -> tuple[int, str]:
    """How many the budgets still admit, and the sentence that says which one binds."""
    budgets = look.plan.budgets
    room, limit = len(look.plan), "the rest waits for its budget"
    if budgets.per_step and budgets.per_step < room:
        room, limit = budgets.per_step, f"the step's budget is {budgets.per_step}"
    if budgets.in_flight:
        left = max(0, budgets.in_flight - look.flying)
        if left < room:
            room, limit = left, f"{look.flying} are in flight of at most {budgets.in_flight}"
    return room, limit


def _admissible(look: Look, wanted: int) -> IntArray:
    """The first `wanted` devices of the order that may go now; those passed over keep their place."""
    if wanted <= 0:
        return NOBODY
    order, done, seen = look.phase.order, look.done, look.seen
    zoned = len(look.plan.zone_calendars) > 0
    if seen.in_flight is None and not seen.commands.excluded and not zoned:
        return order[done : done + wanted]
    rows = order[~seen.gone[order]]
    if zoned:
        rows = rows[open_zones(look.plan.zone_calendars, seen.now)[look.plan.zone_codes[rows]]]
    if seen.in_flight is not None:
        rows = rows[_fits(look.plan, rows, seen.in_flight)]
    return np.asarray(rows[:wanted], dtype=np.int32)


def _fits(plan: Plan, rows: IntArray, in_flight: LongArray) -> BoolArray:
    """Whether each of `rows`, in this order, still fits its level's budget."""
    codes = plan.budget_codes[rows]
    left = np.maximum(0, plan.budgets.per_level - in_flight)
    # The rank of a row within its level: stable sort by level, then count from the level's first.
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
    said = replace(progress, decisions=progress.decisions + 1, verdict=verdict, reason=reason)
    return Decision(said, rows, again, reason, judgement, quiet=quiet)


def _by(seen: Seen) -> str:
    by = f" by {seen.commands.by}" if seen.commands.by else ""
    return by + (f": {seen.commands.reason}" if seen.commands.reason else "")
