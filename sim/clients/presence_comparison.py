"""Modelled presence compared with its sources: the curve over the week, and how long devices stay on and off."""

from __future__ import annotations

from dataclasses import dataclass
from math import gamma
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from rollout.values import DAY_S, HOUR_S
from sim.clients.compiling import spec_of
from sim.clients.draws import CLASSES, make_draws, traits_like
from sim.clients.presence import Intervals, at_work, intervals_of, read_csv
from sim.clients.spec import DAYS_BEFORE
from sim.model import Model

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curve = NDArray[np.float64]

WEEK_HOURS: Final = 168
LEVELS: Final = np.arange(0.05, 0.96, 0.05)
"""Probabilities at which up and down times are compared."""

_MONDAY: Final = 1_767_571_200  # 2026-01-05 00:00 UTC


@dataclass(frozen=True, eq=False)
class PresenceComparison:
    """Model and sources as arrays.

    source : (168,) share of people at work by hour of the week, starting on Monday at 00:00 (ATUS 2022-23).
    present : (168,) modelled share of laptops whose user is present. online : (4, 168) share of devices online by
    class. up, down : (levels,) hours, quantiles at LEVELS of how long desktops (always-on and office, by the
    model's mix) stay on and off. up_source, down_source : the same for the Weibull fits to Microsoft99.
    availability : (2,) share of the time that desktops are online, in the model and in the source.
    """

    source: Curve
    present: Curve
    online: Curve
    up: Curve
    down: Curve
    up_source: Curve
    down_source: Curve
    availability: tuple[float, float]

    @property
    def rms_present(self) -> float:
        """Root mean square difference between modelled and observed shares, over the 168 hours."""
        return _rms(self.present - self.source)

    @property
    def rms_up(self) -> float:
        """Root mean square of log10(modelled / observed) over the quantiles of up times."""
        return _rms(np.log10(self.up / self.up_source))

    @property
    def rms_down(self) -> float:
        """Root mean square of log10(modelled / observed) over the quantiles of down times."""
        return _rms(np.log10(self.down / self.down_source))

    @classmethod
    def of(cls, model: Model, devices: int = 1200, weeks: int = 8, seed: int = 1) -> PresenceComparison:
        """Simulate `devices` of each class for some weeks, all in UTC, and compare."""
        lives = [_lives(model, code, devices, weeks, seed) for code in range(len(CLASSES))]
        online = np.array([_by_hour([on for on, _ in life], weeks) for life in lives])
        share = np.array(model.presence.mix[:2])
        sizes = np.round(share / max(share.sum(), 1e-9) * devices).astype(int)
        desktops = [on for life, size in zip(lives, sizes, strict=False) for on, _ in life[:size]]
        up, down = _lengths(desktops, weeks)
        up_source, down_source = (_weibull(kind) for kind in ("interval", "duration"))
        return cls(
            source=np.concatenate([at_work("weekday")] * 5 + [at_work("weekend")] * 2),
            present=_by_hour([user for _, user in lives[CLASSES.index("laptop")]], weeks),
            online=online,
            up=np.quantile(up, LEVELS) / HOUR_S,
            down=np.quantile(down, LEVELS) / HOUR_S,
            up_source=_quantiles(up_source),
            down_source=_quantiles(down_source),
            availability=(
                float((sizes[:, None] * online[:2]).sum() / sizes.sum() / WEEK_HOURS),
                _mean(up_source) / (_mean(up_source) + _mean(down_source)),
            ),
        )

    def plot(self, axes: tuple[Axes, Axes] | None = None) -> tuple[Axes, Axes]:
        """Plot the week and the quantiles, into two axes or a new figure."""
        if axes is None:
            import matplotlib.pyplot as plt

            _, drawn = plt.subplots(2, 1, figsize=(10, 8), layout="constrained")
            axes = (drawn[0], drawn[1])
        self._plot_week(axes[0])
        self._plot_quantiles(axes[1])
        return axes

    def _plot_week(self, ax: Axes) -> None:
        hours = np.arange(WEEK_HOURS) + 0.5
        ax.plot(hours, 100 * self.source, color="black", lw=2.5, alpha=0.45, label="people at work (ATUS)")
        ax.plot(hours, 100 * self.present, color="black", lw=1, label="model: laptop user present")
        styles = ((0, (1, 1)), "--", "-.", ":")
        for name, share, style in zip(CLASSES, self.online, styles, strict=True):
            ax.plot(hours, 100 * share, ls=style, lw=1, label=f"model: {name} online")
        ax.set_xticks(range(0, WEEK_HOURS, 24), ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"])
        ax.set(xlim=(0, WEEK_HOURS), ylim=(0, 128), xlabel="local time", ylabel="share (%)")
        ax.set_title(f"Users present: RMS difference {100 * self.rms_present:.1f} percentage points")
        ax.legend(ncols=3, fontsize="small", loc="upper right")

    def _plot_quantiles(self, ax: Axes) -> None:
        pairs = (("up", self.up, self.up_source, "o"), ("down", self.down, self.down_source, "s"))
        for name, model, source, marker in pairs:
            ax.plot(100 * LEVELS, source, color="black", alpha=0.45, lw=2.5)
            ax.plot(100 * LEVELS, model, marker, color="black", ms=5, label=f"model: {name}, desktops")
        ax.plot([], [], color="black", alpha=0.45, lw=2.5, label="Microsoft99, Weibull fit")
        ax.set_yscale("log")
        ax.set(xlabel="quantile (%)", ylabel="hours")
        ours, theirs = self.availability
        ax.set_title(
            f"Up and down times: RMS of log10 ratio {self.rms_up:.2f} up, {self.rms_down:.2f} down; "
            f"availability {ours:.2f}, source {theirs:.2f}"
        )
        ax.legend(fontsize="small")


def _rms(difference: Curve) -> float:
    return float(np.sqrt(np.mean(difference**2)))


def _lives(model: Model, code: int, n: int, weeks: int, seed: int) -> list[tuple[Intervals, Intervals]]:
    """Return the (on, user) intervals of `n` devices of a class, in UTC, starting on a Monday."""
    traits = traits_like(n, model)
    draws = make_draws(model, traits, seed, code, _MONDAY, weeks * 7 * DAY_S)
    spec = spec_of(model, traits, draws, _MONDAY, 0)
    return [intervals_of(spec, key, code, 0) for key in draws.keys.tolist()]


def _by_hour(lives: list[Intervals], weeks: int) -> Curve:
    """Return the share of lives that cover the middle of each hour of the week."""
    middles = np.arange(weeks * WEEK_HOURS) * HOUR_S + HOUR_S // 2
    total = np.zeros(len(middles))
    for life in lives:
        begins, ends = np.array(life.begins), np.array(life.ends)
        total += np.searchsorted(begins, middles, side="right") - np.searchsorted(ends, middles, side="right")
    return np.asarray(total.reshape(weeks, WEEK_HOURS).mean(axis=0) / len(lives), dtype=np.float64)


def _lengths(lives: list[Intervals], weeks: int) -> tuple[Curve, Curve]:
    """Return the lengths of all up and down times that begin and end within the period, in seconds."""
    up, down = [], []
    end = weeks * 7 * DAY_S
    for life in lives:
        begins, ends = np.array(life.begins), np.array(life.ends)
        inside = (begins >= -DAYS_BEFORE * DAY_S // 2) & (ends < end)
        up.append((ends - begins)[inside])
        gaps = (begins[1:] - ends[:-1])[(ends[:-1] >= -DAYS_BEFORE * DAY_S // 2) & (begins[1:] < end)]
        down.append(gaps)
    return np.concatenate(up).astype(float), np.concatenate(down).astype(float)


def _weibull(kind: str) -> tuple[float, float]:
    """Return shape and scale (hours) of the Weibull fit to the up ("interval") or down ("duration") times."""
    row = next(row for row in read_csv("microsoft99_availability_fits_hours.csv") if row[1] == "Wbl")
    return (float(row[2]), float(row[3])) if kind == "interval" else (float(row[4]), float(row[5]))


def _quantiles(fit: tuple[float, float]) -> Curve:
    shape, scale = fit
    return np.asarray(scale * (-np.log1p(-LEVELS)) ** (1 / shape), dtype=np.float64)


def _mean(fit: tuple[float, float]) -> float:
    shape, scale = fit
    return scale * gamma(1 + 1 / shape)
