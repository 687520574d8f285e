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

from bisect import bisect_right
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rollout.failures import explain
from rollout.gates import failures_to_speak, is_approvable, judge
from rollout.pacing import advance, released_by, step_limit
from rollout.pacing.calendar import active_between, instant_after, is_open, next_open, open_zones
from rollout.values import (
    DAY_S,
    BoolArray,
    Decision,
    IntArray,
    Judgement,
    LongArray,
    Observation,
    Outcome,
    Phase,
    PhaseEnd,
    Plan,
    Progress,
    Quiet,
    Seen,
    State,
    Verdict,
)

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
    look = _look(plan, progress, seen)
    if seen.commands.aborted:
        return look.turn(State.ABORTED, f"aborted{_by(seen)}")
    judgement = _judge(look)
    if judgement.verdict is Verdict.HALT:
        return look.turn(State.HALTED, judgement.sentence, judgement)
    if seen.commands.paused:
        return look.turn(State.PAUSED, f"paused{_by(seen)}", judgement)
    if _is_over(look):
        return _finish(look, judgement)
    approved = seen.commands.gate_approved == progress.phase and is_approvable(judgement)
    if judgement.verdict is Verdict.HOLD and not approved:
        return look.turn(State.HELD, judgement.sentence, judgement)
    if progress.state is not State.RUNNING:
        return look.turn(State.RUNNING, f"releases go on: {judgement.sentence}", judgement)
    if _is_released(look):
        return _end_of_phase(look, judgement)
    return _release(look, judgement)


@dataclass(frozen=True, slots=True)
class _Look:
    """One look: the arguments of `decide`, the progress moved on to it, and the counts it needs.

    total : (strata, outcomes) of all released devices.
    """

    plan: Plan
    progress: Progress
    seen: Seen
    total: NDArray[np.int64]

    @property
    def phase(self) -> Phase:
        return self.plan.phases[self.progress.phase]

    @property
    def done(self) -> int:
        """Devices of this phase that were released."""
        return self.progress.released[self.progress.phase]

    @property
    def flying(self) -> int:
        """Released devices without an outcome, those not yet sent included."""
        return sum(self.progress.released) - int(self.total[:, Outcome.ENROLLED :].sum())

    def turn(self, state: State, reason: str, judgement: Judgement | None = None) -> Decision:
        """Enter a state; staying in it leaves no row."""
        progress = replace(self.progress, state=state)
        if self.progress.state is state:
            return Decision(progress, NOBODY, self.soon, self.progress.reason, judgement, matters=False)
        if state is State.HELD:
            progress = replace(progress, holds=progress.holds + 1)
        again = self.seen.now if state is State.RUNNING else self.soon
        return _record(progress, NOBODY, again, reason, judgement)

    def stay(self, reason: str, judgement: Judgement, progress: Progress | None = None) -> Decision:
        """Release nobody now; leaves no row."""
        kept = progress or self.progress
        again = _look_again(self.plan, kept, self.seen.now)
        calm = judgement.verdict is Verdict.GO or _is_over(self)
        quiet = _quiet(self, kept, again) if calm else None
        return Decision(kept, NOBODY, again, reason, judgement, matters=False, quiet=quiet)

    @property
    def soon(self) -> int:
        return self.seen.now + self.plan.look_s


def is_step_due(plan: Plan, progress: Progress, now: int) -> bool:
    """Say whether the current phase's next batch is due at `now`; windows are not looked at."""
    return _active(plan, progress, now, None) >= progress.next_step


def may_send(plan: Plan, rows: IntArray, now: int) -> bool:
    """Say whether devices that are released may be sent at `now`: who waited for an answer waits for a window."""
    if not is_open(plan.calendar, now):
        return False
    if not plan.zone_calendars:
        return True
    return bool(open_zones(plan.zone_calendars, now)[plan.zone_codes[rows]].all())


def _active(plan: Plan, progress: Progress, now: int, observation: Observation | None) -> int:
    """Active seconds of the phase at `now`.

    Time held, paused or down counts for nothing: after it at most one step is caught up. A ramp runs at
    the rate that its enrolled devices earned; without an observation it is taken to have earned all.
    """
    if progress.state is not State.RUNNING:
        return progress.active_s
    phase = plan.phases[progress.phase]
    passed = active_between(plan.calendar, progress.at, now)
    enrolled = 0
    if phase.rung:
        enrolled = len(plan)
        if observation is not None:
            enrolled = int(observation.of(progress.first_batch, progress.batches)[:, Outcome.ENROLLED].sum())
    return advance(
        phase,
        plan.calendar,
        progress.active_s,
        progress.at,
        min(passed, max(phase.step_s, plan.look_s)),
        enrolled=enrolled,
        holds=progress.holds,
    )


def _look(plan: Plan, progress: Progress, seen: Seen) -> _Look:
    """Move the clockwork on to this look: active time, and when somebody last enrolled."""
    total = seen.observation.of(0, progress.batches)
    enrolled = int(total[:, Outcome.ENROLLED].sum())
    grew = enrolled > progress.enrolled
    aged = replace(
        progress,
        at=seen.now,
        active_s=_active(plan, progress, seen.now, seen.observation),
        enrolled=enrolled,
        enrolled_at=seen.now if grew else progress.enrolled_at,
    )
    return _Look(plan, aged, seen, total)


def _judge(look: _Look) -> Judgement:
    progress, seen = look.progress, look.seen
    first, last = progress.first_batch, progress.batches
    return judge(
        look.phase.gate,
        cumulative=look.total,
        phase=seen.observation.of(first, last) if first else look.total,
        mature=_mature(look),
        planned=look.plan.planned_by_stratum,
        names=look.plan.strata.names,
        complete=_is_soaked(look),
        readable=seen.observation.readable,
        progress_age_s=seen.now - max(progress.enrolled_at, progress.last_release),
        column=look.plan.strata.column,
        failed_classes=_failed_classes(look),
    )


def _mature(look: _Look) -> NDArray[np.int64]:
    """(strata, outcomes) of the phase's batches that are old enough to be judged."""
    progress, seen = look.progress, look.seen
    first, last = progress.first_batch, max(progress.first_batch, progress.batches)
    ripe = bisect_right(seen.batch_at, seen.now - look.plan.mature_after_s, first, last)
    return seen.observation.of(first, ripe)


def _failed_classes(look: _Look) -> dict[str, int] | None:
    """Failures by class, for gates with thresholds on some classes only."""
    if not any(rule.classes for rule in look.phase.gate.thresholds):
        return None
    classes: dict[str, int] = {}
    for code, count in look.seen.observation.failed_codes.items():
        kind = explain(code).kind.value
        classes[kind] = classes.get(kind, 0) + count
    return classes


def _is_released(look: _Look) -> bool:
    """Whether nobody of the phase is left who may go."""
    return not _anybody(look, look.progress.phase)


def _anybody(look: _Look, index: int) -> bool:
    """Whether anybody of a phase may still go."""
    phase = look.plan.phases[index]
    if look.progress.released[index] >= len(phase):
        return False
    return not look.seen.commands.excluded or bool((~look.seen.gone[phase.order]).any())


def _is_soaked(look: _Look) -> bool:
    """Whether the phase may be judged as a whole: fully released and observed for its soak."""
    if not look.done or look.phase.end is PhaseEnd.NEVER or not _is_released(look):
        return False
    return look.seen.now >= look.progress.last_release + look.phase.soak_s


def _next_phase(look: _Look) -> int | None:
    """The next phase in which anybody is left to go, None if there is none."""
    for index in range(look.progress.phase + 1, len(look.plan.phases)):
        if _anybody(look, index):
            return index
    return None


def _is_over(look: _Look) -> bool:
    """Whether nobody is left to release, in this phase or a later one."""
    if look.seen.unsent:
        return False  # however long its directory is silent, a batch that was released is sent
    return look.phase.end is not PhaseEnd.NEVER and _is_released(look) and _next_phase(look) is None


def _finish(look: _Look, judgement: Judgement) -> Decision:
    # A device that its user un-enrolls is pending again, so there may always be somebody in flight.
    # Who had `straggler_after_s` had time enough: then the rollout is over all the same.
    released = sum(look.progress.released)
    patience = look.progress.last_release + look.plan.straggler_after_s
    if look.flying and look.seen.now <= patience:
        return look.stay("all are released; waiting for the last outcomes", judgement)
    done = "have left" if look.plan.action.startswith("undo:") else "are enrolled"
    text = f"finished: {look.progress.enrolled} of {released} released devices {done}"
    return look.turn(State.FINISHED, text, judgement)


def _end_of_phase(look: _Look, judgement: Judgement) -> Decision:
    phase, progress, seen = look.phase, look.progress, look.seen
    if phase.end is PhaseEnd.NEVER:
        return look.stay(f"phase '{phase.name}' has no end: nobody follows it", judgement)
    if seen.unsent:
        return look.stay(f"the last batch of phase '{phase.name}' is not sent yet", judgement)
    approved = seen.commands.gate_approved == progress.phase
    soaked = seen.now >= progress.last_release + phase.soak_s
    if look.done and not (soaked and (approved or judgement.verdict is Verdict.PASS)):
        return look.stay(f"phase '{phase.name}' soaks", judgement)
    later = _next_phase(look)
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


def _release(look: _Look, judgement: Judgement) -> Decision:
    phase, progress, now = look.phase, look.progress, look.seen.now
    if progress.active_s < progress.next_step or not is_open(look.plan.calendar, now):
        return look.stay("no step is due", judgement)
    # Never more than a step's worth: who waited for a window, a budget or an outage does not go in a burst.
    due = min(released_by(phase.curve, progress.active_s, len(phase)) - look.done, step_limit(phase))
    room, limit = _room(look)
    rows = _admissible(look, min(due, room))
    stepped = replace(progress, next_step=(progress.active_s // phase.step_s + 1) * phase.step_s)
    if not len(rows):
        return look.stay("the curve asks for nobody now" if due <= 0 else limit, judgement, stepped)
    released = list(progress.released)
    released[progress.phase] += len(rows)
    after = replace(stepped, released=tuple(released), batches=progress.batches + 1, last_release=now)
    reason = f"{len(rows)} devices of phase '{phase.name}', {released[progress.phase]} of {len(phase)}"
    if len(rows) < due:
        reason += f"; {limit}"
    again = _look_again(look.plan, after, now)
    decision = _record(after, rows, again, reason, judgement)
    return (
        replace(decision, quiet=_quiet(look, after, again)) if judgement.verdict is Verdict.GO else decision
    )


def _room(look: _Look) -> tuple[int, str]:
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


def _admissible(look: _Look, wanted: int) -> IntArray:
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


def _look_again(plan: Plan, progress: Progress, now: int) -> int:
    """The next look: each `look_s`, and exactly when a step is due."""
    soon = now + plan.look_s
    if progress.released[progress.phase] >= len(plan.phases[progress.phase]):
        return soon
    missing = progress.next_step - progress.active_s
    due = instant_after(plan.calendar, now, missing) if missing > 0 else next_open(plan.calendar, now)
    return soon if due is None or due <= now else min(soon, due)


def _quiet(look: _Look, progress: Progress, again: int) -> Quiet | None:
    """How long looks will decide nothing, unless devices fail or time out; None if each look is needed.

    The bounds are taken where they are tightest: as if every pending device timed out, since fewer devices
    need fewer failures to halt. An executed device never times out, also when its user un-enrolls it.
    """
    phase, plan = look.phase, look.plan
    if phase.rung or phase.by >= 0:
        return None  # the curve itself moves with each look
    until = _next_event(look, progress, again)
    if until <= again:
        return None
    least = look.total.copy()
    least[:, Outcome.PENDING] = 0
    failed = failures_to_speak(phase.gate, least, plan.planned_by_stratum, plan.strata.names)
    mature = _mature(look)
    asked = max(phase.gate.min_executed, int(mature.sum() - mature[:, Outcome.REJECTED].sum()))
    silent = int(phase.gate.straggler_max * asked) + 1
    return Quiet(until, plan.look_s, failed, silent, progress.first_batch, settled=_is_over(look))


def _next_event(look: _Look, progress: Progress, again: int) -> int:
    """The look at which time alone decides something: a step, the end of a soak, the end of patience."""
    plan, phase, now = look.plan, look.phase, look.seen.now
    if progress.released[progress.phase] < len(phase) and not look.seen.commands.excluded:
        missing = progress.next_step - progress.active_s
        due = instant_after(plan.calendar, now, missing) if missing > 0 else next_open(plan.calendar, again)
        return again if due is None else max(due, again)
    if not _is_released(look) and progress is look.progress:
        return again
    if phase.end is PhaseEnd.NEVER:
        return again + DAY_S // plan.look_s * plan.look_s  # nothing follows; a look a day all the same
    rest = plan.straggler_after_s + 1 if _is_over(look) else phase.soak_s
    end = progress.last_release + rest
    return again + max(0, -(-(end - again) // plan.look_s)) * plan.look_s


def _record(
    progress: Progress, rows: IntArray, look_again: int, reason: str, judgement: Judgement | None
) -> Decision:
    verdict = judgement.verdict.value if judgement else progress.verdict
    said = replace(progress, decisions=progress.decisions + 1, verdict=verdict, reason=reason)
    return Decision(said, rows, look_again, reason, judgement)


def _by(seen: Seen) -> str:
    by = f" by {seen.commands.by}" if seen.commands.by else ""
    return by + (f": {seen.commands.reason}" if seen.commands.reason else "")
