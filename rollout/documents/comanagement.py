"""The documents of `enrollment`, `workloads` and `client`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rollout.documents.base import Code, Count, Document, Instant, told
from rollout.values import FailureClass
from rollout.workloads import Authority, EnrollmentStatus, Mode


class Funnel(Document):
    """How far devices have come, each number contained in the one before."""

    eligible: Count = told("Devices that may enroll.", "Eligible")
    scheduled: Count = told("Devices that were told to.", "Scheduled")
    initiated: Count = told("Devices that tried.", "Enrollment initiated")
    enrolled: Count = told("Devices that have enrolled.", "Enrolled")


Join = Literal["hybrid", "entra", "unknown"]


class StatusCount(Document):
    """Devices of one status and join."""

    status: EnrollmentStatus = told("The dashboard's status.")
    join: Join = told("How they are joined.")
    devices: Count = told("Devices.")


class FailureCount(Document):
    """Devices that failed with one code."""

    code: Code = told("The code.")
    name: str = told('Its symbolic name; "" unknown.')
    kind: FailureClass = told("What a retry can do about it.", "class")
    devices: Count = told("Devices.")
    next_action: str = told("What a person does about it.")


class Enrollment(Document):
    """Where a fleet stands: of the latest rollout, or of an export of the site."""

    of: str = told("Which rollout or file.")
    devices: Count = told("Devices in all.")
    funnel: Funnel = told("How far they have come.")
    status: list[StatusCount] = told("Devices by status and join.")
    failures: list[FailureCount] = told("Failures by code, the most frequent first.")


class Change(Document):
    """A change of automatic enrollment."""

    before: Mode = told("From none, pilot or all.", "from")
    after: Mode = told("To none, pilot or all.", "to")
    allowed: bool = told("Whether it may be made while a plan is phased.")
    sentence: str = told("What it does to whom.")
    next_action: str = told("What a person does about it.")


class Changes(Document):
    """Without a rollout: every change of automatic enrollment."""

    changes: list[Change] = told("All of them.")


class ChangeCounted(Change):
    """--from, --to: one change, counted on the latest inventory; null without one."""

    begin_to_enroll: Count | None = told("Devices that begin to enroll.")
    of_them_held_back: Count | None = told("Of these, devices that preflight holds back.")
    stop_to_enroll: Count | None = told("Devices that no longer will.")


class Unenrolled(Document):
    """--unenroll: what an order of steps leads to."""

    out_for_good: bool = told("Whether the device stays out.")
    sentences: list[str] = told("What happens, step by step.")
    right: str = told("The right order.")


class DeviceWorkloads(Document):
    """A client's workload flags, read bit by bit."""

    comanaged: bool | None = told("Whether the device is co-managed; null unknown.")
    flags: Count | None = told("The flags as a number; null if they are none.")
    found: str = told("The flags as they were found.")
    why_unknown: str = told('Why they are no number; "" if they are one.')
    markers: list[str] = told("What set bits mean that are no workload.")
    unknown_bits: list[Count] = told("Values of the set bits that are in no table.")
    above_cap: list[Count] = told("Values of the set bits that the client cannot act on.")
    authority: dict[str, Authority] = told("Who manages each workload, by its name.")


class DeviceFlags(DeviceWorkloads):
    """--flags, --device: one client."""

    device: str | None = told("The device as it was asked for; null for plain flags.")


class FleetAuthority(Document):
    """Of an export of the site: who manages what."""

    devices: Count = told("Devices in it.")
    authority: dict[str, dict[Authority, Count]] = told("Devices by workload and by who manages it.")
    unknown_bits: dict[str, Count] = told("Devices by the value of a set bit that is in no table.")


class Workload(Document):
    """One slider of the co-management properties."""

    name: str = told("Its name here.")
    title: str = told("Its name in the console.")
    bit: Count = told("Its bit in the client's flags.")
    switch: str = told("Its parameter of New-CMCoManagementPolicy.")
    moves_with: list[str] = told("Workloads that move with it.")
    counterpart: str = told("What it needs in Intune.")
    supported: bool = told("Whether its slider still exists.")
    log: str = told("The client's log that tells of it.")
    reverts: str = told("What a move back gives back.")
    stays: str = told("What a move back leaves behind.")
    note: str = told("What to know.")


class Workloads(Document):
    """Without arguments: the workloads."""

    workloads: list[Workload] = told("All seven.")
    usual_order: list[str] = told("Names in the order in which they usually move.")
    autopatch: list[str] = told("Names of those that Windows Autopatch needs.")


class LogCode(Document):
    """A failure code in a client's log."""

    code: Code = told("The code.")
    name: str = told('Its symbolic name; "" unknown.')
    kind: FailureClass = told("What a retry can do about it.", "class")
    meaning: str = told("What it means.")


class LogEvent(Document):
    """A line of the log that tells something."""

    at: Instant = told("UTC instant.")
    kind: str = told("What it tells.")
    text: str = told("The line.")


class ClientLog(Document):
    """client log: one client's story."""

    encoding: str = told("Of the file.")
    lines: Count = told("Lines read.")
    broken: Count = told("Lines that could not be read.")
    stand: str = told("Where the client stands, in a word.")
    sentence: str = told("The same in a sentence.")
    next_action: str = told("What a person does about it.")
    auto_enroll: bool | None = told("Whether its policy lets it enroll; null unknown.")
    timer: str | None = told("When its timer is to fire: the client's own time, as the log writes it.")
    tries: Annotated[list[Count], Field(min_length=2, max_length=2)] = told(
        "The last try and of how many; 0, 0 for none."
    )
    enrolled_at: Instant | None = told("UTC instant of its enrollment; null for none.")
    flags: Count | None = told("Its workload flags; null unknown.")
    cap: Count | None = told("Flags that it is capable of; null unknown.")
    code: LogCode | None = told("The last failure; null for none.")
    events: list[LogEvent] = told("What happened, in order of time.")


class Problem(Document):
    """What is wrong with an installation command."""

    stops: bool = told("Whether it cannot work with it.")
    sentence: str = told("What was found.")
    next_action: str = told("What a person does about it.")


class ClientCommand(Document):
    """client command: the command that installs the client from Intune, checked."""

    usable: bool = told("Whether it works.")
    length: Count = told("Characters, of 1,024.")
    properties: dict[str, str] = told("Properties of client.msi by name.")
    parameters: dict[str, str] = told("Parameters of ccmsetup by name.")
    problems: list[Problem] = told("What is wrong with it.")
