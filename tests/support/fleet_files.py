"""Writes a fleet as the three consoles would export it, in any encoding and with any separator."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from rollout.values import Fleet

Row = TypeVar("Row")

ORDERS: Final[dict[str, Callable[[list[Row]], list[Row]]]] = {
    "sorted": lambda rows: rows,
    "reversed": lambda rows: rows[::-1],
    "nearly sorted": lambda rows: [row for at in range(0, len(rows), 7) for row in rows[at : at + 7][::-1]],
}
"""Orders of rows that are sorted by name, as consoles write them. Generated fleets are shuffled."""


def _columns(*lines: str) -> list[str]:
    return ",".join(lines).split(",")


ENTRA_HEADER = _columns(
    "displayName,accountEnabled,operatingSystem,operatingSystemVersion,joinType (trustType)",
    "registeredOwners,userNames,mdmDisplayName,isCompliant,registrationTime",
    "approximateLastSignInDateTime,deviceId,isManaged,objectId,profileType,systemLabels,model",
)
CONFIGMGR_HEADER = _columns(
    "ADLastLogonTime,ADSiteName,BoundaryGroups,ClientActiveStatus,ClientCertType,ClientCheckPass",
    "ClientState,ClientType,CoManaged,CurrentLogonUser,DeviceOS,DeviceOSBuild,Domain,IsActive",
    "IsApproved,IsAssigned,IsBlocked,IsClient,IsDecommissioned,IsDirect,IsInternetEnabled,IsMDMActive",
    "IsObsolete,IsSupervised,IsVirtualMachine,LastActiveTime,LastClientCheckTime,LastDDR",
    "LastFUErrorDetail,LastHardwareScan,LastInstallationError,LastLogonUser,LastPolicyRequest",
    "LastSoftwareScan,LastStatusMessage,MACAddress,ManagementAuthority,Name,PrimaryUser,ResourceID",
    "ResourceType,SerialNumber,SiteCode,SMBIOSGUID,SMSID,UserName",
)
INTUNE_HEADER = _columns(
    "Device ID,Device name,Enrollment date,Last check-in,Microsoft Entra Device ID,OS version",
    "Microsoft Entra registered,EAS activation ID,Serial number,Manufacturer,Model,EAS activated,IMEI",
    "Last EAS sync time,EAS reason,EAS status,Compliance grace period expiration,Security patch level",
    "Wi-Fi MAC,MEID,Subscriber carrier,Total storage,Free storage,Management name,Category,UserId",
    "Primary user UPN,Primary user email address,Primary user display name,WiFiIPv4Address",
    "WiFiSubnetID,Compliance,Managed by,Ownership,Device state,Intune registered,Supervised,Encrypted",
    "OS,SkuFamily,JoinType,Phone number,Jailbroken,ICCID,EthernetMAC,CellularTechnology",
    "ProcessorArchitecture,EID,SystemManagementBIOSVersion,TPMManufacturerId,TPMManufacturerVersion",
)

JOIN_NAMES = {
    "hybrid": "Hybrid Azure AD joined",
    "entra": "Microsoft Entra joined",
    "registered": "Workplace",
    "none": "None",
    "unknown": "",
}
INTUNE_JOIN_NAMES = {
    "hybrid": "hybridAzureADJoined",
    "entra": "azureADJoined",
    "registered": "azureADRegistered",
    "none": "",
    "unknown": "unknown",
}


def by_name(fleet: Fleet, order: str) -> Fleet:
    """Give the same fleet in one of ORDERS."""
    names = fleet.names.tolist()
    rows = ORDERS[order](sorted(range(len(names)), key=lambda row: names[row]))
    return fleet.take(np.array(rows, dtype=np.int32))


def iso(seconds: int) -> str:
    """Write a time as Entra does, nothing for unknown."""
    return f"{np.datetime64(seconds, 's')}Z" if seconds >= 0 else ""


def yes(flag: int) -> str:
    """Write a flag as PowerShell does, nothing for unknown."""
    return {1: "True", 0: "False", -1: ""}[flag]


def entra_rows(fleet: Fleet) -> Iterator[dict[str, str]]:
    """Give what Entra's export says about each device that it knows."""
    text = {
        name: [factor.levels[code] for code in factor.codes.tolist()]
        for name, factor in fleet.factors.items()
    }
    flags = {name: column.tolist() for name, column in fleet.flags.items()}
    times = {name: column.tolist() for name, column in fleet.times.items()}
    for row, (device, name) in enumerate(zip(fleet.ids.tolist(), fleet.names.tolist(), strict=True)):
        if flags["entra"][row] != 1:
            continue
        yield {
            "displayName": name,
            "accountEnabled": yes(flags["enabled"][row]),
            "operatingSystem": text["os"][row],
            "operatingSystemVersion": text["os_version"][row],
            "joinType (trustType)": JOIN_NAMES[text["join"][row]],
            "mdmDisplayName": text["mdm"][row],
            "registrationTime": "Pending" if flags["pending"][row] == 1 else iso(times["registered"][row]),
            "approximateLastSignInDateTime": iso(times["last_sign_in"][row]),
            "deviceId": device,
            "model": text["model"][row],
        }


def configmgr_rows(fleet: Fleet) -> Iterator[dict[str, str]]:
    """Give what Get-CMDevice says, with AADDeviceID, of each device that has a ConfigMgr record."""
    text = {
        name: [factor.levels[code] for code in factor.codes.tolist()]
        for name, factor in fleet.factors.items()
    }
    flags = {name: column.tolist() for name, column in fleet.flags.items()}
    active = fleet.times["last_active"].tolist()
    names, serials, ids = fleet.names.tolist(), fleet.serials.tolist(), fleet.ids.tolist()
    for row, resource in enumerate(fleet.resource_ids.tolist()):
        if resource < 0:
            continue
        kind = "Server" if "Server" in text["os"][row] else "Workstation"
        yield {
            "ADSiteName": text["site"][row],
            "ClientActiveStatus": {1: "1", 0: "0", -1: ""}[flags["active"][row]],
            "CoManaged": yes(flags["comanaged"][row]),
            "DeviceOS": f"Microsoft Windows NT {kind} 10.0",
            "DeviceOSBuild": text["os_version"][row],
            "IsClient": yes(flags["client"][row]),
            "IsObsolete": yes(flags["obsolete"][row]),
            "LastActiveTime": iso(active[row]),
            "Name": names[row],
            "ResourceID": str(resource),
            "SerialNumber": serials[row],
            "AADDeviceID": ids[row],
        }


def intune_rows(fleet: Fleet) -> Iterator[dict[str, str]]:
    """Give what Intune's export says of each device that is in Intune."""
    text = {
        name: [factor.levels[code] for code in factor.codes.tolist()]
        for name, factor in fleet.factors.items()
    }
    comanaged = fleet.flags["comanaged"].tolist()
    names, serials, ids = fleet.names.tolist(), fleet.serials.tolist(), fleet.ids.tolist()
    for row, flag in enumerate(fleet.flags["intune"].tolist()):
        if flag != 1:
            continue
        yield {
            "Device ID": f"{row:08x}-0000-4000-8000-000000000000",
            "Device name": names[row],
            "Microsoft Entra Device ID": ids[row],
            "OS version": text["os_version"][row],
            "Serial number": serials[row],
            "Manufacturer": text["manufacturer"][row],
            "Model": text["model"][row],
            "Managed by": "Co-managed" if comanaged[row] == 1 else "Intune",
            "OS": text["os"][row],
            "JoinType": INTUNE_JOIN_NAMES[text["join"][row]],
        }


def write_csv(
    path: Path,
    header: Sequence[str],
    rows: Iterator[dict[str, str]],
    *,
    separator: str = ",",
    encoding: str = "utf-8",
    first: str = "",
) -> Path:
    """Write rows under a header; columns that a row lacks stay empty."""
    with path.open("w", encoding=encoding, newline="") as file:
        file.write(first)
        writer = csv.DictWriter(file, list(header), delimiter=separator, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_exports(fleet: Fleet, folder: Path) -> list[Path]:
    """Write the three exports of a fleet, each in another dialect."""
    configmgr = [*CONFIGMGR_HEADER, "AADDeviceID"]
    kind = "#TYPE Microsoft.ConfigurationManagement\r\n"
    return [
        write_csv(folder / "entra.csv", ENTRA_HEADER, entra_rows(fleet)),
        write_csv(
            folder / "configmgr.csv",
            configmgr,
            configmgr_rows(fleet),
            separator="\t",
            encoding="utf-16",
            first=kind,
        ),
        write_csv(
            folder / "intune.csv", INTUNE_HEADER, intune_rows(fleet), separator=";", encoding="utf-8-sig"
        ),
    ]
