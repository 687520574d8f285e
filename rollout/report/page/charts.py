"""The interactive charts of the page: series on one common time grid, as plain lists for the browser.

The same arrays as the pictures, so a hover shows what the picture draws.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rollout.report.facts import FloatArray
from rollout.report.pictures.displays import Display
from rollout.report.pictures.forecast import ForecastFan
from rollout.report.pictures.gates import COUNTED, GateTimeline, rates_of
from rollout.report.pictures.load import LoadCurve
from rollout.report.pictures.phases import PhaseProgress
from rollout.report.pictures.versus import Versus
from rollout.values import LongArray
from rollout.values.bands import AnyCounts, Bands

MOST_POINTS = 1500
"""Observed points kept in a chart; a screen shows no more. The last one is always among them."""

SOLID: tuple[float, ...] = ()
DASHED, DOTTED, DASHDOT = (8, 4), (2, 3), (9, 3, 2, 3)
ROLE_BY_PLACE = ("ours", "other", "good", "limit", "bad", "muted")


@dataclass(slots=True)
class Chart:
    """A chart while its series are added.

    unit : of the y axis. digits : shown after the point. top : end of the y axis, None as the data say.
    span : (from, likely, to) instants marked above the curves, with its words.
    """

    unit: str
    digits: int = 0
    top: float | None = None
    span: tuple[float, ...] | None = None
    span_words: str = ""
    series: list[tuple[LongArray, AnyCounts, bool]] = field(default_factory=list)
    keys: list[dict[str, Any]] = field(default_factory=list)

    def line(self, name: str, at: LongArray, values: AnyCounts, role: str, **look: Any) -> None:
        """Add a line. look : dash, width, step (holds until the next instant), fill (density to zero)."""
        if len(at):
            index = self._add(at, values, look.get("step", False))
            self.keys.append({**LOOK, **look, "name": name, "role": role, "line": index, "band": None})

    def band(self, name: str, bands: Bands, low: float, high: float, role: str, **look: Any) -> None:
        """Add the area between two quantile levels; with `width` > 0 also the median as a line."""
        edges = [self._add(bands.at, bands.level(level), False) for level in (low, high)]
        middle = self._add(bands.at, bands.level(0.5), False) if look.get("width") else None
        self.keys.append(
            {**LOOK, "width": 0, **look, "name": name, "role": role, "line": middle, "band": edges}
        )

    def _add(self, at: LongArray, values: AnyCounts, step: bool) -> int:
        self.series.append((at, values, step))
        return len(self.series)

    def document(self) -> dict[str, Any]:
        """Return what page.js reads; data[0] are the instants, then one list per series, null where unknown."""
        grid = np.unique(np.concatenate([thin(at) for at, _, _ in self.series]))
        listed = [_listed(_on_grid(grid, *series), self.digits) for series in self.series]
        return {
            "unit": self.unit,
            "digits": self.digits,
            "top": self.top,
            "span": self.span,
            "span_words": self.span_words,
            "keys": self.keys,
            "data": [grid.tolist(), *listed],
        }


LOOK: dict[str, Any] = {"dash": SOLID, "step": False, "width": 1.8, "fill": 0.0}


def charts_of(pictures: dict[str, Display]) -> dict[str, dict[str, Any]]:
    """Return the charts that a page can make interactive, by the name of their picture."""
    out: dict[str, dict[str, Any]] = {}
    for name, display in pictures.items():
        if isinstance(display, ForecastFan):
            out[name] = _fan(display).document()
        elif isinstance(display, PhaseProgress):
            out[name] = _phases(display).document()
        elif isinstance(display, LoadCurve):
            out[name] = _load(display).document()
        elif isinstance(display, GateTimeline):
            out[name] = _gates(display).document()
        elif isinstance(display, Versus):
            out[name] = _versus(display).document()
    return out


def thin(at: LongArray) -> LongArray:
    """Return at most MOST_POINTS of the instants, evenly, first and last among them."""
    if len(at) <= MOST_POINTS:
        return at
    return at[np.linspace(0, len(at) - 1, MOST_POINTS).astype(np.int64)]


def _on_grid(grid: LongArray, at: LongArray, values: AnyCounts, step: bool) -> FloatArray:
    """Return the series on the grid, NaN outside its own time."""
    if step:
        held = np.asarray(values, dtype=np.float64)[
            np.clip(np.searchsorted(at, grid, side="right") - 1, 0, None)
        ]
    else:
        held = np.interp(grid, at, np.asarray(values, dtype=np.float64))
    return np.where((grid < at[0]) | (grid > at[-1]), np.nan, held)


def _listed(values: FloatArray, digits: int) -> list[float | int | None]:
    rounded = np.round(values, digits)
    if digits == 0:
        return [None if np.isnan(v) else int(v) for v in rounded]
    return [None if np.isnan(v) else float(v) for v in rounded]


def _fan(fan: ForecastFan) -> Chart:
    """Return the lines in the order in which they are drawn: the actual ones are on top."""
    chart = Chart("devices", top=max(1, fan.whole) * 1.18, span=fan.span(), span_words=fan.span_words())
    chart.band("90 % band", fan.bands, 0.05, 0.95, "ours", fill=0.16)
    chart.band("50 % band", fan.bands, 0.25, 0.75, "ours", fill=0.3)
    chart.line("forecast, median", fan.bands.at, fan.bands.level(0.5), "ours", dash=DASHED)
    chart.line(
        "released by plan", fan.planned.at, fan.planned.count, "muted", dash=DOTTED, width=1.3, step=True
    )
    chart.line("actual", fan.actual_at, fan.actual, "ink", step=True, width=2.6)
    return chart


def _phases(progress: PhaseProgress) -> Chart:
    chart = Chart("% of the phase", digits=1, top=104)
    for line, role in zip(progress.lines, ROLE_BY_PLACE, strict=False):
        if len(line.band_at):
            bands = Bands(line.band_at, (0.05, 0.5, 0.95), np.stack([line.low, line.middle, line.high]))
            name = f"{line.name}, forecast"
            chart.band(name, bands, 0.05, 0.95, role, fill=0.16, dash=DASHED, width=1.3)
        chart.line(line.name, line.at, line.actual, role, step=True, width=2.6)
    return chart


def _load(curve: LoadCurve) -> Chart:
    load, chart = curve.load, Chart("attempts per hour", top=curve.top())
    chart.line("this plan, 9 of 10 runs at most", load.at, load.p90, "ours", step=True, width=1, fill=0.15)
    chart.line("this plan, median", load.at, load.p50, "ours", step=True, fill=0.35)
    if load.baseline is not None:
        chart.line("all at once", load.at, load.baseline, "other", step=True, dash=DASHED)
    if load.actual is not None:
        chart.line("actual", load.at, load.actual, "ink", step=True, width=2.4)
    name = "capacity (far above this chart)" if curve.is_far_below else "capacity"
    chart.line(name, load.at, load.capacity, "limit", dash=DASHDOT)
    return chart


def _gates(timeline: GateTimeline) -> Chart:
    chart = Chart(COUNTED, digits=2, top=round(timeline.top(), 2))
    for track in timeline.tracks:
        rate, limit = rates_of(track)
        chart.line(f"{track.name}: HALT from", track.at, limit, "limit", step=True, dash=DASHDOT)
        chart.line(f"{track.name}: failed", track.at, rate, "ink", step=True, width=2.2)
    known = [t for t in timeline.tracks if not np.isnan(t.p_ok)]
    if known:
        ends = np.array([timeline.tracks[0].at[0], timeline.tracks[-1].at[-1]], dtype=np.int64)
        chart.line("acceptable", ends, np.full(2, 100 * known[-1].p_ok), "good", dash=DOTTED, width=1.3)
    return chart


def _versus(versus: Versus) -> Chart:
    chart = Chart("devices")
    chart.band(versus.native_name, versus.native, 0.05, 0.95, "other", fill=0.18, dash=DASHED, width=2.2)
    chart.band("this plan", versus.ours, 0.05, 0.95, "ours", fill=0.18, width=2.2)
    return chart
