"""The bounds of every number, duration and date of a scenario, by what it stands for.

Each key takes the type that fits, and so has bounds: a number beyond them is refused when the scenario is read, not
met by a plan or a simulation that overflows, takes hours or answers "not a number".
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Final

from pydantic import AfterValidator, Field, Strict

from rollout.gates.evidence import CHANCE_MIN, PRIOR_MAX, PRIOR_MIN, RATE_MIN
from rollout.values.durations import FIRST_DAY, LAST_DAY

MAX_DEVICES: Final = 10_000_000
"""Devices in a fleet, and so in every count of them."""

MAX_PER_HOUR: Final = 1_000_000_000.0
MIN_PER_HOUR: Final = 0.01
MAX_LIST: Final = 10_000
"""Entries of a list, such as sites or excluded devices."""


def _day(value: dt.date) -> dt.date:
    day = value.date() if isinstance(value, dt.datetime) else value
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError(f"a date from {FIRST_DAY} to {LAST_DAY}")
    return value


Count = Annotated[int, Strict(), Field(ge=0, le=MAX_DEVICES)]
Positive = Annotated[int, Strict(), Field(gt=0, le=MAX_DEVICES)]
PerHour = Annotated[float, Field(ge=MIN_PER_HOUR, le=MAX_PER_HOUR, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=1e-6, le=1e9, allow_inf_nan=False)]
Probability = Annotated[float, Field(ge=RATE_MIN, le=1 - RATE_MIN, allow_inf_nan=False)]
"""A failure rate that is neither impossible nor certain."""
Chance = Annotated[float, Field(ge=CHANCE_MIN, lt=1, allow_inf_nan=False)]
"""A chance of being wrong that somebody accepts."""
Prior = Annotated[float, Field(ge=PRIOR_MIN, le=PRIOR_MAX, allow_inf_nan=False)]
Limit = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
"""A limit of a target; 0 is none."""
Day = Annotated[dt.date, AfterValidator(_day)]
Moment = Annotated[dt.datetime, AfterValidator(_day)]
