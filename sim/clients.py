"""The life of one client, and its compilation to integers that both engines read.

Released at t, a device goes through (T numbers of the domain, all times whole seconds):

1. T1 its membership is effective at the next point after t of the grid `collection_evaluation`.
2. T2, T3 *contact*: the first policy request from then on. While online it asks every `policy_poll` at its
   own phase; coming online it asks after `wake_delay`, if it is still online. All other requests change
   nothing: they are no events and are not counted.
3. T4 *evaluation*: within `policy_evaluation` after the contact, and not while the device is off.
4. T5 a blocked device heals some time after that evaluation, and goes on at its next evaluation.
5. T6-T8 SCHEDULED: the sticky timer. T9: if it runs out while the device is off, it fires within
   `logon_randomization` of the next start, when the device is on.
6. T11, T12 without a device token it waits until its user is there (a used day, not in a break).
7. T13, T14 attempts: served in the order (second, device), see `sim.service`. An accepted attempt runs to
   its end. A failed one is repeated after `retry_wait`, as soon as 6 allows. After `attempts` of them: FAILED.
8. T15 a transient failure starts a new cycle at the first evaluation `next_cycle` after it, not before the
   report.
   A permanent one stays; its later, equally failing cycles are not followed.
9. T17 the site sees ENROLLED or FAILED `report_lag` after the attempt's end.
10. An enrolled device may un-enroll (the site sees it at once); it tries again at the next evaluation.

PENDING becomes TIMED_OUT at release + `straggler_after_s` if nothing was reported before or in that second.
Events are ordered by (second, kind, device); the kinds are REPORT, UNENROLL, ATTEMPT, STRAGGLER.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rollout.values import DAY_S, HOUR_S, FlagArray, LongArray
from sim.draws import Draws, Traits
from sim.model import LogNormal, Model
from sim.service import OUTAGE_CODE, gateway_delay, sigma_of

KIND_NONE: Final = -1
KIND_REPORT: Final = 0
KIND_UNENROLL: Final = 1
KIND_ATTEMPT: Final = 2

NEVER: Final = 1 << 40
"""A second past every horizon."""

# Where each number of a Spec stands.
LIMIT: Final = 0  # first second past the horizon, relative to base
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
UNENROLLS: Final = 14  # 0 never
CAPACITY: Final = 15
BACKOFF: Final = 16
BACKOFF_MAX: Final = 17
JITTER: Final = 18  # of the back-off, parts of 65536
ANSWER: Final = 19  # of the service during an outage
GATEWAY: Final = 20  # longest extra wait for policy
INTERNET: Final = 21  # parts of 65536
SPREAD: Final = 22  # parts of 65536
ARRIVAL_JITTER: Final = 23  # parts of 65536
STRAGGLER: Final = 24
TRANSIENT: Final = 25  # chance of a failed attempt, parts of 2**32
OUTAGE: Final = 26  # index of the code for an outage
DAYS_END: Final = 27  # where the days end, in the kernel's book
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
"""Days before the start whose use decides what is still on at the start."""

HOLIDAY: Final = 7


@dataclass(frozen=True, eq=False)
class Spec:
    """The model as integers. Seconds count from `base`, the UTC midnight before the start.

    numbers : (SIZE,) int64. tables : (TABLES, BINS + 1) int64. days : int8, kind of each local day from
    DAYS_BEFORE before base: 0 Monday … 6 Sunday, 7 holiday. outages : (k, 2) int64.
    codes : (c,) int64 HRESULTs. mix_permanent, mix_transient : (c,) int64, cumulative shares of each code in
    parts of 2**32. fault : (n,) int64 chance of a permanent fault in parts of 2**32. fault_code : (n,) int16
    index into codes, -1 by the mix.
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


def spec_of(model: Model, traits: Traits, draws: Draws, start: int, straggler_after_s: int) -> Spec:
    """Compile a model for one run."""
    from sim.presence import day_tables

    base = start // DAY_S * DAY_S
    limit = start - base + draws.horizon_s
    clients = model.clients
    codes = _codes(model)
    tables = np.zeros((TABLES, BINS + 1), dtype=np.int64)
    tables[ENROLL_S] = _lognormal(clients.enrollment)
    tables[LAG_S] = _lognormal(clients.report_lag)
    tables[HEAL_S] = _lognormal(clients.heal)
    tables[PAUSE_S] = _lognormal(model.presence.pause_length)
    tables[UNENROLL_S] = _exponential(clients.unenroll_per_year)
    tables[PAUSE_AT : LEAVE + 2] = day_tables()
    numbers = _numbers(model, limit, len(traits))
    numbers[STRAGGLER] = straggler_after_s
    numbers[OUTAGE] = int(np.flatnonzero(codes == OUTAGE_CODE)[0])
    fault_code = np.full(len(traits), -1, dtype=np.int16)
    for place, code in enumerate(codes):
        fault_code[traits.fault_code == code] = place
    return Spec(
        base,
        start,
        numbers,
        tables,
        _days(model, base, limit),
        (draws.outages - base).astype(np.int64),
        codes,
        _mix(model, codes, permanent=True),
        _mix(model, codes, permanent=False),
        np.round(traits.fault * 2**32).astype(np.int64),
        fault_code,
    )


def _numbers(model: Model, limit: int, n: int) -> LongArray:
    clients, presence, service = model.clients, model.presence, model.service
    out = np.zeros(SIZE, dtype=np.int64)
    out[LIMIT] = limit
    out[GRID] = clients.collection_evaluation
    out[POLL : EVALUATION + 1] = clients.policy_poll, clients.wake_delay, clients.policy_evaluation
    out[BLOCKED], out[NEVER_HEALS] = _parts(clients.blocked_share), _parts(clients.never_heals)
    out[WINDOW] = clients.window
    out[LATE_IMMEDIATE] = clients.late_joiner == "immediate"
    out[LOGON] = clients.logon_randomization
    out[TOKEN] = _parts(clients.device_token_share)
    out[ATTEMPTS : CYCLE + 1] = clients.attempts, clients.retry_wait, clients.next_cycle
    out[UNENROLLS] = clients.unenroll_per_year > 0
    out[CAPACITY : BACKOFF_MAX + 1] = service.capacity_per_minute, service.backoff, service.backoff_max
    out[JITTER] = _parts(service.backoff_jitter)
    out[ANSWER] = service.outage_answer
    out[GATEWAY] = gateway_delay(service, n, clients.policy_poll)
    out[INTERNET] = _parts(service.internet_share)
    out[SPREAD], out[ARRIVAL_JITTER] = _parts(presence.spread), _parts(presence.jitter)
    out[TRANSIENT] = round(sum(one.rate for one in clients.failures if not one.permanent) * 2**32)
    for code, one in enumerate(presence.classes):
        at = USED + 8 * code
        out[at : at + 5] = [_parts(one.weekday * factor) for factor in one.week]
        out[at + 5 : at + 8] = _parts(one.weekend)
        mean, habit = one.turned_off, one.habit
        out[OFF + 2 * code : OFF + 2 * code + 2] = (
            _parts(mean * (1 - habit)),
            _parts(mean + habit * (1 - mean)),
        )
        out[HABIT + code], out[PAUSE + code] = _parts(mean), _parts(one.pause)
    return out


def _parts(share: float) -> int:
    return round(min(1.0, share) * 65536)


def _probabilities() -> NDArray[np.float64]:
    """Give the BINS + 1 probabilities of a table; the outermost stand half a bin inside."""
    steps = np.arange(BINS + 1) / BINS
    return np.clip(steps, 0.5 / BINS, 1 - 0.5 / BINS)


@lru_cache(maxsize=1)
def _scores() -> NDArray[np.float64]:
    """Give the standard normal quantile of each probability of a table; for thousands of runs they are the same."""
    from statistics import NormalDist

    return np.array([NormalDist().inv_cdf(p) for p in _probabilities()])


def _lognormal(length: LogNormal) -> LongArray:
    seconds = np.clip(np.round(length.median * np.exp(sigma_of(length) * _scores())), 1, NEVER)
    return np.asarray(seconds, dtype=np.int64)


def _exponential(per_year: float) -> LongArray:
    if per_year <= 0:
        return np.full(BINS + 1, NEVER, dtype=np.int64)
    steps = np.minimum(np.arange(BINS + 1) / BINS, 1 - 0.5 / BINS)
    with np.errstate(over="ignore"):  # once in more years than there are: never
        seconds = np.round(-np.log1p(-steps) * 365 * DAY_S / per_year)
    return np.asarray(np.minimum(seconds, NEVER), dtype=np.int64)


def _days(model: Model, base: int, limit: int) -> FlagArray:
    first = base // DAY_S - DAYS_BEFORE
    numbers = first + np.arange(DAYS_BEFORE + limit // DAY_S + 4)
    kinds: FlagArray = ((numbers + 3) % 7).astype(np.int8)  # 1970-01-01 was a Thursday
    for text in model.presence.holidays:
        day = date.fromisoformat(text).toordinal() - date(1970, 1, 1).toordinal()
        kinds[numbers == day] = HOLIDAY
    return kinds


def _codes(model: Model) -> LongArray:
    every = [one.code for one in model.clients.failures] + [one.code for one in model.clients.failure]
    return np.array(sorted({*every, OUTAGE_CODE}), dtype=np.int64)


def _mix(model: Model, codes: LongArray, *, permanent: bool) -> LongArray:
    rates = np.zeros(len(codes))
    for one in model.clients.failures:
        if one.permanent == permanent:
            rates[np.flatnonzero(codes == one.code)[0]] += one.rate
    if rates.sum() == 0:
        rates[0] = 1.0
    return np.asarray(np.round(np.cumsum(rates) / rates.sum() * 2**32), dtype=np.int64)


def hours_in(limit: int) -> int:
    """Give the rows of an hourly histogram over the seconds [0, limit)."""
    return math.ceil(limit / HOUR_S) + 1
