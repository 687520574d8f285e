"""Interpret one device's CoManagementHandler.log: its policy, timer, attempts and result.

ComplRelayAgent.log, CIAgent.log and WUAHandler.log are interpreted as far as they name the workload flags.

The lines are those that Microsoft's troubleshooting pages show, and a few from unofficial notes; the wording differs
between client versions, so a line is recognized by its core. Each known line moves a small state machine; its last
state is the device's stage.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from rollout.client.tracelog import Entry
from rollout.values.failures import Failure, explain, parse_code


class Kind(StrEnum):
    """What a line reports."""

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
    """A line with a known meaning. at : Unix seconds. failure : the meaning of the code in it, if it has one."""

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
"""In order of precedence: the first pattern that matches a line decides its kind."""


class Stage(StrEnum):
    """The device's stage of enrollment after the last known line."""

    NOTHING = "The log says nothing about enrollment."
    TARGETED = "The device has the co-management policy and is waiting for its next step."
    NOT_TARGETED = "The policy does not let the device enroll: it is not in the auto-enrollment collection."
    BLOCKED = (
        "The device has no MDM URL yet: its join is not complete, or its user is outside the MDM user scope."
    )
    FOREIGN = "The device is enrolled in another MDM and in coexistence mode."
    SCHEDULED = (
        "The enrollment timer is running. This is normal: Configuration Manager spreads enrollment over time."
    )
    TRYING = "The device is enrolling."
    RETRYING = "An attempt failed; the client tries again by itself."
    GIVEN_UP = "All attempts failed; the client starts again at a later policy evaluation."
    ENROLLED = "The device is enrolled; co-management is being set up."
    COMANAGED = "The device is co-managed."


_NEXT = {
    Stage.NOTHING: "Check that the device is in the collection and requests policy; then get a longer log.",
    Stage.TARGETED: "No action needed; check again after its next policy evaluation.",
    Stage.NOT_TARGETED: "Add it through the plan, not by hand; then evaluate the collection and wait for policy.",
    Stage.BLOCKED: "Run dsregcmd /status; without AzureAdJoined YES and an MdmUrl, repair the join or the MDM scope.",
    Stage.FOREIGN: "Remove the device from the other MDM first.",
    Stage.SCHEDULED: "Wait until the timer has fired.",
    Stage.TRYING: "No action needed; check again in a few minutes.",
    Stage.ENROLLED: "No action needed; check again in a few minutes.",
    Stage.COMANAGED: "No action needed.",
}


@dataclass(slots=True)
class Story:
    """The course of one device's enrollment.

    auto_enroll, allowed : the merged policy, None if unknown. due : when the timer will fire, as the log writes it.
    tries : the last attempt as (number, of how many). flags, cap : the client's workload flags and its capabilities.
    failure : the last code, explained.
    """

    events: list[Event] = field(default_factory=list)
    stage: Stage = Stage.NOTHING
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
        """The next action for this device."""
        if self.stage in (Stage.RETRYING, Stage.GIVEN_UP) and self.failure is not None:
            return self.failure.next_action
        return _NEXT.get(self.stage, "No action needed: the client tries again by itself.")

    @property
    def last(self) -> tuple[Event, ...]:
        """The events without those that only repeat the previous event."""
        kept: list[Event] = []
        for event in self.events:
            if not kept or (event.kind, event.text) != (kept[-1].kind, kept[-1].text):
                kept.append(event)
        return tuple(kept)


def read_story(entries: Iterable[Entry]) -> Story:
    """Interpret the lines of a log; unknown lines are skipped."""
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
        if yes and story.stage in (Stage.NOTHING, Stage.NOT_TARGETED):
            story.stage = Stage.TARGETED
        elif not yes and story.stage not in (Stage.ENROLLED, Stage.COMANAGED, Stage.FOREIGN):
            story.stage = Stage.NOT_TARGETED
    elif name == "allow":
        story.allowed = yes


def _flags(story: Story, match: re.Match[str], _event: Event) -> None:
    if match[1]:
        story.cap, story.flags = int(match[1]), int(match[2])
    elif story.flags is None:
        # It is inferred that the client combines the flags of two policies with OR.
        story.flags = int(match[3]) | int(match[4])


def _verified(story: Story, match: re.Match[str], _event: Event) -> None:
    story.flags = int(match[2])  # ComplRelayAgent, CIAgent and WUAHandler log the flags that they use


def _not_enrolled(story: Story, _match: re.Match[str], _event: Event) -> None:
    if story.stage in (Stage.ENROLLED, Stage.COMANAGED):  # it was enrolled, and no longer is
        story.stage = Stage.TARGETED if story.auto_enroll else Stage.NOT_TARGETED
        story.enrolled_at = None


def _queued(story: Story, match: re.Match[str], _event: Event) -> None:
    story.due, story.stage = match[1].strip(), Stage.SCHEDULED


def _try(story: Story, match: re.Match[str], _event: Event) -> None:
    story.tries, story.stage = (int(match[1]), int(match[2])), Stage.TRYING


def _failed(story: Story, _match: re.Match[str], event: Event) -> None:
    story.failure = event.failure or story.failure
    if event.failure is not None and event.failure.done:
        story.stage = Stage.ENROLLED
        return
    done, of = story.tries
    # After a failed device token the client uses the user's within the same attempt, so that line does not end it.
    by_token = "RegisterDevice" in event.text
    story.stage = Stage.TRYING if by_token else Stage.GIVEN_UP if of and done >= of else Stage.RETRYING


def _enrolled(story: Story, _match: re.Match[str], event: Event) -> None:
    if story.enrolled_at is None:
        story.enrolled_at = event.at
    if story.stage is not Stage.COMANAGED:
        story.stage = Stage.ENROLLED


def _provisioned(story: Story, _match: re.Match[str], event: Event) -> None:
    if story.enrolled_at is None:
        story.enrolled_at = event.at
    story.stage = Stage.COMANAGED


def _to(stage: Stage) -> Callable[[Story, re.Match[str], Event], None]:
    def step(story: Story, _match: re.Match[str], _event: Event) -> None:
        story.stage = stage

    return step


def _nothing(_story: Story, _match: re.Match[str], _event: Event) -> None:
    pass


_STEPS: dict[Kind, Callable[[Story, re.Match[str], Event], None]] = {
    Kind.POLICY: _policy,
    Kind.FLAGS: _flags,
    Kind.VERIFIED: _verified,
    Kind.NO_URL: _to(Stage.BLOCKED),
    Kind.NOT_ENROLLED: _not_enrolled,
    Kind.OTHER_MDM: _to(Stage.FOREIGN),
    Kind.QUEUED: _queued,
    Kind.STICKY: _to(Stage.SCHEDULED),
    Kind.FIRED: _to(Stage.TRYING),
    Kind.TRY: _try,
    Kind.DEVICE_TOKEN: _nothing,
    Kind.USER_TOKEN: _nothing,
    Kind.FAILED: _failed,
    Kind.ENROLLED: _enrolled,
    Kind.ALREADY: _enrolled,
    Kind.PROVISIONED: _provisioned,
    Kind.REPORTED: _nothing,
}
