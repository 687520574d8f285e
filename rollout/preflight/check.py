"""Run the preflight rules, in order, over the fleet's columns.

The first rule that blocks a device is the reason why it is not in the plan. An unknown value never counts against
a device: a single finding about the inventory says for how many devices it is unknown. Rules about the tenant
(row -1) name what a person must check because no export shows it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from rollout.errors import UsageError
from rollout.preflight.rules import RULES, Rule, View, is_path_two, is_windows_or_unknown, view_of
from rollout.preflight.tenant import TENANT_RULES, gateways_for
from rollout.values import UNKNOWN, Finding, Inventory, Join, Severity

BLOCK, WARN, INFO = Severity.BLOCK, Severity.WARN, Severity.INFO

STALE_DAYS_MIN, STALE_DAYS_MAX = 21, 3650
"""Entra updates the last sign-in only when it is about 14 days old (± 5): a shorter absence cannot be seen."""

STALE_DAYS = 90


def preflight(
    inventory: Inventory, *, stale_days: int = STALE_DAYS, off: Mapping[str, str] | None = None
) -> tuple[Finding, ...]:
    """Return all findings about a fleet, ordered by rule, then by row; those about the tenant come last.

    Parameters
    ----------
    stale_days : days without sign-in after which a device is stale; at least 21.
    off : rules that are turned off, each with the written reason, which is reported in their place.

    Raise `UsageError` for a threshold out of range, an unknown rule or a missing reason.
    """
    off = dict(off or {})
    _check(stale_days, off)
    view = view_of(inventory, stale_days)
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
        elif not any(finding.rule == check.rule for finding in findings):
            findings.append(_switched_off(check.rule, off[check.rule], 0))
    return tuple(findings)


def exclusions(findings: Iterable[Finding]) -> dict[int, Finding]:
    """Return for each blocked row the first finding that blocks it: the reason why it is not in the plan."""
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
            "Entra updates the last sign-in only about every 14 days; a lower value would catch devices in use.",
        )
    if stale_days > STALE_DAYS_MAX:
        raise UsageError(f"stale days: expected at most {STALE_DAYS_MAX:,}, found {stale_days}")
    known = rule_ids()
    for rule, reason in off.items():
        if rule not in known:
            raise UsageError(f"rules off: unknown rule {rule!r}", f"The rules are {', '.join(known)}.")
        if not reason.strip():
            raise UsageError(f"rules off: {rule} has no reason", "State why the rule does not apply here.")


def rule_ids() -> tuple[str, ...]:
    """Return the ids of all rules, in order."""
    return (*(rule.id for rule in RULES), *DATA_RULES, *(rule.id for rule in TENANT_RULES))


def _switched_off(rule: str, reason: str, hits: int) -> Finding:
    sentence = f"Rule {rule} is turned off; it would apply to {hits:,} devices. Reason: {reason.strip()}"
    return Finding(rule, INFO, -1, sentence, "Review the reason before the next phase.")


def _device_findings(rule: Rule, view: View, rows: list[int]) -> Iterator[Finding]:
    for row in rows:
        facts = _Facts(view, row)
        detail = {column: facts[column] for column in rule.columns}
        yield Finding(
            rule.id, rule.severity, row,
            rule.sentence.format_map(facts), rule.next_action.format_map(facts), detail,
        )  # fmt: skip


class _Facts(dict[str, str]):
    """The columns of one device as text, looked up when a sentence names them."""

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


DATA_RULES = ("M1", "M2", "M3", "M4", "M5", "M6", "M7")
"""Findings about what the inventory does not show."""


def _data_findings(view: View) -> Iterator[Finding]:
    """Yield one finding, with a count, per thing that is unknown; it counts against no single device."""
    n = len(view.fleet)
    no_client = view.flag("client", UNKNOWN) & ~view.level("configmgr_join", "ambiguous")
    has_client = view.flag("client")
    unsure = no_client | (has_client & (view.flag("active", UNKNOWN) | view.flag("obsolete", UNKNOWN)))
    entra = view.flag("entra", UNKNOWN) & ~view.level("configmgr_join", "ambiguous")
    hybrid = view.level("join", Join.HYBRID)
    entra |= view.flag("entra") & (view.flag("enabled", UNKNOWN) | view.level("join", Join.UNKNOWN))
    entra |= view.flag("entra") & hybrid & view.flag("pending", UNKNOWN)
    version = is_windows_or_unknown(view) & ((view.build < 0) | view.level("os", ""))
    blank = np.isnan(view.age_days) & view.flag("entra")
    checks = (
        ("M1", WARN, unsure, "whether the ConfigMgr client is installed, active and current",
         "Import Get-CMDevice along with the other exports."),
        ("M2", WARN, entra, "whether they are enabled, joined and no longer pending in Entra",
         "Import Entra's 'Download devices' along with the other exports."),
        ("M3", WARN, version, "the operating system or its build",
         "Import an export that has it: Intune's or ConfigMgr's."),
        ("M4", INFO, blank, "when they last signed in; an empty date does not count as stale",
         "Check a few of them; new devices have no sign-in date yet."),
        ("M5", WARN, view.flag("comanaged", UNKNOWN), "whether they are already co-managed",
         "Import Intune's devices or Get-CMDevice, so that enrolled devices stay out of the plan."),
    )  # fmt: skip
    for rule, severity, rows, what, action in checks:
        if count := int(rows.sum()):
            sentence = f"For {count:,} of {n:,} devices, the inventory does not show {what}."
            yield Finding(rule, severity, -1, sentence, action, {"devices": str(count)})
    signed_in = view.age_days[~np.isnan(view.age_days)]
    if len(signed_in) and (days := float(signed_in.min())) > STALE_DAYS_MIN:
        yield Finding(
            "M7", WARN, -1,
            f"No device signed in during the {days:.0f} days before this inventory: the exports are old.",
            "Export again, or state the date of the exports when you import them (--taken).",
            {"days": f"{days:.0f}"},
        )  # fmt: skip
    if count := int(view.level("configmgr_join", "name").sum()):
        yield Finding(
            "M6", WARN, -1,
            f"{count:,} ConfigMgr records were matched to their device by computer name only.",
            "Export Get-CMDevice with AADDeviceID, and compare a few by serial number.", {"devices": str(count)},
        )  # fmt: skip


def _tenant_findings(view: View) -> Iterator[Finding]:
    from_internet = int(is_path_two(view).sum())
    for rule in TENANT_RULES:
        sentence, action, detail = rule.sentence, rule.next_action, {"devices": str(len(view.fleet))}
        if rule.id == "E20" and from_internet:
            sentence = (
                f"Devices in Intune without a ConfigMgr client: {from_internet:,} (E1-path2). They need a cloud "
                "management gateway; existing clients do not."
            )
            action = (
                f"Size the gateway for all of them at the same time: {gateways_for(from_internet)}; "
                "at least two instances."
            )
            detail = {"devices": str(from_internet)}
        yield Finding(rule.id, rule.severity, -1, sentence, action, detail)
