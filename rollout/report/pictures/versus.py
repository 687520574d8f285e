"""This plan compared with native mode All: enrolled devices over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout.report.facts import ReportFacts
from rollout.report.pictures import style
from rollout.report.pictures.style import LIGHT, Stamp, Theme
from rollout.report.wording import brief, count
from rollout.values.bands import Bands

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True, eq=False)
class Versus:
    """Two simulations of the same fleet. peaks : highest hour of attempts (ours, native), None unknown."""

    ours: Bands
    native: Bands
    native_name: str
    whole: int
    peaks: tuple[float, float] | None
    stamp: Stamp

    @classmethod
    def of(cls, facts: ReportFacts) -> Versus | None:
        """Take both simulations; None if native mode was not simulated."""
        simulation, load = facts.simulation, facts.load
        if simulation is None or simulation.baseline is None:
            return None
        peaks = None if load is None else (load.peak_p50, load.baseline_peak_p50)
        stamp = Stamp(facts.zone, facts.digest, f"median and 90 % band of {simulation.runs} runs")
        whole = facts.funnel.eligible
        return cls(simulation.enrolled, simulation.baseline, simulation.baseline_name, whole, peaks, stamp)

    def plot(self, ax: Axes | None = None, theme: Theme = LIGHT) -> Axes:
        """Draw this plan as a solid line, native mode as a dashed one; return the axes."""
        ax = style.axes_for(ax, theme)
        style.dress(ax, theme, title="This plan compared with native co-management", y="devices enrolled")
        names = ("this plan", brief(self.native_name, 40))
        peaks = self.peaks or (None, None)
        goals, offsets = (0.42, 0.72), ((12, -10), (14, -14))
        for bands, name, colour, dash, peak, goal, offset in zip(
            (self.ours, self.native),
            names,
            (theme.ours, theme.other),
            ("-", style.DASHED),
            peaks,
            goals,
            offsets,
            strict=True,
        ):
            middle = bands.level(0.5)
            ax.fill_between(
                bands.at, bands.level(0.05), bands.level(0.95), color=colour, alpha=0.2, linewidth=0
            )
            ax.plot(bands.at, middle, color=colour, linewidth=2.2, linestyle=dash)
            index = min(int((middle < goal * self.whole).sum()), len(middle) - 1)
            text = name if peak is None else f"{name}\npeak {count(peak)} attempts per hour"
            style.label(
                ax, float(bands.at[index]), float(middle[index]), text, colour, offset=offset, va="top"
            )
        start, end = float(self.ours.at[0]), float(max(self.ours.at[-1], self.native.at[-1]))
        style.time_axis(ax, start, end, self.stamp.zone)
        ax.set_ylim(0, max(1, self.whole) * 1.06)
        style.counts_axis(ax)
        style.caption(ax, theme, self.stamp.caption())
        return ax

    def sentence(self) -> str:
        """Return what the picture shows, in words."""
        text = f"Enrolled devices over time under this plan and under {self.native_name}."
        if self.peaks is not None:
            text += f" Peak attempts per hour: {count(self.peaks[0])} against {count(self.peaks[1])}."
        return text
