"""The key figures as the document of `report --json` and report.json; page and text show the same ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rollout.documents.base import HoursInterval, HumanStep, InstantInterval
from rollout.documents.forecast import ForecastSummary
from rollout.documents.reporting import (
    AuditRow,
    Baseline,
    Exclusion,
    GateVerdict,
    Report,
    ReportAssessment,
    ReportFailure,
    ReportFinal,
    ReportFinding,
    ReportFunnel,
    ReportPeak,
    ReportPhase,
)
from rollout.report.assessment import assess, enrolled_of, last_observation, released_of
from rollout.report.facts import FINAL, Load, PlanSimulation, ReportFacts
from rollout.report.wording import hexcode
from rollout.text import iso
from rollout.values import HOUR_S, Outcome

SCHEMA = 1
"""Raised when a key is removed or changes its meaning; new keys may be added at any time."""


def json_report(facts: ReportFacts) -> dict[str, Any]:
    """Return report.json: the document without the paths of the files that were written."""
    return report_document(facts).model_dump(mode="json", by_alias=True, exclude={"written"})


def report_document(facts: ReportFacts, written: Sequence[Path] = ()) -> Report:
    """Return the key figures: instants UTC ISO 8601, durations in hours, counts of devices.

    written : the report's files.
    """
    simulation, load = facts.simulation, facts.load
    return Report(
        schema_=SCHEMA,
        title=facts.title,
        rollout=facts.rollout or None,
        digest=facts.digest,
        state=facts.state,
        created=iso(facts.created),
        as_of=iso(last_observation(facts)),
        zone=facts.zone,
        devices=facts.devices,
        released=released_of(facts),
        final=ReportFinal(**{key: int(facts.final.get(key, 0)) for key in FINAL}),
        standing=ReportAssessment.build(assess(facts), enrolled=enrolled_of(facts)),
        funnel=ReportFunnel.build(facts.funnel),
        excluded=dict(facts.plan.excluded_by_reason()),
        exclusions=tuple(Exclusion.build(row, devices=row.count) for row in facts.excluded),
        expected=ForecastSummary.of(facts.forecast) if facts.forecast else None,
        on_plan=facts.on_plan,
        runs=simulation.runs if simulation else None,
        seed=simulation.seed if simulation else None,
        eta_hours=_hours(simulation.eta_hours) if simulation else None,
        enrolled_90_hours=_hours(simulation.enrolled_90_hours) if simulation else None,
        eta=_instants(simulation) if simulation else None,
        halt_chance=round(float(simulation.halt_chance), 6) if simulation else None,
        peak_per_hour=_peak(load.peak_p50, load.peak_p90) if load else None,
        baseline=_baseline(simulation, load) if simulation else None,
        phases=phases_of(facts),
        gates=_gates(facts),
        failures=tuple(
            ReportFailure.build(row, code=hexcode(row.code), devices=row.count) for row in facts.failures
        ),
        findings=tuple(ReportFinding.build(row, devices=row.count) for row in facts.findings),
        human_steps=tuple(HumanStep.build(step) for step in facts.plan.human_steps),
        batches=sum(1 for row in facts.decisions if row.batch >= 0),
        decisions=len(facts.decisions),
        audit=tuple(AuditRow.build(row, at=iso(row.at)) for row in facts.audit),
        written=tuple(str(path) for path in written),
    )


def phases_of(facts: ReportFacts) -> tuple[ReportPhase, ...]:
    """Return the phases in order, each with its devices by outcome."""
    last = facts.points[-1].by_phase if facts.points else ()
    phases = []
    for index, phase in enumerate(facts.plan.phases):
        counts = last[index] if index < len(last) else (0,) * len(Outcome)
        by_outcome = {outcome.name.lower(): int(counts[outcome]) for outcome in Outcome}
        phases.append(ReportPhase.build(phase, devices=len(phase), released=int(sum(counts)), **by_outcome))
    return tuple(phases)


def _gates(facts: ReportFacts) -> tuple[GateVerdict, ...]:
    names = dict(enumerate(phase.name for phase in facts.plan.phases))
    return tuple(
        GateVerdict.build(row.judgement, at=iso(row.at), phase=names.get(row.phase, ""))
        for row in facts.verdicts
    )


def _hours(hours: tuple[float, float, float] | None) -> HoursInterval | None:
    """Return the hours to three places, None where the simulated time ends before."""
    if hours is None:
        return None
    p10, p50, p90 = (round(float(hour), 3) if math.isfinite(hour) else None for hour in hours)
    return HoursInterval(p10=p10, p50=p50, p90=p90)


def _instants(simulation: PlanSimulation) -> InstantInterval:
    p10, p50, p90 = (
        iso(simulation.origin + round(float(hour), 3) * HOUR_S) if math.isfinite(hour) else None
        for hour in simulation.eta_hours
    )
    return InstantInterval(p10=p10, p50=p50, p90=p90)


def _baseline(simulation: PlanSimulation, load: Load | None) -> Baseline | None:
    hours = _hours(simulation.baseline_eta_hours)
    if hours is None:
        return None
    peak = _peak(load.baseline_peak_p50, load.baseline_peak_p90) if load else None
    return Baseline(name=simulation.baseline_name, eta_hours=hours, peak_per_hour=peak)


def _peak(p50: float, p90: float) -> ReportPeak:
    return ReportPeak(p50=round(p50), p90=round(p90))
