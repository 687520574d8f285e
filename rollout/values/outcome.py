"""The outcome of a released device, and how outcomes are counted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

import numpy as np
from numpy.typing import NDArray

from rollout.values.fleet import IntArray, LongArray


class Outcome(IntEnum):
    """Index of the last axis of every count array. NOT_RELEASED is never counted."""

    PENDING = 0  # released, nothing known yet
    ENROLLED = 1
    FAILED = 2
    REJECTED = 3  # the directory refused the membership
    TIMED_OUT = 4  # released but silent past `straggler_after_s`; may still enroll later


OUTCOMES = len(Outcome)
NOT_RELEASED = -1


class FailureClass(StrEnum):
    """Class of a failure code: where its cause lies, and so whether a retry can help."""

    TRANSIENT = "transient"
    IDENTITY = "identity"
    CONFIG = "config"
    DEVICE = "device"
    NETWORK = "network"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """What the directory shows at an instant: events strictly before `at`.

    at : Unix seconds, the directory's clock.
    counts : (batch, stratum, outcome) int64: released devices by batch number, stratum code of the
        plan and `Outcome`. Rows past the last batch are zero. Only visible members are counted. The
        array may be a view that the next observation overwrites: copy what you need immediately.
    failed_codes : failure code (unsigned 32-bit HRESULT) -> devices.
    readable : False if the directory could not be read; the counts are then the last good ones.
    """

    at: int
    counts: NDArray[np.int64]
    failed_codes: dict[int, int]
    readable: bool = True

    def of(self, first: int, last: int) -> NDArray[np.int64]:
        """Return the counts of the batches first … last-1, shape (stratum, outcome)."""
        return np.asarray(self.counts[first:last].sum(axis=0), dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class DeviceOutcomes:
    """The state of each device by fleet row, shape ``(n,)`` each.

    outcome : int8, `Outcome` or NOT_RELEASED.
    at : int64 Unix seconds of the last change, -1 none.
    code : int64 unsigned HRESULT of the last failure, 0 none.
    """

    outcome: NDArray[np.int8]
    at: LongArray
    code: LongArray


@dataclass(frozen=True, slots=True, eq=False)
class Applied:
    """The directory's answer to one chunk.

    accepted : rows that we made members.
    adopted : rows that were already members: never ours, an undo does not remove them.
    rejected : rows that the directory refused, with `reasons` (same length).
    """

    accepted: IntArray
    adopted: IntArray
    rejected: IntArray
    reasons: tuple[str, ...] = ()
