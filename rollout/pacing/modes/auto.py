"""Pacing `auto`: as fast as the enrollment service can take, within the budgets."""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from rollout.fields import PerHour, Seconds
from rollout.pacing.curve import spread
from rollout.pacing.modes.base import Frame, Mode
from rollout.values import HOUR_S, Curve

SERVICE_PER_HOUR: Final = 2_000
"""Enrollments per hour that `auto` assumes the service can take, unless the policy says otherwise.

Microsoft publishes neither the accepted rate nor the formula of its own random window; it says only that the
window grows with the number of clients and that 100,000 take several days. This figure and UTILISATION give
100 h there. Fit it with `rollout calibrate`.
"""

UTILISATION: Final = 0.5
"""Share of the service's capacity that `auto` uses; the rest is for retries and for other clients."""

SHORTEST_S: Final = 4 * HOUR_S
"""The shortest duration of `auto`: a fault must have time to show."""


class Auto(Mode):
    """As fast as the enrollment service can take (`auto_duration_s`), within the budgets."""

    mode: Literal["auto"] = "auto"
    service_per_hour: PerHour | None = None
    gap: Seconds = 0

    yields_to_levels: ClassVar[bool] = True

    def curve(self, size: int, frame: Frame, *, may_stop: bool = False) -> Curve:
        """Spread the phase over `auto_duration_s`, longer if the budget per step requires it."""
        duration_s = auto_duration_s(size, self.service_per_hour or frame.service_per_hour)
        if frame.per_step:
            duration_s = max(duration_s, -(-size // frame.per_step) * frame.step_s)
        return spread(duration_s, self.gap, size)

    def scaled(self, factor: float) -> Auto:
        """Shrink the capacity of the service."""
        if self.service_per_hour is None:
            return self
        return self.model_copy(update={"service_per_hour": self.service_per_hour * factor})


def auto_duration_s(size: int, service_per_hour: float | None = None) -> int:
    """Return the seconds over which `size` devices are released if the policy states no pace, a whole number of hours.

    size / (service_per_hour * UTILISATION), at least SHORTEST_S; 100,000 devices take 100 h by default.
    """
    if size <= 0:
        return 0
    hours = -(-size // max(1, int((service_per_hour or SERVICE_PER_HOUR) * UTILISATION)))
    return max(SHORTEST_S, hours * HOUR_S)
