"""The report: from one frozen value to text, JSON, CSV, pictures and a page that needs nothing else.

Everything here draws or words what `ReportFacts` holds; nothing here reads a journal or a clock.
"""

from __future__ import annotations

from rollout.report.assessment import Assessment, assess
from rollout.report.facts import (
    FINAL,
    LEVELS,
    PLANNED,
    AuditRow,
    ExcludedRow,
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
from rollout.report.figures import json_report, report_document
from rollout.report.text import text_report
from rollout.report.writing import write_report
from rollout.values.bands import Bands
from rollout.values.progress import Tone

__all__ = [
    "FINAL",
    "LEVELS",
    "PLANNED",
    "Assessment",
    "AuditRow",
    "Bands",
    "ExcludedRow",
    "FailureRow",
    "FindingRow",
    "Funnel",
    "GateTrack",
    "JudgementRow",
    "Load",
    "PlanSimulation",
    "ReportFacts",
    "Tone",
    "Track",
    "Tuning",
    "assess",
    "json_report",
    "report_document",
    "text_report",
    "write_report",
]
