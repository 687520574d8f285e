"""The tuning front: how long a plan takes against the peak load it makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rollout.report.facts import ReportFacts, Tuning
from rollout.report.pictures import style
from rollout.report.pictures.style import LIGHT, Stamp, Theme
from rollout.report.wording import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True, eq=False)
class TuningFront:
    """Plans that were tried; no other plan beats those on the front in both time and load."""

    tuning: Tuning
    stamp: Stamp

    @classmethod
    def of(cls, facts: ReportFacts) -> TuningFront | None:
        """Take the tuning; None if nothing was tuned."""
        if facts.tuning is None or not len(facts.tuning.hours):
            return None
        return cls(facts.tuning, Stamp(facts.zone, facts.digest, tried(facts.tuning)))

    def plot(self, ax: Axes | None = None, theme: Theme = LIGHT) -> Axes:
        """Draw the front as a line, beaten plans as crosses, the chosen one ringed; return the axes."""
        ax = style.axes_for(ax, theme)
        t, days = self.tuning, self.tuning.hours / 24
        title = "Faster or gentler: the plans that were tried"
        style.dress(
            ax,
            theme,
            title=title,
            y="peak load, attempts per hour",
            x="days until 90 % are enrolled (median)",
            grid="both",
        )
        front = np.flatnonzero(t.on_front)[np.argsort(t.hours[t.on_front])]
        beaten = ~t.on_front
        ax.plot(days[beaten], t.peak[beaten], "x", color=theme.muted, markersize=5)
        ax.plot(days[front], t.peak[front], "o-", color=theme.ours, markersize=6, linewidth=1.4)
        if len(front):
            first = front[0]
            style.label(ax, float(days[first]), float(t.peak[first]), "the front", theme.ours, va="bottom")
        if t.chosen >= 0:
            x, y = float(days[t.chosen]), float(t.peak[t.chosen])
            ax.plot(
                [x], [y], "o", markersize=15, markerfacecolor="none", markeredgewidth=2.2, color=theme.other
            )
            text = f"chosen: {x:.1f} days, {count(y)} per hour"
            style.label(ax, x, y, text, theme.other, va="bottom", offset=(10, 10))
        if beaten.any():
            ax.margins(x=0.12, y=0.15)
        ax.set_ylim(bottom=0)
        style.counts_axis(ax)
        style.caption(
            ax, theme, f"crosses: plans beaten in both  ·  {self.stamp.caption(times=False)}", drop=34
        )
        return ax

    def sentence(self) -> str:
        """Return what the picture shows, in words."""
        t = self.tuning
        text = f"{tried(t)}, by days until 90 % are enrolled and peak load; {int(t.on_front.sum())} on the front."
        if t.chosen >= 0:
            text += (
                f" Chosen: {t.hours[t.chosen] / 24:.1f} days, {count(t.peak[t.chosen])} attempts per hour."
            )
        return text


def tried(tuning: Tuning) -> str:
    """Return how many plans were tried; those that never reach 90 % have no place in the picture."""
    shown, refused = len(tuning.hours), tuning.without_end
    return f"{shown + refused} plans tried" + (
        f", {refused} that do not reach 90 % not shown" if refused else ""
    )
