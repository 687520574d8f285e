"""The documents of `report`: its key figures, which are also report.json, and the audit."""

from __future__ import annotations

from rollout.documents.base import (
    Code,
    Count,
    Digest,
    Document,
    Hours,
    HoursInterval,
    HumanStep,
    Instant,
    InstantInterval,
    Share,
    described,
)
from rollout.documents.forecast import ForecastSummary
from rollout.values import FailureClass, Severity, Verdict
from rollout.values.progress import Tone


class ReportFinal(Document):
    """Devices by outcome; together they are all devices of the inventory."""

    enrolled: Count = described("Devices enrolled.")
    failed: Count = described("Devices that failed.")
    rejected: Count = described("Devices that the directory refused to add.")
    timed_out: Count = described("Devices that stayed silent past their time-out.")
    pending: Count = described("Devices released and without an outcome yet.")
    not_released: Count = described("Devices of the plan that were not released.")
    excluded: Count = described("Devices that are not in the plan.")


class ReportAssessment(Document):
    """The assessment on the first screen of the page, in its words."""

    tone: Tone = described("Severity of the headline.")
    headline: str = described("Whether the rollout is going well.")
    because: str = described("The reason.")
    done: str = described("The end, in the report's time zone.")
    done_range: str = described("The same as an interval that contains 8 runs in 10.")
    done_hours: Hours | None = described("Hours from the start to `done`; null if unknown.")
    needs: tuple[str, ...] = described("Actions that a person must take now.")
    enrolled: Count = described("Devices enrolled.")


class ReportFunnel(Document):
    """The funnel of the devices; each number is part of the previous one."""

    eligible: Count = described("Devices in the plan.")
    scheduled: Count = described("Devices in the collection.")
    initiated: Count = described("Devices that have enrolled or failed.")
    enrolled: Count = described("Devices that have enrolled.")


class Exclusion(Document):
    """Devices that are not in the plan, for one reason."""

    reason: str = described("The reason as the plan states it.")
    devices: Count = described("Number of devices.")
    sentence: str = described("The reason in a sentence.")
    next_action: str = described("Next action.")


class ReportPeak(Document):
    """The busiest hour of a run."""

    p50: Count = described("Enrollment attempts per hour that half of the runs do not exceed.")
    p90: Count = described("Enrollment attempts per hour that 9 runs in 10 do not exceed.")


class Baseline(Document):
    """Enrollment with mode All, on the same random draws."""

    name: str = described("Its name.")
    eta_hours: HoursInterval = described("Hours until it is done.")
    peak_per_hour: ReportPeak | None = described("Enrollment attempts in the busiest hour.")


class ReportPhase(Document):
    """One phase and its devices by outcome."""

    name: str = described("The phase's name.")
    source: str = described("The collection or filter that its devices come from.")
    devices: Count = described("Devices in it.")
    released: Count = described("Devices released.")
    enrolled: Count = described("Devices enrolled.")
    failed: Count = described("Devices that failed.")
    rejected: Count = described("Devices that the directory refused to add.")
    timed_out: Count = described("Devices that stayed silent past their time-out.")
    pending: Count = described("Devices released and without an outcome yet.")


class GateVerdict(Document):
    """A change of a gate's verdict."""

    at: Instant = described("UTC instant.")
    phase: str = described("The phase's name.")
    verdict: Verdict = described("The verdict.")
    sentence: str = described("The reason.")
    executed: Count = described("Devices whose outcome was counted; 0 if unknown.")
    failed: Count = described("Failures among them; 0 if unknown.")


class ReportFailure(Document):
    """Devices that failed with one code."""

    code: Code = described("The code.")
    name: str = described('Its symbolic name; "" if unknown.')
    kind: FailureClass = described("Class of the failure: what a retry can achieve.", "class")
    devices: Count = described("Number of devices.")
    next_action: str = described("Next action.")


class ReportFinding(Document):
    """The findings of one preflight rule."""

    rule: str = described("The rule's id.")
    severity: Severity = described("Its effect on the plan.")
    devices: Count = described("Number of devices; 0 if the finding is not about a device.")
    sentence: str = described("The first finding, in a sentence.")
    next_action: str = described("Next action.")


class AuditRow(Document):
    """One entry: a decision, a release, a command, a change of the lease."""

    at: Instant = described("UTC instant: decisions by the directory's clock, commands by this machine's.")
    who: str = described('The person or executor; "" for the rollout itself.')
    what: str = described("The event.")
    why: str = described('The reason; "" if none was given.')


class Report(Document):
    """The key figures of a rollout, or of a plan alone; without `written` it is report.json."""

    schema_: int = described("Version; raised when a key is removed or changes its meaning.", "schema")
    title: str = described("The plan's name.")
    rollout: str | None = described("The rollout's id; null for a plan alone.")
    digest: Digest = described("The plan's digest.")
    state: str = described("The rollout's state, or planned for a plan alone.")
    created: Instant = described("UTC instant at which the report was made.")
    as_of: Instant = described("UTC instant of the last observation, by the directory's clock.")
    zone: str = described("IANA zone of the times in sentences.")
    devices: Count = described("Devices of the inventory.")
    released: Count = described("Devices released so far.")
    final: ReportFinal = described("Devices by outcome, or what the simulation expects.")
    standing: ReportAssessment = described("The assessment on the first screen.")
    funnel: ReportFunnel = described("The enrollment funnel.")
    excluded: dict[str, Count] = described("Devices that are not in the plan, by reason.")
    exclusions: tuple[Exclusion, ...] = described("The same with sentences, the largest first.")
    expected: ForecastSummary | None = described(
        "The latest forecast; null before the first and after the end."
    )
    on_plan: str = described('Comparison with the simulation of its plan, in a sentence; "" if unknown.')
    runs: Count | None = described("Runs of the simulation; null without one.")
    seed: Count | None = described("Seed of the simulation; null without one.")
    eta_hours: HoursInterval | None = described("Hours until it is done, as simulated; null without one.")
    enrolled_90_hours: HoursInterval | None = described(
        "Hours until 90 % are enrolled, as simulated; null if unknown."
    )
    eta: InstantInterval | None = described("`eta_hours` as UTC instants.")
    halt_chance: Share | None = described("Share of the simulated runs that a gate halts.")
    peak_per_hour: ReportPeak | None = described("Enrollment attempts in the busiest hour, as simulated.")
    baseline: Baseline | None = described(
        "Enrollment with mode All, as simulated; null without a simulation."
    )
    phases: tuple[ReportPhase, ...] = described("The phases in order.")
    gates: tuple[GateVerdict, ...] = described("The verdicts of the gates, one per change.")
    failures: tuple[ReportFailure, ...] = described("Failures by code, the most frequent first.")
    findings: tuple[ReportFinding, ...] = described("Preflight's findings by rule.")
    human_steps: tuple[HumanStep, ...] = described("Manual steps, in order.")
    batches: Count = described("Number of batches released.")
    decisions: Count = described("Number of decisions.")
    audit: tuple[AuditRow, ...] = described("The audit: who decided what, and why.")
    written: tuple[str, ...] = described("Paths of the files that were written.")


class Audit(Document):
    """--audit: who decided what and why, from the journal's hash chain."""

    rollout: str = described("The rollout's id.")
    digest: Digest = described("The plan's digest.")
    audit: tuple[AuditRow, ...] = described("Every entry, in order.")
