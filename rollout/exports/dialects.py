"""The three exports that we read: the names of their columns and the meaning of their values.

Headers as the consoles write them: Intune's DevicesWithInventory (requested and received names), Entra's "Download
devices", and ``Get-CMDevice | Export-Csv``. The older spelling "Azure AD …" is the same column as "Microsoft Entra …".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from rollout.values import Join


class Kind(StrEnum):
    """The system that an export comes from."""

    ENTRA = "Entra devices"
    INTUNE = "Intune DevicesWithInventory"
    CONFIGMGR = "ConfigMgr Get-CMDevice"


class Value(StrEnum):
    """The type of a field's values; see `rollout.exports.columns`."""

    GUID = "guid"
    TEXT = "text"
    LEVEL = "level"
    FLAG = "flag"
    NUMBER = "number"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Field:
    """A column that we use.

    names : its normalized headers, the usual one first. required : without it the file is refused.
    filled : without a value the row is refused.
    """

    key: str
    value: Value
    names: tuple[str, ...]
    required: bool = False
    filled: bool = False
    translate: Callable[[str], str] | None = None
    before: Callable[[str], str] | None = None


@dataclass(frozen=True, slots=True)
class Dialect:
    """One kind of export. key : the field that is unique within it."""

    kind: Kind
    key: str
    fields: tuple[Field, ...]


def normalize(header: str) -> str:
    """Return a header in the form used for comparison, which ignores case, spaces and the old brand name."""
    text = " ".join(header.strip("\ufeff \t").split()).casefold()
    text = text.replace("azure active directory", "azure ad").replace("azuread", "azure ad")
    return text.replace("azure ad", "microsoft entra").replace("microsoft entra id ", "microsoft entra ")


def _same(text: str) -> str:
    return text


_JOINS = {
    "serverad": Join.HYBRID, "hybrid": Join.HYBRID, "hybridazureadjoined": Join.HYBRID,
    "microsoftentrahybridjoined": Join.HYBRID, "hybridmicrosoftentrajoined": Join.HYBRID,
    "azuread": Join.ENTRA, "azureadjoined": Join.ENTRA, "microsoftentrajoined": Join.ENTRA,
    "entrajoined": Join.ENTRA, "joinedazuread": Join.ENTRA,
    "workplace": Join.REGISTERED, "azureadregistered": Join.REGISTERED,
    "microsoftentraregistered": Join.REGISTERED, "registered": Join.REGISTERED,
    "none": Join.NONE, "notjoined": Join.NONE,
    "": Join.UNKNOWN, "unknown": Join.UNKNOWN, "n/a": Join.UNKNOWN,
}  # fmt: skip


def join_of(text: str) -> str:
    """Translate a join type or trustType. Raise `ValueError` for an unknown one."""
    found = _JOINS.get(re.sub(r"[\s_-]", "", text).casefold())
    if found is None:
        raise ValueError(
            "a join type such as ServerAd, AzureAd, Workplace or 'Microsoft Entra hybrid joined'"
        )
    return found.value


def os_of(text: str) -> str:
    """Translate an operating system to "Windows", "Windows Server", "" or the unchanged text."""
    plain = text.casefold()
    if plain in ("", "unknown", "n/a", "none"):
        return ""
    if "server" in plain and ("windows" in plain or "nt" in plain):
        return "Windows Server"
    if plain.startswith(("windows phone", "windows holographic", "windows mobile", "windowsmobile")):
        return text
    # "Microsoft Windows NT Workstation 10.0", "Windows 11 Enterprise", "WindowsDesktop"
    return "Windows" if "windows" in plain else text


INTUNE = "Microsoft Intune"
CONFIGMGR = "Configuration Manager"


def mdm_of(text: str) -> str:
    """Translate the MDM's display name: "" for none, INTUNE, CONFIGMGR, or the unchanged text."""
    plain = text.casefold()
    if plain in ("", "none", "n/a", "unknown", "-"):
        return ""
    if "configuration manager" in plain or plain in ("configmgr", "sccm", "mecm"):
        return CONFIGMGR
    return INTUNE if "intune" in plain else text


AGENT_COMANAGED, AGENT_CONFIGMGR = "co-managed", "configmgr"
_AGENTS = {
    "comanaged": AGENT_COMANAGED, "configurationmanagerclientmdm": AGENT_COMANAGED, "10": AGENT_COMANAGED,
    "configmgrmdm": AGENT_COMANAGED, "mdm/configmgragent": AGENT_COMANAGED, "mdm/configmgr": AGENT_COMANAGED,
    "configurationmanagerclientmdmeas": AGENT_COMANAGED,
    "configmgr": AGENT_CONFIGMGR, "configurationmanagerclient": AGENT_CONFIGMGR, "8": AGENT_CONFIGMGR,
    "configmgragent": AGENT_CONFIGMGR,
}  # fmt: skip


def agent_of(text: str) -> str:
    """Translate Intune's "Managed by": co-managed, configmgr (tenant attach only), or the text in lower case."""
    return _AGENTS.get(re.sub(r"[\s_-]", "", text).casefold(), text.casefold())


def domain_of(address: str) -> str:
    """Return the part after the @ of the first address; no other personal data is kept."""
    domain = address.partition("@")[2]
    for mark in ";, ":
        domain = domain.partition(mark)[0]
    return domain.strip().casefold()


def _field(key: str, value: Value, *names: str, required: bool = False, filled: bool = False) -> Field:
    return Field(key, value, tuple(normalize(name) for name in names), required, filled)


def _level(
    key: str,
    translate: Callable[[str], str],
    *names: str,
    required: bool = False,
    before: Callable[[str], str] | None = None,
) -> Field:
    normal = tuple(normalize(name) for name in names)
    return Field(key, Value.LEVEL, normal, required, False, translate, before)


ENTRA_DIALECT = Dialect(
    Kind.ENTRA,
    "entra_id",
    (
        _field("entra_id", Value.GUID, "deviceId", required=True, filled=True),
        _field("name", Value.TEXT, "displayName", required=True),
        _field("enabled", Value.FLAG, "accountEnabled", required=True),
        _level("os", os_of, "operatingSystem", required=True),
        _level("os_version", _same, "operatingSystemVersion"),
        _level("join", join_of, "joinType (trustType)", "trustType", "joinType", required=True),
        _level("mdm", mdm_of, "mdmDisplayName"),
        _field("registered", Value.TIME, "registrationTime", "registrationDateTime"),
        _field("last_sign_in", Value.TIME, "approximateLastSignInDateTime", required=True),
        _level("model", _same, "model"),
        _level("upn_domain", _same, "userNames", before=domain_of),
    ),
)

INTUNE_DIALECT = Dialect(
    Kind.INTUNE,
    "intune_id",
    (
        _field("intune_id", Value.GUID, "Device ID", "DeviceId", required=True, filled=True),
        _field("name", Value.TEXT, "Device name", "DeviceName", required=True),
        _field("entra_id", Value.GUID, "Microsoft Entra Device ID", "ReferenceId", required=True),
        _field("last_sync", Value.TIME, "Last check-in", "LastContact"),
        _level("os", os_of, "OS", "DeviceType", required=True),
        _level("os_version", _same, "OS version", "OSVersion"),
        _field("serial", Value.TEXT, "Serial number", "SerialNumber"),
        _level("manufacturer", _same, "Manufacturer"),
        _level("model", _same, "Model"),
        _level("agent", agent_of, "Managed by", "ManagementAgent", required=True),
        _level("join", join_of, "JoinType"),
        _field("encrypted", Value.FLAG, "Encrypted", "IsEncrypted"),
        _level("architecture", _same, "ProcessorArchitecture"),
        _level("upn_domain", _same, "Primary user UPN", "UPN", before=domain_of),
    ),
)

CONFIGMGR_DIALECT = Dialect(
    Kind.CONFIGMGR,
    "resource_id",
    (
        _field("resource_id", Value.NUMBER, "ResourceID", required=True, filled=True),
        _field("name", Value.TEXT, "Name", required=True),
        _field("entra_id", Value.GUID, "AADDeviceID"),
        _field("client", Value.FLAG, "IsClient", required=True),
        _field("active", Value.FLAG, "ClientActiveStatus", "IsActive"),
        _field("obsolete", Value.FLAG, "IsObsolete"),
        _field("comanaged", Value.FLAG, "CoManaged"),
        _level("os", os_of, "DeviceOS"),
        _level("os_version", _same, "DeviceOSBuild"),
        _level("site", _same, "ADSiteName"),
        _field("serial", Value.TEXT, "SerialNumber"),
        _field("last_active", Value.TIME, "LastActiveTime"),
        # Not in Get-CMDevice itself, but people who join it with v_ClientCoManagementState may add it.
        _level("workloads", _same, "MDMWorkloads", "CoManagementFlags"),
    ),
)

DIALECTS = (ENTRA_DIALECT, INTUNE_DIALECT, CONFIGMGR_DIALECT)
