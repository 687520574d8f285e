"""The device rules as data: which devices cannot be co-managed, and which can, but with a warning.

E-rules are prerequisites, D-rules duplicate or stale records, A1 an ambiguous identity. A rule reads columns and
returns the rows that it hits; an unknown value hits nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rollout.preflight.duplicates import Duplicates, find_duplicates
from rollout.values import UNKNOWN, BoolArray, Fleet, Inventory, Join, Severity

DAY_S = 86400
CONFIGMGR_MDM, INTUNE_MDM = "Configuration Manager", "Microsoft Intune"
BUILD_1709, BUILD_1803 = 16299, 17134


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The columns that a rule reads. Every predicate returns an (n,) bool array.

    build : (n,) int64, third part of the OS version, -1 if unknown. age_days : (n,) float, days since the last
    sign-in, NaN if unknown.
    """

    fleet: Fleet
    stale_days: int
    build: np.ndarray[tuple[int], np.dtype[np.int64]]
    age_days: np.ndarray[tuple[int], np.dtype[np.float64]]
    duplicates: Duplicates

    def flag(self, name: str, value: int = 1) -> BoolArray:
        """Return which rows have this value in a flag; a flag that the fleet lacks is unknown everywhere."""
        column = self.fleet.flags.get(name)
        return np.full(len(self.fleet), value == UNKNOWN) if column is None else np.asarray(column == value)

    def level(self, name: str, *values: str) -> BoolArray:
        """Return which rows have one of these values in a factor."""
        factor = self.fleet.factors.get(name)
        if factor is None:
            return np.full(len(self.fleet), "" in values)
        codes = [code for code, level in enumerate(factor.levels) if level in values]
        return np.isin(factor.codes, codes)

    def matching(self, name: str, test: Callable[[str], bool]) -> BoolArray:
        """Return which rows have a level of a factor that passes `test`."""
        factor = self.fleet.factors.get(name)
        return self.level(name, *filter(test, factor.levels)) if factor is not None else self.level(name)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule about devices.

    sentence, next_action : may name columns of the fleet in braces, filled in for each device that is hit.
    columns : the columns that a finding shows in its detail.
    """

    id: str
    severity: Severity
    applies: Callable[[View], BoolArray]
    sentence: str
    next_action: str
    columns: tuple[str, ...] = ()


BLOCK, WARN, INFO = Severity.BLOCK, Severity.WARN, Severity.INFO


def _windows(view: View) -> BoolArray:
    return view.level("os", "Windows")


def _joined(view: View) -> BoolArray:
    return view.level("join", Join.HYBRID, Join.ENTRA)


def is_path_two(view: View) -> BoolArray:
    """Return which devices take path 2 to co-management: enrolled in Intune first, ConfigMgr client second."""
    return view.flag("client", 0) & view.flag("intune") & view.level("join", Join.ENTRA) & _windows(view)


def _no_client(view: View) -> BoolArray:
    second = view.duplicates.registered | view.level("join", Join.REGISTERED)
    return (
        view.flag("client", 0)
        & ~is_path_two(view)
        & ~second
        & ~view.duplicates.is_extra
        & is_windows_or_unknown(view)
    )


def is_windows_or_unknown(view: View) -> BoolArray:
    """Return which devices may be Windows clients as far as the inventory shows."""
    return view.level("os", "Windows", "")


def _inactive(view: View) -> BoolArray:
    second = view.duplicates.is_extra | view.flag("obsolete")
    return view.flag("client") & view.flag("active", 0) & ~second


def _not_in_entra(view: View) -> BoolArray:
    second = view.duplicates.is_extra | view.flag("obsolete")
    return view.flag("entra", 0) & ~second & is_windows_or_unknown(view)


def _other_mdm(view: View) -> BoolArray:
    ours = ("", CONFIGMGR_MDM, INTUNE_MDM, "Office 365 Mobile")
    return view.matching("mdm", lambda level: level not in ours)


def _stale(view: View) -> BoolArray:
    with np.errstate(invalid="ignore"):
        return np.asarray(view.age_days > view.stale_days)


_LOCAL_SUFFIXES = (
    "local",
    "lan",
    "intra",
    "internal",
    "corp",
    "home",
    "private",
    "localdomain",
    "test",
    "invalid",
)


def _is_local_domain(domain: str) -> bool:
    return bool(domain) and ("." not in domain or domain.rpartition(".")[2] in _LOCAL_SUFFIXES)


RULES: tuple[Rule, ...] = (
    Rule(
        "A1", BLOCK, lambda view: view.level("configmgr_join", "ambiguous"),
        "Several records are named {name}; the exports do not show which ConfigMgr record is which Entra device.",
        "Export Get-CMDevice with AADDeviceID, or clean up the duplicate record; then import again.",
        ("name",),
    ),
    Rule(
        "E2-os", BLOCK, lambda view: ~is_windows_or_unknown(view),
        "{name} runs {os}; only Windows 10 and 11 clients can be co-managed.",
        "No action needed: servers and other systems stay under their present management.", ("os", "os_version"),
    ),
    Rule(
        "E1-obsolete", BLOCK, lambda view: view.flag("obsolete"),
        "ConfigMgr record {resource_id} of {name} is obsolete: a newer record replaced it.",
        "Delete the obsolete record in ConfigMgr once the newer one is active.", ("resource_id",),
    ),
    Rule(
        "D5", BLOCK, lambda view: view.duplicates.configmgr_extra,
        "ConfigMgr has several records of {name}; {resource_id} is not the current one.",
        "Delete record {resource_id} in ConfigMgr (see the worklist), then import again.", ("resource_id", "keep"),
    ),
    Rule(
        "D6", BLOCK, lambda view: view.duplicates.intune_extra,
        "Intune has several records of {name}; another one checked in more recently than this one.",
        "Retire the older record in Intune (see the worklist).", ("keep",),
    ),
    Rule(
        "D2", BLOCK, lambda view: view.duplicates.twin_extra,
        "Entra has several records named {name} with the same join type; this is not the one in use.",
        "Follow the worklist: disable, wait, delete; for a hybrid device, on-premises first.", ("join", "keep"),
    ),
    Rule(
        "D2-unclear", BLOCK, lambda view: view.duplicates.twin_unclear,
        "Entra has several records named {name}, and nothing shows which one is in use.",
        "Compare device ID and serial number on the computer (dsregcmd /status), then disable the other record.",
        ("join",),
    ),
    Rule(
        "D1-registered", BLOCK, lambda view: view.duplicates.registered,
        "{name} has both a joined and a registered record in Entra; this is the registered one.",
        "It is removed when the same user signs in after the join; otherwise disable it, wait, then delete it.",
        ("keep",),
    ),
    Rule(
        "E3", BLOCK, lambda view: view.level("join", Join.REGISTERED, Join.NONE) & ~view.duplicates.registered,
        "{name} is not joined to Entra (join type: {join}).", "Join it first (hybrid or Entra join).", ("join",),
    ),
    Rule(
        "E3-entra", BLOCK, _not_in_entra,
        "{name} has no record in Entra: it is not joined or not synchronized.",
        "Check that its OU is synchronized and hybrid join configured; then run dsregcmd /status on the computer.",
        ("resource_id",),
    ),
    Rule(
        "E4", BLOCK, lambda view: view.flag("pending") & _joined(view),
        "The hybrid join of {name} is pending.",
        "Run dsregcmd /leave on the computer and restart it; if many are pending, check Entra Connect.", ("join",),
    ),
    Rule(
        "E6", BLOCK, lambda view: view.flag("enabled", 0),
        "{name} is disabled in Entra.",
        "Find out who disabled it and why; then enable it, or leave it disabled until it is deleted.",
    ),
    Rule(
        "E1-path2", BLOCK, is_path_two,
        "{name} is Entra-joined and in Intune but has no ConfigMgr client.",
        "Install the client from Intune through the cloud management gateway; this makes the device co-managed.",
    ),
    Rule(
        "E1", BLOCK, _no_client,
        "{name} has no ConfigMgr client.", "Install the client, or manage the device with Intune alone.",
    ),
    Rule(
        "E1-inactive", BLOCK, _inactive,
        "The ConfigMgr client of {name} is inactive.", "Find the computer, or repair its client.",
        ("last_active",),
    ),
    Rule(
        "E2", BLOCK, lambda view: _windows(view) & (view.build >= 0) & (view.build < BUILD_1709),
        "{name} runs {os_version}, which is older than Windows 10 version 1709.", "Upgrade Windows first.",
        ("os_version",),
    ),
    Rule(
        "E7", BLOCK, _other_mdm,
        "{name} is managed by {mdm}; the ConfigMgr client would switch to coexistence mode.",
        "Remove it from {mdm} first.", ("mdm",),
    ),
    Rule(
        "D3", BLOCK, _stale,
        "{name} has not signed in to Entra since {last_sign_in}.",
        "Find the computer; if it is gone, disable its record, wait, then delete it (see the worklist).",
        ("last_sign_in",),
    ),
    Rule(
        "E2-token", WARN, lambda view: _windows(view) & (view.build >= BUILD_1709) & (view.build < BUILD_1803),
        "{name} runs {os_version}, older than version 1803: it can enroll only while a user is signed in.",
        "Upgrade Windows, or expect enrollment to wait for a sign-in.", ("os_version",),
    ),
    Rule(
        "D1", WARN, lambda view: view.duplicates.dual_state,
        "{name} has both a joined and a registered record in Entra (dual state); this is the joined one.",
        "Windows 10 version 1803 and later removes the registered state when the same user signs in; check with "
        "dsregcmd /status. Set BlockAADWorkplaceJoin=1 to prevent new ones.", ("registered_as",),
    ),
    Rule(
        "D2-name", WARN, lambda view: view.duplicates.same_name,
        "Several computers with different serial numbers are named {name}.",
        "Rename all but one: scripts and reports that identify computers by name confuse them.", ("serial",),
    ),
    Rule(
        "E14", WARN, lambda view: view.matching("upn_domain", _is_local_domain),
        "The sign-in name of the primary user of {name} ends in {upn_domain}, which is not routable.",
        "Assign a routable UPN suffix; enrollment with a device token works without it, user sign-in does not.",
        ("upn_domain",),
    ),
    Rule(
        "C1", INFO, lambda view: view.flag("comanaged"),
        "{name} is already co-managed.", "No action needed: it stays as it is and is not in the plan.",
    ),
)  # fmt: skip
"""Rules about devices, in the order in which they decide."""


def view_of(inventory: Inventory, stale_days: int) -> View:
    """Return the view of a fleet that all rules share."""
    fleet = inventory.fleet
    signed_in = fleet.times["last_sign_in"]
    age = np.where(signed_in < 0, np.nan, (inventory.taken - signed_in) / DAY_S)
    versions = fleet.factors["os_version"]
    builds = np.array([build_of(level) for level in versions.levels], dtype=np.int64)
    build = builds[versions.codes] if len(fleet) else np.empty(0, dtype=np.int64)
    return View(fleet, stale_days, build, age, find_duplicates(fleet))


def build_of(version: str) -> int:
    """Return the build of "10.0.22631.4460" (22631), -1 if there is none; 10.0.0.0 means unknown."""
    parts = version.strip().split(".")
    if len(parts) < 3 or not all(part.isascii() and part.isdigit() and len(part) < 9 for part in parts[:3]):
        return UNKNOWN
    major, build = int(parts[0]), int(parts[2])
    if major < 10:
        return 0 if major > 0 else UNKNOWN  # Windows 7 and 8 count as older than everything
    return build or UNKNOWN
