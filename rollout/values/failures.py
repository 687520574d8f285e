"""The enrollment result codes: what each means, its failure class, and what to do next.

From Microsoft's documentation of co-management monitoring and MDM enrollment errors and the header mdmregistration.h.
A code may be written as 0x8018002B, as an unsigned or as a signed decimal; all three are the same number here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rollout.values import FailureClass


@dataclass(frozen=True, slots=True)
class Failure:
    """A result code.

    code : unsigned 32-bit HRESULT. kind : its class.
    done : the device is already enrolled, so there is nothing to retry.
    """

    code: int
    name: str
    kind: FailureClass
    meaning: str
    next_action: str
    done: bool = False

    @property
    def hex(self) -> str:
        """The code as the client log writes it, such as 0x8018002B."""
        return f"0x{self.code:08X}"


_T, _I, _C, _D, _N = (
    FailureClass.TRANSIENT,
    FailureClass.IDENTITY,
    FailureClass.CONFIG,
    FailureClass.DEVICE,
    FailureClass.NETWORK,
)

_ROWS: tuple[tuple[int, str, FailureClass, str, str], ...] = (
    (0x8018002B, "MDM_NOT_CONFIGURED", _C,
     "MDM is not (yet) configured for the user: scope None, a UPN that is not routable, or Entra not yet up to date",
     "Wait a day; then check the MDM user scope and the user's UPN suffix"),
    (0x80180031, "MDM_NOT_CONFIGURED", _C,
     "MDM is not configured for the user (the header's number for 0x8018002B)",
     "Wait a day; then check the MDM user scope and the user's UPN suffix"),
    (0x8018002A, "USER_CANCELED", _I,
     "The user canceled, or multifactor authentication was not completed",
     "Exclude 'Microsoft Intune Enrollment' from the MFA policy, or enroll with a device token"),
    (0x80180030, "USER_CANCELED", _I,
     "The user canceled (the header's number for 0x8018002A)",
     "Exclude 'Microsoft Intune Enrollment' from the MFA policy, or enroll with a device token"),
    (0xCAA2000C, "INTERACTION_REQUIRED", _I,
     "The token request needs user interaction, usually for multifactor authentication (AADSTS50076)",
     "Exclude 'Microsoft Intune Enrollment' from the MFA policy"),
    (0x80180018, "USERLICENSE", _C,
     "The user has no Intune license", "Assign a license, or enroll with a device token"),
    (0x80180026, "DEVICE_MANAGEMENT_BLOCKED", _D,
     "A legacy Intune PC agent is installed, or a policy disables MDM enrollment",
     "Remove the agent; clear DisableRegistration under HKLM\\…\\CurrentVersion\\MDM"),
    (0x8018000A, "DEVICE_ALREADY_ENROLLED", _D,
     "The device is already enrolled, in Intune or in another MDM",
     "Check which: if it is Intune, nothing is left to do; otherwise remove the device from the other MDM first"),
    (0x80180014, "PLATFORM_NOT_SUPPORTED", _C,
     "The platform or version is not supported or not allowed",
     "Allow Windows (MDM) in the default enrollment restriction; check the Windows edition"),
    (0x80180015, "ENROLLMENT_BLOCKED", _C,
     "An enrollment restriction blocks the device", "Allow Windows (MDM) in the default enrollment restriction"),
    (0x80180013, "DEVICE_CAP_REACHED", _C,
     "A device limit is reached: Intune's does not apply to co-management, so perhaps Entra's",
     "Raise the device quota in Entra, or remove old devices of this user"),
    (0x80180002, "AUTHENTICATION_ERROR", _I,
     "The server could not authenticate the user or device",
     "Check the join with dsregcmd /status, and the user's account"),
    (0x80180003, "AUTHORIZATION_ERROR", _I,
     "The user or device is not allowed to enroll", "Check the MDM user scope and the enrollment restriction"),
    (0x80180005, "MANAGEMENT_SERVER_ERROR", _T,
     "The enrollment service had an error", "No action needed: the client tries again; check the service health"),
    (0x80180033, "SERVER_THROTTLED", _T,
     "The enrollment service throttled the request (429)",
     "No action needed on the device; lower the pace or the budget"),
    (0x80180023, "DMWAPPUSH_MISSING", _D,
     "The service dmwappushservice is missing", "Restore the service; uninstalling old clients may remove it"),
    (0x800706D9, "DMWAPPUSH_MISSING", _D,
     "The service dmwappushservice is missing or does not answer",
     "Restore the service; uninstalling old clients may remove it"),
    (0x8000FFFF, "MDM_URL_WRONG", _C,
     "The MDM URL is missing or wrong",
     "Check the MDM URLs in Entra > Mobility > Microsoft Intune (restore the defaults)"),
    (0x80070032, "WINDOWS_TOO_OLD", _D,
     "Windows is older than Windows 10 version 1709", "Upgrade Windows"),
    (0x80070490, "ELEMENT_NOT_FOUND", _T,
     "Something was not found, often because the join is not complete yet", "No action needed: the client tries again"),
    (0x82AA0008, "OUT_OF_MEMORY", _T,
     "The client ran out of memory", "No action needed: the client tries again; restart it if the error persists"),
    (0x801901AD, "HTTP_ERROR", _N,
     "A general HTTP error", "Check the proxy for SYSTEM, and TLS inspection of *.manage and *.dm hosts"),
    (0x80192EE7, "NAME_NOT_RESOLVED", _N,
     "A host name could not be resolved", "Check DNS and the proxy for SYSTEM on this network"),
    (0x80192EE2, "TIMEOUT", _N,
     "The connection timed out", "Check the firewall and the proxy for SYSTEM on this network"),
    (0xCAA70004, "SERVER_NOT_FOUND", _N,
     "The server or the proxy could not be found", "Check the proxy for SYSTEM on this network"),
    (0xCAA10001, "NEEDS_SIGN_IN", _T,
     "A user must sign in, or signed out too early", "No action needed: enrollment continues at the next sign-in"),
    (0xCAA9001F, "INTEGRATED_AUTH_ONLY_FEDERATED", _I,
     "Integrated authentication works only in a federated flow", "Check the federation, or use device tokens"),
    (0xCAA90014, "TOKEN_REQUEST_FAILED", _I,
     "The token request failed", "Check the federation service, and AD FS endpoints for WS-Trust"),
    (0xCAA9004D, "REALM_UNKNOWN", _I,
     "The user's realm is unknown", "Check that the UPN's domain is verified in Entra"),
    (0xCAA20003, "GRANT_FAILED", _I,
     "The authorization grant failed", "Check the clock, the account and the device's record in Entra"),
    (0x801C03F2, "JOIN_CERTIFICATE_MISSING", _D,
     "The hybrid join has no userCertificate in Active Directory yet",
     "Repair the join first: run the join task, then wait for Entra Connect"),
    (0x80280036, "TPM_FIPS", _D,
     "The TPM is in FIPS mode, which the join does not support",
     "Turn off FIPS mode or use a TPM 2.0; then join again"),
    (0x80090016, "TPM_KEYSET_MISSING", _D,
     "The TPM key of the join is missing",
     "Run dsregcmd /leave, restart and join again; clear the TPM if the error returns"),
)  # fmt: skip

FAILURES: Mapping[int, Failure] = MappingProxyType(
    {row[0]: Failure(*row, done=row[0] == 0x8018000A) for row in _ROWS}
)
"""All known codes, by unsigned value."""

MENDING = frozenset((FailureClass.TRANSIENT, FailureClass.NETWORK))
"""Classes whose failures clients often mend by themselves: they try again in their next cycle."""

AGAIN_S = 20 * 3600
"""A second failure at least this long after the first is of a later cycle: then it counts, whatever its class."""

MENDS_WITHIN_S = 7 * 86400
"""A device that is still failed this long after its first failure counts as failed, whatever its class."""

_HEX = re.compile(r"0x([0-9a-f]{1,8})", re.ASCII | re.IGNORECASE)
_DECIMAL = re.compile(r"-?\d{1,10}", re.ASCII)


def explain(code: int) -> Failure:
    """Return what is known about a code, signed or unsigned; UNKNOWN if it is not in the table.

    Raise `ValueError` if it does not fit in 32 bits.
    """
    if not -(2**31) <= code < 2**32:
        raise ValueError(f"expected a 32-bit result code, found {code}")
    unsigned = code & 0xFFFFFFFF
    known = FAILURES.get(unsigned)
    if known is not None:
        return known
    return Failure(
        unsigned,
        "UNKNOWN",
        FailureClass.UNKNOWN,
        f"Unknown result code (0x{unsigned:08X})",
        "See the lines around this code in CoManagementHandler.log on an affected device",
    )


def mends(code: int) -> bool:
    """Return whether a failure with this code (HRESULT) may mend by itself; an unknown code never does."""
    return explain(code).kind in MENDING


def parse_code(text: str) -> int:
    """Read a code as a log or a report writes it: 0x8018002B, 2149056555 or -2145910741.

    Raise `ValueError` if the text is not a code.
    """
    plain = text.strip()
    if match := _HEX.fullmatch(plain):
        return int(match[1], 16)
    if _DECIMAL.fullmatch(plain) and -(2**31) <= int(plain) < 2**32:
        return int(plain) & 0xFFFFFFFF
    raise ValueError(f"expected a result code such as 0x8018002B, found {plain!r}")
