"""When to look again, and how long looks will decide nothing."""

from __future__ import annotations

from rollout.gates import failures_to_speak
from rollout.loop.observation import Look, is_over, is_released
from rollout.pacing.calendar import instant_after, next_open
from rollout.values import DAY_S, WHOLE, Outcome, PhaseEnd, Plan, Progress, Quiet, parts_of_share


def look_again(plan: Plan, progress: Progress, now: int) -> int:
    """Give the next look: each `look_s`, and exactly when a step is due."""
    soon = now + plan.look_s
    if progress.released[progress.phase] >= len(plan.phases[progress.phase]):
        return soon
    missing = progress.next_step - progress.active_s
    due = instant_after(plan.calendar, now, missing) if missing > 0 else next_open(plan.calendar, now)
    return soon if due is None or due <= now else min(soon, due)


def quiet_of(look: Look, progress: Progress, again: int) -> Quiet | None:
    """Say how long looks will decide nothing, unless devices fail or time out; None if each look is needed.

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
    asked = max(phase.gate.min_executed, int(look.mature.sum() - look.mature[:, Outcome.REJECTED].sum()))
    silent = parts_of_share(phase.gate.straggler_max) * asked // WHOLE + 1
    return Quiet(until, plan.look_s, failed, silent, progress.first_batch, settled=is_over(look))


def _next_event(look: Look, progress: Progress, again: int) -> int:
    """Give the look at which time alone decides something: a step, the end of a soak, the end of patience."""
    plan, phase, now = look.plan, look.phase, look.seen.now
    if progress.released[progress.phase] < len(phase) and not look.seen.commands.excluded:
        missing = progress.next_step - progress.active_s
        due = instant_after(plan.calendar, now, missing) if missing > 0 else next_open(plan.calendar, again)
        return again if due is None else max(due, again)
    if not is_released(look) and progress is look.progress:
        return again
    if phase.end is PhaseEnd.NEVER:
        return again + DAY_S // plan.look_s * plan.look_s  # nothing follows; a look a day all the same
    rest = plan.straggler_after_s + 1 if is_over(look) else phase.soak_s
    end = progress.last_release + rest
    return again + max(0, -(-(end - again) // plan.look_s)) * plan.look_s
