"""How many failures a gate can tolerate before it objects: below that, a further observation says GO.

Between two releases the devices that count stay the same number, since pending ones count as good; so
only failures (and devices that leave the count) can change a GO. The loop may skip observations
until then. The bounds are never too high; where a rule cannot be bounded they ask for each observation.
The failures that are compared with them include those that mend by themselves and those of recovered devices.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rollout.gates.groups import Groups, groups_of
from rollout.gates.rules import RULES
from rollout.gates.rules.base import FAILED, NEVER, is_most
from rollout.values import BoolArray, GatePolicy, LongArray


def failures_to_speak(
    policy: GatePolicy,
    cumulative: NDArray[np.int64],
    planned: LongArray,
    names: tuple[str, ...],
    held: BoolArray | None = None,
) -> LongArray:
    """Return the failures from which on a GO may end, shape (strata + 1,): by stratum, and of all.

    cumulative : (strata, OUTCOMES) released devices of the whole rollout. held : `GateCounts.held`: these strata have
    no bound of their own, and their failures so far do not count among all. The answer holds while no device is
    released, times out, or is rejected, while the phase is not judged as a whole, and while the members stay the
    same.
    """
    groups = groups_of(policy, planned, names)
    if held is None or not held.any():
        return _bounds(policy, cumulative, groups)
    out = _bounds(policy, np.where(held[:, None], 0, cumulative), groups)
    out[:-1][held] = NEVER
    out[-1] = min(out[-1] + int(cumulative[held, FAILED].sum()), NEVER)
    if is_most(planned, held):
        out[-1] = min(out[-1], _bounds(policy, cumulative, groups)[-1])
    return out


def _bounds(policy: GatePolicy, cumulative: NDArray[np.int64], groups: Groups) -> LongArray:
    out = np.full(len(cumulative) + 1, NEVER, dtype=np.int64)
    for rule in RULES:
        bound = rule.failures_to_speak(policy, cumulative, groups)
        if bound is not None:
            out = np.minimum(out, bound)
    return out
