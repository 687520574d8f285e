"""HOLD if too many mature devices are silent; asked once there are enough to say so.

Timed-out devices are capacity, not harm: they leave every rate and have their own limit.
"""

from __future__ import annotations

from rollout.fields import Part, ShareOfOne
from rollout.gates.rules.base import REJECTED, TIMED_OUT, GateRule, Reading, percent
from rollout.values import WHOLE, GatePolicy, Judgement, parts_of_share


class StragglerKeys(Part):
    """The highest share of silent devices among the mature ones."""

    straggler_max: ShareOfOne = 0.5


def _check(policy: GatePolicy) -> None:
    if not 0 <= policy.straggler_max <= 1:
        raise ValueError(f"expected 0 <= straggler_max <= 1, found {policy.straggler_max}")
    parts_of_share(policy.straggler_max)


def _judge(reading: Reading) -> Judgement | None:
    if not reading.phase[TIMED_OUT]:
        return None
    mature, policy = reading.mature, reading.policy
    silent, total = mature[TIMED_OUT], sum(mature) - mature[REJECTED]
    if WHOLE * silent <= parts_of_share(policy.straggler_max) * total:
        return None
    if total < policy.min_executed and not reading.counts.complete:
        return None
    return reading.hold(
        "stragglers",
        f"{silent:,} of {total:,} mature devices are silent ({percent(silent / total)}), "
        f"at most {percent(policy.straggler_max)} is acceptable",
        silent,
        total,
    )


STRAGGLERS = GateRule("stragglers", _check, _judge, StragglerKeys)
