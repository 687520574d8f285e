"""The packed rows of the fast engine: one 64-byte record per client, which is one cache line."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rollout.values import BoolArray, IntArray, LongArray
from sim.clients import draws
from sim.clients.spec import BINS, DAYS_BEFORE, DAYS_END, SIZE, TABLES, Spec
from sim.engines.fast.compiled import jit

ROW: Final = np.dtype(
    [
        ("key", "u8"),
        ("next", "i4"),  # next device in the same bucket, -1 if there is none
        ("offset", "i4"),  # seconds east of UTC, minus the 03:00 at which days begin
        ("released", "i4"),
        ("outcome_at", "i4"),
        ("stratum", "i4"),
        ("batch", "i4"),
        ("habit", "u4"),  # 16 bits arrival, 16 bits spread
        ("throttled", "i4"),  # throttled answers so far
        ("answered", "i4"),  # second of the first report, -1 if there was none
        ("kind", "i1"),  # kind of the pending event
        ("outcome", "i1"),  # as the directory reports it
        ("pending_outcome", "i1"),  # outcome that the pending report carries
        ("presence", "i1"),
        ("flags", "u1"),
        ("backoffs", "u1"),  # throttled answers since the last accepted attempt
        ("tries", "i2"),  # failed attempts in this cycle
        ("attempt", "i2"),  # attempts so far
        ("permanent", "i2"),  # index of the code of a permanent fault, -1 if there is none
        ("code", "i2"),  # index of the code of the last failure, -1 if there is none
        ("reported_code", "i2"),  # the same, as the directory reports it
        ("evaluations", "i2"),
        ("enrollments", "i2"),
    ],
    align=True,
)

MENDING: Final = np.dtype([("before", "i4"), ("after", "i4"), ("since", "i4")])
"""A device in the list of those whose failure does not count yet: its neighbours, and since when it is failed."""

TURNS_OFF: Final = 1
REPORTED: Final = 2
NEEDS_USER: Final = 4
INTERNET: Final = 8
HARMED: Final = 16  # a failure of it counts, whatever it does later
DELAYED: Final = 32  # the pending report was delayed

# Columns of the hourly histogram; the first four are the funnel.
ELIGIBLE: Final = 0
SCHEDULED: Final = 1
INITIATED: Final = 2
ENROLLED: Final = 3
ATTEMPTS: Final = 4
COMPLETED: Final = 5
POLLS: Final = 6
THROTTLED: Final = 7

# Scalars that persist between calls, at the front of the tally. Behind them stand the numbers of FAILED devices by
# code, then those of FAILED and recovered devices by stratum in reverse order, so that the place of the first stratum
# follows from the length.
NOW: Final = 0
PENDING: Final = 1
MINUTE: Final = 2  # the clock minute whose capacity is being counted
ACCEPTED: Final = 3  # attempts accepted in that minute
OUTAGE_AT: Final = 4  # index of the first outage that has not ended
FIRST_ENROLLMENT: Final = 5  # second of the first enrollment
RELEASED: Final = 6  # number of devices in `order`
CHECKED: Final = 7  # number of devices in `order` whose straggler time is over
FAILURES: Final = 8  # how often a device became FAILED or recovered, or ceased to be
MARKED: Final = 9  # number of devices with a mark
FIRST_MENDING: Final = 10  # the device that is mending for longest, -1 if there is none
LAST_MENDING: Final = 11
SCALARS: Final = 12

BLOCK: Final = 64
"""Devices released before their events are queued, so that the queue's memory can be prefetched."""

FIRST_DAY: Final = SIZE + TABLES * (BINS + 1)
"""Index in a book at which the kinds of days begin."""

DAY_ZERO: Final = FIRST_DAY + DAYS_BEFORE
"""Index in a book of the kind of the day that begins at base."""


class Rules(NamedTuple):
    """The parts of a `Spec` that the kernel reads; they never change during a run.

    book : the numbers, then the tables row by row, then the kinds of days, in one array, because most functions
    need it and arrays are passed by value.
    """

    book: LongArray
    outages: LongArray
    transient: LongArray


class Faults(NamedTuple):
    """What only a release reads: permanent faults (n,), their mix (codes,), newcomers (n,)."""

    chance: LongArray
    code: NDArray[np.int16]
    mix: LongArray
    new: BoolArray


class Run(NamedTuple):
    """The state of a run: rows (n,), heads (seconds,), tally (SCALARS + codes + strata,), hours (hours, 8), minutes."""

    rows: NDArray[np.void]
    heads: IntArray
    tally: LongArray
    hours: LongArray
    minutes: IntArray


class Counts(NamedTuple):
    """Devices by (batch, stratum, `Outcome`) and by (batch, stratum, `Mark`)."""

    outcomes: LongArray
    marks: LongArray


class Lists(NamedTuple):
    """Released devices in order of release, and space to sort a bucket, (n,) each."""

    order: IntArray
    scratch: LongArray


class Failures(NamedTuple):
    """What only few reports need.

    mending : (n,) MENDING, the devices whose failure does not count yet, linked in the order in which they failed.
    mends : (codes,) bool, failures that clients mend by themselves. delays : (n,) int32 seconds by which failures are
        reported later, (0,) if none are.
    """

    mending: NDArray[np.void]
    mends: BoolArray
    delays: IntArray


def rules_of(spec: Spec) -> Rules:
    """Return the kernel's view of a `Spec`."""
    numbers = spec.numbers.copy()
    numbers[DAYS_END] = FIRST_DAY + len(spec.days)
    book = np.concatenate((numbers, spec.tables.ravel(), spec.days.astype(np.int64)))
    return Rules(book, spec.outages, spec.mix_transient)


_GOLDEN = np.uint64(draws.GOLDEN)
_MIX_1 = np.uint64(draws.MIX_1)
_MIX_2 = np.uint64(draws.MIX_2)


@jit
def draw(key: Any, slot: Any) -> Any:
    """Return the 64 random bits of one device for one slot: `sim.clients.draws.draw` in numba."""
    z = key + np.uint64(slot) * _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    return z ^ (z >> np.uint64(31))


@jit
def part(word: Any, place: Any) -> Any:
    """Return 16 of the 64 bits; place 0 is the lowest."""
    return np.int64((word >> np.uint64(16 * place)) & np.uint64(0xFFFF))


@jit
def high(word: Any) -> Any:
    """Return the upper 32 bits."""
    return np.int64(word >> np.uint64(32))


@jit
def low(word: Any) -> Any:
    """Return the lower 32 bits."""
    return np.int64(word & np.uint64(0xFFFFFFFF))


@jit
def quantile(book: Any, table: Any, u: Any) -> Any:
    """Return the quantile of a table at u parts of 65536, in seconds."""
    place = SIZE + table * (BINS + 1) + (u >> 7)
    below = book[place]
    return below + (((book[place + 1] - below) * (u & 127)) >> 7)


@jit
def which(cumulative: Any, u: Any) -> Any:
    """Return the index of the first entry of a cumulative distribution above u, both in parts of 2**32."""
    place = 0
    while cumulative[place] <= u:
        place += 1
    return np.int16(place)
