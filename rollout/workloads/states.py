"""The site's status of each client: the dashboard's status, its funnel, and the manager of each workload.

The rows are those of v_ClientCoManagementState (SMS_Client_ComanagementState over WMI), which an administrator
exports as CSV. Microsoft documents MDMEnrolled, Authority and ComgmtPolicyPresent; the other columns were observed
in the class, and how they make up the dashboard's status is inferred. The values of EnrollmentStatusCode are not
public: a value that is a known result code is explained, any other is shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from rollout.values.failures import Failure, explain, parse_code
from rollout.workloads.authority import Authority, authorities
from rollout.workloads.flags import WorkloadFlags, decode
from rollout.workloads.sliders import WORKLOADS

COLUMNS = (
    "ResourceID", "Name", "MDMEnrolled", "ComgmtPolicyPresent", "MDMProvisioned", "MDMWorkloads",
    "HybridAADJoined", "AADJoined", "EnrollmentScheduled", "EnrollmentFailed", "PendingLogon",
    "EnrollmentStatusCode", "AADDeviceID",
)  # fmt: skip
"""The columns that are read; all but the first four are optional."""

REQUIRED = COLUMNS[:4]


class EnrollmentStatus(StrEnum):
    """The dashboard's status of one client."""

    SUCCESS = "Success"
    ENROLLING = "Enrolling"
    FAILURE = "Failure"
    PENDING = "Pending user sign in"
    NOT_BEGUN = "Not scheduled"
    UNKNOWN = "Unknown"


class Step(StrEnum):
    """The furthest step of the dashboard's funnel that a client has reached."""

    ELIGIBLE = "Eligible"
    SCHEDULED = "Scheduled"
    INITIATED = "Enrollment initiated"
    ENROLLED = "Enrolled"


_STEPS = {
    EnrollmentStatus.SUCCESS: Step.ENROLLED,
    EnrollmentStatus.FAILURE: Step.INITIATED,
    EnrollmentStatus.PENDING: Step.INITIATED,
    EnrollmentStatus.ENROLLING: Step.SCHEDULED,
    EnrollmentStatus.NOT_BEGUN: Step.ELIGIBLE,
    EnrollmentStatus.UNKNOWN: Step.ELIGIBLE,
}


@dataclass(frozen=True, slots=True)
class ClientState:
    """One client. comanaged : 1, 0, -1 if unknown. join : "hybrid", "entra" or "unknown"."""

    resource_id: str
    name: str
    status: EnrollmentStatus
    step: Step
    join: str
    comanaged: int
    flags: WorkloadFlags
    failure: Failure | None = None

    def authorities(self, site_version: int | None = None) -> dict[str, Authority]:
        """Return the authority of each workload, by name."""
        return authorities(self.comanaged, self.flags, site_version)


def read_state(row: Mapping[str, str]) -> ClientState:
    """Read one row; column names in any case. Never raises: values that cannot be read are unknown."""
    cells = {name.strip().casefold(): (value or "").strip() for name, value in row.items()}

    def flag(name: str) -> int:
        return _flag(cells.get(name.casefold(), ""))

    enrolled, policy, provisioned = flag("MDMEnrolled"), flag("ComgmtPolicyPresent"), flag("MDMProvisioned")
    comanaged = 0 if 0 in (enrolled, policy) else 1 if enrolled == policy == 1 else -1
    status = _status(comanaged, enrolled, provisioned, flag)
    step = Step.INITIATED if status is EnrollmentStatus.ENROLLING and enrolled == 1 else _STEPS[status]
    return ClientState(
        resource_id=cells.get("resourceid", ""),
        name=cells.get("name", ""),
        status=status,
        step=step,
        join="hybrid" if flag("HybridAADJoined") == 1 else "entra" if flag("AADJoined") == 1 else "unknown",
        comanaged=comanaged,
        flags=decode(cells.get("mdmworkloads") or None),
        failure=_failure(cells.get("enrollmentstatuscode", ""))
        if status is EnrollmentStatus.FAILURE
        else None,
    )


def _status(comanaged: int, enrolled: int, provisioned: int, ask: Callable[[str], int]) -> EnrollmentStatus:
    """Return the dashboard's status. ask : returns the flag of a column by name."""
    if comanaged == 1 and provisioned != 0:
        return EnrollmentStatus.SUCCESS
    if ask("EnrollmentFailed") == 1:
        return EnrollmentStatus.FAILURE
    if ask("PendingLogon") == 1:
        return EnrollmentStatus.PENDING
    if ask("EnrollmentScheduled") == 1 or enrolled == 1:
        return EnrollmentStatus.ENROLLING
    return EnrollmentStatus.UNKNOWN if comanaged == -1 else EnrollmentStatus.NOT_BEGUN


def _flag(text: str) -> int:
    plain = text.casefold()
    if plain in ("1", "true", "yes"):
        return 1
    return 0 if plain in ("0", "false", "no") else -1


def _failure(text: str) -> Failure | None:
    try:
        code = parse_code(text)
    except ValueError:
        return None
    return explain(code) if code else None


@dataclass(slots=True)
class StateCounts:
    """The clients of a fleet, counted by state.

    status : (status, join) -> devices. funnel : step -> devices that have reached at least this step.
    failures : code -> devices. authority : workload -> authority -> devices. unknown_bits : bit -> devices.
    """

    devices: int = 0
    status: Counter[tuple[EnrollmentStatus, str]] = field(default_factory=Counter)
    funnel: Counter[Step] = field(default_factory=Counter)
    failures: Counter[int] = field(default_factory=Counter)
    authority: dict[str, Counter[Authority]] = field(
        default_factory=lambda: {name: Counter() for name in WORKLOADS}
    )
    unknown_bits: Counter[int] = field(default_factory=Counter)


def count_states(states: Iterable[ClientState], site_version: int | None = None) -> StateCounts:
    """Count clients as the dashboard's tables do."""
    counts = StateCounts()
    order = list(Step)
    for state in states:
        counts.devices += 1
        counts.status[state.status, state.join] += 1
        for step in order[: order.index(state.step) + 1]:
            counts.funnel[step] += 1
        if state.failure is not None:
            counts.failures[state.failure.code] += 1
        for workload, authority in state.authorities(site_version).items():
            counts.authority[workload][authority] += 1
        counts.unknown_bits.update(state.flags.unknown_bits)
    return counts
