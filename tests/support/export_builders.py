"""Rows and files of exports with defaults, and how to read or refuse them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from fleet_files import CONFIGMGR_HEADER, ENTRA_HEADER, INTUNE_HEADER, write_csv

from rollout.exports.decoding import ExportError
from rollout.exports.reading import read_exports
from rollout.values import Fleet, Inventory

TAKEN = 1_795_507_200  # 2026-11-24T08:00:00Z
DATA = Path(__file__).parent.parent.parent / "scenarios" / "data"


def guid(number: int) -> str:
    return f"{number:08x}-1111-4222-8333-444455556666"


def entra_row(number: int, **other: str) -> dict[str, str]:
    row = {
        "displayName": f"PC-{number}",
        "accountEnabled": "True",
        "operatingSystem": "Windows",
        "operatingSystemVersion": "10.0.22631.4602",
        "joinType (trustType)": "ServerAd",
        "registrationTime": "2024-01-02T03:04:05Z",
        "approximateLastSignInDateTime": "2026-11-20T00:00:00Z",
        "deviceId": guid(number),
    }
    return {**row, **other}


def configmgr_row(number: int, **other: str) -> dict[str, str]:
    row = {"ResourceID": str(number), "Name": f"PC-{number}", "IsClient": "True", "IsObsolete": "False"}
    return {**row, "ClientActiveStatus": "1", "CoManaged": "False", **other}


def intune_row(number: int, **other: str) -> dict[str, str]:
    row = {
        "Device ID": guid(number + 0xA0000),
        "Device name": f"PC-{number}",
        "Managed by": "Intune",
        "OS": "Windows",
    }
    return {**row, "Microsoft Entra Device ID": guid(number), **other}


def entra(folder: Path, rows: Iterable[dict[str, str]], name: str = "entra.csv", **how: str) -> Path:
    return write_csv(folder / name, ENTRA_HEADER, iter(rows), **how)


def configmgr(folder: Path, rows: Iterable[dict[str, str]], *more: str) -> Path:
    return write_csv(folder / "configmgr.csv", [*CONFIGMGR_HEADER, *more], iter(rows))


def intune(folder: Path, rows: Iterable[dict[str, str]]) -> Path:
    return write_csv(folder / "intune.csv", INTUNE_HEADER, iter(rows))


def read(*paths: Path, **more: object) -> Inventory:
    return read_exports(paths, taken=TAKEN, **more)  # type: ignore[arg-type]


def refused(*paths: Path, **more: object) -> ExportError:
    with pytest.raises(ExportError) as caught:
        read(*paths, **more)
    assert caught.value.exit_code == 2
    assert "\n" not in caught.value.message
    assert caught.value.hint
    return caught.value


def column(fleet: Fleet, name: str) -> list[str]:
    return [fleet.factors[name][row] for row in range(len(fleet))]
