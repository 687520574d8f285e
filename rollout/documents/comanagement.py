"""The documents of `enrollment`, `workloads` and `client`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rollout.documents.base import Code, Count, Document, Instant, described
from rollout.values import FailureClass
from rollout.workloads import Authority, EnrollmentStatus, Mode


class Funnel(Document):
    """How far devices have come, each number contained in the one before."""

    eligible: Count = described("Devices that may enroll.", "Eligible")
    scheduled: Count = described("Devices that were described to.", "Scheduled")
    initiated: Count = described("Devices that tried.", "Enrollment initiated")
    enrolled: Count = described("Devices that have enrolled.", "Enrolled")


Join = Literal["hybrid", "entra", "unknown"]


class StatusCount(Document):
    """Devices of one status and join."""

    status: EnrollmentStatus = described("The dashboard's status.")
    join: Join = described("How they are joined.")
    devices: Count = described("Devices.")


class FailureCount(Document):
    """Devices that failed with one code."""

    code: Code = described("The code.")
    name: str = described('Its symbolic name; "" unknown.')
    kind: FailureClass = described("What a retry can do about it.", "class")
    devices: Count = described("Devices.")
    next_action: str = described("What a person does about it.")


class Enrollment(Document):
    """Where a fleet stands: of the latest rollout, or of an export of the site."""

    of: str = described("Which rollout or file.")
    devices: Count = described("Devices in all.")
    funnel: Funnel = described("How far they have come.")
    status: tuple[StatusCount, ...] = described("Devices by status and join.")
    failures: tuple[FailureCount, ...] = described("Failures by code, the most frequent first.")


class Change(Document):
    """A change of automatic enrollment."""

    before: Mode = described("From none, pilot or all.", "from")
    after: Mode = described("To none, pilot or all.", "to")
    allowed: bool = described("Whether it may be made while a plan is phased.")
    sentence: str = described("What it does to whom.")
    next_action: str = described("What a person does about it.")


class Changes(Document):
    """Without a rollout: every change of automatic enrollment."""

    changes: tuple[Change, ...] = described("All of them.")


class ChangeCounted(Change):
    """--from, --to: one change, counted on the latest inventory; null without one."""

    begin_to_enroll: Count | None = described("Devices that begin to enroll.")
    of_them_held_back: Count | None = described("Of these, devices that preflight holds back.")
    stop_to_enroll: Count | None = described("Devices that no longer will.")


class Unenrolled(Document):
    """--unenroll: what an order of steps leads to."""

    out_for_good: bool = described("Whether the device stays out.")
    sentences: tuple[str, ...] = described("What happens, step by step.")
    right: str = described("The right order.")


class DeviceWorkloads(Document):
    """A client's workload flags, read bit by bit."""

    comanaged: bool | None = described("Whether the device is co-managed; null unknown.")
    flags: Count | None = described("The flags as a number; null if they are none.")
    found: str = described("The flags as they were found.")
    why_unknown: str = described('Why they are no number; "" if they are one.')
    markers: tuple[str, ...] = described("What set bits mean that are no workload.")
    unknown_bits: tuple[Count, ...] = described("Values of the set bits that are in no table.")
    above_cap: tuple[Count, ...] = described("Values of the set bits that the client cannot act on.")
    authority: dict[str, Authority] = described("Who manages each workload, by its name.")


class DeviceFlags(DeviceWorkloads):
    """--flags, --device: one client."""

    device: str | None = described("The device as it was asked for; null for plain flags.")


class FleetAuthority(Document):
    """Of an export of the site: who manages what."""

    devices: Count = described("Devices in it.")
    authority: dict[str, dict[Authority, Count]] = described("Devices by workload and by who manages it.")
    unknown_bits: dict[str, Count] = described("Devices by the value of a set bit that is in no table.")


class Workload(Document):
    """One slider of the co-management properties."""

    name: str = described("Its name here.")
    title: str = described("Its name in the console.")
    bit: Count = described("Its bit in the client's flags.")
    switch: str = described("Its parameter of New-CMCoManagementPolicy.")
    moves_with: tuple[str, ...] = described("Workloads that move with it.")
    counterpart: str = described("What it needs in Intune.")
    supported: bool = described("Whether its slider still exists.")
    log: str = described("The client's log that tells of it.")
    reverts: str = described("What a move back gives back.")
    stays: str = described("What a move back leaves behind.")
    note: str = described("What to know.")


class Workloads(Document):
    """Without arguments: the workloads."""

    workloads: tuple[Workload, ...] = described("All seven.")
    usual_order: tuple[str, ...] = described("Names in the order in which they usually move.")
    autopatch: tuple[str, ...] = described("Names of those that Windows Autopatch needs.")


class LogCode(Document):
    """A failure code in a client's log."""

    code: Code = described("The code.")
    name: str = described('Its symbolic name; "" unknown.')
    kind: FailureClass = described("What a retry can do about it.", "class")
    meaning: str = described("What it means.")


class LogEvent(Document):
    """A line of the log that tells something."""

    at: Instant = described("UTC instant.")
    kind: str = described("What it tells.")
    text: str = described("The line.")


class ClientLog(Document):
    """client log: one client's story."""

    encoding: str = described("Of the file.")
    lines: Count = described("Lines read.")
    broken: Count = described("Lines that could not be read.")
    stand: str = described("Where the client stands, in a word.")
    sentence: str = described("The same in a sentence.")
    next_action: str = described("What a person does about it.")
    auto_enroll: bool | None = described("Whether its policy lets it enroll; null unknown.")
    timer: str | None = described("When its timer is to fire: the client's own time, as the log writes it.")
    tries: Annotated[tuple[Count, ...], Field(min_length=2, max_length=2)] = described(
        "The last try and of how many; 0, 0 for none."
    )
    enrolled_at: Instant | None = described("UTC instant of its enrollment; null for none.")
    flags: Count | None = described("Its workload flags; null unknown.")
    cap: Count | None = described("Flags that it is capable of; null unknown.")
    code: LogCode | None = described("The last failure; null for none.")
    events: tuple[LogEvent, ...] = described("What happened, in order of time.")


class Problem(Document):
    """What is wrong with an installation command."""

    stops: bool = described("Whether it cannot work with it.")
    sentence: str = described("What was found.")
    next_action: str = described("What a person does about it.")


class ClientCommand(Document):
    """client command: the command that installs the client from Intune, checked."""

    usable: bool = described("Whether it works.")
    length: Count = described("Characters, of 1,024.")
    properties: dict[str, str] = described("Properties of client.msi by name.")
    parameters: dict[str, str] = described("Parameters of ccmsetup by name.")
    problems: tuple[Problem, ...] = described("What is wrong with it.")
