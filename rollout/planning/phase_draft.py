"""One phase as it is drafted: its curve, and what the calendar and the budgets make of it.

A mode that promises its pace is kept to it: a budget that cannot bear it is refused. The other modes take what the
budgets leave them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from rollout.errors import RefusedError, UsageError
from rollout.gates import proof_s
from rollout.pacing import linear
from rollout.pacing.modes import DateError, Frame
from rollout.planning.flight import peaks_of
from rollout.planning.phase_gates import FittedGate, fitted_gate
from rollout.planning.schedule import Course, Release
from rollout.planning.timetable import Timetable, local_iso
from rollout.policy import PhasePolicy, Policy
from rollout.values import Budgets, Calendar, Curve, IntArray, Phase, PhaseEnd
from rollout.values.durations import format_duration


@dataclass(frozen=True, slots=True)
class Members:
    """What a policy asks for one phase, and its devices in order."""

    wish: PhasePolicy
    source: str
    order: IntArray


class BudgetError(Exception):
    """Budgets are too small for what a phase promises.

    need, have : the smallest figures that bear it so far, and those there are. date : the first that they bear.
    """

    def __init__(self, phase: str, need: dict[str, int], have: dict[str, int], date: int | None) -> None:
        super().__init__(phase)
        self.phase, self.need, self.have, self.date = phase, need, have, date


@dataclass(frozen=True, slots=True, eq=False)
class PlanFrame:
    """What all phases of a plan share.

    budgets, budget_codes : as in `rollout.values.Plan`. latency_s : how long a device is in flight.
    continues : whether it is for the rest of a rollout under way.
    """

    policy: Policy
    timetable: Timetable
    latency_s: int
    budgets: Budgets
    budget_codes: IntArray
    continues: bool = False

    def course(self, budgets: Budgets | None = None) -> Course:
        """Return a course through the calendar, under the plan's budgets or others."""
        table = self.timetable
        limits = self.budgets if budgets is None else budgets
        return Course(table.calendar, table.zone_calendars, table.zone_codes, limits, self.latency_s)


@dataclass(frozen=True, eq=False)
class PhaseDraft:
    """One phase under construction.

    index : its place among the phases. begin : Unix seconds at which it begins if every gate before it passes at
    once. past : the releases of the phases before it.
    """

    plan: PlanFrame
    members: Members
    index: int
    begin: int
    past: Sequence[Release] = field(default=())
    is_followed: bool = False

    def phase(self) -> Phase:
        """Return the phase.

        Raise a `UsageError` for keys that give no curve, a `RefusedError` for a date that cannot be met, a
        `BudgetError` for budgets that do not allow a promised pace.
        """
        if not self._size:
            return self._with_curve(linear(0))
        wish, pacing = self.members.wish, self.members.wish.pacing
        date = pacing.deadline(self._frame.zone)
        if date is not None:
            return self._by_date(date)
        try:
            curve = pacing.curve(self._size, self._frame, may_stop=wish.ends is PhaseEnd.NEVER)
        except UsageError as error:
            raise UsageError(f"phase '{wish.name}': {error.message}", error.hint) from error
        phase = self._with_curve(curve)
        if pacing.yields_to_levels and self._by_level:
            return self._slowed(phase)
        need = self._need(phase) if pacing.is_promised else {}
        if need:
            raise self._budget_error(need)
        return phase

    @cached_property
    def gate(self) -> FittedGate:
        """The gate, fitted to the devices. Raise a `RefusedError` for one that cannot hear failures."""
        rules = self.members.wish.gate or self.plan.policy.gate
        before = sum(len(release.rows) for release in self.past)
        return fitted_gate(rules, self.members.wish.name, self._size, before, lenient=self.plan.continues)

    def too_long(self) -> RefusedError:
        """State that the calendar ends before the phase does, and which pace fits."""
        calendar, step_s = self._frame.calendar, self._frame.step_s
        last_s = int((calendar.closes - np.maximum(calendar.opens, self.begin)).clip(0).sum()) - step_s
        message = (
            f"phase '{self.members.wish.name}': expected {self._size} devices to be released within two years of the "
            f"start, found only {format_duration(max(0, last_s))} of open time after "
            f"{local_iso(self.begin, self._frame.zone)}"
        )
        if last_s < step_s:
            return RefusedError(message, "Shorten the phases before it or widen the windows.")
        return RefusedError(message, self.members.wish.pacing.pace_that_fits(self._size, last_s, step_s))

    @property
    def _size(self) -> int:
        return len(self.members.order)

    @property
    def _by_level(self) -> bool:
        return self.plan.budgets.per_level > 0

    @cached_property
    def _frame(self) -> Frame:
        policy, table = self.plan.policy, self.plan.timetable
        zones: list[Calendar] = []
        if table.zone_calendars:
            used = np.unique(table.zone_codes[self.members.order])
            zones = [table.zone_calendars[code] for code in used.tolist()]
        return Frame(
            calendar=table.calendar,
            begin=self.begin,
            step_s=table.calendar.wave_s or self.members.wish.step or policy.step,
            zone=policy.zone,
            zones=zones,
            service_per_hour=policy.service_per_hour,
            per_step=self.plan.budgets.per_step,
        )

    @property
    def _proof_s(self) -> int:
        """Seconds for which a first phase soaks so that its gate need not wait; later ones have its answers."""
        if self.past or not self.is_followed or self.members.wish.ends is PhaseEnd.NEVER:
            return 0
        return proof_s(self.gate.policy, self._size)

    def _with_curve(self, curve: Curve, by: int = -1) -> Phase:
        wish, latency_s = self.members.wish, self.plan.latency_s
        return Phase(
            name=wish.name,
            source=self.members.source,
            order=self.members.order,
            curve=curve,
            step_s=self._frame.step_s,
            # Before its last batches are mature the gate could say nothing but HOLD.
            soak_s=max(wish.soak, latency_s, self._proof_s) if self._size else wish.soak,
            gate=self.gate.policy,
            end=wish.ends,
            by=by,
            rung=wish.pacing.rung,
        )

    def _by_date(self, date: int) -> Phase:
        phase = self._released_by(date)
        if phase is None:
            raise self._too_early(date)
        need = self._need(phase)
        if need:
            raise self._budget_error(need, self._earliest())
        return phase

    def _released_by(self, date: int) -> Phase | None:
        """Return the slowest even pace at which all devices are released by `date`; None if there is none."""
        try:
            top = self._frame.last_step(date)
        except DateError:
            return None
        if not self._frame.zones or self._finish(self._even(top)) <= date:
            return self._even(top)
        low, high = -1, top  # low is in time, high is not: devices wait for the windows of their own zones
        while high - low > 1:
            middle = (low + high) // 2
            in_time = self._finish(self._even(middle)) <= date
            low, high = (middle, high) if in_time else (low, middle)
        return self._even(low) if low >= 0 else None

    def _even(self, steps: int) -> Phase:
        """The phase whose curve ends after this many steps."""
        curve = self.members.wish.pacing.even(steps * self._frame.step_s, self._size)
        return self._with_curve(curve, by=self._frame.instant_of(steps) or -1)

    def _free_run(self, phase: Phase) -> list[Release]:
        """The releases without any budget."""
        return self.plan.course(Budgets()).run(phase, self.index, self.begin)

    def _finish(self, phase: Phase) -> int:
        """The last release without any budget; the end of time if the calendar ends before it."""
        releases = self._free_run(phase)
        return releases[-1].at if sum(len(release.rows) for release in releases) == len(phase) else 2**62

    def _need(self, phase: Phase) -> dict[str, int]:
        """The smallest figures of those budgets that are too small for the phase's curve."""
        plan, since = self.plan, self.begin - self.plan.latency_s
        releases = [release for release in self.past if release.at > since] + self._free_run(phase)
        peaks = peaks_of(releases, plan.latency_s, plan.budget_codes, by_level=self._by_level)
        return peaks.beyond(plan.budgets)

    def _budget_error(self, need: dict[str, int], date: int | None = None) -> BudgetError:
        have = {name: int(getattr(self.plan.budgets, name)) for name in need}
        return BudgetError(self.members.wish.name, need, have, date)

    def _slowed(self, phase: Phase) -> Phase:
        """Slow the phase down until its levels keep within their budget."""
        frame, length_s = self._frame, phase.curve.length_s
        longest_s = int((frame.calendar.closes - frame.calendar.opens).sum())
        need = self._need(phase)
        while need and length_s < longest_s:
            excess = max(figure / int(getattr(self.plan.budgets, name)) for name, figure in need.items())
            steps = int(length_s * max(1.02, min(excess, 4.0))) // frame.step_s + 1
            length_s = steps * frame.step_s
            phase = replace(phase, curve=linear(length_s))
            need = self._need(phase) if length_s < longest_s else {}
        return phase

    def _earliest(self) -> int | None:
        """The first date that works, None if none does within the calendar.

        It is the finish of the fastest even pace that the budgets bear. (With a budget per level, whole devices
        make that limit ragged; a date a few steps earlier may happen to work too.)
        """
        low, high = -1, 0
        while not self._bears(high):
            if self._frame.instant_of(high) is None:
                return None
            low, high = high, 2 * high + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._bears(middle) else (middle, high)
        while (date := self._finish(self._even(high))) < 2**62:
            phase = self._released_by(date)
            if phase is not None and not self._need(phase):
                return date
            high += 1  # rounding made the pace of this date a little steeper than the budgets bear
        return None

    def _bears(self, steps: int) -> bool:
        """Return whether the budgets bear an even pace of this many steps."""
        return not self._need(self._even(steps))

    def _too_early(self, date: int) -> RefusedError:
        zone, earliest = self._frame.zone, self._earliest()
        found = (
            "no date in two years on which all could be" if earliest is None else "too little time before it"
        )
        return RefusedError(
            f"phase '{self.members.wish.name}': expected {self._size} devices to be released by "
            f"{local_iso(date, zone)}, found {found} (the phase begins at {local_iso(self.begin, zone)} at the "
            "earliest)",
            "Widen the windows." if earliest is None else date_hint(earliest, zone),
        )


def date_hint(at: int, zone: str) -> str:
    """Name the first date that works, as TOML reads it."""
    return f"Earliest feasible date: date = {local_iso(at, zone)}."
