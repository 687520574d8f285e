"""Inventories, findings, plans, approvals and simulations: written once, verified when read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from sqlalchemy import Connection, Row, Table, delete, func, insert, select

from rollout.errors import RefusedError, UsageError
from rollout.store.connection.access import Access
from rollout.store.stored import StoredPlan
from rollout.store.tables import ApprovalRow, FindingsRow, InventoryRow, PlanRow, SimulationRow
from rollout.values import (
    Factor,
    Finding,
    IntArray,
    Inventory,
    Plan,
    Severity,
    document_in,
    dumps,
    is_made_up,
    loads,
)

INVENTORY = InventoryRow.__table__  # type: ignore[attr-defined]  # SQLModel does not declare it
FINDINGS = FindingsRow.__table__  # type: ignore[attr-defined]
PLAN = PlanRow.__table__  # type: ignore[attr-defined]
APPROVAL = ApprovalRow.__table__  # type: ignore[attr-defined]
SIMULATION = SimulationRow.__table__  # type: ignore[attr-defined]

T = TypeVar("T")

PREFIX_MIN = 4
"""Minimum number of hex digits of a digest that identify a plan."""

NOUNS = {"inv": "inventory", "plan": "plan", "sim": "simulation", "run": "rollout"}
COMMANDS = {"inv": "inventory", "plan": "plan", "sim": "simulate", "run": "run"}
"""The command that creates each kind, by the prefix of its IDs."""


@dataclass(frozen=True, slots=True, eq=False)
class _FindingColumns:
    """Findings as columns: 100,000 devices share a few rules and sentences."""

    rule: Factor
    severity: Factor
    row: IntArray
    sentence: Factor
    next_action: Factor
    detail: Factor


class Vault:
    """The store of values that never change."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._made_up: dict[int, bool] = {}

    def add_inventory(self, inventory: Inventory) -> str:
        """Store a snapshot and return its ID."""
        body = dumps(inventory)
        values = {
            "digest": inventory.fleet.digest,
            "taken": inventory.taken,
            "accepted": len(inventory.fleet),
            "rejected": len(inventory.rejected),
            "body": body,
            "seal": _seal(body),
        }
        with self._access.writing() as connection:
            return _named("inv", connection.execute(insert(INVENTORY), values))

    def inventory_id(self, key: str | None = None) -> str:
        """Return the ID of an inventory; raise `UsageError` if it is unknown.

        The default is the latest real inventory: a generated fleet never takes its place.
        """
        with self._access.reading() as connection:
            return f"inv-{self._inventory_number(connection, key)}"

    def is_made_up(self, key: str) -> bool:
        """Return whether a scenario generated an inventory."""
        with self._access.reading() as connection:
            return self._is_made_up(connection, find(connection, INVENTORY, "inv", key))

    def latest_real(self) -> str | None:
        """Return the ID of the latest inventory that was not generated, None if there is none."""
        with self._access.reading() as connection:
            number = self._latest_real(connection)
        return None if number is None else f"inv-{number}"

    def _inventory_number(self, connection: Connection, key: str | None) -> int:
        real = self._latest_real(connection) if key is None else None
        return find(connection, INVENTORY, "inv", key) if real is None else real

    def _latest_real(self, connection: Connection) -> int | None:
        numbers = connection.execute(select(INVENTORY.c.id).order_by(INVENTORY.c.id.desc())).scalars().all()
        return next((number for number in numbers if not self._is_made_up(connection, number)), None)

    def _is_made_up(self, connection: Connection, number: int) -> bool:
        """Read only an inventory's sources, none of its devices; a damaged inventory counts as real."""
        if number not in self._made_up:
            body = connection.execute(select(INVENTORY.c.body).where(INVENTORY.c.id == number)).scalar_one()
            try:
                self._made_up[number] = is_made_up(document_in(body)["files"])
            except (ValueError, TypeError, KeyError):
                return False
        return self._made_up[number]

    def inventory(self, key: str | None = None) -> Inventory:
        """Return an inventory, the latest by default; raise `RefusedError` if it was changed after it was stored."""
        with self._access.reading() as connection:
            number = self._inventory_number(connection, key)
            row = connection.execute(select(INVENTORY).where(INVENTORY.c.id == number)).one()
        inventory = _opened(Inventory, f"inventory inv-{number}", row)
        if inventory.fleet.digest != row.digest:
            raise _changed(f"inventory inv-{number}")
        return inventory

    def add_findings(self, inventory_key: str, findings: Sequence[Finding]) -> None:
        """Store the findings about an inventory, in place of any earlier ones."""
        body = dumps(_columns_of(findings))
        with self._access.writing() as connection:
            number = find(connection, INVENTORY, "inv", inventory_key)
            connection.execute(delete(FINDINGS).where(FINDINGS.c.inventory_id == number))
            values = {"inventory_id": number, "count": len(findings), "body": body, "seal": _seal(body)}
            connection.execute(insert(FINDINGS), values)

    def findings(self, inventory_key: str | None = None) -> tuple[Finding, ...]:
        """Return the findings about an inventory; empty if preflight has not run."""
        with self._access.reading() as connection:
            number = self._inventory_number(connection, inventory_key)
            query = select(FINDINGS).where(FINDINGS.c.inventory_id == number)
            row = connection.execute(query).one_or_none()
        return _findings_of(_opened(_FindingColumns, f"findings of inv-{number}", row)) if row else ()

    def findings_of(self, plan_key: str | None = None) -> tuple[Finding, ...]:
        """Return the findings about a plan's inventory, without opening the plan."""
        with self._access.reading() as connection:
            query = select(PLAN.c.inventory_id).where(PLAN.c.id == plan_number(connection, plan_key))
            number = connection.execute(query).scalar_one()
        return self.findings(f"inv-{number}")

    def add_plan(self, plan: Plan, inventory_key: str, scenario: str = "") -> str:
        """Store a plan and return its ID; storing the same plan again returns the same ID.

        Raise `RefusedError` if it was made from another inventory.
        """
        with self._access.writing() as connection:
            number = find(connection, INVENTORY, "inv", inventory_key)
            known = connection.execute(select(PLAN.c.id).where(PLAN.c.digest == plan.digest)).scalar()
            if known is not None:
                return f"plan-{known}"
            _check_inventory(connection, plan, number, "the plan")
            values = {
                "digest": plan.digest,
                "inventory_id": number,
                "name": plan.name,
                "devices": len(plan),
                "body": dumps(plan),
                "scenario": scenario,
            }
            return _named("plan", connection.execute(insert(PLAN), values))

    def has_plans(self) -> bool:
        """Return whether there is a plan."""
        with self._access.reading() as connection:
            return connection.execute(select(PLAN.c.id).limit(1)).first() is not None

    def latest_plan(self) -> str:
        """Return the ID of the plan to use when none is named.

        If there is a real inventory, that is never the plan of a generated fleet, nor of an older inventory while the
        latest has no plan: then raise `RefusedError`. An undo belongs to the inventory of the plan that it undoes.
        """
        with self._access.reading() as connection:
            real = self._latest_real(connection)
            if real is None:
                return f"plan-{find(connection, PLAN, 'plan', None)}"
            query = select(PLAN.c.id, PLAN.c.inventory_id).order_by(PLAN.c.id.desc())
            plans = [
                (number, inventory)
                for number, inventory in connection.execute(query).all()
                if not self._is_made_up(connection, inventory)
            ]
        if plans and (any(inventory == real for _, inventory in plans) or self._is_undo(plans[0][0])):
            return f"plan-{plans[0][0]}"
        raise RefusedError(
            f"inv-{real} has no plan; nothing was done",
            "run 'rollout plan SCENARIO.toml', or name the plan or scenario to use",
        )

    def _is_undo(self, number: int) -> bool:
        return self.plan(f"plan-{number}").plan.is_undo

    def plan(self, key: str | None = None) -> StoredPlan:
        """Return a plan by ID or digest prefix, the latest by default.

        Raise `UsageError` if it is unknown or ambiguous; `RefusedError` if plan, inventory or approval
        were changed after they were stored.
        """
        with self._access.reading() as connection:
            number = plan_number(connection, key)
            row = connection.execute(select(PLAN).where(PLAN.c.id == number)).one()
            query = select(APPROVAL).where(APPROVAL.c.plan_id == number).order_by(APPROVAL.c.id.desc())
            approval = connection.execute(query.limit(1)).one_or_none()
            what = f"plan-{number}"
            try:
                plan = loads(Plan, row.body)
            except (ValueError, TypeError) as error:
                raise _changed(what) from error
            if plan.digest != row.digest or len(plan) != row.devices:
                raise _changed(what)
            _check_inventory(connection, plan, row.inventory_id, what)
        if approval is not None and _approval_seal(row.digest, approval.by, approval.at) != approval.seal:
            raise _changed(f"approval of {what}")
        by, at = (approval.by, approval.at) if approval is not None else ("", -1)
        return StoredPlan(what, plan, row.digest, f"inv-{row.inventory_id}", row.scenario, by, at)

    def approve(self, key: str, by: str, at: int) -> None:
        """Record that `by` approved a plan at Unix second `at`."""
        with self._access.writing() as connection:
            number = plan_number(connection, key)
            digest = connection.execute(select(PLAN.c.digest).where(PLAN.c.id == number)).scalar_one()
            values = {"plan_id": number, "by": by, "at": at, "seal": _approval_seal(digest, by, at)}
            connection.execute(insert(APPROVAL), values)

    def add_simulation(self, plan_key: str, summary: dict[str, Any]) -> str:
        """Store the summary of a plan's simulation and return its ID."""
        text = json.dumps(summary, sort_keys=True)
        with self._access.writing() as connection:
            values = {"plan_id": plan_number(connection, plan_key), "summary": text}
            return _named("sim", connection.execute(insert(SIMULATION), values))

    def simulations(self, plan_key: str | None = None) -> dict[str, Any] | None:
        """Return the latest summary of a plan's simulations, None if it was never simulated."""
        with self._access.reading() as connection:
            number = plan_number(connection, plan_key)
            query = select(SIMULATION.c.summary).where(SIMULATION.c.plan_id == number)
            text = connection.execute(query.order_by(SIMULATION.c.id.desc()).limit(1)).scalar()
        if text is None:
            return None
        try:
            summary: dict[str, Any] = json.loads(text)
        except ValueError as error:
            raise _changed(f"simulation of plan-{number}") from error
        return summary


def find(connection: Connection, table: Table, prefix: str, key: str | None) -> int:
    """Return the number of "inv-3", or of the latest; raise `UsageError`, which names those that exist."""
    last = connection.execute(select(func.max(table.c.id))).scalar()
    if last is None:
        what = f"there is no {NOUNS[prefix]} yet" + ("" if key is None else f", found '{key}'")
        raise UsageError(what, f"start with 'rollout {COMMANDS[prefix]}'")
    if key is None:
        return int(last)
    match = re.fullmatch(rf"{prefix}-(\d{{1,9}})", key)
    if match and connection.execute(select(table.c.id).where(table.c.id == int(match[1]))).first():
        return int(match[1])
    known = connection.execute(select(table.c.id).order_by(table.c.id.desc()).limit(5)).scalars().all()
    names = ", ".join(f"{prefix}-{number}" for number in known)
    more = ", …" if last > 5 else ""
    raise UsageError(f"there is no {NOUNS[prefix]} '{key}': expected one of {names}{more}")


def plan_number(connection: Connection, key: str | None) -> int:
    """Return the number of a plan by ID or by the first hex digits of its digest."""
    if key is None or not re.fullmatch(r"[0-9a-fA-F]{1,64}", key):
        return find(connection, PLAN, "plan", key)
    if len(key) < PREFIX_MIN:
        raise UsageError(f"expected at least {PREFIX_MIN} digits of a plan digest, found '{key}'")
    query = select(PLAN.c.id, PLAN.c.digest).where(PLAN.c.digest.startswith(key.lower()))
    hits = connection.execute(query.order_by(PLAN.c.id)).all()
    if len(hits) == 1:
        return int(hits[0].id)
    if not hits:
        raise UsageError(f"no plan digest starts with '{key}'", "name a plan, such as plan-1")
    names = ", ".join(f"plan-{hit.id} ({hit.digest[:12]})" for hit in hits)
    raise UsageError(f"'{key}' matches {len(hits)} plans: {names}", "add digits, or name the plan")


def _named(prefix: str, result: Any) -> str:
    return f"{prefix}-{result.inserted_primary_key[0]}"


def _seal(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _approval_seal(digest: str, by: str, at: int) -> str:
    return hashlib.sha256(json.dumps(["approval", digest, by, at]).encode()).hexdigest()


def _check_inventory(connection: Connection, plan: Plan, number: int, what: str) -> None:
    found = connection.execute(select(INVENTORY.c.digest).where(INVENTORY.c.id == number)).scalar()
    if found != plan.inventory_digest:
        raise RefusedError(
            f"{what} was made from inventory {plan.inventory_digest[:12]}, but inv-{number} is {str(found)[:12]}",
            "plan again from the current inventory",
        )


def _opened(kind: type[T], what: str, row: Row[Any]) -> T:
    """Return the value of a row; raise `RefusedError` if its bytes were changed after they were sealed."""
    if not isinstance(row.body, bytes) or _seal(row.body) != row.seal:
        raise _changed(what)
    try:
        return loads(kind, row.body)
    except ValueError as error:
        raise _changed(what) from error


def _changed(what: str) -> RefusedError:
    return RefusedError(
        f"{what} was changed after it was stored: its digest does not match",
        "restore a backup of the database, or create it again",
    )


def _columns_of(findings: Sequence[Finding]) -> _FindingColumns:
    return _FindingColumns(
        rule=Factor.of([finding.rule for finding in findings]),
        severity=Factor.of([finding.severity.value for finding in findings]),
        row=np.array([finding.row for finding in findings], dtype=np.int32),
        sentence=Factor.of([finding.sentence for finding in findings]),
        next_action=Factor.of([finding.next_action for finding in findings]),
        detail=Factor.of([json.dumps(dict(finding.detail), sort_keys=True) for finding in findings]),
    )


def _findings_of(columns: _FindingColumns) -> tuple[Finding, ...]:
    details = [json.loads(level) for level in columns.detail.levels]
    return tuple(
        Finding(
            rule=columns.rule[index],
            severity=Severity(columns.severity[index]),
            row=int(columns.row[index]),
            sentence=columns.sentence[index],
            next_action=columns.next_action[index],
            detail=details[columns.detail.codes[index]],
        )
        for index in range(len(columns.row))
    )
