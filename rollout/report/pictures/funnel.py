"""The funnel: eligible, scheduled, initiated, enrolled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout.report.facts import ReportFacts
from rollout.report.pictures import style
from rollout.report.pictures.style import LIGHT, Stamp, Theme
from rollout.report.wording import count, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STAGES = ("eligible", "scheduled", "initiated", "enrolled")
SENTENCES = ("may be enrolled", "member of the collection", "an attempt observed", "co-managed")


@dataclass(frozen=True, slots=True, eq=False)
class FunnelBars:
    """Devices by stage, counts (4,) non-increasing."""

    counts: tuple[int, int, int, int]
    stamp: Stamp

    @classmethod
    def of(cls, facts: ReportFacts) -> FunnelBars:
        """Take the numbers out of the facts."""
        f = facts.funnel
        source = "" if facts.executed else "median simulated run"
        return cls(
            (f.eligible, f.scheduled, f.initiated, f.enrolled), Stamp(facts.zone, facts.digest, source)
        )

    def plot(self, ax: Axes | None = None, theme: Theme = LIGHT) -> Axes:
        """Draw one bar per stage, its number and share next to it; return the axes."""
        ax = style.axes_for(ax, theme, (9.0, 3.0))
        style.dress(ax, theme, title="How far the devices have come", y="", grid="")
        whole = self.counts[0]
        shades = (0.35, 0.5, 0.7, 1.0)
        for row, (stage, n, shade) in enumerate(zip(SENTENCES, self.counts, shades, strict=True)):
            ax.barh(row, whole, height=0.62, color=theme.rule, alpha=0.45)
            ax.barh(row, n, height=0.62, color=theme.ours, alpha=shade)
            text = f"{count(n)}   {percent(n, whole)}" if row else count(n)
            style.label(ax, whole, row - 0.1, text, theme.ink, offset=(8, 0))
            note = {"fontweight": "normal", "fontsize": 8, "offset": (8, -12)}
            style.label(ax, whole, row - 0.1, stage, theme.muted, **note)
        ax.set_yticks(range(4), STAGES, fontsize=10)
        ax.tick_params(axis="y", colors=theme.ink, length=0)
        ax.set_xlim(0, max(whole, 1) * 1.28)
        ax.set_xticks([])
        ax.invert_yaxis()
        for side in ("left", "bottom"):
            ax.spines[side].set_visible(False)
        style.caption(ax, theme, f"devices  ·  {self.stamp.caption(times=False)}", drop=12)
        return ax

    def sentence(self) -> str:
        """Return what the picture shows, in words."""
        parts = [f"{stage} {count(n)}" for stage, n in zip(STAGES, self.counts, strict=True)]
        return "Devices by stage: " + ", ".join(parts) + "."
