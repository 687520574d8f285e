"""The way back: what a workload leaves behind, and how a device leaves co-management for good.

A device in scope enrolls again at its next policy evaluation, however it was un-enrolled. So the order is: leave the
scope, check that the policy has arrived, then retire.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from rollout.workloads.sliders import WORKLOADS, moves_with


class Leave(StrEnum):
    """A step in removing a device from co-management for good."""

    SCOPE = "leave the auto-enrollment collection and every staging collection"
    POLICY = "check that the client has the policy without auto-enrollment"
    RETIRE = "retire the device in Intune"


UNENROLL_ORDER = (Leave.SCOPE, Leave.POLICY, Leave.RETIRE)


@dataclass(frozen=True, slots=True)
class Unenrolled:
    """The result of a sequence of steps. sentences : what goes wrong, in the order of the steps."""

    out_for_good: bool
    sentences: tuple[str, ...] = ()


def judge_unenroll(steps: Sequence[Leave]) -> Unenrolled:
    """Return what happens to an enrolled device after `steps`, in this order.

    The only right order is `UNENROLL_ORDER`. A repeated step counts once, where it first occurs.
    """
    place = {step: at for at, step in reversed(list(enumerate(steps)))}
    scope, policy, retire = (place.get(step) for step in UNENROLL_ORDER)
    wrong = []
    if scope is None:
        wrong.append("The device is still in scope: it is enrolled, or enrolls again at its next evaluation.")
    if retire is None:
        wrong.append("The device stays enrolled: leaving a collection does not un-enroll it.")
    elif scope is None or retire < scope:
        wrong.append("It was retired while in scope: it enrolls again at its next policy evaluation.")
    elif policy is None or retire < policy:
        wrong.append("It was retired before the policy had arrived: until then, its client enrolls again.")
    if policy is not None and (scope is None or policy < scope):
        wrong.append("The policy was checked before the device left the scope, which proves nothing.")
    return Unenrolled(not wrong, tuple(wrong))


def way_back(name: str) -> tuple[str, ...]:
    """Return, for a workload and those that moved with it, what a move back reverts and what stays."""
    moved = (WORKLOADS[each] for each in moves_with(name))
    return tuple(f"{workload.title}: {workload.reverts} What stays: {workload.stays}" for workload in moved)
