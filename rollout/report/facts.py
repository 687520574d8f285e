"""The content of a report: one frozen value, filled by the caller from journal and simulation.

The report computes nothing about the fleet; it shows what is here, the same in every format.
Instants are Unix seconds UTC, counts are devices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rollout.values import (
    DecisionRow,
    FailureClass,
    Judgement,
    LongArray,
    Plan,
    ProgressPoint,
    Severity,
    Verdict,
)
from rollout.values.bands import AnyCounts, Bands
from rollout.values.forecast import Forecast

FloatArray = NDArray[np.float64]

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
"""The usual quantile levels of a forecast."""

PLANNED = "planned"
"""State of a report about a plan that has not been run."""

FINAL = ("enrolled", "failed", "rejected", "timed_out", "pending", "not_released", "excluded")
"""Keys of `ReportFacts.final`; together they are all devices of the inventory."""


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """A count over time: at (k,) int64 Unix seconds, count (k,) devices, both non-decreasing."""

    at: LongArray
    count: AnyCounts


@dataclass(frozen=True, slots=True, eq=False)
class PlanSimulation:
    """What many simulated runs of the plan expect.

    enrolled : bands of the enrolled devices. origin : Unix seconds from which `eta_hours` count.
    eta_hours : (p10, p50, p90) hours until done, where `done_means` says what done is; infinite where
    the simulated time ends before.
    by_phase : bands of the enrolled devices of each phase, in the plan's order; may be empty.
    baseline, baseline_eta_hours : the same for native mode All, with the client's own random window.
    halt_chance, held_chance : share of runs that a gate halted, and in which it asked a person.
    final : median outcome counts, keys of FINAL.
    enrolled_90_hours : (p10, p50, p90) hours until 90 % of the planned devices are enrolled; None unknown.
    """

    enrolled: Bands
    origin: int
    eta_hours: tuple[float, float, float]
    runs: int
    seed: int
    halt_chance: float = 0.0
    held_chance: float = 0.0
    done_means: str = "every device released and judged"
    final: Mapping[str, int] = field(default_factory=dict)
    by_phase: tuple[Bands, ...] = ()
    baseline: Bands | None = None
    baseline_eta_hours: tuple[float, float, float] | None = None
    baseline_name: str = "mode All, native random window"
    enrolled_90_hours: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """Enrollment attempts per hour that reach the service.

    at : (h,) int64, start of each hour. p50, p90 : (h,) quantiles over runs. capacity : (h,) what the
    service takes per hour. baseline : (h,) median of native mode All. actual : (h,) observed, NaN where not yet.
    peak_p50, peak_p90 : highest hour of a run, as quantiles over runs.
    """

    at: LongArray
    p50: FloatArray
    p90: FloatArray
    capacity: FloatArray
    peak_p50: float
    peak_p90: float
    baseline: FloatArray | None = None
    baseline_peak_p50: float = 0.0
    baseline_peak_p90: float = 0.0
    actual: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class Funnel:
    """The funnel of the devices; each number is contained in the previous one.

    eligible : in the plan. scheduled : member of the target collection. initiated : enrollment began
    (an answer of any kind came). enrolled : done.
    """

    eligible: int
    scheduled: int
    initiated: int
    enrolled: int


@dataclass(frozen=True, slots=True, eq=False)
class GateTrack:
    """What one gate saw, observation by observation.

    at : (k,) int64. seen : (k,) devices that the gate counts: executed ones, and pending ones as
    successes. failed : (k,) failures among them. halt_at : (k,) fewest failures that would have meant
    HALT at that number of devices, -1 where none would (or the boundary is not known).
    p_ok : acceptable failure rate, NaN if the gate knows none.
    """

    name: str
    at: LongArray
    seen: LongArray
    failed: LongArray
    halt_at: LongArray
    p_ok: float = float("nan")


@dataclass(frozen=True, slots=True)
class JudgementRow:
    """A gate's verdict: its time, the phase's index, its sentence."""

    at: int
    phase: int
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class FailureRow:
    """A failure code: unsigned HRESULT, symbolic name ("" unknown), class, devices, what to do."""

    code: int
    name: str
    kind: FailureClass
    count: int
    next_action: str


@dataclass(frozen=True, slots=True)
class FindingRow:
    """What one preflight rule found: how many devices (0: the tenant), a sentence, what to do."""

    rule: str
    severity: Severity
    count: int
    sentence: str
    next_action: str


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An entry of the audit: Unix seconds, person or executor, what happened, the reason."""

    at: int
    who: str
    what: str
    why: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Tuning:
    """The plans that a tuning compared: (k,) hours until 90 % are enrolled, (k,) peak attempts per hour.

    on_front : (k,) bool, not beaten in both. chosen : index, -1 none. names : one per plan, or empty.
    without_end : further plans that were tried and were refused or never reach 90 %.
    """

    hours: FloatArray
    peak: FloatArray
    on_front: NDArray[np.bool_]
    chosen: int = -1
    names: tuple[str, ...] = ()
    without_end: int = 0


@dataclass(frozen=True, slots=True)
class ExcludedRow:
    """Devices that are not in the plan: the short reason, their number, its meaning, the next action."""

    reason: str
    count: int
    sentence: str = ""
    next_action: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class ReportFacts:
    """Everything a report says. Parts that are None or empty are left out, and the page says so.

    digest : the plan's, 64 hex digits. zone : IANA zone in which times are shown. created : Unix seconds.
    state : PLANNED, or a `State` value. final : devices by outcome (FINAL), of the run; where nothing
    was run, of the simulation (median). planned : devices released by the plan's curve. decisions,
    points, judgements, audit : from the journal, in order of time; empty for a plan only.
    needs : sentences, what needs a person now. rollout : id, "" where nothing was run.
    simulation : of the plan, before it started. forecast : the latest one of the running rollout. on_plan : a
    sentence, how it stands against the plan's simulation, "" unknown. excluded : devices that are not in the plan, in
    words by reason; may be empty.
    """

    title: str
    digest: str
    zone: str
    created: int
    plan: Plan
    state: str
    final: Mapping[str, int]
    funnel: Funnel
    planned: Track
    decisions: tuple[DecisionRow, ...] = ()
    points: tuple[ProgressPoint, ...] = ()
    simulation: PlanSimulation | None = None
    load: Load | None = None
    gates: tuple[GateTrack, ...] = ()
    judgements: tuple[JudgementRow, ...] = ()
    failures: tuple[FailureRow, ...] = ()
    findings: tuple[FindingRow, ...] = ()
    audit: tuple[AuditRow, ...] = ()
    needs: tuple[str, ...] = ()
    tuning: Tuning | None = None
    rollout: str = ""
    forecast: Forecast | None = None
    on_plan: str = ""
    excluded: tuple[ExcludedRow, ...] = ()

    @property
    def executed(self) -> bool:
        """Return whether something was run (else the report is about a plan and its simulation)."""
        return bool(self.points) or self.state != PLANNED

    @property
    def verdicts(self) -> tuple[JudgementRow, ...]:
        """Verdicts in order: `judgements`, or where those are missing the changes that decisions record."""
        if self.judgements:
            return self.judgements
        rows, before = [], ""
        for row in self.decisions:
            if row.verdict != before and row.verdict in (Verdict.PASS, Verdict.HOLD, Verdict.HALT):
                rows.append(JudgementRow(row.at, row.phase, Judgement(Verdict(row.verdict), row.reason)))
            before = row.verdict
        return tuple(rows)

    @property
    def devices(self) -> int:
        """Devices of the inventory, including excluded ones."""
        return len(self.plan)
