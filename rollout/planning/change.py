"""Changes to a plan under way: newcomers, a plan that continues another, and a plan that undoes another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rollout.pacing import extended_by, linear
from rollout.pacing.calendar import resolve
from rollout.pacing.modes.auto import auto_duration_s
from rollout.planning.drift import Drift, compare, extended
from rollout.planning.exclusions import exclusions
from rollout.planning.human_steps import undo_steps, undo_warnings
from rollout.planning.order import draw_numbers, id_ranks
from rollout.planning.phase_draft import Members
from rollout.planning.phase_gates import fitted_gate
from rollout.planning.planner import TAIL, finish_plan, ordered, source_of, strata_columns
from rollout.planning.timetable import HORIZON_S, make_timetable
from rollout.policy import PhasePolicy, Policy
from rollout.values import (
    HOUR_S,
    UNDO,
    Budgets,
    Finding,
    Fleet,
    GatePolicy,
    IntArray,
    Inventory,
    Phase,
    Plan,
    Strata,
    texts_at,
)
from rollout.values.plan_warnings import OUTSIDE_WINDOWS

RELEASED_BEFORE = "released before"
NOT_OURS = "not added by this rollout"


@dataclass(frozen=True, slots=True, eq=False)
class Changed:
    """A plan with the newcomers, its inventory row by row, and what changed."""

    plan: Plan
    inventory: Inventory
    drift: Drift


def take_in(
    plan: Plan, inventory: Inventory, newer: Inventory, findings: Sequence[Finding], policy: Policy
) -> Changed:
    """Take the newcomers of a newer inventory into the tail of a plan that may be under way.

    inventory : that of the plan. findings : preflight of `newer`. policy : that of the plan.

    Every known device keeps its row, phase, place and batch, so a journal can continue. Devices that have left keep
    their place as well; the caller excludes `drift.removed`, as a person would. A re-imaged device is a
    newcomer: its old id is among the removed ones or still there, its new id goes to the tail.
    """
    drift = compare(plan, inventory.fleet, newer.fleet)
    both = extended(inventory, newer, drift.newcomers)
    fresh = len(plan) + np.arange(len(drift.newcomers), dtype=np.int32)
    excluded, reasons = _excluded(plan, newer.fleet, findings, policy, drift)
    going = fresh[excluded[fresh] == 0]
    numbers, columns = draw_numbers(both.fleet.ids, plan.salt), strata_columns(policy, both.fleet)
    order = ordered(going, numbers, columns, id_ranks(both.fleet.ids))
    table = make_timetable(policy, both.fleet, excluded == 0, plan.start)
    before = plan.planned - len(plan.phases[-1])
    changed = replace(
        plan,
        inventory_digest=both.fleet.digest,
        ids=both.fleet.ids,
        phases=(*plan.phases[:-1], _longer(plan.phases[-1], order, policy, before)),
        calendar=table.calendar,
        budget_codes=_codes(both.fleet, plan.budgets.column),
        strata=_strata(plan, both.fleet),
        excluded=excluded,
        exclusion_reasons=reasons,
        zone_names=table.zone_names,
        zone_calendars=table.zone_calendars,
        zone_codes=table.zone_codes,
        warnings=(*plan.warnings, *drift.sentences()),
        continues=plan.digest,
    )
    return Changed(changed, both, drift)


def continue_plan(
    plan: Plan,
    released: IntArray,
    inventory: Inventory,
    findings: Sequence[Finding],
    policy: Policy,
    *,
    mature_after_s: int | None,
    created: int,
) -> Plan:
    """Plan the rest of a rollout over today's inventory and under today's policy.

    released : rows of `plan`. Released devices stay released and are not released again. Waiting devices keep their
    phase and are ordered again; the curves restart with the devices that are left. Newcomers, and devices whose phase
    the policy no longer has, go to the tail. Raises what `make_plan` raises.
    """
    fleet = inventory.fleet
    excluded, reasons, warnings = exclusions(fleet, findings, policy)
    before = set(plan.ids[released].tolist())
    gone = np.array([device_id in before for device_id in fleet.ids.tolist()], dtype=np.bool_)
    if gone.any():
        reasons = (*reasons, RELEASED_BEFORE)
        excluded[gone] = len(reasons)
    return finish_plan(
        policy,
        inventory,
        _kept(plan, policy, fleet, np.flatnonzero(excluded == 0).astype(np.int32)),
        excluded=excluded,
        reasons=reasons,
        warnings=warnings,
        mature_after_s=mature_after_s,
        created=created,
        continues=plan.digest,
    )


def undo_plan(plan: Plan, ours: IntArray, *, created: int, in_windows: bool = False) -> Plan:
    """Plan to remove from the collection what a rollout added, the last devices first.

    ours : rows that this rollout added, in the order of release; adopted members do not belong to it.
    in_windows : keep to the plan's windows and freezes. By default it does not wait for them, and says so.
    """
    start = (created // HOUR_S + 1) * HOUR_S
    order = ours[::-1].astype(np.int32)
    excluded = np.ones(len(plan), dtype=np.int32)
    excluded[order] = 0
    curve = linear(auto_duration_s(len(order)))
    gate = GatePolicy(evidence=None, per_stratum=False)
    limited = bool(plan.windows or plan.freezes)
    undo = Phase("undo", f"added by {plan.name}", order, curve, HOUR_S, 0, gate)
    undone = replace(
        plan,
        name=f"undo {plan.name}",
        action=UNDO + plan.action,
        start=start,
        phases=(undo, Phase(TAIL, "late arrivers", order[:0], linear(0), HOUR_S, 0, gate)),
        budgets=Budgets(),
        budget_codes=np.zeros(len(plan), dtype=np.int32),
        excluded=excluded,
        exclusion_reasons=(NOT_OURS,),
        human_steps=undo_steps(plan.action, plan.collection),
        warnings=(*([] if in_windows or not limited else [OUTSIDE_WINDOWS]), *undo_warnings(plan.action)),
        continues=plan.digest,
    )
    return undone if in_windows else _at_any_hour(undone)


def _at_any_hour(plan: Plan) -> Plan:
    """Return the plan without windows and freezes."""
    return replace(
        plan,
        windows=(),
        calendar=resolve((), (), plan.start, plan.start + HORIZON_S),
        freezes=(),
        zone_names=(),
        zone_calendars=(),
        zone_codes=np.zeros(0, dtype=np.int32),
    )


def _excluded(
    plan: Plan, newer: Fleet, findings: Sequence[Finding], policy: Policy, drift: Drift
) -> tuple[IntArray, tuple[str, ...]]:
    """Codes of exclusion of all rows, known ones as before, and the reasons, known ones first."""
    codes, reasons, _ = exclusions(newer, findings, policy)
    names = list(plan.exclusion_reasons)
    mapped = np.zeros(len(reasons) + 1, dtype=np.int32)
    for code, reason in enumerate(reasons, 1):
        if reason not in names and (codes[drift.newcomers] == code).any():
            names.append(reason)
        mapped[code] = names.index(reason) + 1 if reason in names else 0
    return np.concatenate([plan.excluded, mapped[codes[drift.newcomers]]]).astype(np.int32), tuple(names)


def _longer(tail: Phase, order: IntArray, policy: Policy, before: int) -> Phase:
    """The tail with newcomers behind its present devices. before : devices of the phases before it."""
    duration_s = auto_duration_s(len(order), policy.service_per_hour)
    curve = extended_by(tail.curve, len(tail), len(order), duration_s)
    longer = np.concatenate([tail.order, order]).astype(np.int32)
    wishes = [wish for wish in policy.phases if wish.name == tail.name]
    rules = (wishes[0].gate if wishes else None) or policy.gate
    gate = fitted_gate(rules, tail.name, len(longer), before, lenient=True).policy
    return replace(tail, order=longer, curve=curve, gate=gate)


def _codes(fleet: Fleet, column: str) -> IntArray:
    return fleet.factors[column].codes if column else np.zeros(len(fleet), dtype=np.int32)


def _strata(plan: Plan, fleet: Fleet) -> Strata:
    """The strata of all rows; `extended` keeps the codes of known levels."""
    if not plan.strata.column:
        return Strata("", np.zeros(len(fleet), dtype=np.int32), plan.strata.names)
    factor = fleet.factors[plan.strata.column]
    return Strata(plan.strata.column, factor.codes, tuple(level or "unknown" for level in factor.levels))


def _kept(plan: Plan, policy: Policy, fleet: Fleet, rows: IntArray) -> list[Members]:
    """Deal the waiting devices out to the phases that they had; all others to the tail."""
    wishes = list(policy.phases) or [_wish(phase) for phase in plan.phases]
    if wishes[-1].name != TAIL:
        wishes.append(PhasePolicy(name=TAIL))
    index = {wish.name: number for number, wish in enumerate(wishes)}
    phase_of = {
        device_id: index.get(phase.name, len(wishes) - 1)
        for phase in plan.phases
        for device_id in texts_at(plan.ids, phase.order).tolist()
    }
    theirs = np.array(
        [phase_of.get(device_id, len(wishes) - 1) for device_id in texts_at(fleet.ids, rows).tolist()],
        dtype=np.int32,
    )
    numbers, columns = draw_numbers(fleet.ids, policy.salt or policy.name), strata_columns(policy, fleet)
    ranks = id_ranks(fleet.ids)
    return [
        Members(wish, source_of(wish), ordered(rows[theirs == number], numbers, columns, ranks))
        for number, wish in enumerate(wishes)
    ]


def _wish(phase: Phase) -> PhasePolicy:
    """The default phase of a policy that writes none."""
    return PhasePolicy.model_validate(
        {"name": phase.name, "source": phase.source, "soak": f"{phase.soak_s}s", "end": phase.end.value}
    )
