"""The input of `decide` at one observation: the counts, the active time, and where the phase stands."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rollout.pacing import advance
from rollout.pacing.calendar import active_between
from rollout.values import Outcome, Phase, PhaseEnd, Plan, Progress, Seen, State


@dataclass(frozen=True, slots=True, eq=False)
class Situation:
    """The arguments of `decide`, the progress brought up to this observation, and counts (strata, outcomes).

    total : all released devices. current : those of this phase. mature : those of this phase's batches that
        are old enough to judge.
    """

    plan: Plan
    progress: Progress
    seen: Seen
    total: NDArray[np.int64]
    current: NDArray[np.int64]
    mature: NDArray[np.int64]

    @property
    def phase(self) -> Phase:
        return self.plan.phases[self.progress.phase]

    @property
    def done(self) -> int:
        """Number of released devices of this phase."""
        return self.progress.released[self.progress.phase]

    @property
    def in_flight_count(self) -> int:
        """Number of released devices without an outcome, including those not sent yet."""
        return sum(self.progress.released) - int(self.total[:, Outcome.ENROLLED :].sum())

    @property
    def next_observation(self) -> int:
        """Instant of the next regular observation, Unix seconds."""
        return self.seen.now + self.plan.look_s


def active_at(plan: Plan, progress: Progress, now: int, enrolled: int) -> int:
    """Return the active seconds of the phase at `now`, when `enrolled` of its devices are enrolled.

    Time during which the rollout was held, paused or down does not count: at most one step is caught up afterwards.
    A ramp advances at the rate that its enrolled devices have earned.
    """
    if progress.state is not State.RUNNING:
        return progress.active_s
    phase = plan.phases[progress.phase]
    passed = active_between(plan.calendar, progress.at, now)
    return advance(
        phase,
        plan.calendar,
        progress.active_s,
        progress.at,
        min(passed, max(phase.step_s, plan.look_s)),
        enrolled=enrolled,
        holds=progress.holds,
    )


def situation_of(plan: Plan, progress: Progress, seen: Seen) -> Situation:
    """Bring the progress up to this observation: active time, and when a device last enrolled."""
    first, last = progress.first_batch, progress.batches
    total = seen.observation.of(0, last)
    current = seen.observation.of(first, last) if first else total
    mature_end = bisect_right(seen.batch_at, seen.now - plan.mature_after_s, first, max(first, last))
    enrolled = int(total[:, Outcome.ENROLLED].sum())
    enrolled_here = enrolled if current is total else int(current[:, Outcome.ENROLLED].sum())
    grew = enrolled > progress.enrolled
    current_progress = replace(
        progress,
        at=seen.now,
        active_s=active_at(plan, progress, seen.now, enrolled_here),
        enrolled=enrolled,
        enrolled_at=seen.now if grew else progress.enrolled_at,
    )
    return Situation(plan, current_progress, seen, total, current, seen.observation.of(first, mature_end))


def is_released(situation: Situation) -> bool:
    """Return whether every device of the phase is released or excluded."""
    return not _has_devices_left(situation, situation.progress.phase)


def _has_devices_left(situation: Situation, index: int) -> bool:
    """Return whether a phase has devices that may still be released."""
    phase = situation.plan.phases[index]
    if situation.progress.released[index] >= len(phase):
        return False
    return not situation.seen.commands.excluded or bool((~situation.seen.gone[phase.order]).any())


def is_soaked(situation: Situation) -> bool:
    """Return whether the phase can be judged as a whole: fully released, and observed for its soak."""
    if not situation.done or situation.phase.end is PhaseEnd.NEVER or not is_released(situation):
        return False
    return situation.seen.now >= situation.progress.last_release + situation.phase.soak_s


def next_phase(situation: Situation) -> int | None:
    """Return the index of the next phase with devices to release, None if there is none."""
    for index in range(situation.progress.phase + 1, len(situation.plan.phases)):
        if _has_devices_left(situation, index):
            return index
    return None


def is_over(situation: Situation) -> bool:
    """Return whether no device is left to release, in this phase or a later one."""
    if situation.seen.unsent:
        return False  # a released batch is sent, however long the directory stays silent
    return (
        situation.phase.end is not PhaseEnd.NEVER and is_released(situation) and next_phase(situation) is None
    )
