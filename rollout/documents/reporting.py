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
    told,
)
from rollout.documents.forecast import ForecastSummary
from rollout.values import FailureClass, Severity, Verdict
from rollout.values.progress import Tone


class ReportFinal(Document):
    """Devices by what became of them; together they are all devices of the inventory."""

    enrolled: Count = told("Devices enrolled.")
    failed: Count = told("Devices that failed.")
    rejected: Count = told("Devices that the directory refused to add.")
    timed_out: Count = told("Devices that stayed silent past their time-out.")
    pending: Count = told("Devices released and without an outcome yet.")
    not_released: Count = told("Devices of the plan that were not released.")
    excluded: Count = told("Devices that are not in the plan.")


class ReportAssessment(Document):
    """The three answers of the first screen, in the words of the page."""

    tone: Tone = told("How the headline is meant.")
    headline: str = told("Whether it goes well.")
    because: str = told("Why.")
    done: str = told("When it is done, for a person: in the report's zone.")
    done_range: str = told("The same as an interval of 8 in 10.")
    done_hours: Hours | None = told("Hours after the start; null where there is none.")
    needs: list[str] = told("What needs a person now.")
    enrolled: Count = told("Devices enrolled.")


class ReportFunnel(Document):
    """How far devices have come, each number contained in the one before."""

    eligible: Count = told("Devices of the plan.")
    scheduled: Count = told("Devices in the collection.")
    initiated: Count = told("Devices with an answer of any kind.")
    enrolled: Count = told("Devices that have enrolled.")


class Exclusion(Document):
    """Devices that are not in the plan, for one reason."""

    reason: str = told("The reason as it stands in the plan.")
    devices: Count = told("How many there are.")
    sentence: str = told("What it means.")
    next_action: str = told("What a person does about it.")


class ReportPeak(Document):
    """The busiest hour of a run."""

    p50: Count = told("Enrollment attempts an hour that half of the runs do not pass.")
    p90: Count = told("Enrollment attempts an hour that 9 runs in 10 do not pass.")


class Baseline(Document):
    """The native way, on the same draws."""

    name: str = told("What it is.")
    eta_hours: HoursInterval = told("Hours until it is done.")
    peak_per_hour: ReportPeak | None = told("Enrollment attempts in the busiest hour.")


class ReportPhase(Document):
    """One phase and its devices by outcome."""

    name: str = told("The phase's name.")
    source: str = told("Where its devices come from.")
    devices: Count = told("Devices in it.")
    released: Count = told("Devices released.")
    enrolled: Count = told("Devices enrolled.")
    failed: Count = told("Devices that failed.")
    rejected: Count = told("Devices that the directory refused to add.")
    timed_out: Count = told("Devices that stayed silent past their time-out.")
    pending: Count = told("Devices released and without an outcome yet.")


class GateVerdict(Document):
    """A change of a gate's verdict."""

    at: Instant = told("UTC instant.")
    phase: str = told("The phase's name.")
    verdict: Verdict = told("What the gate said.")
    sentence: str = told("Why.")
    executed: Count = told("Devices with an outcome that decided; 0 where unknown.")
    failed: Count = told("Failures among them; 0 where unknown.")


class ReportFailure(Document):
    """Devices that failed with one code."""

    code: Code = told("The code.")
    name: str = told('Its symbolic name; "" unknown.')
    kind: FailureClass = told("What a retry can do about it.", "class")
    devices: Count = told("How many there are.")
    next_action: str = told("What a person does about it.")


class ReportFinding(Document):
    """What one rule of preflight found."""

    rule: str = told("The rule's id.")
    severity: Severity = told("What it means for the plan.")
    devices: Count = told("How many it hits; 0 where it is about no device.")
    sentence: str = told("What was found, of the first of them.")
    next_action: str = told("What a person does about it.")


class AuditRow(Document):
    """Who decided, released, paused or took over what."""

    at: Instant = told("UTC instant: decisions by the directory's clock, commands by this machine's.")
    who: str = told('Who; "" for the rollout itself.')
    what: str = told("What.")
    why: str = told('Why; "" where nobody said.')


class Report(Document):
    """The key figures of a rollout, or of a plan alone; without `written` it is report.json."""

    schema_: int = told("Raised when a key goes or changes its meaning.", "schema")
    title: str = told("The plan's name.")
    rollout: str | None = told("The rollout's id; null for a plan alone.")
    digest: Digest = told("The plan's digest.")
    state: str = told("The rollout's state, or planned for a plan alone.")
    created: Instant = told("UTC instant at which the report was made.")
    as_of: Instant = told("UTC instant of the last look, by the directory's clock.")
    zone: str = told("IANA zone of the times that are written for people.")
    devices: Count = told("Devices of the inventory.")
    released: Count = told("Devices released so far.")
    final: ReportFinal = told("Devices by what became of them, or what the simulation expects.")
    standing: ReportAssessment = told("The first screen.")
    funnel: ReportFunnel = told("How far devices have come.")
    excluded: dict[str, Count] = told("Devices that are not in the plan, by reason.")
    exclusions: list[Exclusion] = told("The same in words, the largest first.")
    expected: ForecastSummary | None = told("The latest forecast; null before the first and after the end.")
    on_plan: str = told('How it stands against the simulation of its plan; "" unknown.')
    runs: Count | None = told("Replications of the simulation; null where there is none.")
    seed: Count | None = told("Its seed; null where there is none.")
    eta_hours: HoursInterval | None = told("Hours until it is done, as simulated; null without one.")
    enrolled_90_hours: HoursInterval | None = told(
        "Hours until 90 % are enrolled, as simulated; null unknown."
    )
    eta: InstantInterval | None = told("The same as UTC instants.")
    halt_chance: Share | None = told("Share of the simulated runs that a gate halts.")
    peak_per_hour: ReportPeak | None = told("Enrollment attempts in the busiest hour, as simulated.")
    baseline: Baseline | None = told("The native way, as simulated; null without a simulation.")
    phases: list[ReportPhase] = told("The phases in order.")
    gates: list[GateVerdict] = told("What the gates said, change by change.")
    failures: list[ReportFailure] = told("Failures by code, the most frequent first.")
    findings: list[ReportFinding] = told("Preflight's findings by rule.")
    human_steps: list[HumanStep] = told("What people do, in order.")
    batches: Count = told("Batches released.")
    decisions: Count = told("Decisions.")
    audit: list[AuditRow] = told("Who decided what and why.")
    written: list[str] = told("Paths of the files that were written.")


class Audit(Document):
    """--audit: who decided what and why, from the journal's chain of seals."""

    rollout: str = told("The rollout's id.")
    digest: Digest = told("The plan's digest.")
    audit: list[AuditRow] = told("Every entry, in order.")
