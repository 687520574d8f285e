"""Pacing `points`: through points of active time and share."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from rollout.errors import UsageError
from rollout.fields import MAX_LIST, Seconds, ShareText
from rollout.pacing.curve import staircase
from rollout.pacing.modes.base import Frame, Mode
from rollout.values import WHOLE, Curve


class Points(Mode):
    """Through (active time, share) points: straight lines between them, or steps."""

    mode: Literal["points"]
    points: Annotated[tuple[tuple[Seconds, ShareText], ...], Field(min_length=1, max_length=MAX_LIST)]
    steps: bool = False

    is_promised: ClassVar[bool] = True

    @model_validator(mode="after")
    def _rises(self) -> Points:
        pairs = list(zip(self.points, self.points[1:], strict=False))
        if any(later[0] < point[0] or later[1] < point[1] for point, later in pairs):
            raise ValueError("points whose times and shares never fall")
        return self

    def curve(self, size: int, frame: Frame, *, may_stop: bool = False) -> Curve:
        """Return the points themselves, from 0 on."""
        times = [at for at, _ in self.points]
        parts = [share for _, share in self.points]
        if parts[-1] < WHOLE and not may_stop:
            raise UsageError(
                f"expected points that end at 100%, found {parts[-1] * 100 / WHOLE:g}%",
                'Add a last point such as ["10d", "100%"], or write end = "never".',
            )
        if self.steps:
            return staircase(times, parts)
        return Curve((0, *times), (0, *parts)) if times[0] > 0 else Curve(tuple(times), tuple(parts))
