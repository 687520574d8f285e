"""HOLD if nothing has enrolled for too long although devices wait."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rollout.fields import Part, Seconds
from rollout.gates.groups import Groups
from rollout.gates.rules.base import PENDING, GateRule, Reading, of_all, require_not_negative
from rollout.values import HOUR_S, GatePolicy, Judgement, LongArray


class NoProgressKeys(Part):
    """How long nothing may enroll although devices wait; 0 = any time."""

    no_progress: Seconds = 0


def _check(policy: GatePolicy) -> None:
    require_not_negative(policy, "no_progress_s")


def _judge(reading: Reading) -> Judgement | None:
    deadline, pending = reading.policy.no_progress_s, reading.whole[PENDING]
    age_s = reading.counts.progress_age_s
    if not deadline or not pending or age_s < deadline:
        return None
    return reading.hold(
        "no-progress",
        f"no device enrolled for {age_s / HOUR_S:.3g} h although {pending:,} are pending, "
        f"at most {deadline / HOUR_S:.3g} h is acceptable",
        pending,
        reading.released,
    )


def _failures_to_speak(
    policy: GatePolicy, cumulative: NDArray[np.int64], _groups: Groups
) -> LongArray | None:
    return of_all(0, cumulative) if policy.no_progress_s else None  # time alone makes it speak


NO_PROGRESS = GateRule("no-progress", _check, _judge, NoProgressKeys, _failures_to_speak)
