"""How a rollout stands now, in figures: what `status` prints, watches and gives to scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rollout.api import stored_forecast
from rollout.report.facts import Expected
from rollout.text import instant, iso, span
from rollout.values import DAY_S, HOUR_S, DecisionRow, LongArray, Outcome, Plan, Progress, ProgressPoint

if TYPE_CHECKING:
    from rollout.store import Database, LeaseInfo

RECENT = 8
SENDING_TROUBLES = ("unsent", "unanswered")
"""Kinds of session rows that say why devices are not sent."""


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """A rollout at a look of its journal.

    progress : None before the first decision. as_of : Unix seconds of the last look that saw something, by the
    directory's clock; the plan's start before the first. by_phase : (phase, outcome) released devices.
    recent : the last decisions. goal_released, goal_enrolled : devices that the plan's curve, and the median of its
    simulation, have by `as_of`; None where unknown. is_overdue : the lease's holder has given no sign of life in time.
    released_an_hour, enrolled_an_hour : over the last day of the directory's time, nights and weekends with it.
    expected : the latest forecast; on_plan : a sentence, "" unknown. unsent : released devices that were not sent to
    the directory yet; unsent_because : why, and since when, "" unknown.
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
    released_an_hour: float
    enrolled_an_hour: float
    expected: Expected | None
    on_plan: str
    unsent: int
    unsent_because: str

    @property
    def released(self) -> int:
        """Devices released so far."""
        return sum(self.progress.released) if self.progress is not None else 0

    @property
    def totals(self) -> tuple[int, ...]:
        """Released devices by outcome, all phases."""
        return tuple(sum(column) for column in zip(*self.by_phase, strict=True))

    @property
    def is_final(self) -> bool:
        """Whether nothing follows."""
        return self.progress is not None and self.progress.state.is_final


class Looks:
    """Looks at one rollout again and again; only what is new is read."""

    def __init__(self, database: Database, rollout_id: str) -> None:
        known = database.rollout(rollout_id)
        stored = database.plan(known.plan_id)
        self._database, self._known, self._plan = database, known, stored.plan
        self._reader = database.reader(known.id)
        self._told = database.simulations(known.plan_id)
        self._goal = _goal(stored.plan)
        self._is_fresh = True

    def look(self) -> Standing:
        """Give how it stands now."""
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
        return Standing(
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
            released_an_hour=released,
            enrolled_an_hour=enrolled,
            expected=None if is_final else stored_forecast.latest(self._reader),
            on_plan="" if is_final else self._on_plan(points),
            unsent=unsent,
            unsent_because=self._why_unsent() if unsent else "",
        )

    def _unsent(self) -> int:
        return sum(len(batch) - self._reader.confirmed(batch.number) for batch in self._reader.batches())

    def _why_unsent(self) -> str:
        """Give the last trouble with sending since a device was last sent, and since when there is trouble."""
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
        if self._told is None or not points:
            return None
        bands = self._told["enrolled"]
        values = np.asarray(bands["values"][bands["quantiles"].index(0.5)])
        ends = self._told["start"] + (np.arange(len(values)) + 1) * HOUR_S
        return round(float(np.interp(points[-1].at, ends, values, left=0.0)))

    def _on_plan(self, points: Sequence[ProgressPoint]) -> str:
        if not points:
            return ""
        from sim.forecast.continuation import on_plan

        return on_plan(self._told, points[-1].at, _sum(points[-1], Outcome.ENROLLED), span)


def _as_of(plan: Plan, progress: Progress | None, points: Sequence[ProgressPoint]) -> int:
    """Give when it was last looked at: a rollout that is held or paused decides nothing, and looks go on."""
    seen = [*([progress.at] if progress is not None else []), *(point.at for point in points[-1:])]
    return max(seen, default=plan.start)


def _goal(plan: Plan) -> tuple[LongArray, LongArray]:
    """Give when the plan's curve has released how many, if every gate passes."""
    from rollout.planning import nominal_batches

    batches = nominal_batches(plan)
    at = np.array([plan.start - 1, *(one[0] for one in batches)], dtype=np.int64)
    return at, np.cumsum([0, *(one[2] for one in batches)]).astype(np.int64)


def rates(points: Sequence[ProgressPoint], now: int) -> tuple[float, float]:
    """Give (released, enrolled) devices an hour over the last day before `now`, or since the first point."""
    if len(points) < 2:
        return 0.0, 0.0
    last = points[-1]
    first = next((one for one in reversed(points) if one.at <= now - DAY_S), points[0])
    hours = (last.at - first.at) / HOUR_S
    if hours <= 0:
        return 0.0, 0.0
    released = (_sum(last) - _sum(first)) / hours
    enrolled = (_sum(last, Outcome.ENROLLED) - _sum(first, Outcome.ENROLLED)) / hours
    return released, enrolled


def _sum(point: ProgressPoint, *outcomes: Outcome) -> int:
    return sum(sum(row[one] for one in outcomes) if outcomes else sum(row) for row in point.by_phase)


def executor(info: LeaseInfo, is_overdue: bool) -> str:
    """Say who executes it."""
    if not info.holder:
        return "nobody executes it now; 'rollout run' goes on"
    until = "overdue since" if is_overdue else "renewed until"
    return f"executed by {info.holder} since {iso(info.since)}, {until} {iso(info.expires)}"
