"""The rights that a token names. Read, shown and compared; never trusted as proof."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, Final

from rollout.directory.http.credentials import Bearer
from rollout.directory.http.transport import Transport
from rollout.directory.port import Check

NEEDED: Final = ("Device.Read.All", "GroupMember.ReadWrite.All", "DeviceManagementManagedDevices.Read.All")
"""Least application permissions to read; adding a device also needs Device.ReadWrite.All."""

STRONGER: Final = {
    "Device.Read.All": {"Device.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"},
    "GroupMember.ReadWrite.All": {"Group.ReadWrite.All", "Directory.ReadWrite.All"},
    "DeviceManagementManagedDevices.Read.All": {"DeviceManagementManagedDevices.ReadWrite.All"},
    "Device.ReadWrite.All": {"Directory.ReadWrite.All"},
}


def held_rights(transport: Transport) -> set[str]:
    """Return the rights that the token in use names; empty if it names none (a token need not be readable)."""
    claims = claims_of(transport.auth.peek() if isinstance(transport.auth, Bearer) else "")
    roles = claims.get("roles")
    return {*(roles if isinstance(roles, list) else ()), *str(claims.get("scp") or "").split()}


def missing_rights(held: set[str]) -> list[str]:
    """Return the rights that adding devices needs and that are not among `held`, nor a stronger one."""
    needed = (*NEEDED, "Device.ReadWrite.All")
    return [right for right in needed if right not in held and not STRONGER[right] & held]


def rights_check(transport: Transport) -> Check:
    """Check the rights that the token itself names. Whether the service grants more is not known."""
    held = held_rights(transport)
    if not held:
        return Check("permissions", True, "the token does not show its rights")
    missing = missing_rights(held)
    if missing:
        return Check("permissions", False, f"the app lacks {', '.join(missing)}")
    return Check("permissions", True, f"the app has {', '.join(sorted(held))}")


def claims_of(token: str) -> dict[str, Any]:
    """Return the claims of a JWT, {} for any other text. Nothing is verified."""
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError, binascii.Error):
        return {}
    return claims if isinstance(claims, dict) else {}
