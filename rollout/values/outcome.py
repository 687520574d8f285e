"""The outcome of a released device, and how outcomes are counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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


class Mark(IntEnum):
    """What is known of a released device besides its outcome: index of the last axis of `Observation.marks`."""

    MENDING = 0  # FAILED now, by a failure that clients mend by themselves: no harm of ours until it lasts
    RECOVERED = 1  # ENROLLED now, after a failure that counts
    UNENROLLED = 2  # PENDING now, after it was enrolled


MARKS = len(Mark)


class Fact(IntEnum):
    """What was seen of a device and is never forgotten: each is kept from the first observation that showed it.

    A fact is recorded again where it became true again: enrolled, un-enrolled, and enrolled once more are three facts.
    FAILED is recorded again for another code, for a failure of a later cycle, and when a failure has lasted too long.
    """

    ENROLLED = 1
    FAILED = 2
    SILENT = 3
    REJECTED = 4
    UNENROLLED = 5  # enrolled before, and read to be enrolled no more
    GONE = 6  # its resource is gone, or was replaced when the computer was set up again
    LEFT = 7  # it left the limiting collection, so the collection lost it although our rule is there
    REMOVED = 8  # our rule was removed by somebody else
    RETURNED = 9  # a member again after GONE, LEFT or REMOVED
    MEMBER = 10  # seen as a member: what has left a collection can only be told of devices that were in it


class FailureClass(StrEnum):
    """Class of a failure code: where its cause lies, and so whether a retry can help."""

    TRANSIENT = "transient"
    IDENTITY = "identity"
    CONFIG = "config"
    DEVICE = "device"
    NETWORK = "network"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """What one observation showed for the first time, device by device; shape ``(k,)`` each.

    at : Unix seconds of the observation. rows : int32 fleet rows, a row may occur with several facts.
    facts : int8 `Fact`. codes : int64 HRESULT of a FAILED device, else 0.
    """

    at: int
    rows: IntArray
    facts: NDArray[np.int8]
    codes: LongArray

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True, eq=False)
class Lost:
    """Released devices that are members no more although we did not take them out; shape ``(k,)`` each.

    rows : int32 fleet rows. facts : int8, `Fact` GONE, LEFT or REMOVED. at : int64 Unix seconds first seen out.
    successors : by row, the new record of a computer whose record is GONE, such as a device of the same name.
    """

    rows: IntArray
    facts: NDArray[np.int8]
    at: LongArray
    successors: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """What the directory shows at an instant: events strictly before `at`.

    at : Unix seconds, the directory's clock.
    counts : (batch, stratum, outcome) int64: released devices by batch number, stratum code of the
        plan and `Outcome`. Rows past the last batch are zero. Only visible members are counted. The
        array may be a view that the next observation overwrites: copy what you need immediately.
    failed_codes : failure code (unsigned 32-bit HRESULT) -> devices.
    readable : False if the directory could not be read; the counts are then the last good ones.
    marks : (batch, stratum, mark) int64, devices by `Mark`; None if there are none.
    facts : what this observation showed for the first time, None if nothing; the loop records it.
    lost : released devices that are no longer members, None if all are.
    blind : why the directory's answer cannot be true, such as a list that lost most of its rows; "" if it can.
    """

    at: int
    counts: NDArray[np.int64]
    failed_codes: dict[int, int]
    readable: bool = True
    marks: NDArray[np.int64] | None = None
    facts: Facts | None = None
    lost: Lost | None = None
    blind: str = ""

    def of(self, first: int, last: int) -> NDArray[np.int64]:
        """Return the counts of the batches first … last-1, shape (stratum, outcome)."""
        return np.asarray(self.counts[first:last].sum(axis=0), dtype=np.int64)

    def evidence(self, first: int, last: int) -> NDArray[np.int64]:
        """Return what gates count of the batches first … last-1, shape (stratum, outcome).

        A failure that counts stays FAILED after the device enrolled; one that mends by itself is PENDING.
        """
        counts = self.of(first, last)
        if self.marks is None:
            return counts
        marks = self.marks[first:last].sum(axis=0)
        counts[:, Outcome.FAILED] += marks[:, Mark.RECOVERED] - marks[:, Mark.MENDING]
        counts[:, Outcome.ENROLLED] -= marks[:, Mark.RECOVERED]
        counts[:, Outcome.PENDING] += marks[:, Mark.MENDING]
        return counts


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
