"""When to observe next, and how long observations will decide nothing."""

from __future__ import annotations

from rollout.gates import failures_to_speak
from rollout.loop.observation import Situation, held_strata, is_over, is_released
from rollout.pacing.calendar import instant_after, next_open
from rollout.values import DAY_S, WHOLE, Outcome, PhaseEnd, Plan, Progress, Quiet, parts_of_share


def next_observation_at(plan: Plan, progress: Progress, now: int) -> int:
    """Return the instant of the next observation: every `look_s`, and exactly when a step is due."""
    regular = now + plan.look_s
    if progress.released[progress.phase] >= len(plan.phases[progress.phase]):
        return regular
    missing = progress.next_step - progress.active_s
    due = instant_after(plan.calendar, now, missing) if missing > 0 else next_open(plan.calendar, now)
    return regular if due is None or due <= now else min(regular, due)


def quiet_period(situation: Situation, progress: Progress, again: int) -> Quiet | None:
    """Return how long observations will decide nothing unless devices fail or time out; None if each one is needed.

    The bounds are the tightest possible: they assume that every pending device times out, because a gate halts
    at fewer failures among fewer devices. An executed device never times out, even if its user un-enrolls it.
    """
    phase, plan = situation.phase, situation.plan
    if phase.rung or phase.by >= 0:
        return None  # the curve itself changes with each observation
    until = _next_event(situation, progress, again)
    if until <= again:
        return None
    least = situation.total.copy()
    least[:, Outcome.PENDING] = 0
    failed = failures_to_speak(
        phase.gate, least, plan.planned_by_stratum, plan.strata.names, held_strata(plan, progress)
    )
    judged = max(
        phase.gate.min_executed, int(situation.mature.sum() - situation.mature[:, Outcome.REJECTED].sum())
    )
    silent = parts_of_share(phase.gate.straggler_max) * judged // WHOLE + 1
    return Quiet(until, plan.look_s, failed, silent, progress.first_batch, settled=is_over(situation))


def _next_event(situation: Situation, progress: Progress, again: int) -> int:
    """Return the first observation at which time alone decides something: a step, the end of a soak or a time-out."""
    plan, phase, now = situation.plan, situation.phase, situation.seen.now
    if progress.released[progress.phase] < len(phase) and not situation.seen.commands.excluded:
        missing = progress.next_step - progress.active_s
        due = instant_after(plan.calendar, now, missing) if missing > 0 else next_open(plan.calendar, again)
        return again if due is None else max(due, again)
    if not is_released(situation) and progress is situation.progress:
        return again
    if phase.end is PhaseEnd.NEVER:
        return (
            again + DAY_S // plan.look_s * plan.look_s
        )  # nothing follows; one observation per day is enough
    over = is_over(situation) and now >= situation.sent_at + phase.soak_s
    wait = plan.straggler_after_s + 1 if over else phase.soak_s
    end = max(progress.last_release, situation.seen.sent_at) + wait
    return again + max(0, -(-(end - again) // plan.look_s)) * plan.look_s
