"""What a pacing mode is, and what its curve is made for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rollout.fields import Part
from rollout.pacing.calendar import active_between, instant_after, is_open, next_open
from rollout.pacing.curve import linear
from rollout.values import Calendar, Curve
from rollout.values.durations import format_duration


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """The phase that a curve is made for.

    begin : Unix seconds at which the phase begins if every gate before it passes at once. step_s : its step.
    zones : the calendars of which each must have been open before a date; empty if only `calendar` counts.
    service_per_hour : enrollments per hour that the service can take, None if the policy does not say.
    per_step : most devices in one step, 0 = no limit.
    """

    calendar: Calendar
    begin: int
    step_s: int
    zone: str = "UTC"
    zones: Sequence[Calendar] = ()
    service_per_hour: float | None = None
    per_step: int = 0

    def instant_of(self, step: int) -> int | None:
        """Return the instant of a step: this many step lengths of active time after the beginning, and open."""
        passed = instant_after(self.calendar, self.begin, step * self.step_s)
        return None if passed is None else next_open(self.calendar, passed)

    def last_step(self, date: int) -> int:
        """Return the number of the last step by `date` (Unix seconds) at which all devices may be released.

        Where devices follow their own clocks, every zone must have been open at that step or after it.
        Raise a `DateError` if there is none.
        """
        step = active_between(self.calendar, self.begin, date) // self.step_s
        instant = self.instant_of(step)
        if instant is None or instant > date:
            step -= 1
        waiting = list(self.zones) or [self.calendar]
        while step >= 0:
            at = self.instant_of(step)
            waiting = [calendar for calendar in waiting if at is None or not is_open(calendar, at)]
            if not waiting:
                return step
            step -= 1
        raise DateError(self.instant_of(0))


class DateError(ValueError):
    """No step falls between the beginning of a phase and its date. first : the first step's instant, or None."""

    def __init__(self, first: int | None) -> None:
        super().__init__("no release is allowed before the date")
        self.first = first


class Mode(Part):
    """A pacing mode: its keys in a scenario, its curve, what it promises, and how it scales.

    A subclass has a field ``mode: Literal["its name"]`` and a row in `rollout.pacing.modes`; nothing else knows it.

    is_promised : its pace is kept: a budget that does not allow it is refused. Other modes use what budgets leave.
    yields_to_levels : it is slowed down until a budget per level allows it.
    """

    is_promised: ClassVar[bool] = False
    yields_to_levels: ClassVar[bool] = False

    @abstractmethod
    def curve(self, size: int, frame: Frame, *, may_stop: bool = False) -> Curve:
        """Return the curve of a phase of `size` devices; it ends at WHOLE.

        may_stop : the phase has no end, so the curve may stop below 100%.
        Raise a `UsageError` for keys that give no curve; `DateError` for a date that no release can meet.
        """

    def even(self, length_s: int, size: int) -> Curve:
        """Return the even pace over `length_s` active seconds that this mode takes for a date."""
        return linear(length_s)

    def deadline(self, zone: str) -> int | None:
        """Return the date in Unix seconds by which all devices are to be released, None without a date."""
        return None

    @property
    def rung(self) -> int:
        """Successes that earn the rate of the next piece of the curve, 0 = none must be earned."""
        return 0

    @property
    def every_s(self) -> int:
        """Active seconds from batch to batch if the mode has the key `every` and it is written, else 0."""
        return getattr(self, "every", None) or 0

    def pace_that_fits(self, size: int, open_s: int, step_s: int) -> str:
        """Return a hint with keys that release `size` devices within `open_s` active seconds."""
        longest_s = open_s // step_s * step_s
        return f'Longest duration that works: duration = "{format_duration(longest_s)}"'

    def scaled(self, factor: float) -> Mode:
        """Return the same pace for a fleet that is `factor` times as large: what it counts in devices shrinks."""
        return self


def shrunk(count: int, factor: float) -> int:
    """Shrink a number of devices; 0 stays 0, everything else is at least 1."""
    return max(1, round(count * factor)) if count else 0
