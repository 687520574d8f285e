"""Phases with their curves, and the refusal of what cannot be kept.

Who paces by rate, duration, date or points is promised that pace: a budget that cannot bear it is refused. The
other ways take what the budgets leave them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from rollout.errors import RefusedError, UsageError
from rollout.pacing import SERVICE_PER_HOUR, spread
from rollout.planning.curves import DateError, Frame, compile_curve, deadline, last_step, step_instant
from rollout.planning.flight import Peaks, peaks_of
from rollout.planning.schedule import Course, Release, next_begin
from rollout.planning.timetable import Timetable, local_iso
from rollout.policy import PhasePolicy, Policy
from rollout.policy.modes import Auto, ByDate, Duration, Points, Ramp, Rate
from rollout.values import Budgets, Calendar, Curve, IntArray, Phase, PhaseEnd
from rollout.values.durations import format_duration

PROMISED = (Rate, Duration, ByDate, Points)


@dataclass(frozen=True, slots=True)
class Members:
    """What a policy asks for one phase, and its devices in order."""

    wish: PhasePolicy
    source: str
    order: IntArray

    def deadline(self, zone: str) -> int:
        """Give the date in Unix seconds of a phase that is paced by one."""
        assert isinstance(self.wish.pacing, ByDate)
        return deadline(self.wish.pacing, zone)

    @property
    def gap_s(self) -> int:
        """The gap between groups of a phase that is paced by a date."""
        assert isinstance(self.wish.pacing, ByDate)
        return self.wish.pacing.gap


class BudgetError(Exception):
    """Budgets are too small for what a phase promises. need : the smallest figures that bear it so far."""

    def __init__(self, phase: str, need: dict[str, int], have: dict[str, int], date: int | None) -> None:
        super().__init__(phase)
        self.phase, self.need, self.have, self.date = phase, need, have, date


@dataclass(slots=True, eq=False)
class Phasing:
    """Builds the phases of one plan, in the order of time.

    budgets, budget_codes : as in `rollout.values.Plan`. latency_s : how long a device is in flight.
    """

    policy: Policy
    timetable: Timetable
    start: int
    latency_s: int
    budgets: Budgets
    budget_codes: IntArray
    last_release: int = field(default=0, init=False)
    """When the last device goes, Unix seconds, once `build` has run; the plan's start if nobody does."""

    def build(self, members: Sequence[Members]) -> tuple[Phase, ...]:
        """Give the phases; raise a `RefusedError` if one cannot be kept, with the figure that can."""
        try:
            return self._build(members)
        except BudgetError as error:
            raise self._refusal(error, members) from error

    def _build(self, members: Sequence[Members]) -> tuple[Phase, ...]:
        course = self._course(self.budgets)
        past: list[Release] = []
        phases: list[Phase] = []
        begin, over = self.start, False
        for index, one in enumerate(members):
            frame = self._frame(one, begin)
            phase = self._phase(one, index, frame, past)
            phases.append(phase)
            if over or not len(phase):
                continue
            releases = course.run(phase, index, begin)
            past.extend(releases)
            over = phase.end is PhaseEnd.NEVER
            if not over and sum(len(release.rows) for release in releases) < len(phase):
                raise self._too_long(one, frame)
            begin = next_begin(releases[-1].at, phase.soak_s, self.policy.look_every) if releases else begin
        self.last_release = max((release.at for release in past), default=self.start)
        return tuple(phases)

    def _phase(self, one: Members, index: int, frame: Frame, past: Sequence[Release]) -> Phase:
        wish = one.wish
        if isinstance(wish.pacing, ByDate) and len(one.order):
            return self._dated(one, index, frame, past)
        try:
            curve = compile_curve(
                wish.pacing if len(one.order) else Auto(),
                len(one.order),
                frame,
                may_stop=wish.ends is PhaseEnd.NEVER,
            )
        except UsageError as error:
            raise UsageError(f"phase '{wish.name}': {error.message}", error.hint) from error
        phase = self._with_curve(one, frame, curve)
        if not len(phase) or not (isinstance(wish.pacing, PROMISED) or (self._by_level and _is_auto(wish))):
            return phase
        need = self._need(phase, index, frame, past)
        if need and _is_auto(wish):
            return self._stretched(phase, index, frame, past)
        if need:
            raise BudgetError(wish.name, need, self._have(need), None)
        return phase

    def _dated(self, one: Members, index: int, frame: Frame, past: Sequence[Release]) -> Phase:
        phase = self._out_by(one, index, frame, one.deadline(frame.zone))
        if phase is None:
            raise self._too_early(one, index, frame, past)
        need = self._need(phase, index, frame, past)
        if need:
            raise BudgetError(one.wish.name, need, self._have(need), self._earliest(one, index, frame, past))
        return phase

    def _out_by(self, one: Members, index: int, frame: Frame, date: int) -> Phase | None:
        """The slowest even pace at which all are out by `date`; None if there is none."""
        try:
            top = last_step(date, frame)
        except DateError:
            return None
        if not frame.zones or self._finish(self._even(one, frame, top), index, frame) <= date:
            return self._even(one, frame, top)
        low, high = (
            -1,
            top,
        )  # low is out in time, high is not: devices wait for the windows of their own zones
        while high - low > 1:
            middle = (low + high) // 2
            out = self._finish(self._even(one, frame, middle), index, frame) <= date
            low, high = (middle, high) if out else (low, middle)
        return self._even(one, frame, low) if low >= 0 else None

    def _even(self, one: Members, frame: Frame, steps: int) -> Phase:
        """A phase whose curve is through after so many steps."""
        curve = spread(steps * frame.step_s, one.gap_s, len(one.order))
        return self._with_curve(one, frame, curve, by=step_instant(frame, steps) or -1)

    def _free_run(self, phase: Phase, index: int, frame: Frame) -> list[Release]:
        """The releases of a phase without any budget."""
        return self._course(Budgets()).run(phase, index, frame.begin)

    def _finish(self, phase: Phase, index: int, frame: Frame) -> int:
        """The last release without any budget; the end of time if the calendar ends before it."""
        releases = self._free_run(phase, index, frame)
        return releases[-1].at if sum(len(one.rows) for one in releases) == len(phase) else 2**62

    def _with_curve(self, one: Members, frame: Frame, curve: Curve, by: int = -1) -> Phase:
        wish = one.wish
        return Phase(
            name=wish.name,
            source=one.source,
            order=one.order,
            curve=curve,
            step_s=frame.step_s,
            # Before its last batches are mature the gate could say nothing but HOLD.
            soak_s=max(wish.soak, self.latency_s) if len(one.order) else wish.soak,
            gate=(wish.gate or self.policy.gate).gate(),
            end=wish.ends,
            by=by,
            rung=wish.pacing.succeeded if isinstance(wish.pacing, Ramp) else 0,
        )

    def _frame(self, one: Members, begin: int) -> Frame:
        zones: list[Calendar] = []
        if self.timetable.zone_calendars:
            used = np.unique(self.timetable.zone_codes[one.order])
            zones = [self.timetable.zone_calendars[code] for code in used.tolist()]
        return Frame(
            calendar=self.timetable.calendar,
            begin=begin,
            step_s=self.timetable.calendar.wave_s or one.wish.step or self.policy.step,
            zone=self.policy.zone,
            zones=zones,
            service_per_hour=self.policy.service_per_hour or SERVICE_PER_HOUR,
            per_step=self.budgets.per_step,
        )

    def _course(self, budgets: Budgets) -> Course:
        table = self.timetable
        return Course(table.calendar, table.zone_calendars, table.zone_codes, budgets, self.latency_s)

    @property
    def _by_level(self) -> bool:
        return self.budgets.per_level > 0

    def _peaks(self, releases: Sequence[Release]) -> Peaks:
        return peaks_of(releases, self.latency_s, self.budget_codes, by_level=self._by_level)

    def _need(self, phase: Phase, index: int, frame: Frame, past: Sequence[Release]) -> dict[str, int]:
        """The smallest figures of those budgets that are too small for the phase's curve."""
        since = frame.begin - self.latency_s
        releases = self._free_run(phase, index, frame)
        return self._peaks([one for one in past if one.at > since] + releases).beyond(self.budgets)

    def _have(self, names: Iterable[str]) -> dict[str, int]:
        return {name: int(getattr(self.budgets, name)) for name in names}

    def _stretched(self, phase: Phase, index: int, frame: Frame, past: Sequence[Release]) -> Phase:
        """Slow an `auto` phase down until its levels keep within their budget."""
        length_s, longest_s = phase.curve.length_s, int((frame.calendar.closes - frame.calendar.opens).sum())
        while length_s < longest_s:
            need = self._need(phase, index, frame, past)
            if not need:
                break
            excess = max(figure / int(getattr(self.budgets, name)) for name, figure in need.items())
            steps = int(length_s * max(1.02, min(excess, 4.0))) // frame.step_s + 1
            length_s = steps * frame.step_s
            phase = replace(phase, curve=spread(length_s))
        return phase

    def _earliest(self, one: Members, index: int, frame: Frame, past: Sequence[Release]) -> int | None:
        """The first date that works for a phase, None if none does within the calendar.

        It is the finish of the fastest even pace that the budgets bear. (With a budget per level, whole devices
        make that limit ragged; a date a few steps earlier may happen to work too.)
        """

        def bears(steps: int) -> bool:
            return not self._need(self._even(one, frame, steps), index, frame, past)

        low, high = -1, 0
        while not bears(high):
            if step_instant(frame, high) is None:
                return None
            low, high = high, 2 * high + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if bears(middle) else (middle, high)
        while (date := self._finish(self._even(one, frame, high), index, frame)) < 2**62:
            phase = self._out_by(one, index, frame, date)
            if phase is not None and not self._need(phase, index, frame, past):
                return date
            high += 1  # rounding made the pace of this date a little steeper than the budgets bear
        return None

    def _too_early(self, one: Members, index: int, frame: Frame, past: Sequence[Release]) -> RefusedError:
        date = local_iso(one.deadline(frame.zone), frame.zone)
        earliest = self._earliest(one, index, frame, past)
        found = (
            "no date in two years on which all could be" if earliest is None else "too little time before it"
        )
        return RefusedError(
            f"phase '{one.wish.name}': expected {len(one.order)} devices to be released by {date}, "
            f"found {found} (the phase begins at {local_iso(frame.begin, frame.zone)} at the earliest)",
            "Widen the windows." if earliest is None else _date_hint(earliest, frame.zone),
        )

    def _too_long(self, one: Members, frame: Frame) -> RefusedError:
        calendar, size = frame.calendar, len(one.order)
        last_s = int((calendar.closes - np.maximum(calendar.opens, frame.begin)).clip(0).sum()) - frame.step_s
        message = (
            f"phase '{one.wish.name}': expected {size} devices to be released within two years of the start, "
            f"found only {format_duration(max(0, last_s))} of open time after {local_iso(frame.begin, frame.zone)}"
        )
        if last_s < frame.step_s:
            return RefusedError(message, "Shorten the phases before it or widen the windows.")
        if isinstance(one.wish.pacing, Rate):
            every_s = one.wish.pacing.every or frame.step_s
            return RefusedError(
                message, f"Smallest rate that works: devices = {-(-size // (last_s // every_s))}"
            )
        longest_s = last_s // frame.step_s * frame.step_s
        return RefusedError(
            message, f'Longest duration that works: duration = "{format_duration(longest_s)}"'
        )

    def _refusal(self, error: BudgetError, members: Sequence[Members]) -> RefusedError:
        figures = self._sufficient(error.need, members)
        found = ", ".join(f"{name} = {have}" for name, have in error.have.items())
        needs = ", ".join(f"{name} = {figure}" for name, figure in error.need.items())
        works = ", ".join(f"budgets.{name} = {figure}" for name, figure in figures.items())
        hint = f"Smallest budget that works: {works}."
        if error.date is not None:
            hint = f"{_date_hint(error.date, self.policy.zone)} Or: {hint[0].lower()}{hint[1:]}"
        return RefusedError(
            f"phase '{error.phase}': expected budgets that bear its pace, found {found} where it needs {needs} "
            f"(in flight = rate * latency, latency {format_duration(self.latency_s)})",
            hint,
        )

    def _sufficient(self, need: dict[str, int], members: Sequence[Members]) -> dict[str, int]:
        """Raise the budgets until the whole plan can be kept: a later phase may need more than the first."""
        figures = dict(need)
        while True:
            wider = replace(self, budgets=_raised(self.budgets, figures))
            try:
                wider._build(members)
            except BudgetError as error:
                figures |= error.need
            else:
                return figures


def _is_auto(wish: PhasePolicy) -> bool:
    return isinstance(wish.pacing, Auto)


def _raised(budgets: Budgets, figures: Mapping[str, int]) -> Budgets:
    return replace(
        budgets,
        in_flight=figures.get("in_flight", budgets.in_flight),
        per_step=figures.get("per_step", budgets.per_step),
        per_level=figures.get("per_level", budgets.per_level),
    )


def _date_hint(at: int, zone: str) -> str:
    return f"Earliest feasible date: date = {local_iso(at, zone)}."
