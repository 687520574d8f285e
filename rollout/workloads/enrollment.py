"""Automatic enrollment in Intune: None, Pilot, All; and which devices a change between them affects.

None: no more devices enroll. Pilot: members of the Intune Auto Enrollment collection. All: every eligible client.
What Microsoft does not document is marked as assumed: whether leaving the scope affects an enrolled device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Mode(StrEnum):
    """Automatic enrollment in Intune, as the console names it."""

    NONE = "none"
    PILOT = "pilot"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Groups:
    """Numbers of devices, by what a mode means for them.

    members : eligible and in the auto-enrollment collection. others : eligible and not in it.
    held : blocked by preflight or excluded by hand, yet eligible for Configuration Manager itself.
    enrolled : already enrolled; the other three are not yet.
    """

    members: int = 0
    others: int = 0
    held: int = 0
    enrolled: int = 0


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of the mode. allowed : False if it breaks a phased plan; see `fits`."""

    before: Mode
    after: Mode
    sentence: str
    next_action: str
    allowed: bool = True

    def enrolls(self, groups: Groups) -> int:
        """Return how many devices start to enroll because of it, each after its own random delay."""
        return _targeted(self.after, groups) - min(
            _targeted(self.before, groups), _targeted(self.after, groups)
        )

    def stops(self, groups: Groups) -> int:
        """Return how many devices that would have enrolled no longer will."""
        return _targeted(self.before, groups) - min(
            _targeted(self.before, groups), _targeted(self.after, groups)
        )

    def fits(self, groups: Groups | None) -> bool:
        """Return whether it may be made: it breaks no plan or, if it leaves Pilot, changes no device's enrollment.

        So All is fine once the last eligible device is a member. groups : None if there is no inventory.
        """
        if self.allowed or groups is None or self.before is not Mode.PILOT:
            return self.allowed
        return self.enrolls(groups) == 0 and self.stops(groups) == 0


def _targeted(mode: Mode, groups: Groups) -> int:
    eligible = groups.members + groups.others + groups.held
    return {Mode.NONE: 0, Mode.PILOT: groups.members, Mode.ALL: eligible}[mode]


_STAY = (
    "Enrolled devices stay enrolled (assumed: Microsoft does not document it); un-enrolled devices stay out."
)

_ALL_CHANGES = (
    Transition(
        Mode.NONE, Mode.NONE, "No more devices enroll.", "To start, set it to Pilot with an empty collection."
    ),
    Transition(
        Mode.NONE,
        Mode.PILOT,
        "Members of the auto-enrollment collection start to enroll; with an empty collection, no device does.",
        "Start here: choose the collection that the rollout will fill, while it is still empty.",
    ),
    Transition(
        Mode.NONE,
        Mode.ALL,
        "Every eligible client starts to enroll, including those that a plan holds back. This is the wizard's default.",
        "Choose Pilot instead. In the wizard, choose 'Customize settings'.",
        allowed=False,
    ),
    Transition(
        Mode.PILOT,
        Mode.NONE,
        f"No more devices enroll, not even released devices that have not enrolled yet. {_STAY}",
        "Pause the rollout first: released devices would count as silent.",
        allowed=False,
    ),
    Transition(
        Mode.PILOT,
        Mode.PILOT,
        "The rollout decides which devices enroll, by adding members to the collection. This has no time limit.",
        'No action needed: a phase with end = "never" is a permanent pilot.',
    ),
    Transition(
        Mode.PILOT,
        Mode.ALL,
        "Every eligible client that is not a member starts to enroll, including those that a plan excludes.",
        "Only do this once the tail is done and no device that must not enroll is eligible. It is never needed.",
        allowed=False,
    ),
    Transition(
        Mode.ALL,
        Mode.NONE,
        f"No more devices enroll. {_STAY}",
        "Use it as the emergency stop of a fleet that enrolls all at once; then continue with Pilot.",
    ),
    Transition(
        Mode.ALL,
        Mode.PILOT,
        f"Eligible clients outside the collection no longer enroll; timers already running may still fire. {_STAY}",
        "Use it to undo the wizard's default: first an empty collection, then Pilot, then a new inventory.",
    ),
    Transition(
        Mode.ALL,
        Mode.ALL,
        "Every eligible client enrolls, new clients immediately. A phased plan has no effect.",
        "Set it to Pilot before running a phased plan.",
        allowed=False,
    ),
)

TRANSITIONS: Mapping[tuple[Mode, Mode], Transition] = MappingProxyType(
    {(change.before, change.after): change for change in _ALL_CHANGES}
)
"""Every pair of modes, including no change."""


def transition(before: Mode, after: Mode) -> Transition:
    """Return what a change of automatic enrollment does; every pair is defined."""
    return TRANSITIONS[before, after]
