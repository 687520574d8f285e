"""The gate timeline: failure rate seen so far against the rate at which the gate halts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rollout.report.facts import FloatArray, GateTrack, ReportFacts
from rollout.report.pictures import style
from rollout.report.pictures.style import LIGHT, Stamp, Theme
from rollout.report.wording import brief, count, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COUNTED = "failed, % of devices that the gate counts"
"""What the rate divides by: fewer than were released, since refused and silent devices are not counted."""

MOST = 6
"""Gates drawn; where there are more, the last ones that saw anything."""


@dataclass(frozen=True, slots=True, eq=False)
class GateTimeline:
    """All gates over time, in percent, so that a pilot of 500 and a phase of 90,000 share a scale."""

    tracks: tuple[GateTrack, ...]
    stamp: Stamp

    @classmethod
    def of(cls, facts: ReportFacts) -> GateTimeline | None:
        """Take the tracks that saw anything; None if no gate did."""
        tracks = tuple(t for t in facts.gates if len(t.at) and int(t.seen[-1]) > 0)[-MOST:]
        source = "counted: enrolled, failed, and pending devices (as not failed); not counted: refused and silent ones"
        return cls(tracks, Stamp(facts.zone, facts.digest, source)) if tracks else None

    def plot(self, ax: Axes | None = None, theme: Theme = LIGHT) -> Axes:
        """Draw the rate solid and the boundary dash-dotted for each gate; return the axes."""
        ax = style.axes_for(ax, theme)
        style.dress(
            ax,
            theme,
            title="Gates: failure rate against the rate that halts",
            y=COUNTED,
        )
        top = self.top()
        for track in self.tracks:
            rate, limit = rates_of(track)
            ax.fill_between(track.at, limit, top, step="post", color=theme.limit, alpha=0.10, linewidth=0)
            ax.step(track.at, limit, where="post", color=theme.limit, linewidth=1.8, linestyle=style.DASHDOT)
            ax.step(track.at, rate, where="post", color=theme.ink, linewidth=2.0)
            if track.at[0] == track.at[-1]:  # an instant has no line
                ax.plot(track.at[-1:], limit[-1:], "_", color=theme.limit, markersize=12, markeredgewidth=2)
                ax.plot(track.at[-1:], rate[-1:], "o", color=theme.ink, markersize=5)
        self._acceptable(ax, theme)
        start = min(float(t.at[0]) for t in self.tracks)
        end = max(float(t.at[-1]) for t in self.tracks)
        style.time_axis(ax, start, end, self.stamp.zone)
        left, right = ax.get_xlim()
        ax.set_xlim(left, right + (right - left) * 0.04)
        ax.set_ylim(0, top)
        style.percent_axis(ax)
        for place, track in enumerate(self.tracks):
            self._labels(ax, theme, track, self._label_at(place))
        style.caption(ax, theme, self.stamp.caption())
        return ax

    def top(self) -> float:
        """Return a scale that shows the rates and the settled boundary, not its first steep fall."""
        settled = [
            float(np.nanmin(limit)) for _, limit in map(rates_of, self.tracks) if not np.all(np.isnan(limit))
        ]
        seen = [float(np.nanmax(rate[-max(1, len(rate) // 2) :])) for rate, _ in map(rates_of, self.tracks)]
        return max(1.0, 2.0 * max(settled, default=0.0), 1.4 * max(seen))

    def _acceptable(self, ax: Axes, theme: Theme) -> None:
        known = [t.p_ok for t in self.tracks if not np.isnan(t.p_ok)]
        if known:
            rate = 100 * known[-1]
            ax.axhline(rate, color=theme.good, linewidth=1.3, linestyle=style.DOTTED)
            x = float(self.tracks[0].at[0])
            style.label(ax, x, rate, "acceptable", theme.good, va="bottom", offset=(4, 2), fontsize=8)

    def _label_at(self, place: int) -> float:
        """Return the instant at which a track's labels end: where the next one begins, if there is room."""
        own = self.tracks[place]
        begin, end = float(own.at[0]), float(own.at[-1])
        after = [float(t.at[0]) for t in self.tracks[place + 1 :]]
        whole = max(float(t.at[-1]) for t in self.tracks) - min(float(t.at[0]) for t in self.tracks)
        return min(end, after[0]) if after and after[0] - begin > 0.2 * whole else end

    def _labels(self, ax: Axes, theme: Theme, track: GateTrack, x: float) -> None:
        """Write the last numbers at instant `x`, on the heights that the lines have there."""
        top = ax.get_ylim()[1]
        rates, limits = rates_of(track)
        here = max(0, int(np.searchsorted(track.at, x, side="right")) - 1)
        rate, limit = float(rates[here]), float(limits[here])
        text = f"{brief(track.name)}: {count(track.failed[-1])} of {count(track.seen[-1])}"
        text += f" ({percent(track.failed[-1], track.seen[-1])})"
        left, right = ax.get_xlim()
        # Early in a run there is no room to the left of the line's end.
        side = "right" if x > left + 0.25 * (right - left) else "left"
        style.label(ax, x, min(rate, top), text, theme.ink, ha=side, va="bottom", offset=(0, 5))
        if np.isnan(limit) or limit >= top or track.halt_at[-1] < 0:
            return
        # The boundary falls towards the right, so the text stands as high as it was where the text begins.
        before = float(limits[min(here, int(np.searchsorted(track.at, x - 0.18 * (right - left))))])
        height = limit if np.isnan(before) else min(max(before, limit), 0.92 * top)
        text = f"{brief(track.name, 16)}: HALT from {count(track.halt_at[-1])}"
        style.label(ax, x, height, text, theme.limit, ha=side, va="bottom", offset=(0, 4))

    def sentence(self) -> str:
        """Return what the picture shows, in words."""
        parts = []
        for track in self.tracks:
            seen = f"{count(track.failed[-1])} of {count(track.seen[-1])} counted devices failed"
            seen = f"{track.name}: {seen}"
            limit = int(track.halt_at[-1])
            parts.append(f"{seen}, HALT from {count(limit)}" if limit >= 0 else seen)
        return "Failure rate by gate over time. " + "; ".join(parts) + "."


def rates_of(track: GateTrack) -> tuple[FloatArray, FloatArray]:
    """Return (k,) failure rates and (k,) halting rates in percent; NaN where there is none."""
    n = np.where(track.seen > 0, track.seen, np.nan).astype(np.float64)
    limit = np.where(track.halt_at >= 0, track.halt_at, np.nan).astype(np.float64)
    return 100 * track.failed / n, 100 * limit / n
