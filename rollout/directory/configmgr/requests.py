"""Every request that we send to the AdminService, as pure functions of its root and arguments.

root : `https://<FQDN of the SMS Provider>/AdminService`, or the root behind a cloud management gateway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rollout.directory.http.requests import Call, address, any_of, get, key, literal

PAGE: Final = 1000
MACHINE_POLICY: Final = 8
"""The only client notification that we ever send: 1 to 7 are Endpoint Protection actions (1 a full scan)."""

COLLECTION: Final = (
    "CollectionID,Name,CollectionType,MemberCount,LimitToCollectionID,LimitToCollectionName,IsBuiltIn"
)
STATE: Final = (
    "ResourceID,MDMEnrolled,ComgmtPolicyPresent,MDMProvisioned,MDMWorkloads,EnrollmentFailed,"
    "EnrollmentStatusCode,EnrollmentErrorDetail,PendingLogon,EnrollmentScheduled"
)
DEVICE: Final = "ResourceId,Name,AADDeviceID,Client,Obsolete,Decommissioned"


def site(root: str) -> Call:
    """Ask which site this is."""
    return get(address(root, "wmi/SMS_Site", select="SiteCode,SiteName,Version,ReportingSiteCode"))


def collections_named(root: str, name: str) -> Call:
    """Ask for all collections with a name: names are not unique."""
    return get(address(root, "wmi/SMS_Collection", filter=f"Name eq {literal(name)}", select=COLLECTION))


def collection(root: str, collection_id: str) -> Call:
    """Ask for one collection with its lazy properties, including the membership rules."""
    return get(address(root, f"wmi/SMS_Collection{key(collection_id)}"))


def collection_exists(root: str, collection_id: str) -> Call:
    """Ask for a collection's id alone: its rules may be megabytes."""
    where = f"CollectionID eq {literal(collection_id)}"
    return get(address(root, "wmi/SMS_Collection", filter=where, select="CollectionID"))


def page(root: str, what: str, id_field: str, after: int, where: str = "", select: str = "") -> Call:
    """Ask for the next rows of a class after an id, in order of the id.

    By the last id, not by a number of rows to skip: rows that come or go between two pages shift nothing.
    """
    only = f"{where} and " if where else ""
    return get(
        address(
            root,
            f"wmi/{what}",
            filter=f"{only}{id_field} gt {after}",
            select=select,
            orderby=id_field,
            top=str(PAGE),
        )
    )


def count(root: str, what: str, where: str = "") -> Call:
    """Ask how many rows there are, so that a short list is recognized."""
    return get(address(root, f"wmi/{what}/$count", filter=where))


def members_where(collection_id: str) -> str:
    """Return the filter of a collection's members."""
    return f"CollectionID eq {literal(collection_id)}"


def some_of(resources: Sequence[int]) -> str:
    """Return the filter of up to 20 devices."""
    return any_of("ResourceID", [str(resource) for resource in resources])


def members_among(root: str, collection_id: str, resources: Sequence[int]) -> Call:
    """Ask which of up to 20 devices are members; empty until the site has evaluated the collection."""
    where = f"{members_where(collection_id)} and ({some_of(resources)})"
    return get(address(root, "wmi/SMS_FullCollectionMembership", filter=where, select="ResourceID"))


def states_among(root: str, resources: Sequence[int]) -> Call:
    """Ask for the co-management state of up to 20 devices."""
    where = some_of(resources)
    return get(address(root, "wmi/SMS_Client_ComanagementState", filter=where, select=STATE))


def devices_among(root: str, resources: Sequence[int]) -> Call:
    """Ask for the records of up to 20 devices."""
    return get(address(root, "wmi/SMS_R_System", filter=devices_where(resources), select=DEVICE))


def devices_where(resources: Sequence[int]) -> str:
    """Return the filter of up to 20 devices by the key of their class, which is spelled ResourceId there."""
    return any_of("ResourceId", [str(resource) for resource in resources])


def devices_named(root: str, names: Sequence[str]) -> Call:
    """Ask for the records of up to 20 names: a computer that was set up again has a new record of the same name."""
    where = any_of("Name", [literal(name) for name in names])
    return get(address(root, "wmi/SMS_R_System", filter=where, select=DEVICE))


def policies(root: str) -> Call:
    """Ask for the co-management policies."""
    return get(address(root, "wmi/SMS_CoManagementSettings", select="CI_ID,LocalizedDisplayName,IsLatest"))


def assignments(root: str) -> Call:
    """Ask which collections the configuration policies are deployed to."""
    fields = "AssignmentID,AssignmentName,TargetCollectionID,AssignedCIs,Enabled"
    return get(address(root, "wmi/SMS_ConfigurationPolicyAssignment", select=fields))


def cloud_sync(root: str) -> Call:
    """Ask which collections are copied into Entra groups."""
    fields = "CollectionSiteID,AADGroupID,AADGroupName"
    return get(address(root, "wmi/SMS_CollectionAADGroupMapping", select=fields))


def direct_rule(name: str, resource: int) -> dict[str, object]:
    """Return a rule that names one device. Without `@odata.type` the service takes the base type and refuses."""
    return {
        "@odata.type": "#AdminService.SMS_CollectionRuleDirect",
        "ResourceClassName": "SMS_R_System",
        "RuleName": name,
        "ResourceID": resource,
    }


def add_rule(root: str, collection_id: str, name: str, resource: int) -> Call:
    """Add one device. One call per device: the method for many does not work over REST."""
    return _method(root, collection_id, "AddMembershipRule", {"collectionRule": direct_rule(name, resource)})


def delete_rule(root: str, collection_id: str, rule: Mapping[str, object]) -> Call:
    """Take one device out. rule : the rule as the site returned it, so that every property agrees."""
    typed = {"@odata.type": "#AdminService.SMS_CollectionRuleDirect"}
    return _method(root, collection_id, "DeleteMembershipRule", {"collectionRule": typed | dict(rule)})


def refresh(root: str, collection_id: str) -> Call:
    """Ask the site to evaluate the collection: a rule alone makes no device a member."""
    return _method(root, collection_id, "RequestRefresh", {})


def notify(root: str, collection_id: str, resources: Sequence[int]) -> Call:
    """Ask clients to fetch their machine policy now."""
    body = {
        "Type": MACHINE_POLICY,
        "TargetCollectionID": collection_id,
        "RandomizationWindow": 1,
        "TargetResourceIDs": [int(resource) for resource in resources],
    }
    return Call("POST", address(root, "wmi/SMS_ClientOperation.InitiateClientOperation"), body=body)


def _method(root: str, collection_id: str, name: str, body: Mapping[str, object]) -> Call:
    path = f"wmi/SMS_Collection{key(collection_id)}/AdminService.{name}"
    return Call("POST", address(root, path), body=body)
