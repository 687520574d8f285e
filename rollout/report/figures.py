"""The key figures as a JSON-able document; the page and the text show the same ones."""

from __future__ import annotations

import math
from typing import Any

from rollout.report.facts import FINAL, LEVEL_NAMES, Forecast, Load, ReportFacts
from rollout.report.standing import enrolled_of, last_look, released_of, standing_of
from rollout.report.wording import hexcode
from rollout.text import iso
from rollout.values import HOUR_S, Outcome

SCHEMA = 1
"""Raised when a key goes or changes its meaning; new keys may come at any time."""


def json_report(facts: ReportFacts) -> dict[str, Any]:
    """Give the key figures: instants UTC ISO-8601, durations hours, counts devices."""
    return {
        "schema": SCHEMA,
        "title": facts.title,
        "rollout": facts.rollout or None,
        "digest": facts.digest,
        "state": facts.state,
        "created": iso(facts.created),
        "as_of": iso(last_look(facts)),
        "zone": facts.zone,
        "devices": facts.devices,
        "released": released_of(facts),
        "final": {key: int(facts.final.get(key, 0)) for key in FINAL},
        "standing": _standing(facts),
        "funnel": {
            "eligible": facts.funnel.eligible,
            "scheduled": facts.funnel.scheduled,
            "initiated": facts.funnel.initiated,
            "enrolled": facts.funnel.enrolled,
        },
        "excluded": dict(facts.plan.excluded_by_reason()),
        "exclusions": [
            {
                "reason": row.reason,
                "devices": row.count,
                "sentence": row.sentence,
                "next_action": row.next_action,
            }
            for row in facts.excluded
        ],
        "expected": facts.expected.document(iso) if facts.expected else None,
        "on_plan": facts.on_plan,
        **_forecast(facts.forecast, facts.load),
        "phases": phases_of(facts),
        "gates": _gates(facts),
        "failures": _failures(facts),
        "findings": _findings(facts),
        "human_steps": [
            {"when": s.when, "title": s.title, "where": s.where, "why": s.why} for s in facts.plan.human_steps
        ],
        "batches": sum(1 for row in facts.decisions if row.batch >= 0),
        "decisions": len(facts.decisions),
        "audit": [{"at": iso(a.at), "who": a.who, "what": a.what, "why": a.why} for a in facts.audit],
    }


def phases_of(facts: ReportFacts) -> list[dict[str, Any]]:
    """Give one object a phase: name, source, devices, released, and its devices by outcome."""
    last = facts.points[-1].by_phase if facts.points else ()
    out = []
    for index, phase in enumerate(facts.plan.phases):
        counts = last[index] if index < len(last) else (0,) * len(Outcome)
        out.append(
            {
                "name": phase.name,
                "source": phase.source,
                "devices": len(phase),
                "released": int(sum(counts)),
                "enrolled": int(counts[Outcome.ENROLLED]),
                "failed": int(counts[Outcome.FAILED]),
                "rejected": int(counts[Outcome.REJECTED]),
                "timed_out": int(counts[Outcome.TIMED_OUT]),
                "pending": int(counts[Outcome.PENDING]),
            }
        )
    return out


def _gates(facts: ReportFacts) -> list[dict[str, Any]]:
    names = [phase.name for phase in facts.plan.phases]
    return [
        {
            "at": iso(row.at),
            "phase": names[row.phase] if 0 <= row.phase < len(names) else "",
            "verdict": str(row.judgement.verdict),
            "sentence": row.judgement.sentence,
            "executed": row.judgement.executed,
            "failed": row.judgement.failed,
        }
        for row in facts.verdicts
    ]


def _failures(facts: ReportFacts) -> list[dict[str, Any]]:
    return [
        {
            "code": hexcode(row.code),
            "name": row.name,
            "class": row.kind,
            "devices": row.count,
            "next_action": row.next_action,
        }
        for row in facts.failures
    ]


def _findings(facts: ReportFacts) -> list[dict[str, Any]]:
    return [
        {
            "rule": row.rule,
            "severity": str(row.severity),
            "devices": row.count,
            "sentence": row.sentence,
            "next_action": row.next_action,
        }
        for row in facts.findings
    ]


def _standing(facts: ReportFacts) -> dict[str, Any]:
    standing = standing_of(facts)
    return {
        "tone": str(standing.tone),
        "headline": standing.headline,
        "because": standing.because,
        "done": standing.done,
        "done_range": standing.done_range,
        "done_hours": standing.done_hours,
        "needs": list(standing.needs),
        "enrolled": enrolled_of(facts),
    }


def _quantiles(hours: tuple[float, float, float]) -> dict[str, float | None]:
    """Give the hours by name, None where the simulated time ends before."""
    known = (round(float(h), 3) if math.isfinite(h) else None for h in hours)
    return dict(zip(LEVEL_NAMES, known, strict=True))


def _forecast(forecast: Forecast | None, load: Load | None) -> dict[str, Any]:
    if forecast is None:
        return {
            "runs": None,
            "seed": None,
            "eta_hours": None,
            "eta": None,
            "enrolled_90_hours": None,
            "halt_chance": None,
            "peak_per_hour": _peak(load),
            "baseline": None,
        }
    baseline = None
    if forecast.baseline_eta_hours is not None:
        baseline = {
            "name": forecast.baseline_name,
            "eta_hours": _quantiles(forecast.baseline_eta_hours),
            "peak_per_hour": None
            if load is None
            else {"p50": round(load.baseline_peak_p50), "p90": round(load.baseline_peak_p90)},
        }
    return {
        "runs": forecast.runs,
        "seed": forecast.seed,
        "eta_hours": _quantiles(forecast.eta_hours),
        "eta": {
            name: None if hours is None else iso(forecast.origin + hours * HOUR_S)
            for name, hours in _quantiles(forecast.eta_hours).items()
        },
        "enrolled_90_hours": _quantiles(forecast.through_hours) if forecast.through_hours else None,
        "halt_chance": round(float(forecast.halt_chance), 6),
        "peak_per_hour": _peak(load),
        "baseline": baseline,
    }


def _peak(load: Load | None) -> dict[str, int] | None:
    return None if load is None else {"p50": round(load.peak_p50), "p90": round(load.peak_p90)}
