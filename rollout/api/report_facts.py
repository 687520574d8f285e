"""Gather what a report shows: plan, journal, simulation and findings, as `rollout.report` needs them; and the audit."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rollout.api import stored_forecast
from rollout.api.exclusions import rows_of
from rollout.api.status import on_plan, unsent_of
from rollout.api.stored_simulation import StoredSimulation, latest_simulation
from rollout.documents import reporting as documents
from rollout.errors import DatabaseError
from rollout.gates import boundary, groups_of
from rollout.planning import nominal_batches
from rollout.report.facts import (
    PLANNED,
    AuditRow,
    FailureRow,
    FindingRow,
    Funnel,
    GateTrack,
    ReportFacts,
    Track,
)
from rollout.store import Database, JournalReader
from rollout.text import iso
from rollout.values import (
    UNKNOWN,
    Finding,
    Outcome,
    Plan,
    Progress,
    ProgressPoint,
    State,
)
from rollout.values.failures import explain
from rollout.values.forecast import Forecast


def gather_report(database: Database, target: str | None = None, created: int | None = None) -> ReportFacts:
    """Return what a report shows of a rollout, or of a plan that has not been run.

    target : a rollout's id, a plan's id or digest; the latest rollout by default, or the latest plan without one.
    created : Unix seconds, now by default. Raise `UsageError` for an unknown target.
    """
    moment = int(time.time()) if created is None else created
    if target is None and not database.has_rollouts():
        target = database.latest_plan()
    rollout = None
    if target is None or target.startswith("run-"):
        rollout = database.rollout(target)
    stored = database.plan(rollout.plan_id if rollout else target)
    simulation = latest_simulation(database, stored.id)
    facts = facts_of_plan(stored.plan, database.findings(stored.inventory_id), simulation, moment)
    return _executed(facts, database, rollout.id, simulation) if rollout else facts


def facts_of_plan(
    plan: Plan, findings: Sequence[Finding], simulation: StoredSimulation | None, created: int
) -> ReportFacts:
    """Return the facts of a plan before its execution. simulation : the plan's, None without one."""
    final = _final(plan, None, (), simulation, unsent=0)
    return ReportFacts(
        title=plan.name,
        digest=plan.digest,
        zone=plan.zone,
        created=created,
        plan=plan,
        state=PLANNED,
        final=final,
        funnel=_funnel(plan, final),
        planned=_planned(plan),
        decisions=(),
        points=(),
        simulation=simulation.plan if simulation else None,
        load=simulation.load if simulation else None,
        gates=(),
        failures=_failures(_codes(None, simulation)),
        findings=_findings(findings),
        audit=(),
        needs=_needs(plan, None),
        excluded=rows_of(plan, findings),
    )


def _executed(
    facts: ReportFacts, database: Database, rollout_id: str, simulation: StoredSimulation | None
) -> ReportFacts:
    """Add what a rollout's journal says."""
    plan, reader = facts.plan, database.reader(rollout_id)
    progress, points = reader.progress(), tuple(reader.points())
    final = _final(plan, progress, points, simulation, unsent_of(reader))
    return replace(
        facts,
        state=progress.state.value if progress else PLANNED,
        final=final,
        funnel=_funnel(plan, final),
        decisions=tuple(reader.decisions()),
        points=points,
        gates=_gates(plan, points),
        failures=_failures(_codes(reader, simulation)),
        audit=_audit(reader),
        needs=_needs(plan, progress),
        rollout=rollout_id,
        forecast=_forecast(reader, progress),
        on_plan="" if progress is None or progress.state.is_final else on_plan(database, rollout_id),
    )


def _forecast(reader: JournalReader, progress: Progress | None) -> Forecast | None:
    """Return the latest forecast, while the rollout has not ended."""
    if progress is None or progress.state.is_final:
        return None
    return stored_forecast.latest(reader)


def _final(
    plan: Plan,
    progress: Progress | None,
    points: Sequence[ProgressPoint],
    simulation: StoredSimulation | None,
    unsent: int,
) -> dict[str, int]:
    excluded = len(plan) - plan.planned
    if progress is None:
        final = dict(simulation.plan.final) if simulation else {"pending": 0, "excluded": excluded}
        final["not_released"] = plan.planned - sum(n for name, n in final.items() if name != "excluded")
        return final
    totals = np.sum(points[-1].by_phase, axis=0) if points else np.zeros(len(Outcome), dtype=int)
    counts = {outcome.name.lower(): int(totals[outcome]) for outcome in Outcome}
    released = sum(progress.released) - unsent
    counts["pending"] = released - sum(n for name, n in counts.items() if name != "pending")
    return {**counts, "not_released": plan.planned - released, "excluded": excluded}


def _funnel(plan: Plan, final: dict[str, int]) -> Funnel:
    enrolled = final.get("enrolled", 0)
    initiated = enrolled + final.get("failed", 0)
    scheduled = plan.planned - final.get("not_released", 0)
    return Funnel(plan.planned, scheduled, initiated, enrolled)


def _gates(plan: Plan, points: Sequence[ProgressPoint]) -> tuple[GateTrack, ...]:
    """What the cumulative gate saw of all devices together, with the boundary at which it halts."""
    policy = plan.phases[0].gate
    if policy.evidence is None or not points:
        return ()
    counts = np.array([np.sum(point.by_phase, axis=0) for point in points], dtype=np.int64)
    seen = counts[:, [Outcome.PENDING, Outcome.ENROLLED, Outcome.FAILED]].sum(axis=1)
    some = seen > 0
    if not some.any():
        return ()
    groups = groups_of(policy, plan.planned_by_stratum, plan.strata.names)
    halt = boundary(policy, seen[some], tests=round(1 / groups.whole)).halt
    at = np.array([point.at for point in points], dtype=np.int64)[some]
    return (
        GateTrack(
            "all devices",
            at,
            seen[some],
            counts[some, Outcome.FAILED],
            np.where(halt > seen[some], -1, halt),
            policy.evidence.p_ok,
        ),
    )


def _planned(plan: Plan) -> Track:
    batches = nominal_batches(plan)
    at = np.array([plan.start, *(batch[0] for batch in batches)], dtype=np.int64)
    return Track(at, np.cumsum([0, *(batch[2] for batch in batches)]).astype(np.int64))


def _codes(reader: JournalReader | None, simulation: StoredSimulation | None) -> dict[int, int]:
    if reader is not None:
        outcomes = reader.outcomes()
        failed = outcomes.code[outcomes.outcome == Outcome.FAILED]
        codes, counts = np.unique(failed, return_counts=True)
        return {int(code): int(count) for code, count in zip(codes, counts, strict=True)}
    return dict(simulation.failed_codes) if simulation else {}


def _failures(codes: dict[int, int]) -> tuple[FailureRow, ...]:
    rows = []
    for code, count in sorted(codes.items(), key=lambda item: -item[1]):
        known = explain(code)
        rows.append(FailureRow(code, known.name, known.kind, count, known.next_action))
    return tuple(rows)


def _findings(findings: Sequence[Finding]) -> tuple[FindingRow, ...]:
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.rule, []).append(finding)
    return tuple(
        FindingRow(
            rule,
            members[0].severity,
            sum(finding.row != UNKNOWN for finding in members),
            members[0].sentence,
            members[0].next_action,
        )
        for rule, members in groups.items()
    )


def _audit(reader: JournalReader) -> tuple[AuditRow, ...]:
    """Return the decisions and the requests; forecasts are neither."""
    return tuple(AuditRow(*row) for row in reader.audit() if row[2] != stored_forecast.KIND)


def _needs(plan: Plan, progress: Progress | None) -> tuple[str, ...]:
    """Return what a person must do now, in sentences."""
    if progress is None:
        return tuple(f"{step.title}: {step.where}" for step in plan.human_steps if step.when == "before")
    if progress.state is State.HALTED:
        return (f"A gate halted the rollout: {progress.reason}. Find the cause, then make a new plan.",)
    if progress.state is State.HELD:
        name = plan.phases[progress.phase].name
        return (
            f"Held: {progress.reason}. Wait for more evidence, or approve the gate of phase '{name}'.",
            *_held(plan, progress),
        )
    if progress.state is State.WAITING:
        return (
            f"Waiting: {progress.reason}. Look at the devices that have not answered.",
            *_held(plan, progress),
        )
    if progress.state is State.PAUSED:
        return (f"Paused: {progress.reason}. Resume when the reason is gone.",)
    after = tuple(f"{step.title}: {step.where}" for step in plan.human_steps if step.when == "after")
    if progress.state is State.LOSSES:
        return (f"{progress.reason}. Find out why before you plan these devices again.", *after)
    return after if progress.state is State.FINISHED else _held(plan, progress)


def _held(plan: Plan, progress: Progress) -> tuple[str, ...]:
    """Return a need for each stratum that is held while the others go on."""
    column = plan.strata.column or "stratum"
    return tuple(
        f"{column} '{hold.stratum}' is held: {hold.sentence}. Find the cause, then let it go on with 'rollout "
        f'approve --stratum "{hold.stratum}"\'.'
        for hold in progress.held
    )


def read_audit(database: Database, rollout: str | None = None) -> documents.Audit:
    """Return every decision, command and change of the lease of a rollout, the latest by default.

    Decisions have the directory's time, commands and leases this machine's. Raise `DatabaseError` if the chain of
    seals is broken.
    """
    known = database.rollout(rollout)
    broken = database.verify_chain(known.id)
    if broken:
        raise DatabaseError(
            f"journal of {known.id}, row {broken.number}: {broken.sentence}", "restore a backup"
        )
    rows = tuple(
        documents.AuditRow(at=iso(at), who=who, what=what, why=why)
        for at, who, what, why in database.reader(known.id).audit()
        if what != stored_forecast.KIND
    )
    return documents.Audit(rollout=known.id, digest=known.digest, audit=rows)
