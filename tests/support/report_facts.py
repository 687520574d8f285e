"""A made-up rollout of 100,000 devices over 14 days, in numbers only: what the report's tests draw."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from rollout.report.facts import (
    LEVELS,
    AuditRow,
    Bands,
    FailureRow,
    FindingRow,
    Funnel,
    GateTrack,
    JudgementRow,
    Load,
    PlanSimulation,
    ReportFacts,
    Track,
    Tuning,
)
from rollout.values import (
    DAY_S,
    HOUR_S,
    WHOLE,
    Budgets,
    Calendar,
    Curve,
    DecisionRow,
    FailureClass,
    GatePolicy,
    HumanStep,
    Judgement,
    Phase,
    Plan,
    ProgressPoint,
    Severity,
    Strata,
    Verdict,
    Window,
    texts,
)
from rollout.values.forecast import Forecast

START = 1_793_606_400  # Mon 2 Nov 2026 08:00 UTC
N = 100_000
Hours = np.ndarray[Any, np.dtype[np.float64]]
PILOT, ALL, TAIL = 500, 94_000, 2_300
DAYS = 14


def make_plan(
    sizes: tuple[int, ...] = (PILOT, ALL, TAIL), names: tuple[str, ...] = ("pilot", "all", "tail")
) -> Plan:
    """Build a plan of 100,000 devices of which the rest is excluded for two reasons."""
    order = np.arange(N, dtype=np.int32)
    phases, used = [], 0
    for name, size in zip(names, sizes, strict=True):
        curve = Curve((0, 10 * DAY_S), (0, WHOLE))
        phases.append(
            Phase(name, f"collection {name}", order[used : used + size], curve, 900, 2 * DAY_S, GatePolicy())
        )
        used += size
    excluded = np.zeros(N, dtype=np.int32)
    excluded[used:] = 1 + np.arange(N - used) % 2
    return Plan(
        name="Move the fleet to co-management",
        action="enroll",
        collection="Intune Auto Enrollment",
        salt="demo",
        inventory_digest="0" * 64,
        ids=texts(f"{i:08x}" for i in range(N)),
        start=START,
        zone="Europe/Berlin",
        phases=tuple(phases),
        windows=(Window((0, 1, 2, 3, 4), 480, 1080, "Europe/Berlin"),),
        calendar=Calendar(np.array([START]), np.array([START + 60 * DAY_S])),
        budgets=Budgets(in_flight=5000),
        budget_codes=np.zeros(N, dtype=np.int32),
        strata=Strata("model", np.zeros(N, dtype=np.int32), ("all",)),
        excluded=excluded,
        exclusion_reasons=("E2 not joined to Entra", "E7 managed by another MDM"),
        mature_after_s=DAY_S,
        straggler_after_s=5 * DAY_S,
        look_s=900,
        chunk=500,
        human_steps=(
            HumanStep(
                "before",
                "Set co-management to Pilot with the auto-enrollment collection",
                "Administration > Cloud Services > Cloud Attach > Properties > Enablement",
                "No documented setter exists for the mode.",
            ),
            HumanStep(
                "after",
                "Keep the mode at Pilot until the tail has ended",
                "same page",
                "All would skip the plan.",
            ),
        ),
    )


def grid() -> np.ndarray[Any, np.dtype[np.int64]]:
    """Hours of the horizon as instants, shape (337,)."""
    return np.asarray(START + HOUR_S * np.arange(24 * DAYS + 1), dtype=np.int64)


def released_curve(size: float, start_h: float, days: float) -> Hours:
    """Devices of a phase released by each hour: evenly over its working hours (Mon-Fri, 8 to 18)."""
    hours = np.arange(24 * DAYS + 1, dtype=np.float64)
    day, clock = (hours + 8) // 24 % 7, (hours + 8) % 24
    open_now = (clock > 8) & (clock <= 18) & (day < 5) & (hours > start_h) & (hours <= start_h + 24 * days)
    return np.asarray(size * np.cumsum(open_now) / max(1, int(open_now.sum())), dtype=np.float64)


def make_bands(size: float, start_h: float, days: float) -> Bands:
    """Bands of the enrolled devices: released ones after a delay that differs from run to run."""
    rows = []
    for level in LEVELS:
        spread = 0.9 + 0.2 * (1 - level)
        delay = 14 * spread**6
        released = released_curve(size, start_h, days * spread)
        weights = np.exp(-np.arange(240) / delay)
        rows.append(0.985 * np.convolve(released, weights / weights.sum())[: len(released)])
    return Bands(grid(), LEVELS, np.sort(np.stack(rows), axis=0))


def make_forecast() -> Forecast:
    """A forecast from where the rollout stood on its fifth day."""
    done = tuple(float(START + hours * HOUR_S) for hours in (250, 262, 300))
    through = tuple(float(START + hours * HOUR_S) for hours in (190, 205, 230))
    p10, p50, p90 = done
    q10, q50, q90 = through
    return Forecast(
        as_of=START + 5 * DAY_S,
        runs=20,
        done=(p10, p50, p90),
        enrolled_90=(q10, q50, q90),
        failed=(800, 950, 1200),
        failed_surely=(700, 1500),
        halt_chance=0.0,
        matched=0.97,
        calibrated=True,
    )


def make_simulation() -> PlanSimulation:
    """A simulation by phase and in all, with the native way beside it."""
    parts = (make_bands(PILOT, 0, 1.4), make_bands(ALL, 72, 7.0), make_bands(TAIL, 240, 1.5))
    total = Bands(grid(), LEVELS, np.asarray(sum(p.values for p in parts)))
    hours = np.arange(24 * DAYS + 1, dtype=np.float64)
    fast = [96_800 * 0.985 * (1 - np.exp(-np.clip(hours - 1, 0, None) / (16 + 6 * (1 - q)))) for q in LEVELS]
    return PlanSimulation(
        enrolled=total,
        origin=START,
        eta_hours=(291.0, 302.5, 318.0),
        runs=20,
        seed=1,
        halt_chance=0.0,
        done_means="95 % of the reachable devices enrolled",
        by_phase=parts,
        baseline=Bands(grid(), LEVELS, np.stack(fast)),
        baseline_eta_hours=(50.0, 56.0, 70.0),
    )


def make_load() -> Load:
    """Attempts an hour under the plan and in the native way."""
    bands = make_simulation().enrolled
    p50 = np.diff(bands.level(0.5), prepend=0.0) * 1.06
    p90 = p50 * 1.18
    native = np.diff(make_simulation().baseline.level(0.5), prepend=0.0) * 1.15  # type: ignore[union-attr]
    return Load(
        at=grid(),
        p50=p50,
        p90=p90,
        capacity=np.full(len(grid()), 4000.0),
        peak_p50=float(p50.max()),
        peak_p90=float(p90.max()),
        baseline=native,
        baseline_peak_p50=float(native.max()),
        baseline_peak_p90=float(native.max()) * 1.1,
    )


def make_points(until_h: int, pace: float = 1.0) -> tuple[ProgressPoint, ...]:
    """What was seen each hour until `until_h`: (phase, outcome) counts."""
    parts = make_simulation().by_phase
    wobble = 1 + 0.01 * np.sin(np.arange(24 * DAYS + 1) / 5)
    curves = [np.maximum.accumulate(part.level(0.5) * wobble * pace) for part in parts]
    points = []
    for h in range(until_h + 1):
        rows = []
        for curve in curves:
            enrolled = int(curve[h])
            failed = int(0.008 * enrolled)
            pending = int(curve[min(h + 8, 24 * DAYS)]) - enrolled - failed
            rows.append((max(pending, 0), enrolled, failed, enrolled // 2000, enrolled // 500))
        points.append(ProgressPoint(START + h * HOUR_S, tuple(rows)))
    return tuple(points)


def make_decisions(points: tuple[ProgressPoint, ...], state: Any) -> tuple[DecisionRow, ...]:
    """One batch an hour in which the released number grew."""
    rows: list[DecisionRow] = []
    before, batch = 0, 0
    for point in points:
        released = sum(sum(c) for c in point.by_phase)
        phase = 0 if point.at < START + 72 * HOUR_S else 1
        if released > before:
            totals = tuple(int(sum(c[o] for c in point.by_phase)) for o in range(5))
            reason = f"release {released - before} of phase {phase}: the curve is due"
            row = DecisionRow(
                len(rows), point.at, state, phase, batch, released - before, released, totals, "", reason
            )
            rows.append(row)
            batch += 1
        before = max(before, released)
    return tuple(rows)


def make_gate(name: str, start_h: int, end_h: int, executed: int, rate: float) -> GateTrack:
    """A gate's looks with a boundary near 3 % that starts steep."""
    at = START + HOUR_S * np.arange(start_h, end_h + 1)
    n = np.linspace(5, executed, len(at)).astype(np.int64)
    failed = (n * rate).astype(np.int64)
    halt_at = np.ceil(4 + 0.016 * n + 0.9 * np.sqrt(n)).astype(np.int64)
    return GateTrack(name, np.asarray(at, dtype=np.int64), n, failed, halt_at, 0.01)


FAILURES = (
    FailureRow(
        0x80180026,
        "MENROLL_E_DEVICE_ALREADY_ENROLLED_OTHER_MDM",
        FailureClass.CONFIG,
        410,
        "Remove the other MDM first.",
    ),
    FailureRow(
        0x80180018,
        "MENROLL_E_USERLICENSE",
        FailureClass.IDENTITY,
        165,
        "Give the user an Intune licence, then wait a day.",
    ),
    FailureRow(
        0x8018002A,
        "MENROLL_E_CANCELLED",
        FailureClass.TRANSIENT,
        96,
        "Nothing: the client tries again by itself.",
    ),
    FailureRow(
        0x80072EE7,
        "",
        FailureClass.NETWORK,
        44,
        "Let the client reach enrollment.manage.microsoft.com through the proxy.",
    ),
)

FINDINGS = (
    FindingRow("E2", Severity.BLOCK, 2_000, "Not joined to Entra.", "Join it, or leave it out for good."),
    FindingRow("E7", Severity.BLOCK, 1_200, "Managed by another MDM.", "Unenroll it there first."),
    FindingRow("D2", Severity.WARN, 311, "Same serial number twice.", "Delete the obsolete record."),
)


def make_facts(state: Any = "running", until_h: int = 190, pace: float = 1.0, **changes: Any) -> ReportFacts:
    """Build facts about a rollout that has run for `until_h` hours; `changes` replace fields."""
    points = make_points(until_h, pace) if state != "planned" else ()
    totals = (
        [sum(c[o] for c in points[-1].by_phase) for o in range(5)] if points else [0, 95_200, 700, 60, 340]
    )
    planned = PILOT + ALL + TAIL
    final = {
        "enrolled": totals[1],
        "failed": totals[2],
        "rejected": totals[3],
        "timed_out": totals[4],
        "pending": totals[0],
        "not_released": planned - sum(totals),
        "excluded": N - planned,
    }
    curve = released_curve(PILOT, 0, 1.4) + released_curve(ALL, 72, 7.0) + released_curve(TAIL, 240, 1.5)
    judged = Judgement(
        Verdict.PASS, "PASS: pilot, 3 of 493 devices failed, band 0.2-1.6 %", "evidence", "", 493, 3
    )
    going = Judgement(Verdict.HOLD, "HOLD: phase 'all' still releases", "evidence", "", 40_000, 300)
    fields: dict[str, Any] = {
        "title": "Move the fleet to co-management",
        "digest": "3fa29c1d77aa" + "0" * 52,
        "zone": "Europe/Berlin",
        "created": START + until_h * HOUR_S + 60,
        "plan": make_plan(),
        "state": state,
        "final": final,
        "funnel": Funnel(planned, planned - final["not_released"], sum(totals[1:4]), totals[1]),
        "planned": Track(grid(), curve),
        "points": points,
        "decisions": make_decisions(points, state),
        "simulation": make_simulation(),
        "load": make_load(),
        "gates": (
            make_gate("pilot", 2, 70, 493, 0.006),
            make_gate("all", 74, max(until_h, 80), 41_000, 0.0075),
        )
        if points
        else (),
        "judgements": (
            JudgementRow(START + 71 * HOUR_S, 0, judged),
            JudgementRow(START + 180 * HOUR_S, 1, going),
        )
        if points
        else (),
        "failures": FAILURES if points else (),
        "findings": FINDINGS,
        "audit": (
            AuditRow(START - DAY_S, "A. Admin", "approved the plan", "change 4711"),
            AuditRow(START + 30 * HOUR_S, "B. Admin", "paused", "printer trouble, unrelated"),
            AuditRow(START + 31 * HOUR_S, "B. Admin", "resumed", ""),
        )
        if points
        else (),
        "needs": ("look at 410 devices that another MDM manages (0x80180026)",) if points else (),
        "rollout": "7" if points else "",
    }
    return ReportFacts(**{**fields, **changes})


def make_tuning() -> Tuning:
    """Forty plans, some of them beaten."""
    rng = np.random.default_rng(3)
    hours = rng.uniform(90, 400, 40)
    peak = 150_000 / hours * rng.uniform(1, 1.8, 40)
    front = np.array([not bool(np.any((hours < h) & (peak < p))) for h, p in zip(hours, peak, strict=True)])
    chosen = int(np.flatnonzero(front)[2])
    return Tuning(hours, peak, front, chosen)


NASTY = "</script><script>window.hijacked=1</script><img src=x onerror=window.hijacked=1> $x$ & \"q' ü 日本"


def nasty_facts() -> ReportFacts:
    """Facts in which every text from outside tries to break out of where it is shown."""
    facts = make_facts()
    plan = make_plan(names=(NASTY, "all " + "x" * 120, "=cmd()"))
    reasons = tuple(f"{reason} {NASTY}" for reason in plan.exclusion_reasons)
    judged = Judgement(Verdict.HALT, f"HALT: model {NASTY} failed", "evidence", NASTY, 41, 9)
    return replace(
        facts,
        title=NASTY,
        plan=replace(plan, exclusion_reasons=reasons, warnings=(NASTY,)),
        decisions=tuple(replace(row, reason=NASTY) for row in facts.decisions),
        failures=(FailureRow(0x80180026, NASTY, FailureClass.CONFIG, 3, NASTY),),
        findings=(FindingRow("E2", Severity.BLOCK, 1, NASTY, NASTY),),
        audit=(AuditRow(START, NASTY, "=HYPERLINK(1)", NASTY),),
        gates=tuple(replace(gate, name=NASTY) for gate in facts.gates),
        judgements=(JudgementRow(START, 0, judged),),
        needs=(NASTY,),
        simulation=replace(make_simulation(), done_means=NASTY, baseline_name=NASTY),
    )
