"""The way back: what a workload leaves behind, and how a device leaves co-management for good.

A device that is in scope enrolls again at its next policy evaluation, whoever un-enrolled it. So the order is:
leave the scope, see that the policy has arrived, then retire.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from rollout.workloads.sliders import WORKLOADS, moves_with


class Leave(StrEnum):
    """A step of taking a device out for good."""

    SCOPE = "leave the auto-enrollment collection and every staging collection"
    POLICY = "see that the client has the policy without auto-enrollment"
    RETIRE = "retire the device in Intune"


UNENROLL_ORDER = (Leave.SCOPE, Leave.POLICY, Leave.RETIRE)


@dataclass(frozen=True, slots=True)
class Unenrolled:
    """What an order of steps leads to. sentences : what goes wrong, in the order of the steps."""

    out_for_good: bool
    sentences: tuple[str, ...] = ()


def judge_unenroll(steps: Sequence[Leave]) -> Unenrolled:
    """Say what becomes of an enrolled device after `steps`, in this order.

    The one right order is `UNENROLL_ORDER`. Each step is counted once, at its first place.
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
        wrong.append(
            "It was retired before the policy had arrived: until then its client still enrolls again."
        )
    if policy is not None and (scope is None or policy < scope):
        wrong.append("The policy was looked at before the device left the scope, which shows nothing.")
    return Unenrolled(not wrong, tuple(wrong))


def way_back(name: str) -> tuple[str, ...]:
    """Say for a workload, and for what moved with it, what a move back reverts and what stays."""
    out = []
    for move in (WORKLOADS[moved] for moved in moves_with(name)):
        out.append(f"{move.title}: {move.reverts} What stays: {move.stays}")
    return tuple(out)
