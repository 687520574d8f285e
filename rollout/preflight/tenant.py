"""What a person must check before a rollout, since no device list shows it.

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
        "The join as the computer sees it is in no export.",
        "On a sample run dsregcmd /status: AzureAdJoined YES, DomainJoined YES if hybrid, MdmUrl present.",
    ),
    TenantRule(
        "E8", WARN,
        "An old Intune PC agent, or a policy that disables MDM, makes enrollment fail with 0x80180026.",
        r"Inventory HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\MDM\DisableRegistration and the agent's service.",
    ),
    TenantRule(
        "E10", WARN,
        "The tenant's MDM authority must be Intune.",
        "Intune admin center > Tenant administration > Tenant status: MDM authority.",
    ),
    TenantRule(
        "E11", WARN,
        "The MDM user scope must be All, or Some with the users of these devices; MAM wins where both apply.",
        "Entra admin center > Mobility (MDM and WIP) > Microsoft Intune: MDM scope, and MAM scope None for them.",
    ),
    TenantRule(
        "E12", WARN,
        "Only the default enrollment restriction counts for device tokens, and it must allow Windows (MDM).",
        "Intune admin center > Devices > Enrollment > Device platform restriction: Default.",
    ),
    TenantRule(
        "E13", WARN,
        "Conditional Access must not ask for interaction when a device enrolls or synchronises.",
        "Look for policies on 'Microsoft Intune Enrollment' that demand MFA or a compliant device.",
    ),
    TenantRule(
        "E15", WARN,
        "Entra ID P1 or P2 is needed for the tenant, and an Intune licence for the administrator.",
        "Microsoft 365 admin center > Billing > Licenses.",
    ),
    TenantRule(
        "E16", WARN,
        "Enabling co-management takes a ConfigMgr Full Administrator with all scopes, and once a Global Administrator.",
        "Have both at hand for the wizard; the sign-in is not stored.",
    ),
    TenantRule(
        "E17", WARN,
        "The client setting that registers domain-joined devices with Entra must be on.",
        "Console > Administration > Client Settings > Cloud Services: automatically register … = Yes.",
    ),
    TenantRule(
        "E18", WARN,
        "Clients need ports 443 and 80 to Intune and Entra, without TLS inspection of *.manage and *.dm hosts.",
        "Test from one client a site, as SYSTEM and through the proxy.",
    ),
    TenantRule(
        "E19", INFO,
        "A TPM 1.2 in FIPS mode cannot carry a hybrid join; a TPM 2.0 can.",
        "Inventory Win32_Tpm; switch FIPS mode off on TPM 1.2, or replace the computer.",
    ),
    TenantRule(
        "E20", INFO,
        "A cloud management gateway is needed only for clients on the internet, not to co-manage existing clients.",
        "If they are many: 6,000 clients an A2_v2 instance, 10,000 an A4_v2, at most 16 instances.",
    ),
    TenantRule(
        "E21", INFO,
        "The EnterpriseEnrollment and EnterpriseRegistration DNS names are optional here.",
        "Set them only if users enroll devices by hand.",
    ),
    TenantRule(
        "E22", WARN,
        "The site must be a supported version: 2111 for the Cloud Attach wizard; 2403 moves resource access to Intune.",
        "Console > Administration > Site Configuration > Sites: version.",
    ),
)  # fmt: skip

GATEWAY_SIZES = (("A2_v2", 6_000), ("A4_v2", 10_000))
"""Clients at once that an instance of a cloud management gateway serves, by size of its machine."""

GATEWAY_INSTANCES = 16
"""The most instances of one gateway; past its capacity clients wait, they are not refused."""


def gateways_for(clients: int) -> str:
    """Say in words how many instances so many clients need, if all of them are connected at once."""
    options = []
    for size, each in GATEWAY_SIZES:
        instances = -(-clients // each)
        gateways = -(-instances // GATEWAY_INSTANCES)
        more = f" on {gateways} gateways" if gateways > 1 else ""
        options.append(f"{instances} {size}{more}")
    return " or ".join(options)
