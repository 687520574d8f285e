"""What must be bought: management points, gateways and a service rate, for a fleet, a window and a deadline.

First arithmetic, as any admin would do it (the numbers are Microsoft's): so many clients a management point, so many
a gateway instance, so many enrollments an hour if they came evenly. Then the same rollout is played: devices come
when their users come, so the hours are not even, and what is turned away comes again. The rate to ask for is the
least that keeps the deadline and turns few attempts away; its ratio to arithmetic is what queueing costs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rollout.values import DAY_S, HOUR_S, IntArray, Outcome, ceil_of
from sim.clients.draws import make_draws, traits_like, traits_of
from sim.engines.engine import make_engine
from sim.model import ClientModel, Model, ServiceModel
from sim.workers import Here, Workers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from rollout.values import Fleet

CLIENTS_PER_POINT: Final = 25_000
POINTS_PER_PRIMARY: Final = 15
CLIENTS_PER_PRIMARY: Final = 150_000
CLIENTS_PER_HIERARCHY: Final = 700_000
INSTANCES: Final = {"A2_v2": 6_000, "A4_v2": 10_000}
"""Clients at a time of one gateway instance, by VM size."""
INSTANCES_PER_GATEWAY: Final = 16
INSTANCES_PER_CONNECTION: Final = 4
CONNECTIONS_LEAST: Final = 2
"""For availability; one connection point for four instances beyond that."""

SMALL: Final = 20_000
SHARE: Final = 0.9
RATIOS: Final = (
    0.5,
    0.75,
    1.0,
    1.25,
    1.5,
    2.0,
    3.0,
    4.0,
    6.0,
    8.0,
    10.0,
    12.0,
    16.0,
    20.0,
    24.0,
    32.0,
    48.0,
    64.0,
)
"""Service rates that are tried, as multiples of the arithmetic one."""
TURNED_AWAY: Final = 0.01
"""Share of the attempts that a sufficient service may turn away."""
LATER_DAYS: Final = 45
"""Days beyond the deadline that are played."""
OFFICE: Final = 12
"""Hours of a release day."""


def many(count: int, what: str) -> str:
    """Write a count with its noun."""
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def percent_words(share: float) -> str:
    """Write a share in percent; what is not nothing never looks like it."""
    return "less than 0.1 %" if 0 < share < 0.001 else f"{share:.1%}".replace("%", " %")


def rounded_up(part: int, whole: int) -> float:
    """Return a share with four decimals, rounded up: none seems to keep a limit that it does not, and few are not 0."""
    return -(-part * 10_000 // whole) / 10_000 if whole else 0.0


@dataclass(frozen=True, slots=True)
class Need:
    """What a fleet needs by arithmetic alone.

    points : management points; primaries : primary sites that hold them. instances, gateways, connections :
    of the cloud management gateway, for `internet` clients, by VM size. window_rate : enrollments an hour if the
    fleet were targeted at once and drew its timers evenly over the window (infinite if immediate).
    deadline_rate : enrollments an hour if they came evenly over all hours until the deadline.
    """

    devices: int
    points: int
    primaries: int
    internet: int
    instances: dict[str, int]
    gateways: dict[str, int]
    connections: dict[str, int]
    window_rate: float
    deadline_rate: float

    def gateway_words(self) -> str:
        """Say which instances, gateways and connection points serve the internet clients, by VM size."""
        return " or ".join(
            f"{count} × {name} in {many(self.gateways[name], 'gateway')} with "
            f"{many(self.connections[name], 'connection point')}"
            for name, count in self.instances.items()
        )


@dataclass(frozen=True, slots=True)
class Played:
    """The rollout, played with one service rate.

    ratio : of the rate to `Need.deadline_rate`. per_hour : that rate. hours : until SHARE are enrolled. kept :
    whether that is before the deadline. peak : most attempts in an hour; peak_at : local hour of day of it.
    throttled : share of the attempts that were turned away, rounded up to four decimals.
    natural_hours : hours with an unlimited service.
    """

    ratio: float
    per_hour: float
    hours: float
    kept: bool
    peak: float
    peak_at: int
    throttled: float
    natural_hours: float


@dataclass(frozen=True, slots=True)
class Case:
    """One cell of the sweep: fleet, window, deadline, with its arithmetic and what was played.

    turned_away : share of the attempts that may be turned away. offered : attempts in the busiest hour of an
    unlimited service; they come in bursts, so a service of that rate still turns some away.
    """

    devices: int
    window_s: int
    deadline_h: float
    need: Need
    played: tuple[Played, ...]
    offered: float
    peak_at: int
    turned_away: float = TURNED_AWAY

    @property
    def needed(self) -> Played | None:
        """The least tried rate that keeps the deadline and turns few enough attempts away; None if none does."""
        return next(
            (played for played in self.played if played.kept and played.throttled <= self.turned_away), None
        )

    @property
    def barely(self) -> Played | None:
        """The least tried rate that keeps the deadline, however many attempts it turns away; None if none does."""
        return next((played for played in self.played if played.kept), None)

    def sentence(self) -> str:
        """Say what to buy, and where queueing makes it worse than arithmetic."""
        need, played = self.need, self.needed
        days, hours = f"{self.deadline_h / 24:g} days", f"{self.deadline_h:.3g} h"
        text = (
            f"{many(self.devices, 'device')} in {hours if self.deadline_h < 48 else days}: "
            f"{many(need.points, 'management point')} ({many(need.primaries, 'primary site')}); "
            f"for {many(need.internet, 'internet client')} {need.gateway_words()}; "
        )
        if need.primaries > 1:
            text += "a central administration site above them; "
        if self.devices > CLIENTS_PER_HIERARCHY:
            text += f"more than the {CLIENTS_PER_HIERARCHY:,} of one hierarchy; "
        if played is None:
            least = self.played[-1].natural_hours
            if self.barely is not None:
                return text + (
                    f"no service rate that was tried turns away at most {100 * self.turned_away:.3g} % of the "
                    f"attempts; an unlimited one is asked for {self.offered:,.0f} per hour at its peak"
                )
            late = f"has nine of ten enrolled only after {least / 24:.1f} days"
            if math.isinf(least):
                late = f"does not have nine of ten enrolled within {LATER_DAYS} days of the deadline"
            return text + (
                f"no service rate keeps it: even an unlimited service {late}, since devices are offline or "
                f"blocked, or the window is wide"
            )
        text += (
            f"a service that takes {played.per_hour:,.0f} enrollments per hour "
            f"({math.ceil(played.per_hour / 60):,} per minute), busiest at {self.peak_at:02}:00, "
            f"which turns away {percent_words(played.throttled)} of the attempts"
        )
        if played.ratio > 1.0:
            text += (
                f"; arithmetic says {need.deadline_rate:,.0f}: queueing makes it {played.ratio:g} times as much, "
                f"because devices come in the same hours"
            )
        if self.barely is not None and self.barely is not played:
            text += (
                f"; {self.barely.per_hour:,.0f} per hour would keep the deadline, too, but turn away "
                f"{percent_words(self.barely.throttled)} of the attempts"
            )
        calm = next((played for played in self.played if played.throttled == 0), None)
        return text + (f"; from {calm.per_hour:,.0f} per hour on none is turned away" if calm else "")


def need_of(devices: int, window_s: int, deadline_h: float, internet_share: float) -> Need:
    """Do the arithmetic; raise a `ValueError` for a fleet or deadline that is not positive."""
    if devices <= 0 or deadline_h <= 0:
        raise ValueError(f"expected devices and hours above 0, found {devices} and {deadline_h}")
    points = math.ceil(devices / CLIENTS_PER_POINT)
    internet = ceil_of(devices, internet_share)
    instances = {name: math.ceil(internet / clients) for name, clients in INSTANCES.items()}
    return Need(
        devices=devices,
        points=points,
        primaries=max(math.ceil(points / POINTS_PER_PRIMARY), math.ceil(devices / CLIENTS_PER_PRIMARY)),
        internet=internet,
        instances=instances,
        gateways={name: math.ceil(count / INSTANCES_PER_GATEWAY) for name, count in instances.items()},
        connections={
            name: max(CONNECTIONS_LEAST, math.ceil(count / INSTANCES_PER_CONNECTION)) if count else 0
            for name, count in instances.items()
        },
        window_rate=devices * HOUR_S / window_s if window_s else math.inf,
        deadline_rate=devices / deadline_h,
    )


@dataclass(frozen=True, slots=True)
class Question:
    """One cell to play. start : Unix seconds; seed : of all draws; turned_away : see `Case`."""

    devices: int
    window_s: int
    deadline_h: float
    start: int
    seed: int
    turned_away: float = TURNED_AWAY


def sweep(
    model: Model,
    questions: Sequence[Question],
    workers: Workers | None = None,
    fleet: Fleet | None = None,
) -> list[Case]:
    """Answer each question. fleet : whose traits count; without one all classes are drawn."""
    return (workers or Here()).map(_Ask(model, fleet), questions)


@dataclass(frozen=True, slots=True, eq=False)
class _Ask:
    model: Model
    fleet: Fleet | None

    def __call__(self, question: Question) -> Case:
        model = self.model.model_copy(
            update={
                "clients": ClientModel.model_validate(
                    self.model.clients.model_dump() | {"window": question.window_s}
                )
            }
        )
        share = model.service.internet_share
        need = need_of(question.devices, question.window_s, question.deadline_h, share)
        free = _play(model, question, 0.0, self.fleet)
        played: list[Played] = []
        for ratio in RATIOS:
            rate = ratio * need.deadline_rate
            told = _play(model, question, rate, self.fleet)
            hours = told.hours
            if played and round(told.per_hour, 1) <= played[-1].per_hour:
                continue  # a small fleet cannot tell these apart: fewer than one a minute is not modelled
            played.append(
                Played(
                    ratio=round(told.per_hour / need.deadline_rate, 2),
                    per_hour=round(told.per_hour, 1),
                    hours=hours,
                    kept=hours <= question.deadline_h,
                    peak=told.peak,
                    peak_at=told.peak_at,
                    throttled=told.throttled,
                    natural_hours=free.hours,
                )
            )
            if hours <= question.deadline_h and told.throttled == 0:
                break  # a faster service would change nothing
        return Case(
            devices=question.devices,
            window_s=question.window_s,
            deadline_h=question.deadline_h,
            need=need,
            played=tuple(played),
            offered=free.peak,
            peak_at=free.peak_at,
            turned_away=question.turned_away,
        )


@dataclass(frozen=True, slots=True)
class _Told:
    per_hour: float
    hours: float
    peak: float
    peak_at: int
    throttled: float


def _play(model: Model, question: Question, per_hour: float, fleet: Fleet | None) -> _Told:
    """Release evenly in office hours of working days, so that the window's end still meets the deadline."""
    size = min(question.devices, SMALL)
    factor = size / question.devices
    capacity = max(1, round(per_hour * factor / 60)) if per_hour else 0
    if capacity:
        # A whole number of enrollments a minute: take as many devices as make the rate come out.
        size = max(500, min(question.devices, round(capacity * 60 / per_hour * question.devices)))
        factor = size / question.devices
    told = model.model_copy(
        update={
            "service": ServiceModel.model_validate(
                model.service.model_dump() | {"capacity_per_minute": capacity, "cmg_instances": 0}
            )
        }
    )
    horizon_s = int((question.deadline_h + LATER_DAYS * 24) * HOUR_S)
    if fleet is not None and len(fleet) >= size:
        rows = np.linspace(0, len(fleet) - 1, size).round().astype(np.int32)
        traits = traits_of(fleet.take(rows), told)
    else:
        traits = replace(traits_like(size, told), zone=np.zeros(size, dtype=np.int32), zones=("UTC",))
    draws = make_draws(
        told, traits, seed=question.seed, replication=0, start=question.start, horizon_s=horizon_s
    )
    engine = make_engine(
        told,
        traits,
        draws,
        start=question.start,
        strata=np.zeros(size, dtype=np.int32),
        n_strata=1,
        straggler_after_s=2 * horizon_s,
    )
    order = np.random.default_rng(question.seed).permutation(size).astype(np.int32)
    for number, (at, rows) in enumerate(_releases(order, question)):
        engine.advance(at)
        engine.release(rows, number, at)
    engine.advance(question.start + horizon_s)
    enrolled = np.sort(engine.outcome_at[engine.outcome == Outcome.ENROLLED])
    needed = ceil_of(size, SHARE)
    load = engine.load()
    busiest = int(load.attempts.argmax())
    attempts = int(load.attempts.sum())
    return _Told(
        per_hour=capacity * 60 / factor,
        hours=float(enrolled[needed - 1] - question.start) / HOUR_S if len(enrolled) >= needed else math.inf,
        peak=float(load.attempts.max(initial=0)) / factor,
        peak_at=int((load.from_hour // HOUR_S + busiest) % 24),
        throttled=rounded_up(int(load.throttled.sum()), attempts),
    )


def _releases(order: IntArray, question: Question) -> list[tuple[int, IntArray]]:
    """Return (Unix seconds, rows) of hourly releases in office hours, over the first half of the deadline.

    The other half is for timers and for devices that are offline; a wider window leaves less of it.
    """
    end = question.start + int(max(OFFICE, question.deadline_h / 2) * HOUR_S)
    hours = [
        at
        for at in range(question.start, end, HOUR_S)
        if (at // DAY_S + 3) % 7 < 5 and 7 <= at % DAY_S // HOUR_S < 7 + OFFICE
    ] or [question.start]
    return list(zip(hours, np.array_split(order, len(hours)), strict=True))


def rows_of(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """Return the sweep as rows of a table, one a case and service rate."""
    out = []
    for case in cases:
        need = case.need
        for played in case.played:
            out.append(
                {
                    "devices": case.devices,
                    "window_hours": case.window_s / HOUR_S,
                    "deadline_hours": case.deadline_h,
                    "management_points": need.points,
                    "primaries": need.primaries,
                    "internet_clients": need.internet,
                    **{f"cmg_{name}": count for name, count in need.instances.items()},
                    "arithmetic_per_hour": round(need.deadline_rate, 1),
                    **{key: value for key, value in asdict(played).items() if key != "natural_hours"},
                    "recommended": played is case.needed,
                }
            )
    return out


def plot(cases: Sequence[Case], days: Callable[[float], str], ax: Axes | None = None) -> Axes:
    """Draw hours until nine of ten are enrolled against the service rate, one line a fleet and window."""
    from matplotlib.figure import Figure

    axes = ax if ax is not None else Figure(figsize=(9, 5), layout="constrained").subplots()
    styles = ("-", "--", ":", "-.")
    for index, case in enumerate(cases):
        able = [played for played in case.played if math.isfinite(played.hours)]
        axes.plot(
            [item.per_hour for item in able],
            [item.hours / 24 for item in able],
            styles[index % len(styles)],
            marker="o",
            markersize=4,
            color=str(0.1 + 0.15 * (index // len(styles) % 4)),
            label=f"{case.devices:,} devices, window {days(case.window_s / HOUR_S)}",
        )
    for deadline in sorted({case.deadline_h for case in cases}):
        axes.axhline(deadline / 24, color="0.6", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("enrollments an hour that the service takes")
    axes.set_ylabel("days until 90 % are enrolled (line: the deadline)")
    axes.legend(frameon=False, fontsize=8)
    axes.set_title("What the service must take: below the bend, devices queue", fontsize=10)
    return axes
