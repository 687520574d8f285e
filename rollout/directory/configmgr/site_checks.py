"""Requirements on a ConfigMgr site before a plan may change a collection there."""

from __future__ import annotations

from rollout.directory.configmgr.settings import AdminServiceSettings
from rollout.directory.configmgr.site import DEVICE_COLLECTION, MODIFY, Collection, Site, Target
from rollout.directory.http.paging import Row, field_of
from rollout.directory.http.transport import AnswerError
from rollout.errors import RefusedError

ALL_SYSTEMS = "SMS00001"


def check_site(found: str, expected: str, where: str) -> None:
    """Refuse any site but the expected one ("" = any)."""
    if expected and found != expected:
        raise RefusedError(
            f"expected site {expected} ({where}), found {found}",
            "the settings name a provider of another site; nothing was sent",
        )


def check_collection(target: Collection, settings: AdminServiceSettings) -> None:
    """Refuse a target that is built in, not of devices, limited otherwise, or that we may not change."""
    if target.built_in or target.id.startswith("SMS"):
        raise RefusedError(
            f"{target} is a built-in collection", "create your own collection, and choose it as the target"
        )
    if target.kind != DEVICE_COLLECTION:
        raise RefusedError(f"{target}: expected a collection of devices, found type {target.kind}")
    if settings.limiting_collection and target.limited_to != settings.limiting_collection:
        raise RefusedError(
            f"{target}: expected {settings.limiting_collection} as limiting collection, found {target.limited_to}",
            "a device outside the limiting collection never becomes a member",
        )
    if target.rights >= 0 and not target.rights & MODIFY:
        raise RefusedError(
            f"{target}: the account may not change it",
            "grant its role Modify on collections, with this scope",
        )


def check_mode(site: Site, target: Collection, settings: AdminServiceSettings) -> str:
    """Refuse unless the co-management policy is deployed to this collection alone (mode Pilot).

    Return the sentence for the log. Mode All deploys automatic enrollment to all systems, or to the built-in
    eligible collection; the policy `CoMgmtSettingsProd` without it goes to all systems in mode Pilot too.
    Where the account may not read policies, `confirmed_pilot_by` must name the person who checked.
    """
    try:
        targets = [found for found in site.targets() if found.enabled]
    except AnswerError as error:
        if error.status not in (403, 404):
            raise
        if settings.confirmed_pilot_by:
            return f"mode Pilot is confirmed by {settings.confirmed_pilot_by}; the policies cannot be read"
        raise RefusedError(
            "the account may not read the co-management policies",
            "grant its role Read on configuration policies, or check the console and set confirmed_pilot_by",
        ) from error
    to_all = [found for found in targets if _is_all(found)]
    if to_all:
        raise RefusedError(
            f"automatic enrollment is All: '{to_all[0].name}' is deployed to {to_all[0].collection}",
            "Cloud Attach > properties > Enablement: set Automatic enrollment in Intune to Pilot with this collection",
        )
    if not any(found.collection == target.id for found in targets):
        names = ", ".join(f"'{found.name}' to {found.collection}" for found in targets) or "none"
        raise RefusedError(
            f"{target} is not a target of a co-management policy; deployed: {names}",
            "Cloud Attach > properties: choose this collection for Intune Auto Enrollment (or for the workload)",
        )
    return f"mode Pilot: a co-management policy is deployed to {target}"


def _is_all(target: Target) -> bool:
    name = target.name.lower()
    return target.collection.startswith("SMS") and "autoenroll" in name.replace(" ", "")


def mismatch(device: Row | None, device_id: str) -> str:
    """Explain why a site's record is not the planned device; "" if it is."""
    if device is None:
        return "the site has no such resource"
    theirs = str(field_of(device, "AADDeviceID") or "").lower()
    if theirs and ":" not in device_id and theirs != device_id:
        return "the resource is another device in Entra now (re-imaged?)"
    if field_of(device, "Obsolete") == 1 or field_of(device, "Decommissioned") == 1:
        return "the record is obsolete"
    return ""
