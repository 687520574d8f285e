"""The infrastructure for a fleet, a window and a deadline: management points, gateways and a service rate.

Arithmetic comes first, as any administrator would do it with Microsoft's figures: clients per management point, clients
per gateway instance, enrollments per hour if they were spread evenly. Then the same rollout is simulated: devices come
when their users come, so hours differ, and attempts that are turned away are repeated. The recommended rate is the
lowest that keeps the deadline and turns few attempts away; its ratio to the arithmetic rate is the cost of queueing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rollout.values import DAY_S, HOUR_S, Fleet, IntArray, Outcome, ceil_of
from sim.clients.draws import make_draws, traits_like, traits_of
from sim.engines.engine import make_engine
from sim.model import ClientModel, Model, ServiceModel
from sim.workers import InProcess, Workers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLIENTS_PER_POINT: Final = 25_000
POINTS_PER_PRIMARY: Final = 15
CLIENTS_PER_PRIMARY: Final = 150_000
CLIENTS_PER_HIERARCHY: Final = 700_000
INSTANCES: Final = {"A2_v2": 6_000, "A4_v2": 10_000}
"""Concurrent clients per gateway instance, by VM size."""
INSTANCES_PER_GATEWAY: Final = 16
INSTANCES_PER_CONNECTION: Final = 4
MIN_CONNECTIONS: Final = 2
"""Least connection points, for availability; beyond that, one serves INSTANCES_PER_CONNECTION instances."""

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
"""Service rates to simulate, as multiples of the arithmetic rate."""
TURNED_AWAY: Final = 0.01
"""Share of the attempts that a sufficient service may turn away."""
LATER_DAYS: Final = 45
"""Days beyond the deadline that are simulated."""
OFFICE: Final = 12
"""Hours of a day in which devices are released."""


def many(count: int, what: str) -> str:
    """Return a count with its noun."""
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def percent_words(share: float) -> str:
    """Return a share as a percentage; a small share never looks like zero."""
    return "less than 0.1 %" if 0 < share < 0.001 else f"{share:.1%}".replace("%", " %")


def rounded_up(part: int, whole: int) -> float:
    """Return a share with four decimals, rounded up: it never seems to keep a limit that it exceeds, or to be 0."""
    return -(-part * 10_000 // whole) / 10_000 if whole else 0.0


@dataclass(frozen=True, slots=True)
class Need:
    """The infrastructure that a fleet needs by arithmetic alone.

    points : management points. primaries : their primary sites. instances, gateways, connections : instances,
    gateways and connection points of the cloud management gateway for `internet` clients, by VM size. window_rate :
    enrollments per hour if the whole fleet were targeted at once and drew its timers evenly over the window (infinite
    if the window is immediate). deadline_rate : enrollments per hour if they were spread evenly until the deadline.
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
        """Return the instances, gateways and connection points that serve the internet clients, as text by VM size."""
        return " or ".join(
            f"{count} × {name} in {many(self.gateways[name], 'gateway')} with "
            f"{many(self.connections[name], 'connection point')}"
            for name, count in self.instances.items()
        )


@dataclass(frozen=True, slots=True)
class RateResult:
    """The rollout, simulated with one service rate.

    ratio : the rate divided by `Need.deadline_rate`. per_hour : the rate. hours : time until SHARE is enrolled.
    kept : whether that is before the deadline. peak : most attempts in an hour. peak_at : its local hour of day.
    throttled : share of the attempts that were turned away, rounded up to four decimals.
    natural_hours : time until SHARE is enrolled with an unlimited service.
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
    """A case of the sweep: fleet, window and deadline, with the arithmetic and the simulated service rates.

    turned_away : share of the attempts that may be turned away. offered : attempts in the busiest hour with an
    unlimited service; they come in bursts, so a service with that rate still turns some of them away.
    """

    devices: int
    window_s: int
    deadline_h: float
    need: Need
    played: tuple[RateResult, ...]
    offered: float
    peak_at: int
    turned_away: float = TURNED_AWAY

    @property
    def needed(self) -> RateResult | None:
        """The lowest simulated rate that keeps the deadline and turns few enough attempts away, if there is one."""
        return next(
            (result for result in self.played if result.kept and result.throttled <= self.turned_away), None
        )

    @property
    def cheapest_in_time(self) -> RateResult | None:
        """The lowest simulated rate that keeps the deadline, however many attempts it turns away, if there is one."""
        return next((result for result in self.played if result.kept), None)

    def sentence(self) -> str:
        """Return a sentence on the infrastructure to provide, and on the cost of queueing."""
        need, recommended = self.need, self.needed
        days, hours = f"{self.deadline_h / 24:g} days", f"{self.deadline_h:.3g} h"
        text = (
            f"{many(self.devices, 'device')} in {hours if self.deadline_h < 48 else days}: "
            f"{many(need.points, 'management point')} ({many(need.primaries, 'primary site')}); "
            f"for {many(need.internet, 'internet client')} {need.gateway_words()}; "
        )
        if need.primaries > 1:
            text += "a central administration site above them; "
        if self.devices > CLIENTS_PER_HIERARCHY:
            text += f"more than the {CLIENTS_PER_HIERARCHY:,} clients of one hierarchy; "
        if recommended is None:
            least = self.played[-1].natural_hours
            if self.cheapest_in_time is not None:
                return text + (
                    f"no simulated service rate turns away at most {100 * self.turned_away:.3g} % of the "
                    f"attempts; an unlimited service would receive {self.offered:,.0f} per hour at its peak"
                )
            late = f"enrolls 90 % only after {least / 24:.1f} days"
            if math.isinf(least):
                late = f"does not enroll 90 % within {LATER_DAYS} days of the deadline"
            return text + (
                f"no service rate keeps the deadline: even an unlimited service {late}, because devices are "
                f"offline or blocked, or because the window is wide"
            )
        text += (
            f"a service that accepts {recommended.per_hour:,.0f} enrollments per hour "
            f"({math.ceil(recommended.per_hour / 60):,} per minute), busiest at {self.peak_at:02}:00, "
            f"which turns away {percent_words(recommended.throttled)} of the attempts"
        )
        if recommended.ratio > 1.0:
            text += (
                f"; arithmetic gives {need.deadline_rate:,.0f}: queueing makes it {recommended.ratio:g} times as much, "
                f"because devices come in the same hours"
            )
        if self.cheapest_in_time is not None and self.cheapest_in_time is not recommended:
            text += (
                f"; {self.cheapest_in_time.per_hour:,.0f} per hour would also keep the deadline, but turn away "
                f"{percent_words(self.cheapest_in_time.throttled)} of the attempts"
            )
        calm = next((result for result in self.played if result.throttled == 0), None)
        return text + (f"; from {calm.per_hour:,.0f} per hour, no attempt is turned away" if calm else "")


def need_of(devices: int, window_s: int, deadline_h: float, internet_share: float) -> Need:
    """Return the arithmetic; raise a `ValueError` for a fleet or deadline that is not positive."""
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
            name: max(MIN_CONNECTIONS, math.ceil(count / INSTANCES_PER_CONNECTION)) if count else 0
            for name, count in instances.items()
        },
        window_rate=devices * HOUR_S / window_s if window_s else math.inf,
        deadline_rate=devices / deadline_h,
    )


@dataclass(frozen=True, slots=True)
class Question:
    """The input of a case. start : Unix seconds. seed : seed of all draws. turned_away : see `Case`."""

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
    """Return a case for each question. fleet : source of the devices' traits; without it all classes are drawn."""
    return (workers or InProcess()).map(_SizeCase(model, fleet), questions)


@dataclass(frozen=True, slots=True, eq=False)
class _SizeCase:
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
        free = _simulate(model, question, 0.0, self.fleet)
        results: list[RateResult] = []
        for ratio in RATIOS:
            rate = ratio * need.deadline_rate
            result = _simulate(model, question, rate, self.fleet)
            hours = result.hours
            if results and round(result.per_hour, 1) <= results[-1].per_hour:
                continue  # a small fleet does not distinguish these rates: less than one per minute is not modelled
            results.append(
                RateResult(
                    ratio=round(result.per_hour / need.deadline_rate, 2),
                    per_hour=round(result.per_hour, 1),
                    hours=hours,
                    kept=hours <= question.deadline_h,
                    peak=result.peak,
                    peak_at=result.peak_at,
                    throttled=result.throttled,
                    natural_hours=free.hours,
                )
            )
            if hours <= question.deadline_h and result.throttled == 0:
                break  # a faster service would change nothing
        return Case(
            devices=question.devices,
            window_s=question.window_s,
            deadline_h=question.deadline_h,
            need=need,
            played=tuple(results),
            offered=free.peak,
            peak_at=free.peak_at,
            turned_away=question.turned_away,
        )


@dataclass(frozen=True, slots=True)
class _SimulatedRate:
    per_hour: float
    hours: float
    peak: float
    peak_at: int
    throttled: float


def _simulate(model: Model, question: Question, per_hour: float, fleet: Fleet | None) -> _SimulatedRate:
    """Simulate even releases in office hours of working days, early enough that the window ends by the deadline."""
    size = min(question.devices, SMALL)
    factor = size / question.devices
    capacity = max(1, round(per_hour * factor / 60)) if per_hour else 0
    if capacity:
        # The capacity is a whole number per minute: choose the number of devices that makes the rate exact.
        size = max(500, min(question.devices, round(capacity * 60 / per_hour * question.devices)))
        factor = size / question.devices
    scaled = model.model_copy(
        update={
            "service": ServiceModel.model_validate(
                model.service.model_dump() | {"capacity_per_minute": capacity, "cmg_instances": 0}
            )
        }
    )
    horizon_s = int((question.deadline_h + LATER_DAYS * 24) * HOUR_S)
    if fleet is not None and len(fleet) >= size:
        rows = np.linspace(0, len(fleet) - 1, size).round().astype(np.int32)
        traits = traits_of(fleet.take(rows), scaled)
    else:
        traits = replace(traits_like(size, scaled), zone=np.zeros(size, dtype=np.int32), zones=("UTC",))
    draws = make_draws(
        scaled, traits, seed=question.seed, replication=0, start=question.start, horizon_s=horizon_s
    )
    engine = make_engine(
        scaled,
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
    return _SimulatedRate(
        per_hour=capacity * 60 / factor,
        hours=float(enrolled[needed - 1] - question.start) / HOUR_S if len(enrolled) >= needed else math.inf,
        peak=float(load.attempts.max(initial=0)) / factor,
        peak_at=int((load.from_hour // HOUR_S + busiest) % 24),
        throttled=rounded_up(int(load.throttled.sum()), attempts),
    )


def _releases(order: IntArray, question: Question) -> list[tuple[int, IntArray]]:
    """Return (Unix seconds, rows) of hourly releases in office hours, over the first half of the time.

    The other half is for timers and for devices that are offline.
    """
    end = question.start + int(max(OFFICE, question.deadline_h / 2) * HOUR_S)
    hours = [
        at
        for at in range(question.start, end, HOUR_S)
        if (at // DAY_S + 3) % 7 < 5 and 7 <= at % DAY_S // HOUR_S < 7 + OFFICE
    ] or [question.start]
    return list(zip(hours, np.array_split(order, len(hours)), strict=True))


def rows_of(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """Return the sweep as rows of a table, one per case and service rate."""
    rows = []
    for case in cases:
        need = case.need
        for result in case.played:
            rows.append(
                {
                    "devices": case.devices,
                    "window_hours": case.window_s / HOUR_S,
                    "deadline_hours": case.deadline_h,
                    "management_points": need.points,
                    "primaries": need.primaries,
                    "internet_clients": need.internet,
                    **{f"cmg_{name}": count for name, count in need.instances.items()},
                    "arithmetic_per_hour": round(need.deadline_rate, 1),
                    **{key: value for key, value in asdict(result).items() if key != "natural_hours"},
                    "recommended": result is case.needed,
                }
            )
    return rows


def plot(cases: Sequence[Case], days: Callable[[float], str], ax: Axes | None = None) -> Axes:
    """Plot the days until 90 % are enrolled against the service rate, one line per fleet and window."""
    from matplotlib.figure import Figure

    axes = ax if ax is not None else Figure(figsize=(9, 5), layout="constrained").subplots()
    styles = ("-", "--", ":", "-.")
    for index, case in enumerate(cases):
        finite = [result for result in case.played if math.isfinite(result.hours)]
        axes.plot(
            [result.per_hour for result in finite],
            [result.hours / 24 for result in finite],
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
    axes.set_xlabel("enrollments per hour that the service accepts")
    axes.set_ylabel("days until 90 % are enrolled (line: the deadline)")
    axes.legend(frameon=False, fontsize=8)
    axes.set_title("Service rate needed: below the bend, devices queue", fontsize=10)
    return axes
