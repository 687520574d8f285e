"""Pacing `ramp`: a rate that grows each time a given number of devices has succeeded."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rollout.errors import UsageError
from rollout.fields import Count, Positive, PositiveSeconds
from rollout.pacing.curve import MAX_STEPS, linear, parts_of
from rollout.pacing.modes.base import Frame, Mode, shrunk
from rollout.values import Curve


class Ramp(Mode):
    """`base` devices each `every`; `factor` times as fast for each `succeeded` enrolled ones, up to `cap`.

    The curve is how the ramp goes if every device succeeds at once; `rollout.pacing.advance` holds it back to what
    is earned.
    """

    mode: Literal["ramp"]
    base: Positive
    every: PositiveSeconds | None = None
    factor: float = Field(default=2.0, ge=1, le=100, allow_inf_nan=False)
    succeeded: Positive
    cap: Count = 0

    def curve(self, size: int, frame: Frame, *, may_stop: bool = False) -> Curve:
        """Return a straight piece per rate; raise a `UsageError` if it has more than MAX_STEPS rates."""
        every_s = self.every_s or frame.step_s
        times, counts, speed = [0], [0], float(self.base)
        while counts[-1] < size:
            if len(counts) > MAX_STEPS:
                raise UsageError(
                    f"expected at most {MAX_STEPS} rates on a ramp, found one for each {self.succeeded} of {size} "
                    "devices",
                    "Give a larger 'succeeded', a larger 'factor' or a 'cap'.",
                )
            speed = min(speed, float(self.cap)) if self.cap else speed
            last = self.cap and speed >= self.cap
            count = size if last else min(size, counts[-1] + self.succeeded)
            times.append(times[-1] + max(1, round((count - counts[-1]) * every_s / speed)))
            counts.append(count)
            speed *= self.factor
        return Curve(tuple(times), tuple(parts_of(count, size) for count in counts)) if size else linear(0)

    @property
    def rung(self) -> int:
        """Successes that earn the rate of the next piece of the curve."""
        return self.succeeded

    def scaled(self, factor: float) -> Ramp:
        """Shrink all that is counted in devices."""
        return self.model_copy(
            update={name: shrunk(getattr(self, name), factor) for name in ("base", "succeeded", "cap")}
        )
