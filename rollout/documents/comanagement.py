"""The documents of `enrollment`, `workloads` and `client`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rollout.documents.base import Code, Count, Document, Instant, described
from rollout.values import FailureClass
from rollout.workloads import Authority, EnrollmentStatus, Mode


class Funnel(Document):
    """The funnel of the devices; each number is part of the previous one."""

    eligible: Count = described("Devices that may enroll.", "Eligible")
    scheduled: Count = described("Devices that are scheduled to enroll.", "Scheduled")
    initiated: Count = described("Devices that started to enroll.", "Enrollment initiated")
    enrolled: Count = described("Devices that have enrolled.", "Enrolled")


Join = Literal["hybrid", "entra", "unknown"]


class StatusCount(Document):
    """Devices of one status and join."""

    status: EnrollmentStatus = described("The dashboard's status.")
    join: Join = described("Type of join.")
    devices: Count = described("Devices.")


class FailureCount(Document):
    """Devices that failed with one code."""

    code: Code = described("The code.")
    name: str = described('Its symbolic name; "" if unknown.')
    kind: FailureClass = described("Class of the failure: what a retry can achieve.", "class")
    devices: Count = described("Devices.")
    next_action: str = described("Next action.")


class Enrollment(Document):
    """Enrollment states of a fleet, according to the latest rollout or to an export of the site."""

    of: str = described("The rollout or the file.")
    devices: Count = described("Number of devices.")
    funnel: Funnel = described("The enrollment funnel.")
    status: tuple[StatusCount, ...] = described("Devices by status and join.")
    failures: tuple[FailureCount, ...] = described("Failures by code, the most frequent first.")


class Change(Document):
    """A change of automatic enrollment."""

    before: Mode = described("Mode before the change.", "from")
    after: Mode = described("Mode after the change.", "to")
    allowed: bool = described("Whether a phased plan allows it.")
    sentence: str = described("Effect of the change.")
    next_action: str = described("Next action.")


class Changes(Document):
    """Without a rollout: every change of automatic enrollment."""

    changes: tuple[Change, ...] = described("The changes, one per pair of modes.")


class ChangeCounted(Change):
    """--from, --to: one change, counted on the latest inventory; null without one."""

    begin_to_enroll: Count | None = described("Devices that start enrolling.")
    of_them_held_back: Count | None = described("Of these, devices that preflight holds back.")
    stop_to_enroll: Count | None = described("Devices that stop enrolling before they are enrolled.")


class Unenrolled(Document):
    """--unenroll: the result of an order of steps."""

    out_for_good: bool = described("Whether the device stays out.")
    sentences: tuple[str, ...] = described("Problems, in the order of the steps.")
    right: str = described("The right order.")


class DeviceWorkloads(Document):
    """A client's workload flags, read bit by bit."""

    comanaged: bool | None = described("Whether the device is co-managed; null if unknown.")
    flags: Count | None = described("The flags as a number; null if they are not a number.")
    found: str = described("The flags as they were found.")
    why_unknown: str = described('Reason why the flags are unknown; "" if they are known.')
    markers: tuple[str, ...] = described("Meanings of the set bits that are not a workload.")
    unknown_bits: tuple[Count, ...] = described("Values of the set bits that are undocumented.")
    above_cap: tuple[Count, ...] = described("Values of the set bits above the client's capabilities.")
    authority: dict[str, Authority] = described(
        "The tool that manages each workload, by the workload's name."
    )


class DeviceFlags(DeviceWorkloads):
    """--flags, --device: one client."""

    device: str | None = described("The device as requested; null for plain flags.")


class FleetAuthority(Document):
    """An export of the site: the tool that manages each workload."""

    devices: Count = described("Devices in the export.")
    authority: dict[str, dict[Authority, Count]] = described(
        "Devices by workload and by the tool that manages it."
    )
    unknown_bits: dict[str, Count] = described("Devices by the value of an undocumented bit that is set.")


class Workload(Document):
    """One slider of the co-management properties."""

    name: str = described("Its name here.")
    title: str = described("Its name in the console.")
    bit: Count = described("Its bit in the client's flags.")
    switch: str = described("Its parameter of New-CMCoManagementPolicy.")
    moves_with: tuple[str, ...] = described("Workloads that move with it.")
    counterpart: str = described("Its requirement in Intune.")
    supported: bool = described("Whether its slider still exists.")
    log: str = described("The client's log about this workload.")
    reverts: str = described("Settings that a move back restores.")
    stays: str = described("Settings that a move back leaves behind.")
    note: str = described("A note.")


class Workloads(Document):
    """Without arguments: the workloads."""

    workloads: tuple[Workload, ...] = described("All seven.")
    usual_order: tuple[str, ...] = described("Names in the order in which they usually move.")
    autopatch: tuple[str, ...] = described("Names of the workloads that Windows Autopatch needs.")


class LogCode(Document):
    """A failure code in a client's log."""

    code: Code = described("The code.")
    name: str = described('Its symbolic name; "" if unknown.')
    kind: FailureClass = described("Class of the failure: what a retry can achieve.", "class")
    meaning: str = described("Its meaning.")


class LogEvent(Document):
    """An event in the log."""

    at: Instant = described("UTC instant.")
    kind: str = described("Kind of the event.")
    text: str = described("The line of the log.")


class ClientLog(Document):
    """client log: the history of one client."""

    encoding: str = described("Encoding of the file.")
    lines: Count = described("Lines read.")
    broken: Count = described("Lines that could not be read.")
    stand: str = described("State of the client, in a word.")
    sentence: str = described("State of the client, in a sentence.")
    next_action: str = described("Next action.")
    auto_enroll: bool | None = described("Whether its policy lets it enroll; null if unknown.")
    timer: str | None = described(
        "When its timer fires, in the client's own time, as the log writes it; null if unknown."
    )
    tries: Annotated[tuple[Count, ...], Field(min_length=2, max_length=2)] = described(
        "Number of the last attempt, and of all attempts; 0, 0 for none."
    )
    enrolled_at: Instant | None = described("UTC instant of its enrollment; null for none.")
    flags: Count | None = described("Its workload flags; null if unknown.")
    cap: Count | None = described("Its capabilities as flags; null if unknown.")
    code: LogCode | None = described("The last failure; null for none.")
    events: tuple[LogEvent, ...] = described("Events in order of time.")


class Problem(Document):
    """A problem of an installation command."""

    stops: bool = described("Whether the command cannot work because of it.")
    sentence: str = described("The problem, in a sentence.")
    next_action: str = described("Next action.")


class ClientCommand(Document):
    """client command: the command that installs the client from Intune, checked."""

    usable: bool = described("Whether the command works.")
    length: Count = described("Characters, of at most 1,024.")
    properties: dict[str, str] = described("Properties of client.msi by name.")
    parameters: dict[str, str] = described("Parameters of ccmsetup by name.")
    problems: tuple[Problem, ...] = described("Problems of the command.")
