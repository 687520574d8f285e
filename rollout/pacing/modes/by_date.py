"""Pacing `by_date`: evenly, so that the last device is released by a date."""

from __future__ import annotations

import datetime as dt
from typing import ClassVar, Literal
from zoneinfo import ZoneInfo

from rollout.fields import Day, Moment, Seconds
from rollout.pacing.curve import spread
from rollout.pacing.modes.base import Frame, Mode
from rollout.values import Curve


class ByDate(Mode):
    """Evenly, the last device at `date` at the latest; a date without time means the end of that day."""

    mode: Literal["by_date"]
    date: Moment | Day
    gap: Seconds = 0

    is_promised: ClassVar[bool] = True

    def curve(self, size: int, frame: Frame, *, may_stop: bool = False) -> Curve:
        """Spread the phase until the last step by the date."""
        return self.even(frame.last_step(self.deadline(frame.zone)) * frame.step_s, size)

    def even(self, length_s: int, size: int) -> Curve:
        """Return the even pace over `length_s`, in groups where there is a gap."""
        return spread(length_s, self.gap, size)

    def deadline(self, zone: str) -> int:
        """Return the date in Unix seconds: without time the end of the day, without offset on `zone`'s clock."""
        date = self.date
        if not isinstance(date, dt.datetime):
            date = dt.datetime.combine(date, dt.time(23, 59, 59))
        return int((date if date.tzinfo else date.replace(tzinfo=ZoneInfo(zone))).timestamp())
