"""What a person must check before a rollout because no device list shows it.

From Microsoft's documentation of co-management prerequisites; E-numbers as in `rollout.preflight.rules`.
"""

from __future__ import annotations

from dataclasses import dataclass

from rollout.values import Severity


@dataclass(frozen=True, slots=True)
class TenantRule:
    """One check of the tenant, the site or the network."""

    id: str
    severity: Severity
    sentence: str
    next_action: str


WARN, INFO = Severity.WARN, Severity.INFO

TENANT_RULES: tuple[TenantRule, ...] = (
    TenantRule(
        "E5", WARN,
        "No export shows the join state as the computer itself sees it.",
        "Run dsregcmd /status on a sample: AzureAdJoined YES, DomainJoined YES if hybrid, MdmUrl present.",
    ),
    TenantRule(
        "E8", WARN,
        "A legacy Intune PC agent, or a policy that disables MDM, makes enrollment fail with 0x80180026.",
        r"Inventory HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\MDM\DisableRegistration and the agent's service.",
    ),
    TenantRule(
        "E10", WARN,
        "The tenant's MDM authority must be Intune.",
        "Check Intune admin center > Tenant administration > Tenant status > MDM authority.",
    ),
    TenantRule(
        "E11", WARN,
        "The MDM user scope must be All, or Some with the users of these devices; where MAM applies too, MAM wins.",
        "In Entra admin center > Mobility (MDM and WIP) > Microsoft Intune, check the MDM user scope and that the MAM "
        "user scope is None for these users.",
    ),
    TenantRule(
        "E12", WARN,
        "Enrollment with device tokens follows only the default restriction, which must allow Windows (MDM).",
        "Check Intune admin center > Devices > Enrollment > Device platform restriction > Default.",
    ),
    TenantRule(
        "E13", WARN,
        "Conditional Access must not require user interaction when a device enrolls or syncs.",
        "Look for policies on 'Microsoft Intune Enrollment' that require MFA or a compliant device.",
    ),
    TenantRule(
        "E15", WARN,
        "The tenant needs Entra ID P1 or P2, and the administrator needs an Intune license.",
        "Check Microsoft 365 admin center > Billing > Licenses.",
    ),
    TenantRule(
        "E16", WARN,
        "Enabling co-management needs a ConfigMgr Full Administrator with all scopes, and once a Global Administrator.",
        "Have both accounts ready for the wizard; the sign-in is not stored.",
    ),
    TenantRule(
        "E17", WARN,
        "The client setting that registers domain-joined devices with Entra must be on.",
        "Check console > Administration > Client Settings > Cloud Services: Automatically register … = Yes.",
    ),
    TenantRule(
        "E18", WARN,
        "Clients must reach Intune and Entra on ports 443 and 80, without TLS inspection of *.manage and *.dm hosts.",
        "Test from one client per site, as SYSTEM and through the proxy.",
    ),
    TenantRule(
        "E19", INFO,
        "Hybrid join does not work with TPM 1.2 in FIPS mode; it does with TPM 2.0.",
        "Inventory Win32_Tpm; turn off FIPS mode on TPM 1.2, or replace the computer.",
    ),
    TenantRule(
        "E20", INFO,
        "A cloud management gateway is needed only for clients on the internet, not to co-manage existing clients.",
        "If there are many, plan 6,000 clients per A2_v2 instance or 10,000 per A4_v2, with at most 16 instances.",
    ),
    TenantRule(
        "E21", INFO,
        "The DNS names EnterpriseEnrollment and EnterpriseRegistration are optional here.",
        "Create them only if users enroll devices by hand.",
    ),
    TenantRule(
        "E22", WARN,
        "The site version must be supported: 2111 or later for the Cloud Attach wizard. From 2403 on, Intune manages "
        "resource access.",
        "Check the version in console > Administration > Site Configuration > Sites.",
    ),
)  # fmt: skip

GATEWAY_SIZES = (("A2_v2", 6_000), ("A4_v2", 10_000))
"""Clients that one instance of a cloud management gateway serves at the same time, by VM size."""

GATEWAY_INSTANCES = 16
"""Maximum number of instances per gateway; beyond its capacity, clients wait and are not refused."""


def gateways_for(clients: int) -> str:
    """Return in words how many instances `clients` need if all of them connect at the same time."""
    options = []
    for size, each in GATEWAY_SIZES:
        instances = -(-clients // each)
        gateways = -(-instances // GATEWAY_INSTANCES)
        more = f" on {gateways} gateways" if gateways > 1 else ""
        options.append(f"{instances} {size}{more}")
    return " or ".join(options)
