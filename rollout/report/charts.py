"""The interactive charts of the page: series on one common time grid, as plain lists for the browser.

The same arrays as the pictures, so a hover shows what the picture draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rollout.report.facts import AnyCounts, Bands, FloatArray
from rollout.report.forecast import ForecastFan
from rollout.report.gates import GateTimeline, rates_of
from rollout.report.load import LoadCurve
from rollout.report.phases import PhaseProgress
from rollout.report.pictures import Display
from rollout.report.versus import Versus
from rollout.values import LongArray

MOST_POINTS = 1500
"""Observed points kept in a chart; a screen shows no more. The last one is always among them."""

SOLID: tuple[float, ...] = ()
DASHED, DOTTED, DASHDOT = (8, 4), (2, 3), (9, 3, 2, 3)
ROLE_BY_PLACE = ("ours", "other", "good", "limit", "bad", "muted")


@dataclass(slots=True)
class Chart:
    """A chart while it is gathered. unit : of the y axis. digits : shown after the point."""

    unit: str
    digits: int = 0
    top: float | None = None
    series: list[tuple[LongArray, AnyCounts, bool]] = field(default_factory=list)
    keys: list[dict[str, Any]] = field(default_factory=list)

    def line(
        self,
        name: str,
        at: LongArray,
        values: AnyCounts,
        role: str,
        *,
        dash: Sequence[float] = SOLID,
        step: bool = False,
        width: float = 1.8,
        fill: float = 0.0,
    ) -> None:
        """Add a line. step : the value holds until the next instant. fill : density down to zero."""
        if not len(at):
            return
        self._key(name, role, [self._add(at, values, step)], dash=dash, step=step, width=width, fill=fill)

    def band(self, name: str, bands: Bands, low: float, high: float, role: str, fill: float) -> None:
        """Add the area between two quantile levels."""
        edges = [self._add(bands.at, bands.level(level), False) for level in (low, high)]
        self._key(name, role, edges, dash=SOLID, step=False, width=0, fill=fill)

    def _add(self, at: LongArray, values: AnyCounts, step: bool) -> int:
        self.series.append((at, values, step))
        return len(self.series)

    def _key(self, name: str, role: str, series: list[int], **look: Any) -> None:
        self.keys.append({"name": name, "role": role, "series": series, **look})

    def document(self) -> dict[str, Any]:
        """Give {unit, digits, top, keys, data}: data[0] instants, then a list a series."""
        grid = np.unique(np.concatenate([thin(at) for at, _, _ in self.series]))
        data: list[Any] = [grid.tolist()]
        data += [_listed(_on_grid(grid, *one), self.digits) for one in self.series]
        return {"unit": self.unit, "digits": self.digits, "top": self.top, "keys": self.keys, "data": data}


def charts_of(pictures: dict[str, Display]) -> dict[str, dict[str, Any]]:
    """Give the charts that a page can make live, by the name of their picture."""
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
    """Give at most MOST_POINTS of the instants, evenly, first and last among them."""
    if len(at) <= MOST_POINTS:
        return at
    return at[np.linspace(0, len(at) - 1, MOST_POINTS).astype(np.int64)]


def _on_grid(grid: LongArray, at: LongArray, values: AnyCounts, step: bool) -> FloatArray:
    """Give the series on the grid, NaN outside its own time."""
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
    chart = Chart("devices")
    chart.line("actual", fan.actual_at, fan.actual, "ink", step=True, width=2.6)
    chart.line("forecast, median", fan.bands.at, fan.bands.level(0.5), "ours", dash=DASHED)
    chart.band("50 % band", fan.bands, 0.25, 0.75, "ours", 0.3)
    chart.band("90 % band", fan.bands, 0.05, 0.95, "ours", 0.16)
    chart.line("released by plan", fan.planned.at, fan.planned.count, "muted", dash=DOTTED, width=1.3)
    return chart


def _phases(progress: PhaseProgress) -> Chart:
    chart = Chart("% of the phase", digits=1, top=100)
    for line, role in zip(progress.lines, ROLE_BY_PLACE, strict=False):
        chart.line(line.name, line.at, line.actual, role, step=True, width=2.6)
        if len(line.band_at):
            bands = Bands(line.band_at, (0.05, 0.5, 0.95), np.stack([line.low, line.middle, line.high]))
            chart.line(f"{line.name}, forecast", line.band_at, line.middle, role, dash=DASHED, width=1.3)
            chart.band(f"{line.name}, 90 % band", bands, 0.05, 0.95, role, 0.16)
    return chart


def _load(curve: LoadCurve) -> Chart:
    load, chart = curve.load, Chart("attempts an hour")
    chart.line("this plan, median", load.at, load.p50, "ours", step=True, fill=0.35)
    chart.line("this plan, 9 of 10 runs at most", load.at, load.p90, "ours", step=True, width=1, dash=DOTTED)
    if load.baseline is not None:
        chart.line("all at once", load.at, load.baseline, "other", step=True, dash=DASHED)
    if load.actual is not None:
        chart.line("actual", load.at, load.actual, "ink", step=True, width=2.4)
    chart.line("capacity", load.at, load.capacity, "limit", dash=DASHDOT)
    return chart


def _gates(timeline: GateTimeline) -> Chart:
    chart = Chart("% of executed", digits=2, top=round(timeline.top(), 2))
    for track in timeline.tracks:
        rate, limit = rates_of(track)
        chart.line(f"{track.name}: failed", track.at, rate, "ink", step=True, width=2.2)
        chart.line(f"{track.name}: HALT from", track.at, limit, "limit", step=True, dash=DASHDOT)
    known = [t for t in timeline.tracks if not np.isnan(t.p_ok)]
    if known:
        ends = np.array([timeline.tracks[0].at[0], timeline.tracks[-1].at[-1]], dtype=np.int64)
        chart.line("acceptable", ends, np.full(2, 100 * known[-1].p_ok), "good", dash=DOTTED, width=1.3)
    return chart


def _versus(versus: Versus) -> Chart:
    chart = Chart("devices")
    for name, bands, role, dash in (
        ("this plan", versus.ours, "ours", SOLID),
        (versus.native_name, versus.native, "other", DASHED),
    ):
        chart.line(name, bands.at, bands.level(0.5), role, dash=dash, width=2.2)
        chart.band(f"{name}, 90 % band", bands, 0.05, 0.95, role, 0.18)
    return chart
