"""From inventory, findings and policy to a plan: which devices, in which order, how fast.

Deterministic in its arguments: the same inventory, policy and instant give the same digest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from rollout.errors import RefusedError
from rollout.planning.console_checks import check_console, console_warnings
from rollout.planning.exclusions import exclusions
from rollout.planning.exposure import exposure_warnings
from rollout.planning.feasibility import Feasibility, feasibility
from rollout.planning.human_steps import human_steps
from rollout.planning.order import Numbers, draw_numbers, id_ranks, interleave
from rollout.planning.phase_draft import Members, PlanFrame
from rollout.planning.phase_gates import beyond_proof
from rollout.planning.phasing import build_phases
from rollout.planning.schedule import nominal_batches
from rollout.planning.selection import factor_of, matching
from rollout.planning.strata_early import Column, choose
from rollout.planning.timetable import calendar_warnings, make_timetable
from rollout.policy import PhasePolicy, Policy
from rollout.values import (
    DAY_S,
    HOUR_S,
    BoolArray,
    Budgets,
    Finding,
    Fleet,
    IntArray,
    Inventory,
    Phase,
    PhaseEnd,
    Plan,
    Strata,
    part_of,
    parts_of_percent,
)
from rollout.values.durations import format_duration
from rollout.values.plan_warnings import late_start

__all__ = ["Feasibility", "feasibility", "make_plan", "nominal_batches"]

NO_PHASE = "in no phase"
TAIL = "tail"

MATURE_AFTER_S = DAY_S
"""The latency used for planning if neither the policy nor a model states one."""


def make_plan(
    inventory: Inventory,
    findings: Sequence[Finding],
    policy: Policy,
    *,
    mature_after_s: int | None,
    created: int,
) -> Plan:
    """Plan a rollout of `inventory`.

    findings : of preflight, in the order of its rules; a device leaves with its first blocking one.
    mature_after_s : the modelled p95 latency, if the policy does not say.
    created : Unix seconds; without a start of its own the plan starts at the next full hour.

    Raise a `UsageError` for a column that the inventory lacks; a `RefusedError` for what cannot be kept,
    with the earliest date, the smallest budget, rate or duration that can.
    """
    fleet = inventory.fleet
    excluded, reasons, warnings = exclusions(fleet, findings, policy)
    draft = _Draft(policy, fleet, excluded == 0)
    members, unreached = draft.members()
    if unreached.any():
        reasons = (*reasons, NO_PHASE)
        excluded[unreached] = len(reasons)
        text = f"{int(unreached.sum()):,} of {int(draft.left.sum()):,} devices are in no phase and stay as they are"
        warnings = [*warnings, text]
    warnings = [*warnings, *draft.lines]
    return finish_plan(
        policy,
        inventory,
        members,
        excluded=excluded,
        reasons=reasons,
        warnings=warnings,
        mature_after_s=mature_after_s,
        created=created,
    )


def finish_plan(
    policy: Policy,
    inventory: Inventory,
    members: Sequence[Members],
    *,
    excluded: IntArray,
    reasons: tuple[str, ...],
    warnings: Sequence[str],
    mature_after_s: int | None,
    created: int,
    continues: str = "",
) -> Plan:
    """Return the plan of phases whose devices and order are known; arguments and errors as in `make_plan`."""
    check_console(policy, created)
    fleet = inventory.fleet
    _require_devices(members, excluded, reasons)
    start = int(policy.start.timestamp()) if policy.start else (created // HOUR_S + 1) * HOUR_S
    latency_s = policy.mature_after or mature_after_s or MATURE_AFTER_S
    timetable = make_timetable(policy, fleet, excluded == 0, start)
    budgets, budget_codes = _budgets(policy, fleet)
    frame = PlanFrame(policy, timetable, latency_s, budgets, budget_codes, continues=bool(continues))
    built = build_phases(frame, members, start)
    phases, releases = built.phases, built.releases
    last_release = max((release.at for release in releases), default=start)
    return Plan(
        name=policy.name,
        action="enroll" if policy.action == "enroll" else f"workload:{policy.workload}",
        collection=policy.target,
        salt=policy.salt or policy.name,
        inventory_digest=fleet.digest,
        ids=fleet.ids,
        start=start,
        zone=policy.zone,
        phases=phases,
        windows=timetable.windows,
        calendar=timetable.calendar,
        budgets=budgets,
        budget_codes=budget_codes,
        strata=_strata(policy, fleet),
        excluded=excluded,
        exclusion_reasons=reasons,
        mature_after_s=latency_s,
        straggler_after_s=policy.straggler_after,
        look_s=policy.look_every,
        chunk=policy.chunk,
        human_steps=human_steps(policy),
        warnings=(
            *console_warnings(policy),
            *warnings,
            *timetable.warnings,
            *calendar_warnings(timetable, policy, start, last_release + HOUR_S, created),
            *_warnings(phases, start, created),
            *_longer_soaks(members, phases, latency_s),
            *beyond_proof(phases),
            *exposure_warnings(phases, releases, timetable.calendar, latency_s),
            *built.notes,
        ),
        freezes=tuple(str(freeze) for freeze in timetable.freezes),
        strata_columns=policy.strata,
        zone_names=timetable.zone_names,
        zone_calendars=timetable.zone_calendars,
        zone_codes=timetable.zone_codes,
        continues=continues,
    )


def default_phases(size: int) -> tuple[PhasePolicy, ...]:
    """Return the phases of a policy that defines none: a pilot of 1 %, at most 500; then all; then the tail."""
    pilot = min(500, -(-size // 100))
    return (
        PhasePolicy.model_validate({"name": "pilot", "devices": pilot, "soak": "2d"}),
        PhasePolicy(name="all"),
        PhasePolicy(name=TAIL),
    )


@dataclass(slots=True, eq=False)
class _Draft:
    """Deals the devices out to the phases. lines : warnings and notes on phases, such as one that is empty.

    partial : how many phases so far take only some of the devices that they could take.
    """

    policy: Policy
    fleet: Fleet
    left: BoolArray
    lines: list[str] = field(default_factory=list)
    partial: int = 0

    def members(self) -> tuple[list[Members], BoolArray]:
        """Return the phases with their devices in order, the tail last, and the devices in none, shape ``(n,)``."""
        wishes = list(self.policy.phases or default_phases(int(self.left.sum())))
        if wishes[-1].name != TAIL:
            wishes.append(PhasePolicy(name=TAIL, devices=0))
        numbers = draw_numbers(self.fleet.ids, self.policy.salt or self.policy.name)
        columns = strata_columns(self.policy, self.fleet)
        ranks = id_ranks(self.fleet.ids)
        early = _early_columns(self.policy, self.fleet)
        left, out = self.left.copy(), []
        for index, wish in enumerate(wishes):
            matches = matching(self.fleet, wish.where, f"phases[{index + 1}].where")
            rows = np.flatnonzero(left & matches)
            base = int((self.left & matches).sum()) if wish.percent_of == "plan" else len(rows)
            wanted = _limit(wish, base)
            order = ordered(rows.astype(np.int32), numbers, columns, ranks)
            if 0 < wanted < len(order):
                chosen = self._chosen(wish, order, wanted, early)
                is_natural = len(chosen) == wanted and bool((chosen == order[:wanted]).all())
                order = chosen if is_natural else ordered(chosen, numbers, columns, ranks)
            order = order[:wanted]
            left[order] = False
            # Shares are rounded up, so a last phase may lack a device for each phase before it.
            if wish.percent is not None and wanted - len(order) > index:
                self.lines.append(
                    f"phase '{wish.name}' has {len(order):,} instead of {wanted:,} devices ({wish.percent:g} % of "
                    f"{base:,}): earlier phases take the others"
                )
            elif not len(order) and wish.name != TAIL:
                self.lines.append(self._why_empty(wish, matches))
            out.append(Members(wish, source_of(wish), order))
        return out, left

    def _chosen(
        self, wish: PhasePolicy, order: IntArray, wanted: int, early: Sequence[tuple[str, IntArray]]
    ) -> IntArray:
        """Return the devices of a phase that takes only some: the first, and a few of each small stratum."""
        figures = (self.policy.strata_early.pilot, self.policy.strata_early.ring)
        least = figures[self.partial] if self.partial < len(figures) else 0
        self.partial += 1
        columns = [Column(name, codes[order]) for name, codes in early]
        chosen = choose(columns, len(order), wanted, least)
        if line := chosen.note(wish.name, least):
            self.lines.append(line)
        return order[chosen.places]

    def _why_empty(self, wish: PhasePolicy, matches: BoolArray) -> str:
        """Say why a phase has no device."""
        count, planned = int(matches.sum()), int((matches & self.left).sum())
        matching_devices = f"{count:,} devices match"
        if wish.devices == 0:
            why = "it asks for devices = 0"
        elif not count:
            why = "no device matches its 'where'"
        elif not planned:
            why = f"{matching_devices}, and all of them are left out of the plan"
        else:
            why = f"{matching_devices}, and those in the plan are in earlier phases"
        return f"phase '{wish.name}' is empty: {why}. What follows it is released without it"


def _early_columns(policy: Policy, fleet: Fleet) -> list[tuple[str, IntArray]]:
    """Return the columns of small strata, the most important first, with the codes of all devices."""
    names = policy.strata_early.columns
    key = "strata_early.columns"
    if names is None:
        names = tuple(dict.fromkeys(name for name in (policy.stratum, *policy.strata) if name))
    return [(name, factor_of(fleet, name, key).codes) for name in names]


def _require_devices(members: Sequence[Members], excluded: IntArray, reasons: Sequence[str]) -> None:
    """Raise a `RefusedError` with the reasons if no device is left: there is nothing to approve or to run."""
    if any(len(devices.order) for devices in members):
        return
    counts = np.bincount(excluded, minlength=len(reasons) + 1)[1:]
    why = ", ".join(
        f"{count:,} {reason}" for count, reason in zip(counts.tolist(), reasons, strict=True) if count
    )
    devices = "1 device" if len(excluded) == 1 else f"{len(excluded):,} devices"
    raise RefusedError(
        f"nothing to release: none of the {devices} of the inventory is left" + (f" ({why})" if why else ""),
        "Import a newer inventory, or look at the findings: rollout preflight.",
    )


def ordered(rows: IntArray, numbers: Numbers, columns: Sequence[IntArray], ranks: IntArray) -> IntArray:
    """Return some rows of the fleet in release order; see `rollout.planning.order.interleave`."""
    return rows[interleave(numbers[rows], [column[rows] for column in columns], ranks[rows])]


def strata_columns(policy: Policy, fleet: Fleet) -> list[IntArray]:
    """Return the codes of the columns by which the order is interleaved."""
    return [factor_of(fleet, column, "strata").codes for column in policy.strata]


def source_of(wish: PhasePolicy) -> str:
    """Name the source collection of a phase: as written, or what it selects."""
    if wish.source:
        return wish.source
    if wish.name == TAIL:
        return "newcomers and late arrivers"
    parts = [f"{key} = {' or '.join(str(value) for value in wanted)}" for key, wanted in wish.where.items()]
    return ", ".join(parts) or "all eligible devices"


def _limit(wish: PhasePolicy, base: int) -> int:
    """Return how many devices a phase asks for; base : the devices of which its percentage is a share."""
    by_share = base if wish.percent is None else part_of(base, parts_of_percent(wish.percent))
    return by_share if wish.devices is None else min(by_share, wish.devices)


def _budgets(policy: Policy, fleet: Fleet) -> tuple[Budgets, IntArray]:
    wish = policy.budgets
    codes = np.zeros(len(fleet), dtype=np.int32)
    if wish.column:
        codes = factor_of(fleet, wish.column, "budgets.column").codes
    return Budgets(wish.in_flight, wish.per_step, wish.column, wish.per_level), codes


def _strata(policy: Policy, fleet: Fleet) -> Strata:
    if not policy.stratum:
        return Strata("", np.zeros(len(fleet), dtype=np.int32), ("all",))
    factor = factor_of(fleet, policy.stratum, "stratum")
    return Strata(policy.stratum, factor.codes, tuple(level or "unknown" for level in factor.levels))


def _longer_soaks(members: Sequence[Members], phases: Sequence[Phase], latency_s: int) -> list[str]:
    """Return a line for each soak that is longer than requested, with the reason."""
    return [
        f"phase '{phase.name}' soaks for {format_duration(phase.soak_s)} instead of "
        f"{format_duration(devices.wish.soak)}: {_why_longer(phase, latency_s)}"
        for index, (devices, phase) in enumerate(zip(members, phases, strict=True))
        if len(devices.order)
        and devices.wish.ends is PhaseEnd.GATE
        and devices.wish.soak < phase.soak_s
        and any(len(later.order) for later in members[index + 1 :])
    ]


def _why_longer(phase: Phase, latency_s: int) -> str:
    if phase.soak_s <= latency_s:
        return "its last batches are mature only then"
    return "failures may be reported late, see the gate's 'report_delay'"


def _warnings(phases: Sequence[Phase], start: int, created: int) -> list[str]:
    out = []
    if late := late_start(start, created):
        out.append(late)
    endless = [index for index, phase in enumerate(phases) if len(phase) and phase.end is PhaseEnd.NEVER]
    waiting = [phase.name for phase in phases[endless[0] + 1 :] if len(phase)] if endless else []
    if waiting:
        out.append(f"phase '{phases[endless[0]].name}' has no end: '{', '.join(waiting)}' never begins")
    return out
