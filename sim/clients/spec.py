"""The life of a client, and the model in the form that both engines read: integers.

Released at t, a device goes through (T numbers of the domain, all times whole seconds):

1. T1 its membership takes effect at the next point after t on the grid `collection_evaluation`.
2. T2, T3 *contact*: the first policy request from then on. While online the device requests policy every
   `policy_poll` at its own phase; when it comes online it does so after `wake_delay` if it is still online. All other
   requests change nothing: they are not events and are not counted.
3. T4 *evaluation*: within `policy_evaluation` after the contact, and not while the device is off.
4. T5 a blocked device heals some time after that evaluation, and continues at its next evaluation.
5. T6-T8 SCHEDULED: the sticky timer. T9: if it expires while the device is off, it fires within
   `logon_randomization` of the next start, when the device is on.
6. T11, T12 a device without a device token waits until its user is present (on a used day, not during a break).
7. T13, T14 attempts: served in the order (second, device), see `sim.clients.service`. An accepted attempt runs to
   its end. A failed attempt is repeated after `retry_wait`, as soon as 6 allows. After `attempts` failures: FAILED.
8. T15 a transient failure starts a new cycle at the first evaluation `next_cycle` after it, not before the
   report. A permanent failure stays; its later cycles, which fail as well, are not simulated.
9. T17 the site reports ENROLLED or FAILED `report_lag` after the attempt's end; FAILED later still where reports of
   failures are delayed.
10. An enrolled device may un-enroll (the site reports it at once); it tries again at the next evaluation.

Evidence is kept apart from the outcome. A failure with a code that mends (`rollout.values.failures.mends`) does not
count until it is reported again AGAIN_S after the device became FAILED, or the device is still FAILED at the end of
the second MENDS_WITHIN_S after it did; until then the device is MENDING. Any other failure counts at once. A device
whose failure counts is RECOVERED while it is enrolled, and FAILED again when it un-enrolls. Other devices are PENDING
and UNENROLLED then.

PENDING becomes TIMED_OUT at release + `straggler_after_s` if nothing was reported by the end of that second.
Events are ordered by (second, kind, device); the kinds are REPORT, UNENROLL, ATTEMPT, STRAGGLER.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rollout.values import HOUR_S, BoolArray, FlagArray, IntArray, LongArray

KIND_NONE: Final = -1
KIND_REPORT: Final = 0
KIND_UNENROLL: Final = 1
KIND_ATTEMPT: Final = 2

NEVER: Final = 1 << 40
"""A second beyond every horizon."""

# Index of each number of a Spec.
LIMIT: Final = 0  # first second beyond the horizon, relative to base
GRID: Final = 1
POLL: Final = 2
WAKE: Final = 3
EVALUATION: Final = 4
BLOCKED: Final = 5  # parts of 65536
NEVER_HEALS: Final = 6  # parts of 65536
WINDOW: Final = 7
LATE_IMMEDIATE: Final = 8
LOGON: Final = 9
TOKEN: Final = 10  # parts of 65536
ATTEMPTS: Final = 11
RETRY: Final = 12
CYCLE: Final = 13
UNENROLLS: Final = 14  # 0 if devices never un-enroll
CAPACITY: Final = 15
BACKOFF: Final = 16
BACKOFF_MAX: Final = 17
JITTER: Final = 18  # variation of the back-off, parts of 65536
ANSWER: Final = 19  # time until the service answers during an outage
GATEWAY: Final = 20  # longest extra wait for policy
INTERNET: Final = 21  # parts of 65536
SPREAD: Final = 22  # parts of 65536
ARRIVAL_JITTER: Final = 23  # parts of 65536
STRAGGLER: Final = 24
TRANSIENT: Final = 25  # chance of a failed attempt, parts of 2**32
OUTAGE: Final = 26  # index of the code for an outage
DAYS_END: Final = 27  # index at which the days end in the kernel's book
AGAIN: Final = 28  # least seconds after which a failure that mends counts when it is reported again
LASTS: Final = 29  # seconds after which it counts if the device is still FAILED
USED: Final = 32  # 4 classes x 8 kinds of day, parts of 65536
OFF: Final = 64  # 4 classes x 2 habits, parts of 65536
HABIT: Final = 72  # 4 classes: share of devices with the habit of turning off
PAUSE: Final = 76  # 4 classes, parts of 65536
SIZE: Final = 80

# Quantile tables: BINS + 1 values at equal steps of probability, in seconds.
BINS: Final = 512
ENROLL_S: Final = 0
LAG_S: Final = 1
HEAL_S: Final = 2
UNENROLL_S: Final = 3
PAUSE_S: Final = 4
PAUSE_AT: Final = 5
ARRIVE: Final = 6  # weekday, then weekend
LEAVE: Final = 8
TABLES: Final = 10

DAYS_BEFORE: Final = 16
"""Days before the start whose use determines which devices are on at the start."""

HOLIDAY: Final = 7

FROM_MIX: Final = -1
"""Stands for the code of a fault that is drawn from the model's mix."""

SILENT: Final = -2
"""Stands for the code of a fault: the device evaluates its policy once and is never heard of again."""


@dataclass(frozen=True, eq=False)
class Spec:
    """The model as integers. Seconds count from `base`, the UTC midnight before the start.

    numbers : (SIZE,) int64. tables : (TABLES, BINS + 1) int64. days : int8, kind of each local day from
    DAYS_BEFORE before base: 0 Monday … 6 Sunday, 7 holiday. outages : (k, 2) int64.
    codes : (c,) int64 HRESULTs. mix_permanent, mix_transient : (c,) int64, cumulative shares of each code in
    parts of 2**32. fault : (n,) int64 chance of a permanent fault in parts of 2**32. fault_code : (n,) int16
    index into codes, FROM_MIX, or SILENT for a device that never answers.
    mends : (c,) bool, failures that clients mend by themselves. delays : (n,) int32 seconds by which failures are
    reported later, (0,) if none are.
    """

    base: int
    start: int
    numbers: LongArray
    tables: LongArray
    days: FlagArray
    outages: LongArray
    codes: LongArray
    mix_permanent: LongArray
    mix_transient: LongArray
    fault: LongArray
    fault_code: NDArray[np.int16]
    mends: BoolArray
    delays: IntArray


def hours_in(limit: int) -> int:
    """Return the number of rows of an hourly histogram over the seconds [0, limit)."""
    return math.ceil(limit / HOUR_S) + 1
