"""List what to do about duplicate and stale records: keep, disable, delete; in which system and order.

We delete nothing. The order is that of Microsoft's guidance on stale devices: retire in Intune, disable, wait,
delete. A hybrid record is changed in Active Directory, and Entra Connect carries the change over: deleted in Entra
alone it comes back as pending, disabled in Entra alone it is enabled again by the next synchronization.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields

from rollout.files import csv_text
from rollout.preflight.check import STALE_DAYS, preflight
from rollout.preflight.duplicates import Duplicates, find_duplicates
from rollout.values import Fleet, Inventory, Join

GRACE_DAYS = 30
"""Days to wait between disabling and deleting."""

BITLOCKER = "Deleting it also deletes its BitLocker recovery keys for good: save them first."
ENCRYPTED = "It is encrypted: deleting it also deletes its BitLocker recovery keys for good. Save them first."
AUTOPILOT = "Leave it if it is registered with Autopilot ([ZTDID] in its physicalIds); no export shows that."
IN_AD = "Active Directory (Entra Connect carries it over); in Entra only if no computer object has this ID any more"


@dataclass(frozen=True, slots=True)
class WorkItem:
    """One step for one record.

    rule : the preflight rule that found it. step : counted from 1 per record, 0 for the record to keep.
    identifier : the record's identifier in that system. after_days : days to wait after the previous step.
    """

    rule: str
    name: str
    device: str
    step: int
    action: str
    system: str
    identifier: str
    after_days: int
    reason: str
    warning: str


def worklist(inventory: Inventory, *, stale_days: int = STALE_DAYS) -> tuple[WorkItem, ...]:
    """Return the steps that clean up duplicate (D1, D2, D5, D6), obsolete and stale (D3) records, by device name.

    Raise `UsageError` if `stale_days` is less than 21.
    """
    found = find_duplicates(inventory.fleet)
    chosen = ("D1-registered", "D2", "D2-unclear", "D3", "D5", "D6", "E1-obsolete")
    items: list[tuple[str, int, WorkItem]] = []
    done: set[int] = set()
    for finding in preflight(inventory, stale_days=stale_days):
        if finding.rule in chosen and finding.row not in done:
            done.add(finding.row)  # a record has one list of steps: that of its first rule
            steps = _steps(inventory.fleet, found, finding.rule, finding.row, finding.sentence)
            items.extend(
                (str(inventory.fleet.names[finding.row]).casefold(), finding.row, step) for step in steps
            )
    return tuple(item for _, _, item in sorted(items, key=lambda item: item[:2]))


def _steps(fleet: Fleet, found: Duplicates, rule: str, row: int, reason: str) -> Iterator[WorkItem]:
    def item(step: int, action: str, system: str, of: str, *, after: int = 0, warning: str = "") -> WorkItem:
        return WorkItem(
            rule, str(fleet.names[row]), str(fleet.ids[row]), step, action, system, of, after, reason, warning
        )

    keep = int(found.other[row])
    if keep >= 0:
        yield item(0, "keep", "every system", _identifier(fleet, keep, rule))
    if rule == "D2-unclear":
        yield item(1, "compare", "on the computer: dsregcmd /status", str(fleet.ids[row]))
    elif rule in ("D5", "E1-obsolete"):
        yield item(1, "delete", "ConfigMgr", _identifier(fleet, row, rule))
    elif rule == "D6":
        yield item(1, "retire", "Intune", _identifier(fleet, row, rule), warning=_keys(fleet, row))
    else:
        of = str(fleet.ids[row])
        enrolled = fleet.flags["intune"][row] == 1
        if enrolled:
            yield item(1, "retire", "Intune", of)
        hybrid = fleet.factors["join"][row] == Join.HYBRID
        system = IN_AD if hybrid else "Entra"
        yield item(1 + enrolled, "disable", system, of, warning=AUTOPILOT)
        yield item(2 + enrolled, "delete", system, of, after=GRACE_DAYS, warning=_keys(fleet, row))


def _identifier(fleet: Fleet, row: int, rule: str) -> str:
    """Return the identifier of a record in the system that the rule is about."""
    if rule in ("D5", "E1-obsolete") and fleet.resource_ids[row] >= 0:
        return f"ResourceID {fleet.resource_ids[row]}"
    return str(fleet.ids[row])


def _keys(fleet: Fleet, row: int) -> str:
    encrypted = fleet.flags.get("encrypted")
    return ENCRYPTED if encrypted is not None and encrypted[row] == 1 else BITLOCKER


def worklist_csv(items: Iterable[WorkItem]) -> str:
    """Return the worklist as CSV with a header; see `rollout.files.csv_text`."""
    return csv_text([field.name for field in fields(WorkItem)], map(astuple, items))
