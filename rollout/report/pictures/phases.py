"""Progress by phase: share of each phase's devices enrolled over time, with the forecast's band."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rollout.report.facts import FloatArray, ReportFacts
from rollout.report.pictures import style
from rollout.report.pictures.style import LIGHT, Stamp, Theme
from rollout.report.wording import brief, count, percent
from rollout.values import LongArray, Outcome
from rollout.values.bands import AnyCounts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 6
"""Lines that can be distinguished; more phases are drawn as one line per kind: the largest, and the others."""

REACH = 15.0
"""A name may be this many percent above or below its own height."""

STYLES = ("-", (0, (6, 2)), (0, (1.5, 1.5)), (0, (7, 2, 1.5, 2)), (0, (3, 1, 1, 1, 1, 1)), (0, (10, 3)))


@dataclass(frozen=True, slots=True, eq=False)
class PhaseLine:
    """One phase (or several pooled): devices, and its share of enrolled ones in percent.

    at, actual : (k,), empty if nothing has run. band_at : (t,); low, middle, high : (t,) percent of
    the p5, p50 and p95 runs, empty if nothing was simulated.
    """

    name: str
    devices: int
    at: LongArray
    actual: FloatArray
    band_at: LongArray
    low: FloatArray
    middle: FloatArray
    high: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class PhaseProgress:
    """Progress of all phases, at most MOST lines."""

    lines: tuple[PhaseLine, ...]
    stamp: Stamp

    @classmethod
    def of(cls, facts: ReportFacts) -> PhaseProgress | None:
        """Take the lines out of the facts; None if there is neither a run nor a forecast, or no device."""
        if not facts.points and not (facts.simulation and facts.simulation.by_phase):
            return None
        groups = _groups([len(phase) for phase in facts.plan.phases])
        if not groups:
            return None
        lines = tuple(_line(facts, group) for group in groups)
        banded = any(len(line.band_at) for line in lines)
        return cls(
            lines,
            Stamp(facts.zone, facts.digest, "thick: actual, band: 90 % of simulated runs" if banded else ""),
        )

    def plot(self, ax: Axes | None = None, theme: Theme = LIGHT) -> Axes:
        """Draw one line style per phase; return the axes."""
        ax = style.axes_for(ax, theme)
        style.dress(ax, theme, title="Progress by phase", y="enrolled, % of the phase")
        colours = (theme.ours, theme.other, theme.good, theme.limit, theme.bad, theme.muted)
        for line, colour, dash in zip(self.lines, colours, STYLES, strict=False):
            ax.fill_between(line.band_at, line.low, line.high, color=colour, alpha=0.18, linewidth=0)
            thin = 1.0 if len(line.actual) else 1.8
            ax.plot(line.band_at, line.middle, color=colour, linewidth=thin, linestyle=dash)
            ax.plot(line.at, line.actual, color=colour, linewidth=2.6, linestyle="-")
        times = np.concatenate([t for line in self.lines for t in (line.at, line.band_at)])
        start, end = float(times.min()), float(times.max())
        style.time_axis(ax, start, end, self.stamp.zone)
        ax.set_ylim(0, 104)
        style.percent_axis(ax)
        self._labels(ax, colours)
        style.caption(ax, theme, self.stamp.caption())
        return ax

    def sentence(self) -> str:
        """Return what the picture shows, in words."""
        parts = []
        for line in self.lines:
            values = line.actual if len(line.actual) else line.middle
            share = percent(float(values[-1]), 100) if len(values) else "nothing known"
            parts.append(f"{line.name} {share} of {count(line.devices)}")
        word = "now" if any(len(line.actual) for line in self.lines) else "at the end of the forecast"
        return f"Enrolled share of each phase, {word}: " + "; ".join(parts) + "."

    def _labels(self, ax: Axes, colours: tuple[str, ...]) -> None:
        """Write each name where its line climbs, each at a height of its own, so that no two names overlap."""
        heights = np.linspace(84, 22, len(self.lines)) if len(self.lines) > 1 else [50.0]
        for place, (line, colour) in enumerate(zip(self.lines, colours, strict=False)):
            at, values = (line.band_at, line.middle) if len(line.band_at) else (line.at, line.actual)
            if not len(at):
                continue
            goal = min(heights[place], 0.9 * float(values[-1]))
            index = _steepest(at, values, goal)
            now = float(line.actual[-1]) if len(line.actual) else float(values[-1])
            text = f"{brief(line.name)}: {percent(now, 100)} of {count(line.devices)}"
            x = float(at[index])
            options = style.side_of(ax, x)
            offset = (16, 0) if options["ha"] == "left" else (-16, 0)
            style.label(ax, x, float(values[index]), text, colour, **{**options, "offset": offset})


def _steepest(at: LongArray, values: FloatArray, goal: float) -> int:
    """Return where a line climbs most within REACH of a height: next to a plateau, the name would overlap the line."""
    near = np.flatnonzero(np.abs(values - goal) <= REACH)
    if len(near) < 2:
        return min(int(np.searchsorted(values, goal)), len(at) - 1)
    # Two looks may have the same instant.
    climbs = np.append(np.diff(values) / np.maximum(np.diff(at), 1), 0.0)
    return int(near[np.argmax(climbs[near])])


def _groups(sizes: list[int]) -> list[tuple[int, ...]]:
    """Return the phases to draw as index groups: each alone, or the largest alone and the others pooled."""
    filled = [i for i, size in enumerate(sizes) if size]
    if len(filled) <= MOST:
        return [(i,) for i in filled]
    largest = sorted(sorted(filled, key=lambda i: -sizes[i])[: MOST - 1])
    return [*((i,) for i in largest), tuple(i for i in filled if i not in largest)]


def _line(facts: ReportFacts, group: tuple[int, ...]) -> PhaseLine:
    phases = facts.plan.phases
    whole = sum(len(phases[i]) for i in group)
    name = phases[group[0]].name if len(group) == 1 else f"{len(group)} other phases"
    at = np.array([p.at for p in facts.points], dtype=np.int64)
    enrolled = [
        sum(p.by_phase[i][Outcome.ENROLLED] for i in group if i < len(p.by_phase)) for p in facts.points
    ]
    actual = 100 * np.array(enrolled, dtype=np.float64) / whole
    bands = facts.simulation.by_phase if facts.simulation else ()
    # Quantiles of several phases do not add up to the quantile of their sum: a pooled line has no band.
    if len(group) > 1 or group[0] >= len(bands):
        none = np.array([], dtype=np.float64)
        return PhaseLine(name, whole, at, actual, np.array([], dtype=np.int64), none, none, none)
    band = bands[group[0]]

    def share(counts: AnyCounts) -> FloatArray:
        return 100 * np.asarray(counts, dtype=np.float64) / whole

    return PhaseLine(
        name,
        whole,
        at,
        actual,
        band.at,
        share(band.level(0.05)),
        share(band.level(0.5)),
        share(band.level(0.95)),
    )
