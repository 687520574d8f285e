"""The report as plain text, 80 columns, for a terminal, a mail or a ticket."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rollout.report.assessment import Assessment, assess, last_observation, released_of
from rollout.report.facts import FINAL, ReportFacts
from rollout.report.figures import phases_of
from rollout.report.wording import count, duration, hexcode, percent, short, when, zone_of
from rollout.text import visible
from rollout.values.progress import Tone

WIDTH = 80
SIGN = {Tone.GOOD: "[ok]", Tone.WATCH: "[!]", Tone.BAD: "[!!]"}
BAR = 28
FAILURES = 8

OUTCOME_WORDS = {
    "enrolled": "enrolled",
    "failed": "failed",
    "rejected": "refused by the directory",
    "timed_out": "silent past the time-out",
    "pending": "released, no answer yet",
    "not_released": "not released yet",
    "excluded": "excluded, each with a reason",
}
"""How the keys of `ReportFacts.final` read for people."""


def text_report(facts: ReportFacts) -> str:
    """Return the report as text: no colour, no line longer than 80 columns, ends with a newline."""
    assessment = assess(facts)
    sections = [
        _head(facts, assessment),
        _funnel(facts),
        _final(facts),
        _excluded(facts),
        _simulation(facts),
        _phases(facts),
        _gates(facts),
        _failures(facts),
        _human_steps(facts),
    ]
    return "\n\n".join("\n".join(map(visible, lines)) for lines in sections if lines) + "\n"


def _head(facts: ReportFacts, assessment: Assessment) -> list[str]:
    zone = zone_of(facts.zone)
    lines = [
        *_wrap(visible(facts.title), ""),
        f"digest {short(facts.digest)}   as of {when(last_observation(facts), zone)} {facts.zone}",
        "",
        *_wrap(
            f"{SIGN[assessment.tone]} {assessment.headline}. {assessment.because}".rstrip(), "Going well?   "
        ),
        *_wrap(f"{assessment.done}. {assessment.done_range}".rstrip(), "Done when?    "),
    ]
    if facts.on_plan:
        lines += _wrap(f"Against the simulation: {facts.on_plan}.", " " * 14)
    needs = assessment.needs or ("Nothing right now.",)
    for index, need in enumerate(needs):
        lines += _wrap(visible(need), "To do:        " if index == 0 else " " * 14)
    return lines


def _funnel(facts: ReportFacts) -> list[str]:
    funnel = facts.funnel
    rows = (
        ("eligible", funnel.eligible),
        ("scheduled", funnel.scheduled),
        ("initiated", funnel.initiated),
        ("enrolled", funnel.enrolled),
    )
    lines = ["FUNNEL" if facts.executed else "FUNNEL (simulated)"]
    return lines + [_bar_line(name, n, funnel.eligible) for name, n in rows]


def _bar_line(name: str, n: int, whole: int) -> str:
    filled = 0 if whole <= 0 else min(BAR, round(BAR * n / whole))
    return f"  {_cut(name, 22):<22} {'#' * filled:<{BAR}} {count(n):>11} {percent(n, whole):>9}"


def _final(facts: ReportFacts) -> list[str]:
    lines = ["ALL DEVICES" if facts.executed else "ALL DEVICES (simulated)"]
    rows = ((OUTCOME_WORDS[key], int(facts.final.get(key, 0))) for key in FINAL)
    lines += [f"  {word:<34} {count(n):>11}" for word, n in rows]
    total = sum(int(facts.final.get(key, 0)) for key in FINAL)
    return [*lines, f"  {'together':<34} {count(total):>11} of {count(facts.devices)}"]


def _excluded(facts: ReportFacts) -> list[str]:
    lines: list[str] = []
    for row in facts.excluded[:FAILURES]:
        lines += _wrap(visible(f"{row.reason}. {row.sentence}"), f"  {count(row.count):>8}  ")
        lines += _wrap(visible(row.next_action), " " * 12)
    rest = len(facts.excluded) - FAILURES
    if rest > 0:
        lines.append(f"  and {rest} further reasons, all in report.json")
    return ["NOT IN THE PLAN, AND WHAT TO DO", *lines] if lines else []


def _simulation(facts: ReportFacts) -> list[str]:
    simulation, load = facts.simulation, facts.load
    if simulation is None:
        return []
    p10, p50, p90 = (duration(hours) for hours in simulation.eta_hours)
    lines = [f"SIMULATION ({simulation.runs} runs, seed {simulation.seed})"]
    lines += _wrap(
        f"{p50} (8 of 10 runs: {p10} to {p90}), counted to {simulation.done_means}", "  done after     "
    )
    if load is not None:
        peak = f"{count(load.peak_p50)} (9 of 10 runs: at most {count(load.peak_p90)})"
        lines += _wrap(f"{peak} attempts per hour", "  peak load      ")
    lines.append(f"  halted         {percent(simulation.halt_chance, 1)} of the runs")
    lines.append(f"  needs a person {percent(simulation.held_chance, 1)} of the runs")
    if simulation.baseline_eta_hours is not None:
        native = f"done after {duration(simulation.baseline_eta_hours[1])}"
        native += f", peak {count(load.baseline_peak_p50)} attempts per hour" if load is not None else ""
        lines += _wrap(f"{simulation.baseline_name}: {native}", "  instead        ")
    return lines


def _phases(facts: ReportFacts) -> list[str]:
    lines = [f"PHASES ({count(released_of(facts))} devices released)"]
    lines.append(f"  {'':<28} {'devices':>11} {'released':>11} {'enrolled':>11} {'failed':>9}")
    for phase in phases_of(facts):
        name = _cut(visible(phase.name), 28)
        numbers = f"{count(phase.devices):>11} {count(phase.released):>11} {count(phase.enrolled):>11}"
        lines.append(f"  {name:<28} {numbers} {count(phase.failed):>9}")
    return lines


def _gates(facts: ReportFacts) -> list[str]:
    zone = zone_of(facts.zone)
    lines = [
        line
        for row in facts.verdicts[-5:]
        for line in _wrap(visible(row.judgement.sentence), f"  {when(row.at, zone)}  ")
    ]
    return ["GATES (the last verdicts)", *lines] if lines else []


def _failures(facts: ReportFacts) -> list[str]:
    lines: list[str] = []
    for row in sorted(facts.failures, key=lambda f: -f.count)[:FAILURES]:
        lines += _wrap(f"{hexcode(row.code)} {visible(row.name)} ({row.kind})", f"  {count(row.count):>8}  ")
        lines += _wrap(visible(row.next_action), " " * 12)
    rest = len(facts.failures) - FAILURES
    if rest > 0:
        lines.append(f"  and {rest} further codes, all in failures.csv")
    return ["FAILURES, AND WHAT TO DO", *lines] if lines else []


def _human_steps(facts: ReportFacts) -> list[str]:
    lines: list[str] = []
    for step in facts.plan.human_steps:
        lines += _wrap(visible(f"[{step.when}] {step.title}"), "  - ")
        lines += _wrap(visible(step.where), "      ")
    return ["STEPS THAT A PERSON TAKES", *lines] if lines else []


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def _wrap(text: str, head: str) -> Sequence[str]:
    return textwrap.wrap(visible(text), WIDTH, initial_indent=head, subsequent_indent=" " * len(head)) or [
        head.rstrip()
    ]
