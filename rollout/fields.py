"""The types of a scenario's keys: how each is written, and the bounds of every number, duration and date.

Each key takes the type that fits, and so has bounds: a number beyond them is refused when the scenario is read, not
met by a plan or a simulation that overflows, takes hours or answers "not a number".
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict

from rollout.values import WHOLE, parts_of_percent, parts_of_share
from rollout.values.durations import EXPECTED, FIRST_DAY, LAST_DAY, parse_duration

MAX_DEVICES: Final = 10_000_000
"""Devices in a fleet, and so in every count of them."""

MAX_PER_HOUR: Final = 1_000_000_000.0
MIN_PER_HOUR: Final = 0.01
MAX_LIST: Final = 10_000
"""Entries of a list, such as sites or excluded devices."""
SHARE: Final = 'a share such as "10%"'


class Part(BaseModel):
    """Base of all parts of a policy: frozen, and no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def parse_share(value: object) -> int:
    """Return "12.5%" as parts of WHOLE, exactly. Raise a `ValueError` that says what was expected."""
    text = value.strip() if isinstance(value, str) else ""
    try:
        percent = Decimal(text.removesuffix("%"))
    except InvalidOperation:
        raise ValueError(SHARE) from None
    if not text.endswith("%") or not percent.is_finite() or not 0 <= percent <= 100:
        raise ValueError(f"{SHARE} between 0% and 100%")
    parts = percent * (WHOLE // 100)
    if parts != int(parts):
        raise ValueError(f"{SHARE} with at most seven decimals")
    return int(parts)


def _day(value: dt.date) -> dt.date:
    day = value.date() if isinstance(value, dt.datetime) else value
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError(f"a date from {FIRST_DAY} to {LAST_DAY}")
    return value


def _seconds(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str):
        raise ValueError(EXPECTED)  # noqa: TRY004 (pydantic turns a ValueError into its own error)
    try:
        return parse_duration(value)
    except ValueError as error:
        raise _expectation(error) from error


def _exactly(parts_of: Callable[[float], int]) -> AfterValidator:
    """Refuse a figure that is finer than shares are counted."""

    def check(value: float) -> float:
        try:
            parts_of(value)
        except ValueError as error:
            raise _expectation(error) from None
        return value

    return AfterValidator(check)


def _expectation(error: ValueError) -> ValueError:
    """Return what was expected alone: `rollout.policy.mistakes` adds what was found."""
    return ValueError(str(error).removeprefix("expected ").split(", found")[0])


Count = Annotated[int, Strict(), Field(ge=0, le=MAX_DEVICES)]
Positive = Annotated[int, Strict(), Field(gt=0, le=MAX_DEVICES)]
PerHour = Annotated[float, Field(ge=MIN_PER_HOUR, le=MAX_PER_HOUR, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=1e-6, le=1e9, allow_inf_nan=False)]
Limit = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
"""The limit of a target; 0 means none."""
Day = Annotated[dt.date, AfterValidator(_day)]
Moment = Annotated[dt.datetime, AfterValidator(_day)]
Seconds = Annotated[int, BeforeValidator(_seconds)]
PositiveSeconds = Annotated[Seconds, Field(gt=0)]
ShareText = Annotated[int, BeforeValidator(parse_share)]
Percent = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False), _exactly(parts_of_percent)]
PercentOrZero = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False), _exactly(parts_of_percent)]
ShareOfOne = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), _exactly(parts_of_share)]
