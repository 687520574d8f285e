"""The documents of a forecast: in short for `status` and `report`, whole for `forecast` and the journal."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Annotated, Self

from pydantic import Field

from rollout.documents.base import (
    Count,
    CountInterval,
    Document,
    Instant,
    InstantInterval,
    Share,
    described,
)
from rollout.text import iso
from rollout.values.forecast import Forecast


class ForecastSummary(Document):
    """The expected end of a running rollout, from where it stood."""

    as_of: Instant = described("UTC instant of the observation that the continuations start from.")
    done: InstantInterval = described("Instant at which every device has an outcome or is given up.")
    enrolled_90: InstantInterval = described("Instant at which 90 % of the planned devices are enrolled.")
    failed: CountInterval = described("Devices that have failed in the end.")
    halt_chance: Share = described("Share of the continuations that a gate halts.")
    calibrated: bool = described("Whether the assumptions were fitted to this rollout first.")

    @classmethod
    def of(cls, forecast: Forecast) -> Self:
        """Return the document of a forecast, with as many of its figures as this class has."""
        low, middle, high = forecast.failed
        return cls.build(
            forecast,
            as_of=iso(forecast.as_of),
            done=_instants(forecast.done),
            enrolled_90=_instants(forecast.enrolled_90),
            failed=CountInterval(p10=low, p50=middle, p90=high),
        )


class ForecastDetails(ForecastSummary):
    """A forecast, with how it was made."""

    runs: Count = described("Continuations that were simulated.")
    failed_surely: Annotated[tuple[Count, ...], Field(min_length=2, max_length=2)] = described(
        "Devices failed in the end, least and most, by counts alone: an any-time interval of 95 %."
    )
    matched: Share = described(
        "Share of the released devices for which the simulated state equals the real one."
    )

    @property
    def forecast(self) -> Forecast:
        """The forecast whose document this is."""
        least, most = self.failed_surely
        return Forecast(
            as_of=int(datetime.fromisoformat(self.as_of).timestamp()),
            runs=self.runs,
            done=_seconds(self.done),
            enrolled_90=_seconds(self.enrolled_90),
            failed=(self.failed.p10, self.failed.p50, self.failed.p90),
            failed_surely=(least, most),
            halt_chance=self.halt_chance,
            matched=self.matched,
            calibrated=self.calibrated,
        )


class RolloutForecast(Document):
    """When a running rollout will be done."""

    rollout: str = described("The rollout's id.")
    eta: ForecastDetails | None = described("The forecast; null for a rollout that has ended.")
    on_plan: str = described("Comparison with the simulation of its plan, in a sentence.")


def _instants(at: tuple[float, float, float]) -> InstantInterval:
    p10, p50, p90 = (iso(item) if math.isfinite(item) else None for item in at)
    return InstantInterval(p10=p10, p50=p50, p90=p90)


def _seconds(interval: InstantInterval) -> tuple[float, float, float]:
    p10, p50, p90 = (
        math.inf if at is None else datetime.fromisoformat(at).timestamp()
        for at in (interval.p10, interval.p50, interval.p90)
    )
    return p10, p50, p90
