"""Every request that we send to Microsoft Graph v1.0, as pure functions of its root and arguments.

root : `https://graph.microsoft.com/v1.0` or that of another cloud.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from rollout.directory.http.requests import Call, address, get, literal

LINKS: Final = 20
"""The most members that one PATCH adds, and the most requests in one batch."""

CHECK_UNITS: Final = 4.0
"""Cost of reading the groups of one object, in Microsoft's resource units: documented for me/checkMemberGroups, and
assumed for any object; in a batch, too."""

PAGE_UNITS: Final = 2.0
"""Cost of a page of a group's members: 3, and 1 less with $select."""

ADVANCED: Final = ("ConsistencyLevel", "eventual")
QUIET: Final = ("x-ms-throttle-priority", "low")
GROUP: Final = ",".join(
    (
        *("id", "displayName", "securityEnabled", "mailEnabled", "groupTypes", "isAssignableToRole"),
        *("onPremisesSyncEnabled", "membershipRule"),
    )
)
MANAGED: Final = (
    "id,azureADDeviceId,managementAgent,managementState,deviceEnrollmentType,enrolledDateTime,"
    "configurationManagerClientEnabledFeatures"
)


def organization(root: str) -> Call:
    """Ask which tenant this is."""
    return get(address(root, "organization", select="id,displayName"))


def groups_named(root: str, name: str) -> Call:
    """Ask for all groups with a name: names are not unique."""
    return get(address(root, "groups", filter=f"displayName eq {literal(name)}", select=GROUP))


def group(root: str, group_id: str) -> Call:
    """Ask for one group."""
    return get(address(root, f"groups/{_id(group_id)}", select=GROUP))


def devices(root: str) -> Call:
    """Ask for all devices, first page; each page names the next."""
    return get(address(root, "devices", select="id,deviceId,displayName", top="999"), QUIET)


def devices_named(root: str, name: str) -> Call:
    """Ask for all devices with a name: names are not unique."""
    where = f"displayName eq {literal(name)}"
    return get(address(root, "devices", filter=where, select="id,deviceId,displayName"), QUIET)


def members(root: str, group_id: str) -> Call:
    """Ask for a group's members, first page. Plain, not advanced: advanced answers lag behind writes."""
    url = address(root, f"groups/{_id(group_id)}/members", select="id", top="999")
    return Call("GET", url, reads=True, units=PAGE_UNITS)


def members_count(root: str, group_id: str) -> Call:
    """Ask how many members a group has; needs the advanced header, and may lag behind writes."""
    return get(address(root, f"groups/{_id(group_id)}/members/$count"), ADVANCED)


def managed(root: str) -> Call:
    """Ask for all of Intune's devices, first page."""
    return get(address(root, "deviceManagement/managedDevices", select=MANAGED, top="1000"), QUIET)


def managed_of(root: str, device_id: str) -> Call:
    """Ask for Intune's record of one device; this field filters by `eq` only."""
    where = f"azureADDeviceId eq {literal(device_id)}"
    return get(address(root, "deviceManagement/managedDevices", filter=where, select=MANAGED))


def failures(root: str) -> Call:
    """Ask for the enrollments that failed, first page."""
    return get(address(root, "deviceManagement/troubleshootingEvents"), QUIET)


def suggested_limit(root: str) -> Call:
    """Ask how many enrollments per day Intune suggests; v1.0 does not offer this.

    The type of enrollment is not documented: it is the name in Intune's own records of co-management.
    """
    beta = root.removesuffix("/v1.0") + "/beta"
    return get(
        address(beta, "deviceManagement/getSuggestedEnrollmentLimit(enrollmentType='windowsCoManagement')")
    )


def is_member(root: str, object_id: str, group_id: str) -> Call:
    """Ask whether one device is in a group: a read that sees all writes."""
    url = address(root, f"directoryObjects/{_id(object_id)}/checkMemberGroups")
    return Call("POST", url, body={"groupIds": [group_id]}, reads=True, units=CHECK_UNITS)


def bind(root: str, group_id: str, object_ids: Sequence[str]) -> Call:
    """Add up to 20 members in one write. If one is bad, none is added."""
    if not 0 < len(object_ids) <= LINKS:
        raise ValueError(f"expected 1 to {LINKS} members, found {len(object_ids)}")
    links = [address(root, f"directoryObjects/{_id(object_id)}") for object_id in object_ids]
    return Call("PATCH", address(root, f"groups/{_id(group_id)}"), body={"members@odata.bind": links})


def add_one(root: str, group_id: str, object_id: str) -> Call:
    """Add one member."""
    link = address(root, f"directoryObjects/{_id(object_id)}")
    return Call("POST", address(root, f"groups/{_id(group_id)}/members/$ref"), body={"@odata.id": link})


def remove_one(root: str, group_id: str, object_id: str) -> Call:
    """Take one member out. This is the only place that builds a DELETE.

    Without its last part the same request deletes the device itself from the tenant.
    """
    url = address(root, f"groups/{_id(group_id)}/members/{_id(object_id)}/$ref")
    if not url.endswith("/$ref"):
        raise AssertionError("a removal must end in /$ref")
    return Call("DELETE", url)


def batch(root: str, calls: Sequence[Call]) -> Call:
    """Put up to 20 requests into one; item ids are their places, from 1.

    It reads if all of them read, and costs their sum: each is throttled separately.
    """
    if not 0 < len(calls) <= LINKS:
        raise ValueError(f"expected 1 to {LINKS} requests, found {len(calls)}")
    items: list[dict[str, object]] = []
    for index, call in enumerate(calls, start=1):
        item: dict[str, object] = {
            "id": str(index),
            "method": call.method,
            "url": call.url.removeprefix(root),
        }
        headers = dict(call.headers)
        if call.body is not None:
            item["body"] = dict(call.body)
            headers["Content-Type"] = "application/json"
        if headers:
            item["headers"] = headers
        items.append(item)
    return Call(
        "POST",
        address(root, "$batch"),
        body={"requests": items},
        reads=all(call.reads for call in calls),
        units=sum(call.units for call in calls),
    )


def _id(text: str) -> str:
    """Return an id as a part of a path; any other text is a programming error."""
    if not text or quote(text, safe="") != text:
        raise ValueError(f"expected an object id, found {text!r}")
    return text
