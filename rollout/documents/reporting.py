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
    """Devices by what became of them; together they are all devices of the inventory."""

    enrolled: Count = described("Devices enrolled.")
    failed: Count = described("Devices that failed.")
    rejected: Count = described("Devices that the directory refused to add.")
    timed_out: Count = described("Devices that stayed silent past their time-out.")
    pending: Count = described("Devices released and without an outcome yet.")
    not_released: Count = described("Devices of the plan that were not released.")
    excluded: Count = described("Devices that are not in the plan.")


class ReportAssessment(Document):
    """The three answers of the first screen, in the words of the page."""

    tone: Tone = described("How the headline is meant.")
    headline: str = described("Whether it goes well.")
    because: str = described("Why.")
    done: str = described("When it is done, for a person: in the report's zone.")
    done_range: str = described("The same as an interval of 8 in 10.")
    done_hours: Hours | None = described("Hours after the start; null where there is none.")
    needs: tuple[str, ...] = described("What needs a person now.")
    enrolled: Count = described("Devices enrolled.")


class ReportFunnel(Document):
    """How far devices have come, each number contained in the one before."""

    eligible: Count = described("Devices of the plan.")
    scheduled: Count = described("Devices in the collection.")
    initiated: Count = described("Devices with an answer of any kind.")
    enrolled: Count = described("Devices that have enrolled.")


class Exclusion(Document):
    """Devices that are not in the plan, for one reason."""

    reason: str = described("The reason as it stands in the plan.")
    devices: Count = described("How many there are.")
    sentence: str = described("What it means.")
    next_action: str = described("What a person does about it.")


class ReportPeak(Document):
    """The busiest hour of a run."""

    p50: Count = described("Enrollment attempts an hour that half of the runs do not pass.")
    p90: Count = described("Enrollment attempts an hour that 9 runs in 10 do not pass.")


class Baseline(Document):
    """The native way, on the same draws."""

    name: str = described("What it is.")
    eta_hours: HoursInterval = described("Hours until it is done.")
    peak_per_hour: ReportPeak | None = described("Enrollment attempts in the busiest hour.")


class ReportPhase(Document):
    """One phase and its devices by outcome."""

    name: str = described("The phase's name.")
    source: str = described("Where its devices come from.")
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
    verdict: Verdict = described("What the gate said.")
    sentence: str = described("Why.")
    executed: Count = described("Devices with an outcome that decided; 0 where unknown.")
    failed: Count = described("Failures among them; 0 where unknown.")


class ReportFailure(Document):
    """Devices that failed with one code."""

    code: Code = described("The code.")
    name: str = described('Its symbolic name; "" unknown.')
    kind: FailureClass = described("What a retry can do about it.", "class")
    devices: Count = described("How many there are.")
    next_action: str = described("What a person does about it.")


class ReportFinding(Document):
    """What one rule of preflight found."""

    rule: str = described("The rule's id.")
    severity: Severity = described("What it means for the plan.")
    devices: Count = described("How many it hits; 0 where it is about no device.")
    sentence: str = described("What was found, of the first of them.")
    next_action: str = described("What a person does about it.")


class AuditRow(Document):
    """Who decided, released, paused or took over what."""

    at: Instant = described("UTC instant: decisions by the directory's clock, commands by this machine's.")
    who: str = described('Who; "" for the rollout itself.')
    what: str = described("What.")
    why: str = described('Why; "" where nobody said.')


class Report(Document):
    """The key figures of a rollout, or of a plan alone; without `written` it is report.json."""

    schema_: int = described("Raised when a key goes or changes its meaning.", "schema")
    title: str = described("The plan's name.")
    rollout: str | None = described("The rollout's id; null for a plan alone.")
    digest: Digest = described("The plan's digest.")
    state: str = described("The rollout's state, or planned for a plan alone.")
    created: Instant = described("UTC instant at which the report was made.")
    as_of: Instant = described("UTC instant of the last look, by the directory's clock.")
    zone: str = described("IANA zone of the times that are written for people.")
    devices: Count = described("Devices of the inventory.")
    released: Count = described("Devices released so far.")
    final: ReportFinal = described("Devices by what became of them, or what the simulation expects.")
    standing: ReportAssessment = described("The first screen.")
    funnel: ReportFunnel = described("How far devices have come.")
    excluded: dict[str, Count] = described("Devices that are not in the plan, by reason.")
    exclusions: tuple[Exclusion, ...] = described("The same in words, the largest first.")
    expected: ForecastSummary | None = described(
        "The latest forecast; null before the first and after the end."
    )
    on_plan: str = described('How it stands against the simulation of its plan; "" unknown.')
    runs: Count | None = described("Replications of the simulation; null where there is none.")
    seed: Count | None = described("Its seed; null where there is none.")
    eta_hours: HoursInterval | None = described("Hours until it is done, as simulated; null without one.")
    enrolled_90_hours: HoursInterval | None = described(
        "Hours until 90 % are enrolled, as simulated; null unknown."
    )
    eta: InstantInterval | None = described("The same as UTC instants.")
    halt_chance: Share | None = described("Share of the simulated runs that a gate halts.")
    peak_per_hour: ReportPeak | None = described("Enrollment attempts in the busiest hour, as simulated.")
    baseline: Baseline | None = described("The native way, as simulated; null without a simulation.")
    phases: tuple[ReportPhase, ...] = described("The phases in order.")
    gates: tuple[GateVerdict, ...] = described("What the gates said, change by change.")
    failures: tuple[ReportFailure, ...] = described("Failures by code, the most frequent first.")
    findings: tuple[ReportFinding, ...] = described("Preflight's findings by rule.")
    human_steps: tuple[HumanStep, ...] = described("What people do, in order.")
    batches: Count = described("Batches released.")
    decisions: Count = described("Decisions.")
    audit: tuple[AuditRow, ...] = described("Who decided what and why.")
    written: tuple[str, ...] = described("Paths of the files that were written.")


class Audit(Document):
    """--audit: who decided what and why, from the journal's chain of seals."""

    rollout: str = described("The rollout's id.")
    digest: Digest = described("The plan's digest.")
    audit: tuple[AuditRow, ...] = described("Every entry, in order.")
