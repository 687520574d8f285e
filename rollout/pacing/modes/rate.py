"""Pacing `rate`: a number of devices, or a share of the phase, at regular intervals."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import model_validator

from rollout.fields import Percent, Positive, PositiveSeconds
from rollout.pacing.curve import MAX_STEPS, parts_of, staircase
from rollout.pacing.modes.base import Frame, Mode, shrunk
from rollout.values import WHOLE, Curve, part_of, parts_of_percent


class Rate(Mode):
    """This many devices, or a share of the phase, each `every`; the first at once."""

    mode: Literal["rate"]
    devices: Positive | None = None
    percent: Percent | None = None
    every: PositiveSeconds | None = None

    is_promised: ClassVar[bool] = True

    @model_validator(mode="after")
    def _devices_or_percent(self) -> Rate:
        if (self.devices is None) == (self.percent is None):
            raise ValueError("either 'devices' or 'percent'")
        return self

    def curve(self, size: int, frame: Frame, *, may_stop: bool = False) -> Curve:
        """Return a staircase; see `rate`."""
        devices = self.devices or max(1, part_of(size, parts_of_percent(self.percent or 0)))
        return rate(devices, self.every_s or frame.step_s, size)

    def pace_that_fits(self, size: int, open_s: int, step_s: int) -> str:
        """Return a hint with the smallest rate that works."""
        batches = open_s // (self.every_s or step_s)
        return f"Smallest rate that works: devices = {-(-size // batches)}"

    def scaled(self, factor: float) -> Rate:
        """Shrink `devices`; a percentage stays."""
        if self.devices is None:
            return self
        return self.model_copy(update={"devices": shrunk(self.devices, factor)})


def rate(devices: int, every_s: int, size: int) -> Curve:
    """Release `devices` every `every_s`, the first at 0, until all `size` are released."""
    steps = max(1, -(-size // devices))
    if steps <= MAX_STEPS:
        counts = [min(size, devices * number) for number in range(1, steps + 1)]
        return staircase(
            [number * every_s for number in range(steps)], [parts_of(count, size) for count in counts]
        )
    last = size // devices  # the straight line through the corners, exact at each of them
    corner = parts_of(last * devices, size)
    times, levels = [0, (last - 1) * every_s], [parts_of(devices, size), corner]
    if last * devices < size:
        times.append(last * every_s)
        levels.append(WHOLE)
    return Curve(tuple(times), tuple(levels))
