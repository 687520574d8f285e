"""A pacing mode that the product does not have: all that a new one takes, in one module."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from rollout.fields import Positive, Seconds
from rollout.pacing.curve import parts_of, staircase
from rollout.pacing.modes import Auto, Frame, Mode
from rollout.pacing.modes.base import shrunk
from rollout.policy import PhasePolicy, Policy
from rollout.values import Curve


class Pulse(Mode):
    """`devices` at once, then twice as many after each `rest`."""

    mode: Literal["pulse"]
    devices: Positive
    rest: Seconds

    is_promised: ClassVar[bool] = True

    def curve(self, size: int, frame: Frame, *, may_stop: bool = False) -> Curve:
        """Double the batch after each rest."""
        totals = [min(size, self.devices)]
        while totals[-1] < size:
            totals.append(min(size, 2 * totals[-1] + self.devices))
        return staircase(
            [number * self.rest for number in range(len(totals))], [parts_of(one, size) for one in totals]
        )

    def pace_that_fits(self, size: int, open_s: int, step_s: int) -> str:
        """Ask for a shorter rest."""
        return f"A rest of at most {step_s} s works."

    def scaled(self, factor: float) -> Pulse:
        """Shrink the first batch."""
        return self.model_copy(update={"devices": shrunk(self.devices, factor)})


class PulsePhase(PhasePolicy):
    """A phase whose table of modes has one more row."""

    pacing: Annotated[Auto | Pulse, Field(discriminator="mode")] = Auto()


class PulsePolicy(Policy):
    """A policy with such phases."""

    phases: tuple[PulsePhase, ...] = ()
