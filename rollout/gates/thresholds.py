"""The plain rule that admins know: a percentage, a count and a minimum of executed devices."""

from __future__ import annotations

from typing import overload

from rollout.values import WHOLE, BoolArray, LongArray, ThresholdGate, parts_of_percent

ACTIONS = ("halt", "hold")


def check_threshold(rule: ThresholdGate) -> None:
    """Raise a `ValueError` that names the first value out of its range."""
    if not 0 < rule.percent <= 100:
        raise ValueError(f"expected a threshold of 0 < percent <= 100, found {rule.percent}")
    parts_of_percent(rule.percent)
    if rule.action not in ACTIONS:
        raise ValueError(f"expected the action halt or hold, found {rule.action!r}")
    for name, value in (("count", rule.count), ("min_executed", rule.min_executed)):
        if value < 0:
            raise ValueError(f"expected no negative {name} of a threshold, found {value}")


@overload
def trips(rule: ThresholdGate, failed: int, executed: int) -> bool: ...
@overload
def trips(rule: ThresholdGate, failed: LongArray, executed: LongArray) -> BoolArray: ...
def trips(rule: ThresholdGate, failed: int | LongArray, executed: int | LongArray) -> bool | BoolArray:
    """Say where rate >= percent and failures >= count and executed >= the minimum; never for nobody."""
    enough = (executed >= max(rule.min_executed, 1)) & (failed >= rule.count)
    return enough & (WHOLE * failed >= parts_of_percent(rule.percent) * executed)
