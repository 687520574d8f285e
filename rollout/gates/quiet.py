"""How many failures a gate can tolerate before it objects: below that, a further observation says GO.

Between two releases the devices that count stay the same number, since pending ones count as good; so
only failures (and devices that leave the count) can change a GO. The loop may skip observations
until then. The bounds are never too high; where a rule cannot be bounded they ask for each observation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rollout.gates.groups import groups_of
from rollout.gates.rules import RULES
from rollout.gates.rules.base import NEVER
from rollout.values import GatePolicy, LongArray


def failures_to_speak(
    policy: GatePolicy, cumulative: NDArray[np.int64], planned: LongArray, names: tuple[str, ...]
) -> LongArray:
    """Return the failures from which on a GO may end, shape (strata + 1,): by stratum, and of all.

    cumulative : (strata, OUTCOMES) released devices of the whole rollout. The answer holds while no device
    is released, times out, or is rejected, and while the phase is not judged as a whole.
    """
    groups = groups_of(policy, planned, names)
    out = np.full(len(cumulative) + 1, NEVER, dtype=np.int64)
    for rule in RULES:
        bound = rule.failures_to_speak(policy, cumulative, groups)
        if bound is not None:
            out = np.minimum(out, bound)
    return out
