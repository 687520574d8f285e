"""Courses of releases for tests of gates."""

from __future__ import annotations

import numpy as np

from rollout.values import HOUR_S
from sim.gate_trials.course import Course


def steady_course(
    devices: int,
    hours: float,
    soak_hours: float = 168.0,
    *,
    look_s: int = HOUR_S,
    fail_s: float,
    enroll_s: float,
) -> Course:
    """Release `devices` evenly over `hours`, then watch them for `soak_hours`."""
    releasing = max(1, round(hours * HOUR_S / look_s))
    soaking = max(1, round(soak_hours * HOUR_S / look_s))
    rising = devices * np.arange(1, releasing + 1, dtype=np.int64) // releasing
    released = np.concatenate([rising, np.full(soaking, devices, dtype=np.int64)])
    return Course(released, look_s, fail_s, enroll_s)
