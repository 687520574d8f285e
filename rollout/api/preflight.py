"""Preflight over a stored inventory: the devices that cannot be enrolled, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rollout.arguments import require_plain
from rollout.documents import planning as documents
from rollout.files import csv_text
from rollout.preflight import STALE_DAYS, TENANT_RULES, WorkItem, preflight, worklist
from rollout.store import Database
from rollout.values import Finding, Inventory, Severity

TENANT_RULE_IDS = frozenset(rule.id for rule in TENANT_RULES)
FINDING_COLUMNS = ("rule", "severity", "device", "name", "sentence", "next_action")


@dataclass(frozen=True, slots=True)
class PreflightResult:
    """The findings of an inventory. off : switched-off rules with their reasons."""

    id: str
    inventory: Inventory
    findings: tuple[Finding, ...]
    stale_days: int = STALE_DAYS
    off: Mapping[str, str] = field(default_factory=dict)

    @property
    def document(self) -> documents.Preflight:
        """What `rollout preflight --json` prints."""
        return documents.Preflight(
            inventory=self.id,
            findings=tuple(
                documents.Finding.build(each, device=self.device_of(each) or None) for each in self.findings
            ),
            counts=dict(sorted(Counter(each.rule for each in self.findings).items())),
        )

    @property
    def blocked(self) -> int:
        """Devices that leave the plan."""
        return len({each.row for each in self.findings if each.severity is Severity.BLOCK})

    def device_of(self, finding: Finding) -> str:
        """Return the id of the device that a finding is about, "" if it is about none."""
        return str(self.inventory.fleet.ids[finding.row]) if finding.row >= 0 else ""

    def name_of(self, finding: Finding) -> str:
        """Return the name of the device that a finding is about, "" if it is about none."""
        return str(self.inventory.fleet.names[finding.row]) if finding.row >= 0 else ""

    def of_severity(self, severities: Iterable[Severity]) -> list[Finding]:
        """Return the findings of devices and data with these severities.

        What a person must check in the tenant is left out: it is always there.
        """
        wanted = set(severities)
        return [
            each for each in self.findings if each.severity in wanted and each.rule not in TENANT_RULE_IDS
        ]

    def findings_csv(self) -> str:
        """Return all findings as CSV."""
        rows = (
            [
                each.rule,
                each.severity.value,
                self.device_of(each),
                self.name_of(each),
                each.sentence,
                each.next_action,
            ]
            for each in self.findings
        )
        return csv_text(FINDING_COLUMNS, rows)

    def worklist(self) -> list[WorkItem]:
        """Return what to keep, disable and delete, in order, by the rules that are on."""
        return [
            item for item in worklist(self.inventory, stale_days=self.stale_days) if item.rule not in self.off
        ]


def check_inventory(
    database: Database,
    inventory_id: str | None = None,
    *,
    stale_days: int | None = None,
    off: Mapping[str, str] | None = None,
) -> PreflightResult:
    """Run preflight over a stored inventory and store the findings.

    inventory_id : the latest by default. stale_days : days without sign-in after which a record is stale.
    off : rules to switch off, with the reason. Raise `UsageError` for an unknown rule or an impossible value.
    """
    for reason in (off or {}).values():
        require_plain("--off", reason)
    known = database.inventory_id(inventory_id)
    inventory = database.inventory(known)
    days = STALE_DAYS if stale_days is None else stale_days
    findings = preflight(inventory, stale_days=days, off=off)
    database.add_findings(known, findings)
    return PreflightResult(known, inventory, findings, days, off or {})
