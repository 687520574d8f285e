"""Whether a record of the site or of Intune shows a device as enrolled, as failed with a code, or neither yet.

ConfigMgr: co-managed is MDMEnrolled and ComgmtPolicyPresent; failed is EnrollmentFailed, its EnrollmentStatusCode
an HRESULT as a decimal. Intune: co-managed is the agent configurationManagerClientMdm; configurationManagerClient
alone is tenant attach, not enrolled. A failed enrollment is an event of its own there, mostly without an HRESULT.
An unknown value (a new member of an enumeration) says nothing, and is never an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from rollout.directory.http.paging import Row, field_of

COMANAGED_AGENTS: Final = frozenset({"configurationManagerClientMdm", "configurationManagerClientMdmEas"})

CATEGORY_CODES: Mapping[str, int] = MappingProxyType(
    {
        "authentication": 0x80180002,
        "authorization": 0x80180003,
        "accountValidation": 0x80180002,
        "deviceNotSupported": 0x80180014,
        "inMaintenance": 0x80180005,
        "enrollmentRestrictionsEnforced": 0x80180015,
        "clientDisconnected": 0x80192EE2,
        "userAbandonment": 0x8018002A,
    }
)
"""Intune's category of a failure -> the nearest code of the client, so that reports know class and next action.
Other categories have no such code."""

_HRESULT: Final = re.compile(r"0x8[0-9a-fA-F]{7}\b")
_FRACTION: Final = re.compile(r"\.\d+")


@dataclass(frozen=True, slots=True)
class State:
    """The state in a record. code : unsigned HRESULT, 0 = unknown or no failure."""

    enrolled: bool
    failed: bool
    code: int = 0


def comanagement_state(row: Row, workload_bit: int = 0) -> State:
    """Read a row of SMS_Client_ComanagementState.

    workload_bit : of the workload that is being moved, 0 while enrolling: then a co-managed device is done only
    when Intune manages this workload too.
    """
    enrolled = _yes(row, "MDMEnrolled") and _yes(row, "ComgmtPolicyPresent")
    if enrolled and workload_bit:
        enrolled = bool(_bits(field_of(row, "MDMWorkloads")) & workload_bit)
    failed = _yes(row, "EnrollmentFailed") and not enrolled
    code = field_of(row, "EnrollmentStatusCode")
    known = isinstance(code, int) and not isinstance(code, bool) and failed
    return State(enrolled, failed, code & 0xFFFFFFFF if known else 0)


def _yes(row: Row, name: str) -> bool:
    value = field_of(row, name)
    return value is True or value == 1 or (isinstance(value, str) and value.strip().lower() in ("true", "1"))


def _bits(value: Any) -> int:
    """MDMWorkloads is a bit field written as a text."""
    text = str(value).strip() if value is not None else ""
    try:
        return int(text, 0)
    except ValueError:
        return 0


def is_comanaged(row: Row) -> bool:
    """Read a managedDevice."""
    return row.get("managementAgent") in COMANAGED_AGENTS and row.get("managementState") != "discovered"


def failure_code(row: Row) -> int:
    """Read an enrollmentTroubleshootingEvent: the HRESULT in its reason, else the nearest to its category."""
    if match := _HRESULT.search(str(row.get("failureReason") or "")):
        return int(match[0], 16)
    return CATEGORY_CODES.get(str(row.get("failureCategory")), 0)


def instant_of(text: Any) -> int:
    """Return an OData date as Unix seconds; -1 for a missing or unreadable date and for "never" (1970, 1980)."""
    try:
        at = datetime.fromisoformat(_FRACTION.sub("", str(text)).replace("Z", "+00:00"))
    except ValueError:
        return -1
    return int(at.timestamp()) if at.tzinfo and at.year > 1980 else -1
