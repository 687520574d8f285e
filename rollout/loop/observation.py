"""One look at a rollout: the clockwork moved on to it, the counts it needs, and where the phase stands."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rollout.pacing import advance
from rollout.pacing.calendar import active_between
from rollout.values import Outcome, Phase, PhaseEnd, Plan, Progress, Seen, State


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """The arguments of `decide`, the progress moved on to this look, and counts (strata, outcomes).

    total : all released devices. current : those of this phase. mature : those of this phase's batches that
        are old enough to be judged.
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
        """Devices of this phase that were released."""
        return self.progress.released[self.progress.phase]

    @property
    def flying(self) -> int:
        """Released devices without an outcome, those not yet sent included."""
        return sum(self.progress.released) - int(self.total[:, Outcome.ENROLLED :].sum())

    @property
    def soon(self) -> int:
        return self.seen.now + self.plan.look_s


def active_at(plan: Plan, progress: Progress, now: int, enrolled: int) -> int:
    """Active seconds of the phase at `now`, of which `enrolled` devices are enrolled.

    Time held, paused or down counts for nothing: after it at most one step is caught up. A ramp runs at
    the rate that its enrolled devices earned.
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


def look_of(plan: Plan, progress: Progress, seen: Seen) -> Look:
    """Move the clockwork on to this look: active time, and when somebody last enrolled."""
    first, last = progress.first_batch, progress.batches
    total = seen.observation.of(0, last)
    current = seen.observation.of(first, last) if first else total
    ripe = bisect_right(seen.batch_at, seen.now - plan.mature_after_s, first, max(first, last))
    enrolled = int(total[:, Outcome.ENROLLED].sum())
    here = enrolled if current is total else int(current[:, Outcome.ENROLLED].sum())
    grew = enrolled > progress.enrolled
    aged = replace(
        progress,
        at=seen.now,
        active_s=active_at(plan, progress, seen.now, here),
        enrolled=enrolled,
        enrolled_at=seen.now if grew else progress.enrolled_at,
    )
    return Look(plan, aged, seen, total, current, seen.observation.of(first, ripe))


def is_released(look: Look) -> bool:
    """Whether nobody of the phase is left who may go."""
    return not _anybody(look, look.progress.phase)


def _anybody(look: Look, index: int) -> bool:
    """Whether anybody of a phase may still go."""
    phase = look.plan.phases[index]
    if look.progress.released[index] >= len(phase):
        return False
    return not look.seen.commands.excluded or bool((~look.seen.gone[phase.order]).any())


def is_soaked(look: Look) -> bool:
    """Whether the phase may be judged as a whole: fully released and observed for its soak."""
    if not look.done or look.phase.end is PhaseEnd.NEVER or not is_released(look):
        return False
    return look.seen.now >= look.progress.last_release + look.phase.soak_s


def next_phase(look: Look) -> int | None:
    """The next phase in which anybody is left to go, None if there is none."""
    for index in range(look.progress.phase + 1, len(look.plan.phases)):
        if _anybody(look, index):
            return index
    return None


def is_over(look: Look) -> bool:
    """Whether nobody is left to release, in this phase or a later one."""
    if look.seen.unsent:
        return False  # however long its directory is silent, a batch that was released is sent
    return look.phase.end is not PhaseEnd.NEVER and is_released(look) and next_phase(look) is None
