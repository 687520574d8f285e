"""The assessment of a rollout: is it going well, when will it be done, what must a person do.

One source for terminal, page and JSON: they print these values and compute none of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import tzinfo

import numpy as np

from rollout.report.facts import PLANNED, PlanSimulation, ReportFacts
from rollout.report.wording import LATER, capital, count, day, duration, moment, percent, when, zone_of
from rollout.values import HOUR_S, ON_COURSE, Outcome, State, Verdict
from rollout.values.forecast import Forecast
from rollout.values.progress import Tone

RISKY_HALT_CHANCE = 0.05
"""Above this share of halted runs, a plan that has not started is not said to be going well."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """The three answers of the first screen.

    tone, headline, because : is it going well, and why. done, done_range : when, in the report's zone.
    done_hours : the likely end in hours after the start, None where there is none. needs : what a person must do
    now, maybe empty.
    """

    tone: Tone
    headline: str
    because: str
    done: str
    done_range: str
    needs: tuple[str, ...]
    done_hours: float | None = None


def assess(facts: ReportFacts) -> Assessment:
    """Judge the rollout by its state, its last verdict and its place in the simulation's band."""
    tone, headline, because = _health(facts)
    done, done_range = _done(facts)
    needs = tuple(capital(need) for need in facts.needs)
    return Assessment(tone, headline, because, done, done_range, needs, _done_hours(facts))


def enrolled_of(facts: ReportFacts) -> int:
    """Return the devices enrolled by the last observation (or, if nothing has run, in the median run)."""
    return int(facts.final.get("enrolled", 0))


def released_of(facts: ReportFacts) -> int:
    """Return the devices released so far; 0 if nothing has run."""
    return facts.decisions[-1].released if facts.decisions else 0


def last_observation(facts: ReportFacts) -> int:
    """Return the instant of the last observation, or the report's own."""
    return facts.points[-1].at if facts.points else facts.created


def _last_reason(facts: ReportFacts) -> str:
    return facts.decisions[-1].reason if facts.decisions else ""


def _health(facts: ReportFacts) -> tuple[Tone, str, str]:
    """Return tone, headline and reason; the states in order of how much they matter."""
    reason = capital(_last_reason(facts))
    if facts.state == State.HALTED:
        return Tone.BAD, "Halted by a gate", reason
    if facts.state == State.ABORTED:
        return Tone.BAD, "Aborted", reason
    if facts.state == State.HELD:
        return Tone.WATCH, "Held: nothing is released until the gate can judge", reason
    if facts.state == State.WAITING:
        return Tone.WATCH, "Waiting for answers: releases resume by themselves", reason
    if facts.state == State.PAUSED:
        return Tone.WATCH, "Paused by a person", reason
    if facts.state in (State.FINISHED, State.LOSSES):
        return _finished(facts)
    if facts.state == PLANNED:
        return _not_started(facts)
    return _running(facts)


def _finished(facts: ReportFacts) -> tuple[Tone, str, str]:
    whole = facts.funnel.eligible
    lost = int(facts.final.get("failed", 0)) + int(facts.final.get("rejected", 0))
    silent = int(facts.final.get("timed_out", 0)) + int(facts.final.get("pending", 0))
    because = (
        f"{count(enrolled_of(facts))} of {count(whole)} eligible devices are enrolled "
        f"({percent(enrolled_of(facts), whole)}); {count(lost)} failed or were refused, "
        f"{count(silent)} have not answered."
    )
    if facts.state == State.LOSSES:
        return Tone.BAD, "Finished with losses", because
    return Tone.GOOD, "Finished", because


def _not_started(facts: ReportFacts) -> tuple[Tone, str, str]:
    simulation = facts.simulation
    if simulation is None:
        return Tone.WATCH, "Planned, not simulated", "This plan was not simulated."
    chance = (
        f"A gate halted {percent(simulation.halt_chance, 1)} of {simulation.runs} simulated runs, and asked a "
        f"person in {percent(simulation.held_chance, 1)}."
    )
    if simulation.halt_chance > RISKY_HALT_CHANCE:
        return Tone.WATCH, "Planned, but the simulation is often halted", chance
    if simulation.held_chance > RISKY_HALT_CHANCE:
        return Tone.WATCH, "Planned, but the simulation often needs a person", chance
    return Tone.GOOD, "Planned and simulated, not started", chance


def _running(facts: ReportFacts) -> tuple[Tone, str, str]:
    verdict = facts.verdicts[-1].judgement if facts.verdicts else None
    if verdict is not None and verdict.verdict == Verdict.HALT:
        return Tone.BAD, "A gate says HALT", capital(verdict.sentence)
    if facts.simulation is None or not facts.points:
        return Tone.GOOD, "Running", capital(_last_reason(facts)) or "No simulation to compare with."
    return _against(facts, facts.simulation)


def _against(facts: ReportFacts, simulation: PlanSimulation) -> tuple[Tone, str, str]:
    """Return where the enrolled devices lie in the simulation's outermost band."""
    at, bands = last_observation(facts), simulation.enrolled
    low, middle, high = (
        float(np.interp(at, bands.at, bands.level(level)))
        for level in (bands.levels[0], 0.5, bands.levels[-1])
    )
    now = sum(counts[Outcome.ENROLLED] for counts in facts.points[-1].by_phase)
    against = (
        f"{count(now)} devices are enrolled; the simulation expected {count(low)} to {count(high)} by now."
    )
    slack = ON_COURSE * facts.funnel.eligible
    if now < low - slack:
        return Tone.WATCH, f"Behind plan by {count(middle - now)} devices", against
    if now > high + slack:
        return Tone.GOOD, f"Ahead of plan by {count(now - middle)} devices", against
    return Tone.GOOD, "On course", against


def _done(facts: ReportFacts) -> tuple[str, str]:
    zone = zone_of(facts.zone)
    if facts.state in (State.FINISHED, State.LOSSES):
        end = facts.decisions[-1].at if facts.decisions else last_observation(facts)
        return f"Done {when(end, zone)}", f"{duration((end - facts.plan.start) / HOUR_S)} after the start"
    if facts.state in (State.HALTED, State.ABORTED):
        return "Not under this plan", "Its state is final; a continuation needs a new plan."
    if facts.forecast is not None:
        return _forecast_end(facts.forecast, zone)
    simulation = facts.simulation
    if simulation is None:
        return "Unknown", "Simulate the plan to find out."
    p10, p50, p90 = (simulation.origin + hours * HOUR_S for hours in simulation.eta_hours)
    likely = _ends(p10, p90, zone, "runs")
    if simulation.enrolled_90_hours is not None:
        enrolled_90 = tuple(simulation.origin + hours * HOUR_S for hours in simulation.enrolled_90_hours)
        likely = f"{_enrolled_90(enrolled_90, zone)}; {likely}"
    if math.isinf(p10):
        return (
            "Later than simulated",
            "Fewer than 1 in 10 runs were done when the simulated time ended.",
        )
    if facts.state in (State.HELD, State.WAITING, State.PAUSED):
        return f"{when(p50, zone)}, had it not stopped", f"{likely}; every hour of waiting is added"
    return capital(when(p50, zone)).rstrip("."), likely


def _enrolled_90(instants: Iterable[float], zone: tzinfo) -> str:
    """Return when nine of ten are enrolled. instants : p10, p50, p90."""
    first, middle, last = (moment(at, zone) for at in instants)
    return f"90 % of the devices are enrolled {middle} ({first} to {last})"


def _ends(p10: float, p90: float, zone: tzinfo, runs: str) -> str:
    """Return between which instants `runs` (the name of what was simulated) end."""
    if day(p10, zone) == day(p90, zone):
        return f"nearly all {runs} end then: the last devices to be given up are the silent ones"
    return f"8 of 10 {runs} end between {moment(p10, zone)} and {moment(p90, zone)}"


def _forecast_end(forecast: Forecast, zone: tzinfo) -> tuple[str, str]:
    """Return when it will be done by the latest forecast of the running rollout."""
    p10, p50, p90 = forecast.done
    text = (
        f"{_enrolled_90(forecast.enrolled_90, zone)}; {_ends(p10, p90, zone, 'continuations')}. "
        f"Forecast from its state on {moment(forecast.as_of, zone)}"
    )
    return (LATER.capitalize() if math.isinf(p50) else when(p50, zone)), text


def _done_hours(facts: ReportFacts) -> float | None:
    """Return the hours that `done` names."""
    if facts.state in (State.FINISHED, State.LOSSES, State.HALTED, State.ABORTED):
        return None
    if facts.forecast is not None:
        hours = (facts.forecast.done[1] - facts.plan.start) / HOUR_S
    elif facts.simulation is not None:
        hours = facts.simulation.eta_hours[1]
    else:
        return None
    return round(float(hours), 3) if math.isfinite(hours) else None
