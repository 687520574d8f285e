"""Whether a plan is feasible, and the load it causes: one report for people and for `--json`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from rollout.planning.flight import Peaks, peaks_of
from rollout.planning.schedule import Release, nominal_releases
from rollout.values import HOUR_S, PhaseEnd, Plan
from rollout.values.durations import format_duration


@dataclass(frozen=True, slots=True)
class PhaseForecast:
    """A phase if every gate passes at once. first, last : Unix seconds of its first and last batch, -1 none."""

    name: str
    devices: int
    released: int
    batches: int
    first: int
    last: int
    per_hour: int


@dataclass(frozen=True, slots=True)
class Feasibility:
    """The demands of a plan.

    finish : Unix seconds of the last release, -1 none. peaks : the most it asks for, by its schedule.
    latency_s : how long a device counts as in flight. little : the peak of an hour times the latency, which
    would be in flight if that peak lasted. lines : all of it as sentences.
    """

    feasible: bool
    finish: int
    phases: tuple[PhaseForecast, ...]
    peaks: Peaks
    latency_s: int
    little: int
    lines: tuple[str, ...]


def feasibility(plan: Plan) -> Feasibility:
    """Measure the nominal schedule of a plan against its calendar and budgets."""
    releases = nominal_releases(plan)
    peaks = _peaks(plan, releases)
    phases = tuple(_forecast(plan, index, releases) for index in range(len(plan.phases)))
    little = round(peaks.per_hour * plan.mature_after_s / HOUR_S)
    return Feasibility(
        feasible=_is_complete(plan, phases) and not peaks.beyond(plan.budgets),
        finish=releases[-1].at if releases else -1,
        phases=phases,
        peaks=peaks,
        latency_s=plan.mature_after_s,
        little=little,
        lines=(*(_phase_line(plan, phase) for phase in phases), *_flight_lines(plan, peaks, little)),
    )


def _peaks(plan: Plan, releases: Sequence[Release]) -> Peaks:
    by_level = plan.budgets.per_level > 0
    return peaks_of(releases, plan.mature_after_s, plan.budget_codes, by_level=by_level)


def _forecast(plan: Plan, index: int, releases: Sequence[Release]) -> PhaseForecast:
    mine = [release for release in releases if release.phase == index]
    return PhaseForecast(
        name=plan.phases[index].name,
        devices=len(plan.phases[index]),
        released=sum(len(release.rows) for release in mine),
        batches=len(mine),
        first=mine[0].at if mine else -1,
        last=mine[-1].at if mine else -1,
        per_hour=peaks_of(mine, plan.mature_after_s, plan.budget_codes, by_level=False).per_hour,
    )


def _is_complete(plan: Plan, phases: Sequence[PhaseForecast]) -> bool:
    """Return whether all planned devices are released; devices after a phase without end do not count."""
    for phase, forecast in zip(plan.phases, phases, strict=True):
        if phase.end is PhaseEnd.NEVER and len(phase):
            return True
        late = phase.by >= 0 and forecast.last > phase.by and not plan.zone_calendars
        if forecast.released < forecast.devices or late:
            return False
    return True


def _phase_line(plan: Plan, forecast: PhaseForecast) -> str:
    if not forecast.devices:
        return f"{forecast.name}: empty"
    if forecast.first < 0:
        return f"{forecast.name}: {forecast.devices} devices, never begun"
    span = f"{_local(plan, forecast.first)} to {_local(plan, forecast.last)}"
    some = f"{forecast.released} of " if forecast.released < forecast.devices else ""
    return (
        f"{forecast.name}: {some}{forecast.devices} devices in {forecast.batches} batches, {span}, "
        f"at most {forecast.per_hour} in an hour"
    )


def _flight_lines(plan: Plan, peaks: Peaks, little: int) -> list[str]:
    budgets, latency = plan.budgets, format_duration(plan.mature_after_s)
    limit = f", budget {budgets.in_flight}" if budgets.in_flight else ", no budget"
    lines = [
        f"Little's law: {peaks.per_hour} per hour * {latency} = {little} in flight if the peak lasted; "
        f"by this schedule {peaks.in_flight}{limit}"
    ]
    if budgets.per_level:
        lines.append(f"in flight per {budgets.column}: {peaks.per_level}, budget {budgets.per_level}")
    if budgets.per_step:
        lines.append(f"devices per step: {peaks.per_step}, budget {budgets.per_step}")
    return lines


def _local(plan: Plan, at: int) -> str:
    return dt.datetime.fromtimestamp(at, ZoneInfo(plan.zone)).strftime("%Y-%m-%d %H:%M %Z")
