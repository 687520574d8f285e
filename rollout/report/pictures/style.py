"""The style of all pictures: colours that everybody can distinguish, line styles that survive greyscale.

Colours are Okabe and Ito's (2008), safe for the common kinds of colour blindness; every series also
has its own line style or a direct label, so a grey print loses nothing. matplotlib is imported only
inside functions.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rollout.report.wording import count, short, time_ticks, zone_of
from rollout.text import visible
from rollout.values import HOUR_S

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours by role, six hex digits each and all different (the page swaps them by value).

    ink : text and what really happened. muted : secondary text. rule : axes and grid. paper : background.
    ours, other, limit : this plan, what it is compared with, a capacity or boundary. good, bad : outcomes.
    """

    name: str
    ink: str
    muted: str
    rule: str
    paper: str
    ours: str
    other: str
    limit: str
    good: str
    bad: str


LIGHT = Theme(
    name="light",
    ink="#1a1c1f",
    muted="#555b62",
    rule="#d5d9de",
    paper="#ffffff",
    ours="#0072b2",
    other="#b24a00",
    limit="#8a3f76",
    good="#00754f",
    bad="#b3261e",
)

DARK = Theme(
    name="dark",
    ink="#eceff2",
    muted="#aab2bb",
    rule="#3c434b",
    paper="#14171a",
    ours="#56b4e9",
    other="#f0a04b",
    limit="#dc9cc7",
    good="#3fc79a",
    bad="#ff8a80",
)

ROLES = ("ink", "muted", "rule", "paper", "ours", "other", "limit", "good", "bad")

SOLID, DASHED, DOTTED, DASHDOT = "-", (0, (6, 3)), (0, (1.5, 2)), (0, (7, 2, 1.5, 2))
"""Line styles: what is ours or real is solid, the alternative dashed, a limit dash-dotted."""

WIDE = (9.0, 4.6)
"""Inches of a picture."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """The content of each caption: zone of the times, digest, and where the numbers come from."""

    zone: str
    digest: str
    source: str = ""

    def caption(self, times: bool = True) -> str:
        """Return the caption line."""
        parts = [f"times: {self.zone}"] if times else []
        parts += [f"digest {short(self.digest)}"] if self.digest else []
        parts += [self.source] if self.source else []
        return "  ·  ".join(parts)


def axes_for(ax: Axes | None, theme: Theme, size: tuple[float, float] = WIDE) -> Axes:
    """Return `ax`, or fresh axes on a figure of their own without any window."""
    if ax is None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=size, layout="constrained", facecolor=theme.paper)
        ax = figure.subplots()
    return ax


def dress(ax: Axes, theme: Theme, *, title: str, y: str, x: str = "", grid: str = "y") -> None:
    """Style the axes like all others: title at the left, thin rules, no box, unit in the label."""
    ax.set_facecolor(theme.paper)
    bold: dict[str, Any] = {"fontsize": 12, "fontweight": "bold", "pad": 12}
    ax.set_title(visible(title), loc="left", color=theme.ink, parse_math=False, **bold)
    ax.set_ylabel(visible(y), color=theme.muted, fontsize=9, parse_math=False)
    ax.set_xlabel(visible(x), color=theme.muted, fontsize=9, parse_math=False)
    ax.tick_params(colors=theme.muted, labelsize=9, length=3)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(theme.rule)
    if grid:
        ax.grid(axis=grid, color=theme.rule, linewidth=0.7)  # type: ignore[arg-type]
    ax.set_axisbelow(True)


def caption(ax: Axes, theme: Theme, text: str, drop: int = 42) -> None:
    """Write the caption `drop` points below the axes, from the left edge of the plot."""
    place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "top"}
    ax.annotate(visible(text), (0, 0), (0, -drop), color=theme.muted, fontsize=8, parse_math=False, **place)


def side_of(ax: Axes, x: float) -> dict[str, Any]:
    """Return label options that let the text run away from the nearer edge."""
    left, right = ax.get_xlim()
    return {"ha": "left"} if x < (left + right) / 2 else {"ha": "right", "offset": (-5, 0)}


def counts_axis(ax: Axes, which: str = "y") -> None:
    """Write the numbers of an axis with thousands separated."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis = ax.yaxis if which == "y" else ax.xaxis
    axis.set_major_locator(MaxNLocator(6, integer=True))
    axis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))


def percent_axis(ax: Axes) -> None:
    """Write the numbers of the y axis as percent (values are percent already)."""
    from matplotlib.ticker import FuncFormatter

    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))


def time_axis(ax: Axes, start: float, end: float, zone: str) -> None:
    """Put ticks on round local times; the axis itself stays in Unix seconds."""
    end = max(end, start + HOUR_S)  # a single look is an instant, and an axis needs some length
    ticks, labels = time_ticks(start, end, zone_of(zone))
    ax.set_xlim(start, end)
    ax.set_xticks(ticks, labels)


def label(ax: Axes, x: float, y: float, text: str, color: str, **options: Any) -> None:
    """Write a direct label next to a line, on a patch of the paper's colour so that it can be read."""
    from matplotlib.colors import to_hex

    patch = {"facecolor": to_hex(ax.get_facecolor()), "edgecolor": "none", "pad": 1.0, "alpha": 0.8}
    settings: dict[str, Any] = {"va": "center", "ha": "left", "fontsize": 9, "fontweight": "bold", **options}
    offset = settings.pop("offset", (5, 0))
    place: dict[str, Any] = {"textcoords": "offset points", "bbox": patch, "annotation_clip": False}
    lines = "\n".join(map(visible, text.split("\n")))
    note = ax.annotate(lines, (x, y), offset, color=color, parse_math=False, **place, **settings)
    # A label lies inside the plot and must not shrink it, however long a name is.
    note.set_in_layout(False)


def png_of(plot: Callable[[Axes], object], size: tuple[float, float]) -> bytes:
    """Return a picture that is not part of a report as PNG. plot : draws it on axes. size : in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    plot(figure.add_subplot())
    return render(figure, "png", dpi=130)


def render(figure: Figure, kind: str, *, dpi: int = 144) -> bytes:
    """Return the figure as ``png`` or ``svg``; equal input gives equal bytes.

    Text in an SVG stays text: it is small, can be searched, and shows every script of the world.
    """
    import matplotlib as mpl

    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": "rollout", "font.family": "sans-serif"}
    metadata: dict[str, Any] = {"Date": None} if kind == "svg" else {"Software": None}
    buffer = io.BytesIO()
    with mpl.rc_context(settings), warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes in a PNG; that must not disturb a run.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format=kind, dpi=dpi, facecolor=figure.get_facecolor(), metadata=metadata)
    return buffer.getvalue()
