"""Automatic enrollment in Intune: None, Pilot, All; and what each change of it does to whom.

None: nobody new enrolls. Pilot: members of the Intune Auto Enrollment collection. All: every eligible client.
What Microsoft does not document is marked as assumed: whether leaving the scope touches an enrolled device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Mode(StrEnum):
    """Automatic enrollment in Intune, as the console writes it."""

    NONE = "none"
    PILOT = "pilot"
    ALL = "all"


WIZARD_DEFAULT = Mode.ALL
"""What the Cloud Attach wizard sets with its default settings: one click enrolls the whole fleet."""


@dataclass(frozen=True, slots=True)
class Groups:
    """Devices that are not enrolled yet, by what a mode means to them.

    members : eligible and in the auto-enrollment collection. others : eligible and not in it.
    held : blocked by preflight or kept out by hand, yet eligible for Configuration Manager itself.
    enrolled : enrolled already.
    """

    members: int = 0
    others: int = 0
    held: int = 0
    enrolled: int = 0


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of the mode. allowed : False if it breaks a phased plan; see `fits`."""

    before: Mode
    after: Mode
    sentence: str
    next_action: str
    allowed: bool = True

    def enrolls(self, groups: Groups) -> int:
        """Return how many devices begin to enroll because of it, each after its own random time."""
        return _targeted(self.after, groups) - min(
            _targeted(self.before, groups), _targeted(self.after, groups)
        )

    def stops(self, groups: Groups) -> int:
        """Return how many devices that have not enrolled yet no longer will."""
        return _targeted(self.before, groups) - min(
            _targeted(self.before, groups), _targeted(self.after, groups)
        )

    def fits(self, groups: Groups | None) -> bool:
        """Return whether it may be made: it is no break of a plan, or, leaving Pilot, it changes nobody's enrollment.

        So All is fine once the last eligible device is in. groups : None where no inventory tells.
        """
        if self.allowed or groups is None or self.before is not Mode.PILOT:
            return self.allowed
        return self.enrolls(groups) == 0 and self.stops(groups) == 0


def _targeted(mode: Mode, groups: Groups) -> int:
    everybody = groups.members + groups.others + groups.held
    return {Mode.NONE: 0, Mode.PILOT: groups.members, Mode.ALL: everybody}[mode]


_STAY = (
    "Devices that are enrolled stay so (assumed: Microsoft does not document it); un-enrolled ones stay out."
)

_ALL_CHANGES = (
    Transition(
        Mode.NONE, Mode.NONE, "Nobody new enrolls.", "Set it to Pilot with an empty collection to begin."
    ),
    Transition(
        Mode.NONE,
        Mode.PILOT,
        "Members of the auto-enrollment collection begin to enroll; with an empty collection nobody does.",
        "Begin here: choose the collection that the rollout grows, while it is empty.",
    ),
    Transition(
        Mode.NONE,
        Mode.ALL,
        "Every eligible client begins to enroll, also those that a plan holds back. So do the wizard's defaults.",
        "Do not: choose Pilot. In the wizard take 'Customize settings'.",
        allowed=False,
    ),
    Transition(
        Mode.PILOT,
        Mode.NONE,
        f"Nobody new enrolls, released devices that have not enrolled yet included. {_STAY}",
        "Pause the rollout first: released devices would count as stragglers.",
        allowed=False,
    ),
    Transition(
        Mode.PILOT,
        Mode.PILOT,
        "The rollout decides, by growing the collection. This has no time limit and may stay so for good.",
        'Nothing: a phase with end = "never" is a pilot without end.',
    ),
    Transition(
        Mode.PILOT,
        Mode.ALL,
        "Every eligible client that is not a member begins to enroll, also those that a plan excludes.",
        "Only when the tail is done, and the devices that shall never enroll are not eligible. Never needed.",
        allowed=False,
    ),
    Transition(
        Mode.ALL,
        Mode.NONE,
        f"Nobody new enrolls. {_STAY}",
        "The emergency stop of a fleet that enrolls at once; then go on with Pilot.",
    ),
    Transition(
        Mode.ALL,
        Mode.PILOT,
        f"Eligible clients outside the collection stop to enroll; timers that run already may still fire. {_STAY}",
        "Undo a wizard's default with it: an empty collection first, then Pilot, then a new inventory.",
    ),
    Transition(
        Mode.ALL,
        Mode.ALL,
        "Every eligible client enrolls, new ones at once. A phased plan has no effect.",
        "Set it to Pilot before a phased plan runs.",
        allowed=False,
    ),
)

TRANSITIONS: Mapping[tuple[Mode, Mode], Transition] = MappingProxyType(
    {(change.before, change.after): change for change in _ALL_CHANGES}
)
"""Every pair of modes, staying as it is included."""


def transition(before: Mode, after: Mode) -> Transition:
    """Return what a change of automatic enrollment does; it is defined for every pair."""
    return TRANSITIONS[before, after]
