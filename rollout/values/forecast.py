"""The end of a running rollout, simulated from where it stands."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Forecast:
    """The expected end of a running rollout: quantiles over simulated continuations.

    as_of : Unix seconds of the observation that the continuations start from. runs : their number.
    done, enrolled_90 : (p10, p50, p90) Unix seconds until every device has an outcome or is given up, and until 90 %
    of the planned devices are enrolled; infinite where the simulated time ends before.
    failed : (p10, p50, p90) devices failed in the end. failed_surely : the least and the most, from counts alone,
    without any model: an any-time interval of 95 %. halt_chance : share of the continuations that a gate halts.
    matched : share of the released devices whose simulated state equals their real one.
    calibrated : whether the assumptions were fitted to this rollout first.
    """

    as_of: int
    runs: int
    done: tuple[float, float, float]
    enrolled_90: tuple[float, float, float]
    failed: tuple[int, int, int]
    failed_surely: tuple[int, int]
    halt_chance: float
    matched: float
    calibrated: bool
