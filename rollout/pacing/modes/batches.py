"""Pacing `batches`: batches of given sizes, or a number of equal ones."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, model_validator

from rollout.fields import MAX_DEVICES, MAX_LIST, PositiveSeconds, parse_share
from rollout.pacing.curve import equal_groups, parts_of, staircase
from rollout.pacing.modes.base import Frame, Mode, shrunk
from rollout.values import WHOLE, Curve, part_of

REST: Final = "rest"
BATCH: Final = f'a number of devices, a share such as "10%", or "{REST}"'


def _batches(value: object) -> object:
    if isinstance(value, int) and 0 < value <= MAX_LIST and not isinstance(value, bool):
        return value
    if not isinstance(value, (list, tuple)) or not 0 < len(value) <= MAX_LIST:
        raise ValueError(f"1 to {MAX_LIST} batches, each {BATCH}; or the number of equal ones")
    return tuple(_batch(batch) for batch in value)


def _batch(value: object) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_DEVICES:
        return value
    if value == REST:
        return REST
    if isinstance(value, str) and value.endswith("%") and parse_share(value):
        return value
    raise ValueError(f"each batch to be {BATCH}")


class Batches(Mode):
    """Batches of given sizes, or a number of equal ones, each `every`; the remainder is a last batch."""

    mode: Literal["batches"]
    batches: Annotated[int | tuple[int | str, ...], BeforeValidator(_batches)]
    every: PositiveSeconds | None = None

    @model_validator(mode="after")
    def _rest_last(self) -> Batches:
        if isinstance(self.batches, int):
            return self
        if REST in self.batches[:-1]:
            raise ValueError(f'"{REST}" as the last batch only')
        total = sum(parse_share(batch) for batch in self.batches if isinstance(batch, str) and batch != REST)
        if total > WHOLE:
            raise ValueError(f"batches that add up to at most 100% (these are {total * 100 / WHOLE:g}%)")
        return self

    def curve(self, size: int, frame: Frame, *, may_stop: bool = False) -> Curve:
        """Return a staircase with one step per batch, the first at 0."""
        every_s = self.every_s or frame.step_s
        if isinstance(self.batches, int):
            return equal_groups(min(self.batches, max(size, 1)), every_s)
        totals = list(accumulate(batch_counts(self.batches, size)))
        return staircase(
            [number * every_s for number in range(len(totals))], [parts_of(total, size) for total in totals]
        )

    def scaled(self, factor: float) -> Batches:
        """Shrink sizes; shares and a number of equal batches stay."""
        if isinstance(self.batches, int):
            return self
        sizes = (shrunk(batch, factor) if isinstance(batch, int) else batch for batch in self.batches)
        return self.model_copy(update={"batches": tuple(sizes)})


def batch_counts(batches: Sequence[int | str], size: int) -> list[int]:
    """Turn a list as admins write it into counts that add up to `size`; shares are rounded up."""
    counts: list[int] = []
    left = size
    for batch in batches:
        counts.append(min(left, _wanted(batch, size)))
        left -= counts[-1]
    return [count for count in (*counts, left) if count] or [0]


def _wanted(batch: int | str, size: int) -> int:
    if isinstance(batch, int):
        return batch
    return size if batch == REST else part_of(size, parse_share(batch))
