"""Load against capacity: enrollment attempts an hour, and what the service takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rollout.report import style
from rollout.report.facts import Load, ReportFacts
from rollout.report.style import LIGHT, Stamp, Theme
from rollout.report.wording import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True, eq=False)
class LoadCurve:
    """Attempts an hour; see `Load` for the arrays."""

    load: Load
    stamp: Stamp

    @classmethod
    def of(cls, facts: ReportFacts) -> LoadCurve | None:
        """Take the arrays out of the facts; None where the load is not known."""
        if facts.load is None or not len(facts.load.at):
            return None
        runs = "" if facts.forecast is None else f"{facts.forecast.runs} runs, seed {facts.forecast.seed}"
        return cls(facts.load, Stamp(facts.zone, facts.digest, runs))

    def plot(self, ax: Axes | None = None, theme: Theme = LIGHT) -> Axes:
        """Draw the load as steps and the capacity as a dash-dotted line; give the axes."""
        ax = style.axes_for(ax, theme)
        load = self.load
        style.dress(
            ax, theme, title="Load on the enrollment service against its capacity", y="attempts an hour"
        )
        ax.fill_between(load.at, 0, load.p90, step="post", color=theme.ours, alpha=0.25, linewidth=0)
        ax.fill_between(load.at, 0, load.p50, step="post", color=theme.ours, alpha=0.45, linewidth=0)
        if load.baseline is not None:
            ax.step(
                load.at, load.baseline, where="post", color=theme.other, linewidth=1.6, linestyle=style.DASHED
            )
        if load.actual is not None:
            ax.step(load.at, load.actual, where="post", color=theme.ink, linewidth=1.8)
        ax.plot(load.at, load.capacity, color=theme.limit, linewidth=1.8, linestyle=style.DASHDOT)
        style.time_axis(ax, float(load.at[0]), float(load.at[-1]) + 3600, self.stamp.zone)
        ax.set_ylim(0, self._top() * 1.12)
        style.counts_axis(ax)
        self._labels(ax, theme)
        style.caption(ax, theme, self.stamp.caption())
        return ax

    def sentence(self) -> str:
        """Say in words what the picture shows."""
        peak = f"peak {count(self.load.peak_p50)}, in 9 of 10 runs at most {count(self.load.peak_p90)}"
        native = (
            "" if self.load.baseline is None else f" All at once: peak {count(self.load.baseline_peak_p50)}."
        )
        return f"Enrollment attempts an hour: {peak}; capacity {count(self.load.capacity.max())}.{native}"

    def _top(self) -> float:
        series = [self.load.p90, self.load.capacity]
        series += [s for s in (self.load.baseline, self.load.actual) if s is not None]
        return max(float(np.nanmax(s)) if not np.all(np.isnan(s)) else 0.0 for s in series) or 1.0

    def _labels(self, ax: Axes, theme: Theme) -> None:
        load = self.load
        end, above = float(load.at[-1]) + 3600, {"ha": "right", "va": "bottom", "offset": (-4, 2)}
        style.label(ax, end, float(load.capacity[-1]), "capacity", theme.limit, **above)
        peak = int(np.argmax(load.p90))
        text = f"this plan, peak {count(load.peak_p50)}\n(dense: median, light: 9 of 10 runs)"
        at = float(load.at[peak])
        style.label(ax, at, float(load.p90[peak]), text, theme.ours, va="bottom", **style.side_of(ax, at))
        if load.actual is not None and not np.all(np.isnan(load.actual)):
            last = int(np.flatnonzero(~np.isnan(load.actual))[-1])
            y = float(load.actual[last])
            style.label(ax, float(load.at[last]), y, "actual", theme.ink, va="bottom", offset=(4, 6))
        if load.baseline is not None:
            top = int(np.argmax(load.baseline))
            text = f"all at once, peak {count(load.baseline_peak_p50)}"
            style.label(ax, float(load.at[top]), float(load.baseline[top]), text, theme.other, offset=(14, 0))
