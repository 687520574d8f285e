"""HALT or HOLD by the plain rule that admins know: a percentage, a count and a minimum of executed devices.

It counts the executed (enrolled or failed) devices of the current phase; with `classes`, of the whole rollout. The
minimum of executed devices only keeps a threshold from tripping early: a complete phase above it is a HOLD although the
minimum was never reached, since no phase may pass above a threshold.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal, overload

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from rollout.fields import Count, Part, Percent
from rollout.gates.counts import executed_of
from rollout.gates.groups import Groups
from rollout.gates.rules.base import FAILED, NEVER, GateRule, Reading, of_all, percent
from rollout.values import (
    WHOLE,
    BoolArray,
    GatePolicy,
    Judgement,
    LongArray,
    ThresholdGate,
    Verdict,
    part_of,
    parts_of_percent,
)

ACTIONS = ("halt", "hold")


def _some_percent(value: object) -> object:
    """Refuse 0: it could mean "never" or "at the first failure", and a limit must not be ambiguous."""
    if isinstance(value, (int, float)) and value == 0 and not isinstance(value, bool):
        raise ValueError(
            "a percentage above 0 and up to 100 (to stop at the first failure: percent = 0.001, count = 1, "
            "min_executed = 1)"
        )
    return value


class ThresholdPolicy(Part):
    """See `rollout.values.ThresholdGate`."""

    percent: Annotated[Percent, BeforeValidator(_some_percent)]
    count: Count = 1
    min_executed: Count = 20
    action: Literal["halt", "hold"] = "halt"
    classes: tuple[Literal["transient", "identity", "config", "device", "network", "unknown"], ...] = ()


class ThresholdKeys(Part):
    """Plain thresholds."""

    thresholds: Annotated[tuple[ThresholdPolicy, ...], Field(max_length=100)] = ()


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
    """Return where rate >= percent, failures >= count and executed >= the minimum; never without executed devices."""
    enough = (executed >= max(rule.min_executed, 1)) & (failed >= rule.count)
    return enough & (WHOLE * failed >= parts_of_percent(rule.percent) * executed)


def _check(policy: GatePolicy) -> None:
    for rule in policy.thresholds:
        check_threshold(rule)


def _judge(reading: Reading) -> Judgement | None:
    """Return the verdict of the first plain threshold that trips, halting ones before holding ones."""
    if not reading.policy.thresholds:
        return None
    for rule in sorted(reading.policy.thresholds, key=lambda rule: rule.action != "halt"):
        failed, executed = _judged(reading, rule)
        if trips(rule, failed, executed):
            return _tripped(rule, Verdict.HALT if rule.action == "halt" else Verdict.HOLD, failed, executed)
    if not reading.counts.complete:
        return None
    for rule in reading.policy.thresholds:
        failed, executed = _judged(reading, rule)
        if trips(replace(rule, min_executed=0), failed, executed):
            return _tripped(rule, Verdict.HOLD, failed, executed)
    return None


def _judged(reading: Reading, rule: ThresholdGate) -> tuple[int, int]:
    """Return the failures and the executed devices that a threshold judges."""
    classes = reading.counts.failed_classes
    if rule.classes and classes is not None:
        return sum(classes.get(name, 0) for name in rule.classes), executed_of(reading.whole)
    return reading.phase[FAILED], executed_of(reading.phase)


def _tripped(rule: ThresholdGate, verdict: Verdict, failed: int, executed: int) -> Judgement:
    kind = f" ({', '.join(rule.classes)})" if rule.classes else ""
    few = "" if executed >= rule.min_executed else ", and the phase ends with fewer; a person must decide"
    sentence = (
        f"{verdict.upper()}: {failed:,} of {executed:,} devices with an outcome failed{kind}, "
        f"{percent(failed / executed)}; the threshold is {rule.percent:g} % and {rule.count:,} failures, "
        f"from {rule.min_executed:,} devices{few}"
    )
    return Judgement(verdict, sentence, "threshold", "", executed, failed, harmed=failed, of=executed)


def _failures_to_speak(policy: GatePolicy, cumulative: NDArray[np.int64], _groups: Groups) -> LongArray:
    return of_all(min(map(_fewest, policy.thresholds), default=NEVER), cumulative)


def _fewest(rule: ThresholdGate) -> int:
    """The fewest failures with which a threshold can trip, however many devices are executed."""
    return max(rule.count, part_of(max(rule.min_executed, 1), parts_of_percent(rule.percent)), 1)


THRESHOLD = GateRule("threshold", _check, _judge, ThresholdKeys, _failures_to_speak)
