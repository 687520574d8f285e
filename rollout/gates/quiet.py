"""How many failures a gate can bear before it speaks: below that, a look says GO again.

Between two releases the devices that count stay the same number, since pending ones count as good; so
only failures (and devices that leave the count) can change a GO. Whoever drives the loop may skip looks
until then. The bounds are never too high; where a rule cannot be bounded they ask for each look.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rollout.gates.counts import counted_of, totals_of
from rollout.gates.evidence import halt_boundary
from rollout.gates.groups import groups_of
from rollout.values import GatePolicy, LongArray, Outcome, ThresholdGate, part_of, parts_of_percent

ALWAYS = 0
"""So few failures are always reached: look each time."""

NEVER = 2**62


def failures_to_speak(
    policy: GatePolicy, cumulative: NDArray[np.int64], planned: LongArray, names: tuple[str, ...]
) -> LongArray:
    """Give the failures from which on a GO may end, shape (strata + 1,): by stratum, and of all.

    cumulative : (strata, OUTCOMES) released devices of the whole rollout. The answer holds while nobody
    is released, times out, or is rejected, and while the phase is not judged as a whole.
    """
    strata = len(cumulative)
    out = np.full(strata + 1, NEVER, dtype=np.int64)
    if policy.no_progress_s:
        out[strata] = ALWAYS
    for rule in policy.thresholds:
        out[strata] = min(out[strata], _fewest(rule))
    if policy.evidence is None:
        return out
    groups = groups_of(policy, planned, names)
    whole = halt_boundary(policy.evidence, groups.whole).fewest(counted_of(totals_of(cumulative)))
    out[strata] = min(out[strata], whole)
    if groups.names:
        _by_stratum(policy, cumulative, out, names, planned)
    return out


def _by_stratum(
    policy: GatePolicy,
    cumulative: NDArray[np.int64],
    out: LongArray,
    names: tuple[str, ...],
    planned: LongArray,
) -> None:
    """Fill in the strata: their own boundary; those pooled as "other" speak at the next failure of any."""
    assert policy.evidence is not None
    groups = groups_of(policy, planned, names)
    pending, enrolled, failed = Outcome.PENDING, Outcome.ENROLLED, Outcome.FAILED
    counted = cumulative[:, pending] + cumulative[:, enrolled] + cumulative[:, failed]
    critical = halt_boundary(policy.evidence, groups.apart).critical(counted)
    out[:-1] = cumulative[:, failed] + 1
    out[groups.own] = critical[groups.own]


def _fewest(rule: ThresholdGate) -> int:
    """The fewest failures with which a plain threshold can trip, however many are executed."""
    return max(rule.count, part_of(max(rule.min_executed, 1), parts_of_percent(rule.percent)), 1)
