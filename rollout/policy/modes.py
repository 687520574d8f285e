"""The ways of pacing as a scenario writes them, `pacing = {mode = "...", ...}`; see `rollout.planning.curves`."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from rollout.policy.bounds import MAX_DEVICES, MAX_LIST, Count, Day, Moment, PerHour, Positive
from rollout.values import WHOLE, parts_of_percent, parts_of_share
from rollout.values.durations import EXPECTED, parse_duration

SHARE = 'a share such as "10%"'
BATCH = 'a number of devices, a share such as "10%", or "rest"'
MAX_BATCHES = MAX_LIST


def _seconds(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str):
        raise ValueError(EXPECTED)  # noqa: TRY004 (pydantic turns a ValueError into its own error)
    try:
        return parse_duration(value)
    except ValueError as error:
        raise ValueError(str(error).removeprefix("expected ").split(", found")[0]) from error


def parse_share(value: object) -> int:
    """Give "12.5%" as parts of WHOLE, exactly. Raise a `ValueError` that says what was expected."""
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


def _batches(value: object) -> object:
    if isinstance(value, int) and 0 < value <= MAX_BATCHES and not isinstance(value, bool):
        return value
    if not isinstance(value, (list, tuple)) or not 0 < len(value) <= MAX_BATCHES:
        raise ValueError(f"1 to {MAX_BATCHES} batches, each {BATCH}; or the number of equal ones")
    return tuple(_batch(one) for one in value)


def _batch(value: object) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_DEVICES:
        return value
    if value == "rest":
        return "rest"
    if isinstance(value, str) and value.endswith("%") and parse_share(value):
        return value
    raise ValueError(f"each batch to be {BATCH}")


def _exactly(parts_of: Callable[[float], int]) -> AfterValidator:
    """Refuse a figure that is finer than shares are counted."""

    def check(value: float) -> float:
        try:
            parts_of(value)
        except ValueError as error:
            raise ValueError(str(error).removeprefix("expected ").split(", found")[0]) from None
        return value

    return AfterValidator(check)


Seconds = Annotated[int, BeforeValidator(_seconds)]
PositiveSeconds = Annotated[Seconds, Field(gt=0)]
ShareText = Annotated[int, BeforeValidator(parse_share)]
Percent = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False), _exactly(parts_of_percent)]
ShareOfOne = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), _exactly(parts_of_share)]
BatchSizes = Annotated[int | tuple[int | str, ...], BeforeValidator(_batches)]


class Part(BaseModel):
    """Base of all parts of a policy: frozen, and no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Auto(Part):
    """As fast as the enrollment service bears (`rollout.pacing.auto_duration_s`), within the budgets."""

    mode: Literal["auto"] = "auto"
    service_per_hour: PerHour | None = None
    gap: Seconds = 0


class Rate(Part):
    """So many devices, or a share of the phase, each `every`; the first at once."""

    mode: Literal["rate"]
    devices: Positive | None = None
    percent: Percent | None = None
    every: PositiveSeconds | None = None

    @model_validator(mode="after")
    def _one(self) -> Rate:
        if (self.devices is None) == (self.percent is None):
            raise ValueError("either 'devices' or 'percent'")
        return self


class Duration(Part):
    """Evenly over `duration`; with a gap in equal groups, the first at 0, the last not after `duration`."""

    mode: Literal["duration"]
    duration: Seconds
    gap: Seconds = 0


class ByDate(Part):
    """Evenly, the last device at `date` at the latest; a date without time means the end of that day."""

    mode: Literal["by_date"]
    date: Moment | Day
    gap: Seconds = 0


class Points(Part):
    """Through (active time, share) points: straight lines between them, or steps."""

    mode: Literal["points"]
    points: Annotated[tuple[tuple[Seconds, ShareText], ...], Field(min_length=1, max_length=MAX_LIST)]
    steps: bool = False

    @model_validator(mode="after")
    def _rises(self) -> Points:
        pairs = list(zip(self.points, self.points[1:], strict=False))
        if any(later[0] < one[0] or later[1] < one[1] for one, later in pairs):
            raise ValueError("points whose times and shares never fall")
        return self


class Ramp(Part):
    """`base` devices each `every`; `factor` times as fast for each `succeeded` enrolled ones, up to `cap`."""

    mode: Literal["ramp"]
    base: Positive
    every: PositiveSeconds | None = None
    factor: float = Field(default=2.0, ge=1, le=100, allow_inf_nan=False)
    succeeded: Positive
    cap: Count = 0


class Batches(Part):
    """Batches of given sizes, or a number of equal ones, each `every`; what is left over is a last batch."""

    mode: Literal["batches"]
    batches: BatchSizes
    every: PositiveSeconds | None = None

    @model_validator(mode="after")
    def _rest_last(self) -> Batches:
        if isinstance(self.batches, tuple) and "rest" in self.batches[:-1]:
            raise ValueError('"rest" as the last batch only')
        if isinstance(self.batches, tuple):
            shares = [parse_share(one) for one in self.batches if isinstance(one, str) and one != "rest"]
            if sum(shares) > WHOLE:
                raise ValueError(
                    f"batches that add up to at most 100% (these are {sum(shares) * 100 / WHOLE:g}%)"
                )
        return self


def _mode(value: Any) -> Any:
    return (
        {"mode": value}
        if isinstance(value, str)
        else {"mode": "auto", **value}
        if isinstance(value, dict)
        else value
    )


Pacing = Annotated[
    Annotated[Auto | Rate | Duration | ByDate | Points | Ramp | Batches, Field(discriminator="mode")],
    BeforeValidator(_mode),
]
