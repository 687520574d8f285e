"""Write two exports that are both sorted by name: python make_sorted_exports.py 300 → entra.csv, configmgr.csv."""

import csv
import sys

COUNT = int(sys.argv[1])


def guid(prefix: int, number: int) -> str:
    return f"{prefix:08x}-2222-4333-8444-{number:012x}"


with open("entra.csv", "w", newline="") as entra, open("configmgr.csv", "w", newline="") as configmgr:
    records, clients = csv.writer(entra), csv.writer(configmgr)
    records.writerow(
        ["displayName", "accountEnabled", "operatingSystem", "operatingSystemVersion"]
        + ["joinType (trustType)", "approximateLastSignInDateTime", "deviceId"]
    )
    clients.writerow(["Name", "ResourceID", "IsClient", "IsActive", "DeviceOS", "SerialNumber"])
    for number in range(1, COUNT + 1):
        name = f"PC-{number:06d}"
        records.writerow(
            [name, True, "Windows", "10.0.26100.1", "ServerAd", "2026-11-21T07:13:54Z", guid(1, number)]
        )
        clients.writerow(
            [name, 16777300 + number, True, True, "Microsoft Windows NT Workstation 10.0", f"SN{number:06d}"]
        )
