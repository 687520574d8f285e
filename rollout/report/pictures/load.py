"""Load against capacity: enrollment attempts per hour, and what the service takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rollout.report.facts import Load, ReportFacts
from rollout.report.pictures import style
from rollout.report.pictures.style import LIGHT, Stamp, Theme
from rollout.report.wording import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes


FAR = 4
"""A capacity of more than this many times the highest load is stated in words, not drawn."""


@dataclass(frozen=True, slots=True, eq=False)
class LoadCurve:
    """Attempts per hour; see `Load` for the arrays."""

    load: Load
    stamp: Stamp

    @classmethod
    def of(cls, facts: ReportFacts) -> LoadCurve | None:
        """Take the arrays out of the facts; None if the load is not known."""
        if facts.load is None or not len(facts.load.at):
            return None
        runs = (
            "" if facts.simulation is None else f"{facts.simulation.runs} runs, seed {facts.simulation.seed}"
        )
        return cls(facts.load, Stamp(facts.zone, facts.digest, runs))

    def plot(self, ax: Axes | None = None, theme: Theme = LIGHT) -> Axes:
        """Draw the load as steps and the capacity as a dash-dotted line; return the axes."""
        ax = style.axes_for(ax, theme)
        load = self.load
        style.dress(
            ax, theme, title="Load on the enrollment service against its capacity", y="attempts per hour"
        )
        ax.fill_between(load.at, 0, load.p90, step="post", color=theme.ours, alpha=0.25, linewidth=0)
        ax.fill_between(load.at, 0, load.p50, step="post", color=theme.ours, alpha=0.45, linewidth=0)
        if load.baseline is not None:
            ax.step(
                load.at, load.baseline, where="post", color=theme.other, linewidth=1.6, linestyle=style.DASHED
            )
        if load.actual is not None:
            ax.step(load.at, load.actual, where="post", color=theme.ink, linewidth=1.8)
        if not self.is_far_below:
            ax.plot(load.at, load.capacity, color=theme.limit, linewidth=1.8, linestyle=style.DASHDOT)
        style.time_axis(ax, float(load.at[0]), float(load.at[-1]) + 3600, self.stamp.zone)
        ax.set_ylim(0, self.top())
        style.counts_axis(ax)
        self._labels(ax, theme)
        style.caption(ax, theme, self.stamp.caption())
        return ax

    def sentence(self) -> str:
        """Return what the picture shows, in words."""
        peak = f"peak {count(self.load.peak_p50)}, in 9 of 10 runs at most {count(self.load.peak_p90)}"
        native = (
            "" if self.load.baseline is None else f" All at once: peak {count(self.load.baseline_peak_p50)}."
        )
        return f"Enrollment attempts per hour: {peak}; capacity {count(self.load.capacity.max())}.{native}"

    @property
    def is_far_below(self) -> bool:
        """Return whether the capacity lies so far above the load that drawing it would flatten the load."""
        return float(self.load.capacity.min()) > FAR * self._highest()

    def top(self) -> float:
        """Return the end of the y axis: room above the load for the labels, the capacity where it is near."""
        capacity = 0.0 if self.is_far_below else float(self.load.capacity.max())
        return max(1.12 * capacity, 1.5 * self._highest()) or 1.0

    def _highest(self) -> float:
        series = [s for s in (self.load.p90, self.load.baseline, self.load.actual) if s is not None]
        return max(float(np.nanmax(s, initial=0.0)) for s in series)

    def _labels(self, ax: Axes, theme: Theme) -> None:
        load = self.load
        end, top = float(load.at[-1]) + 3600, ax.get_ylim()[1]
        words, y, edge = "capacity", float(load.capacity[-1]), "bottom"
        if self.is_far_below:
            words, y, edge = (
                f"capacity: {count(load.capacity.min())} per hour, far above this chart",
                top,
                "top",
            )
        style.label(ax, end, y, words, theme.limit, ha="right", va=edge, offset=(-4, 2 if y < top else -2))
        heights = self._label_heights(top)
        peak = int(np.argmax(load.p90))
        at = float(load.at[peak])
        text = f"this plan, peak {count(load.peak_p50)}\n(dense: median, light: 9 of 10 runs)"
        style.label(ax, at, heights[0], text, theme.ours, va="bottom", **style.side_of(ax, at))
        if load.baseline is not None:
            at = float(load.at[int(np.argmax(load.baseline))])
            text = f"all at once, peak {count(load.baseline_peak_p50)}"
            style.label(ax, at, heights[1], text, theme.other, va="bottom", **style.side_of(ax, at))
        if load.actual is not None and not np.all(np.isnan(load.actual)):
            last = int(np.flatnonzero(~np.isnan(load.actual))[-1])
            y = float(load.actual[last])
            style.label(ax, float(load.at[last]), y, "actual", theme.ink, va="bottom", offset=(4, 6))

    def _label_heights(self, top: float) -> tuple[float, float]:
        """Return heights for the labels of this plan and of native mode, at their peaks but never overlapping."""
        ours = float(self.load.p90.max())
        native = float(self.load.baseline.max()) if self.load.baseline is not None else 0.0
        if -0.07 * top < native - ours < 0.15 * top:
            native = ours + 0.15 * top
        elif 0 <= ours - native < 0.08 * top:
            ours = native + 0.08 * top
        return ours, native
