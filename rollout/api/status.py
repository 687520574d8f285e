"""Where a rollout stands now, in figures: what `status` prints, refreshes and gives to scripts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rollout.api import stored_forecast
from rollout.api.stored_simulation import latest_simulation
from rollout.documents.base import Final
from rollout.documents.executing import End, Goal, HoldDocument, Lease, PerHour, StatusDocument
from rollout.documents.forecast import ForecastSummary
from rollout.planning import nominal_batches
from rollout.report.facts import PlanSimulation
from rollout.store import Database, JournalReader, LeaseInfo
from rollout.text import instant, iso, span
from rollout.values import (
    DAY_S,
    HOUR_S,
    ON_COURSE,
    DecisionRow,
    LongArray,
    Outcome,
    Plan,
    Progress,
    ProgressPoint,
    Verdict,
)
from rollout.values.forecast import Forecast

RECENT = 8
SENDING_TROUBLES = ("unsent", "unanswered", "cancelled")
"""Kinds of session rows that say why devices are not sent."""


@dataclass(frozen=True, slots=True, eq=False)
class Status:
    """Where a rollout stands, as of one reading of its journal.

    progress : None before the first decision. as_of : Unix seconds of the last observation, by the directory's
    clock; the plan's start before the first. by_phase : (phase, outcome) released devices. recent : the last
    decisions. goal_released, goal_enrolled : devices that the plan's curve, and the median of its simulation, have
    by `as_of`; None where unknown. is_overdue : the lease's holder has sent no heartbeat in time.
    released_per_hour, enrolled_per_hour : over the last day of the directory's time, including nights and weekends.
    forecast : the latest one. end : when it is done; None if unknown. on_plan : a sentence, "" unknown.
    unsent : devices of the batches so far that were not sent to the directory. unsent_because : why, and since when, ""
    unknown.
    """

    rollout: str
    plan_id: str
    digest: str
    directory: str
    plan: Plan
    progress: Progress | None
    as_of: int
    lease: LeaseInfo
    is_overdue: bool
    by_phase: tuple[tuple[int, ...], ...]
    recent: tuple[DecisionRow, ...]
    decisions: int
    goal_released: int | None
    goal_enrolled: int | None
    released_per_hour: float
    enrolled_per_hour: float
    forecast: Forecast | None
    end: End | None
    on_plan: str
    unsent: int
    unsent_because: str

    @property
    def released(self) -> int:
        """Devices released so far: those that were sent to the directory."""
        return sum(self.progress.released) - self.unsent if self.progress is not None else 0

    @property
    def totals(self) -> tuple[int, ...]:
        """Released devices by outcome, all phases."""
        return tuple(sum(column) for column in zip(*self.by_phase, strict=True))

    @property
    def is_final(self) -> bool:
        """Return whether nothing follows."""
        return self.progress is not None and self.progress.state.is_final

    @property
    def document(self) -> StatusDocument:
        """The document of `rollout status --json`."""
        progress = self.progress
        return StatusDocument(
            rollout=self.rollout,
            plan=self.plan_id,
            digest=self.digest,
            directory=self.directory,
            state=progress.state if progress else "not begun",
            reason=progress.reason if progress else "",
            at=iso(self.as_of) if progress else None,
            phase=self.plan.phases[progress.phase].name if progress else None,
            released=self.released,
            unsent=self.unsent,
            unsent_because=self.unsent_because,
            final=_final(self.plan, self.totals),
            goal=Goal(released=self.goal_released, enrolled=self.goal_enrolled),
            per_hour=PerHour(
                released=round(self.released_per_hour, 1), enrolled=round(self.enrolled_per_hour, 1)
            ),
            decisions=self.decisions,
            verdict=Verdict(progress.verdict) if progress and progress.verdict else "",
            hold=HoldDocument.of_hold(progress.hold, self.plan) if progress and progress.hold else None,
            held=tuple(HoldDocument.of_hold(hold, self.plan) for hold in progress.held) if progress else (),
            eta=self.end,
            forecast=ForecastSummary.of(self.forecast) if self.forecast else None,
            on_plan=self.on_plan,
            lease=_lease(self.lease, self.is_overdue),
        )


def read_status(database: Database, rollout: str | None = None) -> Status:
    """Return where a rollout stands now, the latest by default. Raise `UsageError` for an unknown one."""
    return StatusReader(database, rollout).read()


class StatusReader:
    """Reads the status of one rollout repeatedly; only new rows of the journal are read."""

    def __init__(self, database: Database, rollout: str | None = None) -> None:
        known = database.rollout(rollout)
        stored = database.plan(known.plan_id)
        self._database, self._known, self._plan = database, known, stored.plan
        self._reader = database.reader(known.id)
        simulation = latest_simulation(database, known.plan_id)
        self._simulation = None if simulation is None else simulation.plan
        self._goal = _goal(stored.plan)
        self._is_fresh = True

    def read(self) -> Status:
        """Return the current status."""
        if not self._is_fresh:
            self._reader.refresh()
        self._is_fresh = False
        progress, points = self._reader.progress(), self._reader.points()
        decisions = self._reader.decisions()
        lease = self._reader.lease()
        nothing = ((0,) * len(Outcome),) * len(self._plan.phases)
        is_final = progress is not None and progress.state.is_final
        as_of = _as_of(self._plan, progress, points)
        released, enrolled = rates(points, as_of)
        unsent = self._unsent()
        forecast = None if is_final else stored_forecast.latest(self._reader)
        return Status(
            rollout=self._known.id,
            plan_id=self._known.plan_id,
            digest=self._known.digest,
            directory=self._known.directory,
            plan=self._plan,
            progress=progress,
            as_of=as_of,
            lease=lease,
            is_overdue=bool(lease.holder) and not lease.is_taken(self._database.now()),
            by_phase=tuple(tuple(row) for row in points[-1].by_phase) if points else nothing,
            recent=tuple(decisions[-RECENT:]),
            decisions=len(decisions),
            goal_released=self._goal_released(as_of) if progress is not None else None,
            goal_enrolled=self._goal_enrolled(points),
            released_per_hour=released,
            enrolled_per_hour=enrolled,
            forecast=forecast,
            end=self._end(progress, forecast),
            on_plan="" if is_final else self._on_plan(points),
            unsent=unsent,
            unsent_because=self._why_unsent() if unsent else "",
        )

    def _unsent(self) -> int:
        return unsent_of(self._reader)

    def _why_unsent(self) -> str:
        """Return why sending has failed since the last device was sent, and since when."""
        sent = max((at for at, _, _ in self._reader.applied()), default=self._plan.start)
        troubles = [
            (at, text)
            for at, kind, text in self._reader.sessions()
            if kind in SENDING_TROUBLES and at >= sent
        ]
        if not troubles:
            return ""
        return f"{troubles[-1][1]}; since {instant(troubles[0][0], self._plan.zone)}"

    def _goal_released(self, as_of: int) -> int:
        at, count = self._goal
        return int(count[np.searchsorted(at, as_of, side="right") - 1])

    def _goal_enrolled(self, points: Sequence[ProgressPoint]) -> int | None:
        if self._simulation is None or not points:
            return None
        enrolled = self._simulation.enrolled
        return round(float(np.interp(points[-1].at, enrolled.at, enrolled.level(0.5), left=0.0)))

    def _on_plan(self, points: Sequence[ProgressPoint]) -> str:
        if not points:
            return ""
        return compare_with_plan(self._simulation, points[-1].at, _sum(points[-1], Outcome.ENROLLED))

    def _end(self, progress: Progress | None, forecast: Forecast | None) -> End | None:
        """Return the end: actual, else by the latest forecast, else by the plan's simulation; None if unknown."""
        start = self._plan.start
        if progress is not None and progress.state.is_finished:
            at = iso(progress.at)
            return End(at=at, p10=at, p90=at, hours=(progress.at - start) / HOUR_S, of="finished")
        if progress is not None and progress.state.is_final:
            return None
        if forecast is not None:
            p10, p50, p90 = (iso(at) if math.isfinite(at) else None for at in forecast.done)
            hours = (forecast.done[1] - start) / HOUR_S if math.isfinite(forecast.done[1]) else None
            return End(at=p50, p10=p10, p90=p90, hours=hours, of="forecast")
        if self._simulation is None:
            return None
        after = self._simulation.eta_hours
        p10, p50, p90 = (iso(start + int(each * HOUR_S)) if math.isfinite(each) else None for each in after)
        hours = after[1] if math.isfinite(after[1]) else None
        return End(at=p50, p10=p10, p90=p90, hours=hours, of="simulation")


def unsent_of(reader: JournalReader) -> int:
    """Return how many devices of the batches so far the directory has not answered for: not sent, or cancelled."""
    intended = sum(len(batch) for batch in reader.batches())
    answers = (answer for _, _, answer in reader.applied())
    return intended - sum(len(a.accepted) + len(a.adopted) + len(a.rejected) for a in answers)


def _as_of(plan: Plan, progress: Progress | None, points: Sequence[ProgressPoint]) -> int:
    """Return the time of the last observation: a held or paused rollout decides nothing but still observes."""
    seen = [*([progress.at] if progress is not None else []), *(point.at for point in points[-1:])]
    return max(seen, default=plan.start)


def _goal(plan: Plan) -> tuple[LongArray, LongArray]:
    """Return when the plan's curve has released how many devices, if every gate passes."""
    batches = nominal_batches(plan)
    at = np.array([plan.start - 1, *(batch[0] for batch in batches)], dtype=np.int64)
    return at, np.cumsum([0, *(batch[2] for batch in batches)]).astype(np.int64)


def rates(points: Sequence[ProgressPoint], now: int) -> tuple[float, float]:
    """Return (released, enrolled) devices per hour over the last day before `now`, or since the first point."""
    if len(points) < 2:
        return 0.0, 0.0
    last = points[-1]
    first = next((point for point in reversed(points) if point.at <= now - DAY_S), points[0])
    hours = (last.at - first.at) / HOUR_S
    if hours <= 0:
        return 0.0, 0.0
    released = (_sum(last) - _sum(first)) / hours
    enrolled = (_sum(last, Outcome.ENROLLED) - _sum(first, Outcome.ENROLLED)) / hours
    return released, enrolled


def _sum(point: ProgressPoint, *outcomes: Outcome) -> int:
    return sum(sum(row[key] for key in outcomes) if outcomes else sum(row) for row in point.by_phase)


def _final(plan: Plan, totals: Sequence[int]) -> Final:
    """Return devices by outcome; the numbers sum to the inventory."""
    counts = {key.name.lower(): totals[key] for key in Outcome if key is not Outcome.PENDING}
    pending = plan.planned - sum(counts.values())
    return Final(**counts, pending=pending, excluded=len(plan) - plan.planned)


def _lease(info: LeaseInfo, is_overdue: bool) -> Lease | None:
    if not info.holder:
        return None
    return Lease.build(info, since=iso(info.since), expires=iso(info.expires), overdue=is_overdue)


def executor(info: LeaseInfo, is_overdue: bool) -> str:
    """Return which executor holds the lease, since when and until when."""
    if not info.holder:
        return "no executor is running; 'rollout run' resumes it"
    until = "overdue since" if is_overdue else "renewed until"
    return f"executed by {info.holder} since {iso(info.since)}, {until} {iso(info.expires)}"


def on_plan(database: Database, rollout: str) -> str:
    """Return whether a stored rollout keeps to its plan, by the latest simulation of that plan."""
    known = database.rollout(rollout)
    points = database.reader(rollout).points()
    if not points:
        return "nothing was observed yet"
    simulation = latest_simulation(database, known.plan_id)
    return compare_with_plan(
        None if simulation is None else simulation.plan, points[-1].at, _sum(points[-1], Outcome.ENROLLED)
    )


def compare_with_plan(simulation: PlanSimulation | None, at: int, enrolled: int) -> str:
    """Return whether the enrolled devices lie within the outermost band of the plan's simulation, or nearly so.

    simulation : the plan's, None if there is none. at : Unix seconds at which `enrolled` devices were counted.
    """
    if simulation is None:
        return "no simulation of this plan to compare with; 'rollout simulate' runs one"
    bands = simulation.enrolled
    hour = min(max(0, (at - simulation.origin) // HOUR_S - 1), len(bands.at) - 1)
    low, middle, high = bands.values[0, hour], bands.level(0.5)[hour], bands.values[-1, hour]
    final = simulation.final
    slack = ON_COURSE * (sum(final.values()) - final["excluded"])
    band = f"expected {middle:,.0f} ({low:,.0f} … {high:,.0f}), found {enrolled:,}"
    if low - slack <= enrolled <= high + slack:
        return f"on plan: {band} enrolled"
    planned_hour = int(np.searchsorted(bands.level(0.5), enrolled))
    apart = span(float(abs(hour - planned_hour)))
    return f"{'behind' if enrolled < low else 'ahead of'} plan by {apart}: {band} enrolled"
