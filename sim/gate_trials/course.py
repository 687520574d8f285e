"""The course of releases and answers when a gate is tried by itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rollout.pacing import released_by
from rollout.values import IntArray, LongArray, Phase, PhaseEnd, Plan

HOUR_S = 3600


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """The course of releases and answers.

    released : (observations,) int64 non-decreasing, devices released at each observation; the last are the soak.
    look_s : seconds between observations. fail_s, enroll_s : mean seconds from release to failure and success.
    """

    released: LongArray
    look_s: int = HOUR_S
    fail_s: float = 3600.0
    enroll_s: float = 86400.0

    @property
    def devices(self) -> int:
        """Devices released in the end."""
        return int(self.released[-1])

    def check(self) -> None:
        """Raise a `ValueError` if releases are taken back or times are not positive."""
        if not len(self.released) or self.released[0] < 0 or (np.diff(self.released) < 0).any():
            raise ValueError("expected a course that never releases fewer devices than before")
        if self.look_s <= 0 or self.fail_s <= 0 or self.enroll_s <= 0:
            raise ValueError("expected positive times of a course")


def course_of(plan: Plan, *, fail_s: float, enroll_s: float, look_s: int = HOUR_S) -> tuple[Course, IntArray]:
    """Return the course of a plan and the stratum of each device in the order of release.

    Phases follow each other with their soaks; the end is watched until nearly all have answered. Time
    stands for active time: nights and weekends only let answers catch up, which helps the gate.
    """
    parts, codes, before = [], [np.empty(0, dtype=np.int32)], 0
    for phase in plan.phases:
        count = released_by(phase.curve, phase.curve.length_s, len(phase))
        if not count:
            continue
        parts.append(before + _releases(phase, look_s))
        codes.append(plan.strata.codes[phase.order[:count]])
        before += count
    if not before:
        raise ValueError(f"expected devices in the plan {plan.name!r}, found none")
    parts.append(np.full(max(1, round(5 * enroll_s / look_s)), before, dtype=np.int64))
    return Course(np.concatenate(parts), look_s, fail_s, enroll_s), np.concatenate(codes)


def _releases(phase: Phase, look_s: int) -> LongArray:
    """Return the devices of a phase released at each observation, including its soak."""
    soak_s = phase.soak_s if phase.end is PhaseEnd.GATE else 0
    observations = -(-phase.curve.length_s // look_s) + 1 + soak_s // look_s
    released = (
        released_by(phase.curve, observation * look_s, len(phase)) for observation in range(observations)
    )
    return np.fromiter(released, dtype=np.int64, count=observations)
