"""Failure codes, how many devices each has, and what to do about it."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout.report.facts import FailureRow, ReportFacts
from rollout.report.pictures import style
from rollout.report.pictures.style import LIGHT, Stamp, Theme
from rollout.report.wording import brief, count, hexcode, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 8
"""Codes drawn one by one; the others are summed."""


@dataclass(frozen=True, slots=True, eq=False)
class FailureCodes:
    """Codes in descending order of devices, at most MOST; others : (codes, devices) not drawn."""

    rows: tuple[FailureRow, ...]
    others: tuple[int, int]
    stamp: Stamp

    @classmethod
    def of(cls, facts: ReportFacts) -> FailureCodes | None:
        """Take the most frequent codes; None if nothing failed."""
        rows = sorted(facts.failures, key=lambda row: (-row.count, row.code))
        if not rows:
            return None
        rest = rows[MOST:]
        others = (len(rest), sum(row.count for row in rest))
        return cls(tuple(rows[:MOST]), others, Stamp(facts.zone, facts.digest, "last failure of each device"))

    def plot(self, ax: Axes | None = None, theme: Theme = LIGHT) -> Axes:
        """Draw one bar per code with its next action below the bar; return the axes."""
        height = 1.2 + 0.62 * (len(self.rows) + (self.others[0] > 0))
        ax = style.axes_for(ax, theme, (9.0, height))
        style.dress(ax, theme, title="Why devices failed, and what to do", y="", grid="")
        total = sum(row.count for row in self.rows) + self.others[1]
        for place, row in enumerate(self.rows):
            name = row.name or "unknown code"
            _bar(
                ax, theme, place, row.count, total, f"{hexcode(row.code)}  {brief(name, 60)}", row.next_action
            )
        if self.others[0]:
            text = f"{self.others[0]} further codes"
            _bar(ax, theme, len(self.rows), self.others[1], total, text, "see failures.csv")
        ax.set_xlim(0, max(max(row.count for row in self.rows), self.others[1]) * 1.25)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.set_ylim(len(self.rows) + (self.others[0] > 0) - 0.45, -0.55)
        for side in ("left", "bottom"):
            ax.spines[side].set_visible(False)
        style.caption(ax, theme, f"devices  ·  {self.stamp.caption(times=False)}", drop=8)
        return ax

    def sentence(self) -> str:
        """Return what the picture shows, in words."""
        parts = [f"{hexcode(row.code)} {row.name}: {count(row.count)} devices" for row in self.rows]
        parts += (
            [f"{self.others[0]} further codes: {count(self.others[1])} devices"] if self.others[0] else []
        )
        return "Failed devices by code. " + "; ".join(parts) + "."


def _bar(ax: Axes, theme: Theme, place: int, n: int, total: int, head: str, action: str) -> None:
    """Draw the heading above, the bar with its number, the action below."""
    ax.barh(place, n, height=0.24, color=theme.bad, alpha=0.85)
    text = f"{count(n)}  ({percent(n, total)})"
    style.label(ax, n, place, text, theme.ink, offset=(5, 0))
    style.label(ax, 0, place - 0.27, head, theme.ink, offset=(0, 0), fontsize=8.5)
    action = textwrap.shorten(action, 130, placeholder=" …")
    style.label(ax, 0, place + 0.27, action, theme.muted, offset=(0, 0), fontsize=8, fontweight="normal")
