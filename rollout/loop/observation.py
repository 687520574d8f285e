"""The input of `decide` at one observation: the counts, the active time, and where the phase stands."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rollout.gates import strata_named
from rollout.pacing import advance
from rollout.pacing.calendar import active_between
from rollout.values import BoolArray, Outcome, Phase, PhaseEnd, Plan, Progress, Seen, State


@dataclass(frozen=True, slots=True, eq=False)
class Situation:
    """The arguments of `decide`, the progress brought up to this observation, and counts (strata, outcomes).

    total : all released devices. current : those of this phase. mature : those of this phase's batches that
        are old enough to judge. All three are evidence, see `Observation.evidence`.
    gone : (n,) bool, devices that may not be released now: released, excluded, or of a stratum that is held.
    masked : whether devices that are not released yet are among them.
    """

    plan: Plan
    progress: Progress
    seen: Seen
    total: NDArray[np.int64]
    current: NDArray[np.int64]
    mature: NDArray[np.int64]
    gone: BoolArray
    masked: bool

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
    def sent_at(self) -> int:
        """Instant of the last release of this phase, or of the last chunk that the directory took, Unix seconds."""
        return max(self.progress.last_release, self.seen.sent_at)

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
    total = seen.observation.evidence(0, last)
    current = seen.observation.evidence(first, last) if first else total
    mature_end = bisect_right(seen.batch_at, seen.now - plan.mature_after_s, first, max(first, last))
    enrolled = int(seen.observation.of(0, last)[:, Outcome.ENROLLED].sum())
    enrolled_here = int(current[:, Outcome.ENROLLED].sum())
    grew = enrolled > progress.enrolled
    current_progress = replace(
        progress,
        at=seen.now,
        active_s=active_at(plan, progress, seen.now, enrolled_here),
        enrolled=enrolled,
        enrolled_at=seen.now if grew else progress.enrolled_at,
    )
    mature = seen.observation.evidence(first, mature_end)
    held = held_rows(plan, progress)
    return Situation(
        plan,
        current_progress,
        seen,
        total,
        current,
        mature,
        gone=seen.gone if held is None else seen.gone | held,
        masked=held is not None or bool(seen.commands.excluded),
    )


def held_strata(plan: Plan, progress: Progress) -> BoolArray | None:
    """Return which strata are held, (strata,) bool; None if none is."""
    if not progress.held:
        return None
    gate, names = plan.phases[progress.phase].gate, plan.strata.names
    held = np.zeros(len(names), dtype=np.bool_)
    for hold in progress.held:
        if hold.stratum in names:
            held[names.index(hold.stratum)] = True
        else:
            held |= strata_named(gate, plan.planned_by_stratum, names, hold.stratum)
    return held


def held_rows(plan: Plan, progress: Progress) -> BoolArray | None:
    """Return which devices belong to a held stratum, (n,) bool; None if none does."""
    held = held_strata(plan, progress)
    return None if held is None else held[plan.strata.codes]


def is_released(situation: Situation) -> bool:
    """Return whether every device of the phase is released or excluded."""
    return not _has_devices_left(situation, situation.progress.phase)


def _has_devices_left(situation: Situation, index: int) -> bool:
    """Return whether a phase has devices that may still be released."""
    phase = situation.plan.phases[index]
    if situation.progress.released[index] >= len(phase):
        return False
    return not situation.masked or bool((~situation.gone[phase.order]).any())


def is_soaked(situation: Situation) -> bool:
    """Return whether the phase is released, in the collection, and was observed for its soak."""
    if not situation.done or situation.phase.end is PhaseEnd.NEVER or not is_released(situation):
        return False
    return not situation.seen.unsent and situation.seen.now >= situation.sent_at + situation.phase.soak_s


def is_complete(situation: Situation) -> bool:
    """Return whether the phase can be judged as a whole: soaked, or the last one with nothing left to wait for."""
    return is_soaked(situation) or (bool(situation.done) and is_over(situation) and is_settled(situation))


def is_settled(situation: Situation) -> bool:
    """Return whether no released device is pending, or all of them have had time enough.

    A device that its user un-enrolls is pending again, so some device may always be in flight.
    """
    deadline = situation.sent_at + situation.plan.straggler_after_s
    return not situation.in_flight_count or situation.seen.now > deadline


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
