"""What CoManagementHandler.log says of one device: its policy, its timer, its tries, its result.

ComplRelayAgent.log, CIAgent.log and WUAHandler.log are understood as far as they name the workload flags.

The lines are those that Microsoft's troubleshooting pages show, and a few that unofficial notes name; the wording
differs between client versions, so a line is known by its core. Each known line moves a small state machine; the
last state is the device's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from rollout.client.tracelog import Entry
from rollout.values.failures import Failure, explain, parse_code


class Kind(StrEnum):
    """What a line tells."""

    POLICY = "policy"
    FLAGS = "flags"
    VERIFIED = "workload asked"
    NO_URL = "no MDM address"
    NOT_ENROLLED = "not enrolled"
    OTHER_MDM = "other MDM"
    QUEUED = "timer set"
    STICKY = "timer kept"
    FIRED = "timer fired"
    TRY = "try"
    DEVICE_TOKEN = "device token"
    USER_TOKEN = "user token"
    FAILED = "failed"
    ENROLLED = "enrolled"
    ALREADY = "enrolled already"
    PROVISIONED = "provisioned"
    REPORTED = "reported"


@dataclass(frozen=True, slots=True)
class Event:
    """A line that means something. at : Unix seconds. failure : what the code in it means, if there is one."""

    at: int
    kind: Kind
    text: str
    failure: Failure | None = None


_CODE = re.compile(r"0x[0-9a-f]{8}\b", re.IGNORECASE)

_LINES: tuple[tuple[Kind, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern, re.IGNORECASE))
    for kind, pattern in (
        (Kind.FAILED, r"enrollment failed|failed to enroll"),
        (Kind.ENROLLED, r"enrollment succeeded"),
        (Kind.TRY, r"enrolling device to mdm.*try #\s*(\d+) out of (\d+)"),
        (Kind.QUEUED, r"queuing enrollment timer to fire at (.+?)(?: local time)?[.\s]*$"),
        (Kind.STICKY, r"timer already set"),
        (Kind.FIRED, r"enrollment randomization timer fired"),
        (Kind.ALREADY, r"already (?:or being )?enrolled"),
        (Kind.OTHER_MDM, r"unexpected vendor"),
        (Kind.NO_URL, r"enrollment url (?:has not|is not)|could not check enrollment url"),
        (Kind.NOT_ENROLLED, r"not (?:mdm )?enrolled|not provisioned"),
        (Kind.PROVISIONED, r"device is provisioned"),
        (Kind.DEVICE_TOKEN, r"RegisterDeviceWithManagementUsingAADDeviceCredentials"),
        (Kind.USER_TOKEN, r"RegisterDeviceWithManagementUsingAADCredentials"),
        (Kind.POLICY, r"merged value for (?:setting )?'CoManagementSettings_(\w+)' is '([^']*)'"),
        (Kind.FLAGS, r"max capabilities '(\d+)' is '(\d+)'|merging workload flags (\d+) with (\d+)"),
        (Kind.VERIFIED, r"verifying if workload (\d+) is enabled in workloadflags (\d+)"),
        (Kind.REPORTED, r"sending up the report|report for state"),
    )
)
"""Ordered: the first that fits has the line."""


class Stand(StrEnum):
    """Where the device stands after its last known line."""

    NOTHING = "The log says nothing about enrollment."
    TARGETED = "It has the co-management policy and waits for its next step."
    NOT_TARGETED = "Its policy does not let it enroll: it is not in the auto-enrollment collection."
    BLOCKED = "It has no MDM address yet: its join is not settled, or the MDM scope leaves its user out."
    FOREIGN = "It is enrolled in another MDM and in coexistence."
    SCHEDULED = "Its timer runs. That is normal: Configuration Manager spreads enrollment over time."
    TRYING = "It is enrolling."
    RETRYING = "A try failed; the client tries again by itself."
    GIVEN_UP = "Its tries are used up; it begins anew at a later policy evaluation."
    ENROLLED = "It is enrolled; co-management is being set up."
    COMANAGED = "It is co-managed."


_NEXT = {
    Stand.NOTHING: "See that it is in the collection and asks for policy; take a longer log.",
    Stand.TARGETED: "Nothing; look again after its next policy evaluation.",
    Stand.NOT_TARGETED: "Add it by the plan, not by hand; then evaluate the collection and wait for policy.",
    Stand.BLOCKED: "dsregcmd /status: AzureAdJoined YES and an MdmUrl; else mend the join or the MDM scope.",
    Stand.FOREIGN: "Take it out of the other MDM first.",
    Stand.SCHEDULED: "Wait until the timer has fired.",
    Stand.TRYING: "Nothing; look again in some minutes.",
    Stand.ENROLLED: "Nothing; look again in some minutes.",
    Stand.COMANAGED: "Nothing.",
}


@dataclass(slots=True)
class Story:
    """One device's story.

    auto_enroll, allowed : the merged policy, None unknown. due : when the timer is to fire, as the log writes it.
    tries : the last (number, of how many). flags, cap : the client's workload flags and what it is capable of.
    failure : the last code, explained.
    """

    events: list[Event] = field(default_factory=list)
    stand: Stand = Stand.NOTHING
    auto_enroll: bool | None = None
    allowed: bool | None = None
    capabilities: str = ""
    due: str = ""
    tries: tuple[int, int] = (0, 0)
    flags: int | None = None
    cap: int | None = None
    failure: Failure | None = None
    enrolled_at: int | None = None

    @property
    def next_action(self) -> str:
        """What to do next about this device."""
        if self.stand in (Stand.RETRYING, Stand.GIVEN_UP) and self.failure is not None:
            return self.failure.next_action
        return _NEXT.get(self.stand, "Nothing: the client tries again by itself.")

    @property
    def last(self) -> tuple[Event, ...]:
        """The events without those that only repeat the one before."""
        kept: list[Event] = []
        for event in self.events:
            if not kept or (event.kind, event.text) != (kept[-1].kind, kept[-1].text):
                kept.append(event)
        return tuple(kept)


def tell(entries: Iterable[Entry]) -> Story:
    """Read the story off a log's lines. Lines that are not known are passed over."""
    story = Story()
    for entry in entries:
        for kind, pattern in _LINES:
            if match := pattern.search(entry.text):
                failure = _failure(entry.text) if kind is Kind.FAILED else None
                story.events.append(Event(entry.at, kind, entry.text, failure))
                _STEPS[kind](story, match, story.events[-1])
                break
    return story


def _failure(text: str) -> Failure | None:
    codes = _CODE.findall(text)
    return explain(parse_code(codes[0])) if codes else None


def _policy(story: Story, match: re.Match[str], _event: Event) -> None:
    name, value = match[1].casefold(), match[2]
    if name == "capabilities":
        story.capabilities = value
        return
    yes = value.casefold() in ("true", "1")
    if name == "autoenroll":
        story.auto_enroll = yes
        if yes and story.stand in (Stand.NOTHING, Stand.NOT_TARGETED):
            story.stand = Stand.TARGETED
        elif not yes and story.stand not in (Stand.ENROLLED, Stand.COMANAGED, Stand.FOREIGN):
            story.stand = Stand.NOT_TARGETED
    elif name == "allow":
        story.allowed = yes


def _flags(story: Story, match: re.Match[str], _event: Event) -> None:
    if match[1]:
        story.cap, story.flags = int(match[1]), int(match[2])
    elif story.flags is None:
        # That the client joins two policies' flags by OR is inferred.
        story.flags = int(match[3]) | int(match[4])


def _verified(story: Story, match: re.Match[str], _event: Event) -> None:
    story.flags = int(match[2])  # ComplRelayAgent, CIAgent and WUAHandler write what they go by


def _not_enrolled(story: Story, _match: re.Match[str], _event: Event) -> None:
    if story.stand in (Stand.ENROLLED, Stand.COMANAGED):  # it was, and no longer is
        story.stand = Stand.TARGETED if story.auto_enroll else Stand.NOT_TARGETED
        story.enrolled_at = None


def _queued(story: Story, match: re.Match[str], _event: Event) -> None:
    story.due, story.stand = match[1].strip(), Stand.SCHEDULED


def _try(story: Story, match: re.Match[str], _event: Event) -> None:
    story.tries, story.stand = (int(match[1]), int(match[2])), Stand.TRYING


def _failed(story: Story, _match: re.Match[str], event: Event) -> None:
    story.failure = event.failure or story.failure
    if event.failure is not None and event.failure.done:
        story.stand = Stand.ENROLLED
        return
    done, of = story.tries
    # A device token that fails is followed by the user's within the same try, so a try is not over by that line.
    by_token = "RegisterDevice" in event.text
    story.stand = Stand.TRYING if by_token else Stand.GIVEN_UP if of and done >= of else Stand.RETRYING


def _enrolled(story: Story, _match: re.Match[str], event: Event) -> None:
    if story.enrolled_at is None:
        story.enrolled_at = event.at
    if story.stand is not Stand.COMANAGED:
        story.stand = Stand.ENROLLED


def _provisioned(story: Story, _match: re.Match[str], event: Event) -> None:
    if story.enrolled_at is None:
        story.enrolled_at = event.at
    story.stand = Stand.COMANAGED


def _to(stand: Stand) -> Callable[[Story, re.Match[str], Event], None]:
    def step(story: Story, _match: re.Match[str], _event: Event) -> None:
        story.stand = stand

    return step


def _nothing(_story: Story, _match: re.Match[str], _event: Event) -> None:
    pass


_STEPS: dict[Kind, Callable[[Story, re.Match[str], Event], None]] = {
    Kind.POLICY: _policy,
    Kind.FLAGS: _flags,
    Kind.VERIFIED: _verified,
    Kind.NO_URL: _to(Stand.BLOCKED),
    Kind.NOT_ENROLLED: _not_enrolled,
    Kind.OTHER_MDM: _to(Stand.FOREIGN),
    Kind.QUEUED: _queued,
    Kind.STICKY: _to(Stand.SCHEDULED),
    Kind.FIRED: _to(Stand.TRYING),
    Kind.TRY: _try,
    Kind.DEVICE_TOKEN: _nothing,
    Kind.USER_TOKEN: _nothing,
    Kind.FAILED: _failed,
    Kind.ENROLLED: _enrolled,
    Kind.ALREADY: _enrolled,
    Kind.PROVISIONED: _provisioned,
    Kind.REPORTED: _nothing,
}
