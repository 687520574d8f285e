"""Who may not go, and why: an ordered list of rules over the fleet's columns.

The first rule that blocks a device is the reason why it is not in the plan. What an inventory does not
say is never held against a device: one finding about the inventory says how many are unknown.
Rules about the tenant (row -1) name what a person must check, for no export shows it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from rollout.duplicates import Duplicates, find_duplicates
from rollout.errors import UsageError
from rollout.tenant import TENANT_RULES
from rollout.values import UNKNOWN, BoolArray, Finding, Fleet, Inventory, Join, Severity

STALE_DAYS_MIN = 21
"""Entra renews its sign-in stamp only when it is about 14 days old, give or take 5: less cannot be told."""

STALE_DAYS = 90
DAY_S = 86400

CONFIGMGR_MDM, INTUNE_MDM = "Configuration Manager", "Microsoft Intune"
BUILD_1709, BUILD_1803 = 16299, 17134


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What a rule looks at. All predicates give (n,) bool.

    build : (n,) int64, third part of the OS version, -1 unknown. age_days : (n,) float, days since the last
    sign-in, NaN unknown.
    """

    fleet: Fleet
    stale_days: int
    build: np.ndarray[tuple[int], np.dtype[np.int64]]
    age_days: np.ndarray[tuple[int], np.dtype[np.float64]]
    duplicates: Duplicates

    def flag(self, name: str, value: int = 1) -> BoolArray:
        """Say which rows have this value in a flag; a flag that the fleet lacks is unknown everywhere."""
        column = self.fleet.flags.get(name)
        return np.full(len(self.fleet), value == UNKNOWN) if column is None else np.asarray(column == value)

    def level(self, name: str, *values: str) -> BoolArray:
        """Say which rows have one of these values in a factor."""
        factor = self.fleet.factors.get(name)
        if factor is None:
            return np.full(len(self.fleet), "" in values)
        codes = [code for code, level in enumerate(factor.levels) if level in values]
        return np.isin(factor.codes, codes)

    def matching(self, name: str, test: Callable[[str], bool]) -> BoolArray:
        """Say which rows have a level of a factor that passes `test`."""
        factor = self.fleet.factors.get(name)
        return self.level(name, *filter(test, factor.levels)) if factor is not None else self.level(name)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule about devices.

    sentence : may name columns of the fleet in braces, filled in for each device that is hit.
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


def _path_two(view: View) -> BoolArray:
    return view.flag("client", 0) & view.flag("intune") & view.level("join", Join.ENTRA) & _windows(view)


def _no_client(view: View) -> BoolArray:
    second = view.duplicates.registered | view.level("join", Join.REGISTERED)
    return (
        view.flag("client", 0)
        & ~_path_two(view)
        & ~second
        & ~view.duplicates.is_extra
        & _windows_or_unknown(view)
    )


def _windows_or_unknown(view: View) -> BoolArray:
    return view.level("os", "Windows", "")


def _not_in_entra(view: View) -> BoolArray:
    second = view.duplicates.is_extra | view.flag("obsolete")
    return view.flag("entra", 0) & ~second & _windows_or_unknown(view)


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
        "Several records are called {name}, and nothing tells which ConfigMgr record is which Entra device.",
        "Export Get-CMDevice with AADDeviceID, or clean up the second record; then import again.",
        ("name",),
    ),
    Rule(
        "E2-os", BLOCK, lambda view: ~_windows_or_unknown(view),
        "{name} runs {os}; only Windows 10 and 11 clients can be co-managed.",
        "Nothing: servers and other systems stay with what manages them now.", ("os", "os_version"),
    ),
    Rule(
        "E1-obsolete", BLOCK, lambda view: view.flag("obsolete"),
        "The ConfigMgr record {resource_id} of {name} is obsolete: a newer record replaced it.",
        "Delete the obsolete record in ConfigMgr once the newer one is active.", ("resource_id",),
    ),
    Rule(
        "D5", BLOCK, lambda view: view.duplicates.configmgr_extra,
        "ConfigMgr has several records of {name}; {resource_id} is not the newest one.",
        "Delete the older record in ConfigMgr (worklist), then import again.", ("resource_id", "keep"),
    ),
    Rule(
        "D6", BLOCK, lambda view: view.duplicates.intune_extra,
        "Intune has several records of {name}; this one did not check in last.",
        "Retire the older record in Intune (worklist).", ("keep",),
    ),
    Rule(
        "D2", BLOCK, lambda view: view.duplicates.twin_extra,
        "Entra has several records called {name} of the same join type; this is not the one in use.",
        "Clean up with the worklist: disable, wait, delete; on-premises first if hybrid.", ("join", "keep"),
    ),
    Rule(
        "D2-unclear", BLOCK, lambda view: view.duplicates.twin_unclear,
        "Entra has several records called {name} and nothing shows which one is in use.",
        "Compare device id and serial on the computer (dsregcmd /status), then disable the other record.",
        ("join",),
    ),
    Rule(
        "D1-registered", BLOCK, lambda view: view.duplicates.registered,
        "{name} is registered and, as another record, joined: this is the registered one.",
        "It goes by itself when the same user signs in after the join; else disable it, wait and delete it.",
        ("keep",),
    ),
    Rule(
        "E3", BLOCK, lambda view: view.level("join", Join.REGISTERED, Join.NONE) & ~view.duplicates.registered,
        "{name} is {join} in Entra, not joined.", "Join it (hybrid or Entra) first.", ("join",),
    ),
    Rule(
        "E3-entra", BLOCK, _not_in_entra,
        "{name} has no record in Entra: it is not joined, or not synchronised.",
        "Check that its OU is synchronised and hybrid join is configured; then dsregcmd /status on the computer.",
        ("resource_id",),
    ),
    Rule(
        "E4", BLOCK, lambda view: view.flag("pending") & _joined(view),
        "The hybrid join of {name} is pending.",
        "Run dsregcmd /leave and restart; if many are pending, check Entra Connect.", ("join",),
    ),
    Rule(
        "E6", BLOCK, lambda view: view.flag("enabled", 0),
        "{name} is disabled in Entra.", "Find out who disabled it and why; enable it or let it be deleted.",
    ),
    Rule(
        "E1-path2", BLOCK, _path_two,
        "{name} is Entra-joined and in Intune but has no ConfigMgr client.",
        "Install the client from Intune through the cloud management gateway; it is co-managed then.",
    ),
    Rule(
        "E1", BLOCK, _no_client,
        "{name} has no ConfigMgr client.", "Install the client, or leave the device to Intune alone.",
    ),
    Rule(
        "E1-inactive", BLOCK, lambda view: view.flag("client") & view.flag("active", 0) & ~view.flag("obsolete"),
        "The ConfigMgr client of {name} is inactive.", "Repair the client or find the computer.",
        ("last_active",),
    ),
    Rule(
        "E2", BLOCK, lambda view: _windows(view) & (view.build >= 0) & (view.build < BUILD_1709),
        "{name} runs {os_version}, older than Windows 10 1709.", "Upgrade Windows first.", ("os_version",),
    ),
    Rule(
        "E7", BLOCK, _other_mdm,
        "{name} is managed by {mdm}; the ConfigMgr client would go into coexistence.",
        "Take it out of {mdm} first.", ("mdm",),
    ),
    Rule(
        "D3", BLOCK, _stale,
        "{name} has not signed in to Entra since {last_sign_in}.",
        "Find the computer; else disable the record, wait, and delete it (worklist).", ("last_sign_in",),
    ),
    Rule(
        "E2-token", WARN, lambda view: _windows(view) & (view.build >= BUILD_1709) & (view.build < BUILD_1803),
        "{name} runs {os_version}, older than 1803: it can enroll only while a user is signed in.",
        "Upgrade Windows, or expect it to wait for a sign-in.", ("os_version",),
    ),
    Rule(
        "D1", WARN, lambda view: view.duplicates.dual_state,
        "{name} is joined and, as another record, registered (dual state).",
        "Windows 1803 and later removes the registered state when the same user signs in; check it with dsregcmd "
        "/status. Set BlockAADWorkplaceJoin=1 against new ones.", ("registered_as",),
    ),
    Rule(
        "D2-name", WARN, lambda view: view.duplicates.same_name,
        "Several computers with different serial numbers are called {name}.",
        "Rename one of them: scripts and reports that go by name will confuse them.", ("serial",),
    ),
    Rule(
        "E14", WARN, lambda view: view.matching("upn_domain", _is_local_domain),
        "The primary user of {name} has a sign-in name in {upn_domain}, which is not routable.",
        "Give the user a routable UPN suffix; device tokens work without it, user sign-in does not.",
        ("upn_domain",),
    ),
    Rule(
        "C1", INFO, lambda view: view.flag("comanaged"),
        "{name} is co-managed already.", "Nothing: it stays as it is and is not in the plan.",
    ),
)  # fmt: skip
"""Rules about devices, in the order in which they decide."""


def preflight(
    inventory: Inventory, *, stale_days: int = STALE_DAYS, off: Mapping[str, str] | None = None
) -> tuple[Finding, ...]:
    """Give what speaks against the fleet as it is, ordered by rule, then by row; the tenant's come last.

    Parameters
    ----------
    stale_days : days without sign-in after which a device is stale; at least 21.
    off : rules that are switched off, each with the written reason, which is reported in their place.

    Raise `UsageError` for a threshold that is too small, a rule that does not exist or a missing reason.
    """
    off = dict(off or {})
    _check(stale_days, off)
    view = _view(inventory, stale_days)
    findings: list[Finding] = []
    for rule in RULES:
        rows = np.flatnonzero(rule.applies(view))
        if rule.id in off:
            findings.append(_switched_off(rule.id, off[rule.id], len(rows)))
        else:
            findings.extend(_device_findings(rule, view, rows.tolist()))
    for check in (*_data_findings(view), *_tenant_findings(view)):
        if check.rule not in off:
            findings.append(check)
        elif not any(one.rule == check.rule for one in findings):
            findings.append(_switched_off(check.rule, off[check.rule], 0))
    return tuple(findings)


def exclusions(findings: Iterable[Finding]) -> dict[int, Finding]:
    """Give, for each blocked row, the first finding that blocks it: the reason why it is not in the plan."""
    reasons: dict[int, Finding] = {}
    for finding in findings:
        if finding.severity is BLOCK and finding.row >= 0:
            reasons.setdefault(finding.row, finding)
    return reasons


def counts(findings: Iterable[Finding]) -> dict[str, int]:
    """Count findings by rule, in their order."""
    return dict(Counter(finding.rule for finding in findings))


def _check(stale_days: int, off: Mapping[str, str]) -> None:
    if stale_days < STALE_DAYS_MIN:
        raise UsageError(
            f"stale days: expected at least {STALE_DAYS_MIN}, found {stale_days}",
            "Entra renews the sign-in stamp only about every 14 days, so a lower number hits devices in use.",
        )
    known = rule_ids()
    for rule, reason in off.items():
        if rule not in known:
            raise UsageError(f"rules off: no rule is called {rule!r}", f"The rules are {', '.join(known)}.")
        if not reason.strip():
            raise UsageError(
                f"rules off: {rule} has no reason", "Write down why the rule does not apply here."
            )


def rule_ids() -> tuple[str, ...]:
    """Give the ids of all rules, in order."""
    return (*(rule.id for rule in RULES), *DATA_RULES, *(rule.id for rule in TENANT_RULES))


def _view(inventory: Inventory, stale_days: int) -> View:
    fleet = inventory.fleet
    signed_in = fleet.times["last_sign_in"]
    age = np.where(signed_in < 0, np.nan, (inventory.taken - signed_in) / DAY_S)
    versions = fleet.factors["os_version"]
    builds = np.array([build_of(level) for level in versions.levels], dtype=np.int64)
    build = builds[versions.codes] if len(fleet) else np.empty(0, dtype=np.int64)
    return View(fleet, stale_days, build, age, find_duplicates(fleet))


def build_of(version: str) -> int:
    """Give the build of "10.0.22631.4460" (22631), -1 if there is none. 10.0.0.0 is nothing known."""
    parts = version.strip().split(".")
    if len(parts) < 3 or not all(part.isascii() and part.isdigit() and len(part) < 9 for part in parts[:3]):
        return UNKNOWN
    major, build = int(parts[0]), int(parts[2])
    if major < 10:
        return 0 if major > 0 else UNKNOWN  # Windows 7 and 8 count as older than everything
    return build or UNKNOWN


def _switched_off(rule: str, reason: str, hits: int) -> Finding:
    sentence = f"Rule {rule} is switched off and would have hit {hits:,} devices. Reason: {reason.strip()}"
    return Finding(rule, INFO, -1, sentence, "Look at the reason again before the next phase.")


def _device_findings(rule: Rule, view: View, rows: list[int]) -> Iterator[Finding]:
    for row in rows:
        facts = _Facts(view, row)
        detail = {column: facts[column] for column in rule.columns}
        yield Finding(
            rule.id, rule.severity, row,
            rule.sentence.format_map(facts), rule.next_action.format_map(facts), detail,
        )  # fmt: skip


class _Facts(dict[str, str]):
    """The columns of one device as text, looked up when a sentence asks for them."""

    def __init__(self, view: View, row: int) -> None:
        super().__init__()
        self._view, self._row = view, row

    def __missing__(self, column: str) -> str:
        fleet, row = self._view.fleet, self._row
        if column == "name":
            return str(fleet.names[row]) or str(fleet.ids[row])
        if column == "resource_id":
            return str(fleet.resource_ids[row])
        if column == "serial":
            return str(fleet.serials[row])
        if column in ("keep", "registered_as"):
            other = int(self._view.duplicates.other[row])
            return str(fleet.ids[other]) if other >= 0 else ""
        if column in fleet.times:
            seconds = int(fleet.times[column][row])
            return str(np.datetime64(seconds, "s"))[:10] if seconds >= 0 else "an unknown day"
        return fleet.factors[column][row]


DATA_RULES = ("M1", "M2", "M3", "M4", "M5", "M6")
"""Findings about what the inventory does not say."""


def _data_findings(view: View) -> Iterator[Finding]:
    """Say once, with a count, what is unknown; a device is not blamed for it."""
    n = len(view.fleet)
    no_client = view.flag("client", UNKNOWN) & ~view.level("configmgr_join", "ambiguous")
    has_client = view.flag("client")
    unsure = no_client | (has_client & (view.flag("active", UNKNOWN) | view.flag("obsolete", UNKNOWN)))
    entra = view.flag("entra", UNKNOWN) & ~view.level("configmgr_join", "ambiguous")
    hybrid = view.level("join", Join.HYBRID)
    entra |= view.flag("entra") & (view.flag("enabled", UNKNOWN) | view.level("join", Join.UNKNOWN))
    entra |= view.flag("entra") & hybrid & view.flag("pending", UNKNOWN)
    version = _windows_or_unknown(view) & ((view.build < 0) | view.level("os", ""))
    blank = np.isnan(view.age_days) & view.flag("entra")
    checks = (
        ("M1", WARN, unsure, "whether the ConfigMgr client is installed, active and current",
         "Import Get-CMDevice beside the other exports."),
        ("M2", WARN, entra, "whether they are enabled, joined and no longer pending in Entra",
         "Import Entra's 'Download devices' beside the other exports."),
        ("M3", WARN, version, "the operating system or its build",
         "Import an export that has it: Intune's or ConfigMgr's."),
        ("M4", INFO, blank, "when they last signed in; a blank stamp does not count as stale",
         "Look at a few of them; new devices have no stamp yet."),
        ("M5", WARN, view.flag("comanaged", UNKNOWN), "whether they are co-managed already",
         "Import Intune's devices or Get-CMDevice, so that enrolled devices stay out of the plan."),
    )  # fmt: skip
    for rule, severity, rows, what, action in checks:
        if count := int(rows.sum()):
            sentence = f"Of {count:,} of {n:,} devices it is not known {what}."
            if what.startswith("the "):
                sentence = f"Of {count:,} of {n:,} devices {what} is not known."
            yield Finding(rule, severity, -1, sentence, action, {"devices": str(count)})
    if count := int(view.level("configmgr_join", "name").sum()):
        yield Finding(
            "M6", WARN, -1,
            f"{count:,} ConfigMgr records were joined to their device by computer name only.",
            "Export Get-CMDevice with AADDeviceID, and compare some by serial number.", {"devices": str(count)},
        )  # fmt: skip


def _tenant_findings(view: View) -> Iterator[Finding]:
    devices = len(view.fleet)
    for rule in TENANT_RULES:
        yield Finding(rule.id, rule.severity, -1, rule.sentence, rule.next_action, {"devices": str(devices)})
