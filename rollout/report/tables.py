"""The report's numbers as CSV files, for a spreadsheet: UTF-8 with BOM, ISO-8601 UTC instants."""

from __future__ import annotations

from collections.abc import Sequence

from rollout.files import csv_text
from rollout.report.facts import ReportFacts
from rollout.report.wording import hexcode
from rollout.text import iso
from rollout.values import Outcome


def csv_tables(facts: ReportFacts) -> dict[str, str]:
    """Return file name -> CSV text, for those tables that have rows."""
    tables: dict[str, tuple[Sequence[str], Sequence[Sequence[object]]]] = {
        "batches.csv": (("batch", "at", "phase", "devices", "released", "reason"), _batches(facts)),
        "progress.csv": (("at", "phase", *(str(o.name).lower() for o in Outcome)), _progress(facts)),
        "forecast.csv": _forecast(facts),
        "failures.csv": (
            ("code", "name", "class", "devices", "next_action"),
            [(hexcode(f.code), f.name, f.kind, f.count, f.next_action) for f in facts.failures],
        ),
        "findings.csv": (
            ("rule", "severity", "devices", "sentence", "next_action"),
            [(f.rule, str(f.severity), f.count, f.sentence, f.next_action) for f in facts.findings],
        ),
        "audit.csv": (("at", "who", "what", "why"), [(iso(a.at), a.who, a.what, a.why) for a in facts.audit]),
    }
    return {name: csv_text(head, rows, mark=True) for name, (head, rows) in tables.items() if rows}


def _batches(facts: ReportFacts) -> list[Sequence[object]]:
    names = [phase.name for phase in facts.plan.phases]
    return [
        (row.batch + 1, iso(row.at), names[row.phase], row.count, row.released, row.reason)
        for row in facts.decisions
        if row.batch >= 0
    ]


def _progress(facts: ReportFacts) -> list[Sequence[object]]:
    names = [phase.name for phase in facts.plan.phases]
    return [
        (iso(point.at), names[index], *counts)
        for point in facts.points
        for index, counts in enumerate(point.by_phase)
        if any(counts)
    ]


def _forecast(facts: ReportFacts) -> tuple[Sequence[str], list[Sequence[object]]]:
    if facts.simulation is None:
        return (), []
    bands = facts.simulation.enrolled
    head = ("at", *(f"enrolled_p{100 * level:g}" for level in bands.levels))
    return head, [
        (iso(at), *(round(float(v), 1) for v in column))
        for at, column in zip(bands.at, bands.values.T, strict=True)
    ]
