"""Plans: from a stored inventory and a policy, for the rest of a rollout, or to undo one; kept in the database."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from rollout.api.databases import has_db, open_db
from rollout.api.exclusions import rows_of
from rollout.api.file_names import is_pattern
from rollout.api.preflight import check_inventory
from rollout.api.scenarios import read_scenario, scenario_of
from rollout.api.staging import added_rows, check_undo
from rollout.arguments import require_instant
from rollout.documents import planning as documents
from rollout.documents.base import HumanStep
from rollout.errors import UsageError
from rollout.planning import (
    calendar_text,
    continue_plan,
    explain,
    feasibility,
    nominal_batches,
    undo_plan,
)
from rollout.planning.checked import plan_checked
from rollout.report.facts import ExcludedRow
from rollout.store import Database
from rollout.text import iso
from rollout.values import HOUR_S, Finding, Plan
from sim.planning import latency_p95
from sim.planning import plan_scenario as plan_generated
from sim.scenario import Scenario


@dataclass(frozen=True, slots=True)
class PlanResult:
    """A plan that was stored. id : its id, such as plan-1. findings : preflight's, of its inventory."""

    id: str
    plan: Plan
    findings: tuple[Finding, ...]

    @property
    def document(self) -> documents.Plan:
        """What `rollout plan --json` prints."""
        plan = self.plan
        return documents.Plan(
            plan=self.id,
            digest=plan.digest,
            devices=plan.planned,
            excluded=dict(plan.excluded_by_reason()),
            phases=tuple(documents.PlannedPhase.build(phase, devices=len(phase)) for phase in plan.phases),
            batches=tuple(
                documents.PlannedBatch(at=iso(at), phase=plan.phases[phase].name, count=count)
                for at, phase, count in nominal_batches(plan)
            ),
            human_steps=tuple(HumanStep.build(step) for step in plan.human_steps),
            feasible=feasibility(plan).feasible,
            start=iso(plan.start),
            mature_after_hours=plan.mature_after_s / HOUR_S,
            straggler_after_hours=plan.straggler_after_s / HOUR_S,
            warnings=tuple(plan.warnings),
        )

    @property
    def excluded(self) -> tuple[ExcludedRow, ...]:
        """The devices that are not in the plan, by reason in words, the largest group first."""
        return rows_of(self.plan, self.findings)

    def calendar(self) -> str:
        """Return the change windows as an iCalendar file."""
        return calendar_text(self.plan, stamp=int(time.time()))


def make_plan(
    database: Database, scenario: Scenario, inventory_id: str | None = None, *, created: int | None = None
) -> PlanResult:
    """Plan a stored inventory under the scenario's policy and store the plan.

    inventory_id : the latest by default. created : Unix seconds, now by default. Raise `UsageError` or
    `RefusedError` with the figure that would work if the policy cannot be kept.
    """
    known = database.inventory_id(inventory_id)
    moment = int(time.time()) if created is None else require_instant("created", created)
    inventory, policy = database.inventory(known), scenario.policy
    latency = partial(latency_p95, inventory.fleet, scenario.model, moment, policy.straggler_after)
    findings, plan = plan_checked(inventory, policy, created=moment, latency=latency)
    return _store(database, plan, findings, known, scenario)


def plan_scenario(database: Database, scenario: Scenario) -> PlanResult:
    """Generate the scenario's fleet, plan it, and store both."""
    planned = plan_generated(scenario)
    inventory_id = database.add_inventory(planned.inventory)
    return _store(database, planned.plan, planned.findings, inventory_id, scenario)


def _store(
    database: Database, plan: Plan, findings: tuple[Finding, ...], inventory_id: str, scenario: Scenario
) -> PlanResult:
    database.add_findings(inventory_id, findings)
    return PlanResult(database.add_plan(plan, inventory_id, scenario.text), plan, findings)


def plan_continuation(
    database: Database,
    rollout: str,
    scenario: Scenario | None = None,
    inventory_id: str | None = None,
) -> PlanResult:
    """Plan the rest of a rollout, over the latest inventory by default, under its own policy or another one."""
    known = database.rollout(rollout)
    stored = database.plan(known.plan_id)
    used = scenario_of(stored) if scenario is None else scenario
    batches = database.reader(known.id).batches()
    released = np.concatenate([[], *(batch.rows for batch in batches)]).astype(np.int32)
    wish = used.policy.preflight
    checked = check_inventory(database, inventory_id, stale_days=wish.stale_days, off=wish.off)
    plan = continue_plan(
        stored.plan,
        released,
        checked.inventory,
        checked.findings,
        used.policy,
        mature_after_s=stored.plan.mature_after_s,
        created=int(time.time()),
    )
    return PlanResult(database.add_plan(plan, checked.id, used.text), plan, checked.findings)


def plan_undo(database: Database, rollout: str, *, in_windows: bool = False) -> PlanResult:
    """Plan to remove from the collection the devices that a rollout added; devices that were members before stay.

    in_windows : keep to the windows and freezes of the plan that is undone. Raise `UsageError` if there is nothing
    to undo.
    """
    known = database.rollout(rollout)
    stored = database.plan(known.plan_id)
    added = added_rows(database, known.id)
    if not len(added):
        raise _nothing_to_undo(database, known.id)
    check_undo(database, stored.plan, added)
    plan = undo_plan(stored.plan, added, created=int(time.time()), in_windows=in_windows)
    plan_id = database.add_plan(plan, stored.inventory_id, stored.scenario)
    return PlanResult(plan_id, plan, database.findings(stored.inventory_id))


def _nothing_to_undo(database: Database, rollout: str) -> UsageError:
    """Explain why a rollout has no devices to remove."""
    reader = database.reader(rollout)
    if len(reader.added()):
        return UsageError(f"--undo: every device that {rollout} added has been withdrawn already")
    adopted = sum(len(applied.adopted) for _, _, applied in reader.applied())
    return UsageError(
        f"--undo: {rollout} added no devices"
        + (f": its {adopted} devices were members before it" if adopted else ""),
        "members that others added stay; remove them in the console if that is intended" if adopted else "",
    )


def explain_device(database: Database, device: str, plan: str | None = None) -> documents.Explanation:
    """Explain why a device (id or name) is where it is in a plan, the latest by default."""
    stored = database.plan(database.latest_plan() if plan is None else plan)
    text = explain(stored.plan, device, database.inventory(stored.inventory_id).fleet)
    return documents.Explanation(plan=stored.id, device=device, explanation=text)


def resolve_target(
    db: str, target: str | None, clients: int | None, note: Callable[[str], None]
) -> tuple[Database, Scenario | None, str | None]:
    """Return (database, scenario, plan key) for a target that is a TOML file, a plan id or a digest.

    A scenario is planned here, over a generated fleet. None is the latest plan, or the default scenario if there is
    neither a plan nor a real inventory. note : called with a line that is not a result. Raise `RefusedError` if the
    latest real inventory has no plan: a generated fleet does not stand in for it.
    """
    is_file = target is not None and (
        target.endswith(".toml") or is_pattern(target) or Path(target).is_file()
    )
    if target is not None and not is_file:
        return open_db(db), None, target
    if target is None and clients is None and has_db(db):
        database = open_db(db)
        if database.has_plans() or database.latest_real() is not None:
            return database, None, database.latest_plan()
    scenario = read_scenario(target, clients)
    database = open_db(db, create=True)
    real = database.latest_real()
    key = plan_scenario(database, scenario).id
    if real is not None:
        note(
            f"{key} is for a generated fleet: 'rollout approve' and 'rollout run' use it only by name, because "
            f"{real} is real"
        )
    return database, scenario, key
