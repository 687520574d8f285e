"""Pacing `duration`: evenly over a length of active time."""

from __future__ import annotations

from typing import ClassVar, Literal

from rollout.fields import Seconds
from rollout.pacing.curve import spread
from rollout.pacing.modes.base import Frame, Mode
from rollout.values import Curve


class Duration(Mode):
    """Evenly over `duration`; with a gap in equal groups, the first at 0, the last not after `duration`."""

    mode: Literal["duration"]
    duration: Seconds
    gap: Seconds = 0

    is_promised: ClassVar[bool] = True

    def curve(self, size: int, frame: Frame, *, may_stop: bool = False) -> Curve:
        """Spread the phase over the duration."""
        return spread(self.duration, self.gap, size)
