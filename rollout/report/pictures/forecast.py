"""The forecast fan: how many devices are enrolled over time, when nine of ten are, and the actual numbers on top."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rollout.report.facts import PlanSimulation, ReportFacts, Track
from rollout.report.pictures import style
from rollout.report.pictures.style import LIGHT, Stamp, Theme
from rollout.report.wording import count, day, when, zone_of
from rollout.values import HOUR_S, LongArray, Outcome
from rollout.values.bands import AnyCounts, Bands

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NINE_OF_TEN = "90 % enrolled"

FAN = (((0.05, 0.95), 0.18), ((0.25, 0.75), 0.32))
"""Quantile pairs of the fan and how dense they are filled."""


@dataclass(frozen=True, slots=True, eq=False)
class ForecastFan:
    """Enrolled devices over time.

    bands : the forecast. marked, interval : what the bar on top marks, and its (p10, p50, p90) Unix seconds, maybe
    infinite.
    whole : devices that may enroll.
    actual_at, actual : (k,) what was seen so far, maybe empty. planned : released by the plan's curve.
    """

    bands: Bands
    marked: str
    interval: tuple[float, float, float]
    whole: int
    actual_at: LongArray
    actual: AnyCounts
    planned: Track
    stamp: Stamp

    @classmethod
    def of(cls, facts: ReportFacts) -> ForecastFan | None:
        """Take the arrays out of the facts; None if nothing was simulated."""
        simulation = facts.simulation
        if simulation is None:
            return None
        at, seen = actual_of(facts, Outcome.ENROLLED)
        what, interval = _marked(facts, simulation)
        stamp = Stamp(facts.zone, facts.digest, f"{simulation.runs} runs, seed {simulation.seed}")
        planned = _held(facts.planned, int(simulation.enrolled.at[-1]))
        return cls(simulation.enrolled, what, interval, facts.funnel.eligible, at, seen, planned, stamp)

    def plot(self, ax: Axes | None = None, theme: Theme = LIGHT) -> Axes:
        """Draw the fan; return the axes."""
        ax = style.axes_for(ax, theme)
        title = "Enrolled devices, forecast and actual" if len(self.actual) else "Enrolled devices, forecast"
        style.dress(ax, theme, title=title, y="devices")
        at, zone = self.bands.at, self.stamp.zone
        for (low, high), alpha in FAN:
            lower, upper = self.bands.level(low), self.bands.level(high)
            ax.fill_between(at, lower, upper, color=theme.ours, alpha=alpha, linewidth=0)
        ax.plot(at, self.bands.level(0.5), color=theme.ours, linewidth=1.6, linestyle=style.DASHED)
        ax.plot(
            self.planned.at,
            self.planned.count,
            color=theme.muted,
            linewidth=1.1,
            linestyle=style.DOTTED,
            drawstyle="steps-post",
        )
        ax.plot(self.actual_at, self.actual, color=theme.ink, linewidth=2.4, solid_capstyle="round")
        end = float(max(at[-1], self.planned.at[-1] if len(self.planned.at) else at[-1]))
        style.time_axis(ax, float(at[0]), end, zone)
        ax.set_ylim(0, max(1, self.whole) * 1.18)
        style.counts_axis(ax)
        self._labels(ax, theme)
        style.caption(ax, theme, self.stamp.caption())
        return ax

    def sentence(self) -> str:
        """Return what the picture shows, in words."""
        zone = zone_of(self.stamp.zone)
        p10, p50, p90 = (when(at, zone) for at in self.interval)
        seen = f" Actual so far: {count(self.actual[-1])}." if len(self.actual) else ""
        return (
            f"Enrolled devices over time, of {count(self.whole)} eligible.{seen} "
            f"Forecast, {self.marked}: {p50} (8 of 10 runs: {p10} to {p90})."
        )

    def _free_share(self) -> float:
        """Return the height, as a share of all devices, at which the forecast's label overlaps no other."""
        now = float(self.actual[-1]) / max(1, self.whole) if len(self.actual) else 0.0
        return 0.8 if 0.4 < now < 0.7 else 0.6

    def span(self) -> tuple[float, float, float]:
        """Return the marked interval, cut where the simulated time ends."""
        p10, p50, p90 = (min(at, float(self.bands.at[-1])) for at in self.interval)
        return p10, p50, p90

    def span_words(self) -> str:
        """Return in words between which days the end lies."""
        if math.isinf(self.interval[0]):
            return f"not {self.marked} within the simulated time"
        first, last = (day(at, zone_of(self.stamp.zone)) for at in (self.interval[0], self.interval[2]))
        return f"{self.marked}, 8 of 10 runs: {first}" + ("" if first == last else f" to {last}")

    def _labels(self, ax: Axes, theme: Theme) -> None:
        """Write the labels where the lines are far enough apart to show which line is meant."""
        p10, p50, p90 = self.span()
        height = max(1, self.whole) * 1.09
        ax.plot([p10, p90], [height, height], color=theme.ours, linewidth=4, solid_capstyle="butt")
        ax.plot([p50], [height], marker="|", markersize=13, markeredgewidth=2.5, color=theme.ours)
        style.label(ax, p10, height, self.span_words(), theme.ours, ha="right", offset=(-8, 0))
        grid, middle = self.bands.at, self.bands.level(0.5)
        # Not much past half of the width: the text runs to the right, below the rising band.
        index = min(_index_at(middle, self._free_share() * self.whole), int(0.56 * len(grid)))
        place = {"offset": (26, -14), "va": "top"}
        style.label(
            ax, grid[index], middle[index], "forecast:\nmedian, 50 % and 90 % band", theme.ours, **place
        )
        if len(self.planned.at):
            index = _index_at(self.planned.count, 0.45 * float(self.planned.count[-1]))
            x, y = self.planned.at[index], self.planned.count[index]
            style.label(ax, x, y, "released by plan", theme.muted, ha="right", offset=(-10, 8))
        if len(self.actual):
            self._label_actual(ax, theme)

    def _label_actual(self, ax: Axes, theme: Theme) -> None:
        """Write next to the end of the actual line, inside the plot also at its edges."""
        x, y = float(self.actual_at[-1]), float(self.actual[-1])
        left, right = ax.get_xlim()
        late, low = x > left + 0.88 * (right - left), y < 0.05 * self.whole
        offset = (-4, -14) if late else (8, 8 if low else -9)
        style.label(ax, x, y, "actual", theme.ink, ha="right" if late else "left", offset=offset)


def _marked(facts: ReportFacts, simulation: PlanSimulation) -> tuple[str, tuple[float, float, float]]:
    """Return what the bar marks: the latest forecast before the plan's simulation, and 90 % enrolled where known.

    The very end hardly differs between runs: it is when the last silent device is given up.
    """
    if facts.forecast is not None:
        return NINE_OF_TEN, facts.forecast.enrolled_90
    name, hours = "done", simulation.eta_hours
    if simulation.enrolled_90_hours:
        name, hours = NINE_OF_TEN, simulation.enrolled_90_hours
    p10, p50, p90 = (simulation.origin + hour * HOUR_S for hour in hours)
    return name, (p10, p50, p90)


def actual_of(facts: ReportFacts, *outcomes: Outcome) -> tuple[LongArray, AnyCounts]:
    """Return (k,) instants and (k,) devices in one of `outcomes` at them, all phases together."""
    at = np.array([point.at for point in facts.points], dtype=np.int64)
    sums = [sum(int(counts[o]) for counts in point.by_phase for o in outcomes) for point in facts.points]
    return at, np.array(sums, dtype=np.int64)


def _held(track: Track, end: int) -> Track:
    """Return the track with its last count held until `end`."""
    if not len(track.at) or track.at[-1] >= end:
        return track
    return Track(np.append(track.at, end), np.append(track.count, track.count[-1]))


def _index_at(values: AnyCounts, goal: float) -> int:
    return min(int(np.searchsorted(values, goal)), len(values) - 1)
