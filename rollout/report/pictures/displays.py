"""All pictures of a report, in the order of their importance to a reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from rollout.report.facts import ReportFacts
from rollout.report.pictures import style
from rollout.report.pictures.failures import FailureCodes
from rollout.report.pictures.forecast import ForecastFan
from rollout.report.pictures.funnel import FunnelBars
from rollout.report.pictures.gates import GateTimeline
from rollout.report.pictures.load import LoadCurve
from rollout.report.pictures.phases import PhaseProgress
from rollout.report.pictures.style import LIGHT, Theme
from rollout.report.pictures.tuning import TuningFront
from rollout.report.pictures.versus import Versus

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Display(Protocol):
    """A picture: arrays that are computed once and can be drawn as often as needed."""

    def plot(self, ax: Axes | None = None, theme: Theme = LIGHT) -> Axes:
        """Draw on `ax`, or on a figure of its own; return the axes."""
        ...

    def sentence(self) -> str:
        """Return what the picture shows, in words: its alternative text."""
        ...


KINDS: Mapping[str, Callable[[ReportFacts], Display | None]] = {
    "forecast": ForecastFan.of,
    "funnel": FunnelBars.of,
    "phases": PhaseProgress.of,
    "load": LoadCurve.of,
    "gates": GateTimeline.of,
    "failures": FailureCodes.of,
    "versus": Versus.of,
    "tuning": TuningFront.of,
}
"""Name (also the file's) -> how to take the picture out of the facts."""


def pictures_of(facts: ReportFacts) -> dict[str, Display]:
    """Return the pictures for which there is something to show, by name."""
    made = {name: make(facts) for name, make in KINDS.items()}
    return {name: display for name, display in made.items() if display is not None}


def draw(display: Display, kind: str, theme: Theme = LIGHT, size: tuple[float, float] | None = None) -> bytes:
    """Return the picture as ``png`` or ``svg``. size : inches, None for the picture's own."""
    ax = None if size is None else style.axes_for(None, theme, size)
    figure = display.plot(ax, theme=theme).figure
    return style.render(_whole(figure), kind)


def _whole(figure: object) -> Figure:
    from matplotlib.figure import Figure

    if not isinstance(figure, Figure):
        raise TypeError(f"expected a figure, found {type(figure).__name__}")
    return figure
