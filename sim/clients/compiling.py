"""Compile a model into the integers that both engines read."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from rollout.values import DAY_S, FlagArray, LongArray
from rollout.values.failures import AGAIN_S, MENDS_WITHIN_S, mends
from sim.clients.draws import Draws, Traits
from sim.clients.presence import day_tables
from sim.clients.service import OUTAGE_CODE, gateway_delay, sigma_of
from sim.clients.spec import (
    AGAIN,
    ANSWER,
    ARRIVAL_JITTER,
    ATTEMPTS,
    BACKOFF_MAX,
    BINS,
    BLOCKED,
    CAPACITY,
    CYCLE,
    DAYS_BEFORE,
    ENROLL_S,
    EVALUATION,
    FROM_MIX,
    GATEWAY,
    GRID,
    HABIT,
    HEAL_S,
    HOLIDAY,
    INTERNET,
    JITTER,
    LAG_S,
    LASTS,
    LATE_IMMEDIATE,
    LEAVE,
    LIMIT,
    LOGON,
    NEVER,
    NEVER_HEALS,
    OFF,
    OUTAGE,
    PAUSE,
    PAUSE_AT,
    PAUSE_S,
    POLL,
    SILENT,
    SIZE,
    SPREAD,
    STRAGGLER,
    TABLES,
    TOKEN,
    TRANSIENT,
    UNENROLL_S,
    UNENROLLS,
    USED,
    WINDOW,
    Spec,
)
from sim.model import LogNormal, Model


def spec_of(model: Model, traits: Traits, draws: Draws, start: int, straggler_after_s: int) -> Spec:
    """Compile a model for one run."""
    base = start // DAY_S * DAY_S
    limit = start - base + draws.horizon_s
    clients = model.clients
    codes = _codes(model, traits)
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
    fault, fault_code = _faults(traits, codes)
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
        fault,
        fault_code,
        np.array([mends(code) for code in codes.tolist()], dtype=np.bool_),
        np.empty(0, dtype=np.int32) if traits.delay is None else np.array(traits.delay, dtype=np.int32),
    )


def _faults(traits: Traits, codes: LongArray) -> tuple[LongArray, NDArray[np.int16]]:
    """Return the chance of a fault and its code for each device; a device that never answers has one for certain."""
    chance = np.round(traits.fault * 2**32).astype(np.int64)
    index = np.full(len(traits), FROM_MIX, dtype=np.int16)
    for place, code in enumerate(codes):
        index[traits.fault_code == code] = place
    if traits.silent is not None:
        chance[traits.silent] = 2**32
        index[traits.silent] = SILENT
    return chance, index


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
    out[AGAIN], out[LASTS] = AGAIN_S, MENDS_WITHIN_S
    out[INTERNET] = _parts(service.internet_share)
    out[SPREAD], out[ARRIVAL_JITTER] = _parts(presence.spread), _parts(presence.jitter)
    out[TRANSIENT] = round(sum(failure.rate for failure in clients.failures if not failure.permanent) * 2**32)
    for code, behaviour in enumerate(presence.classes):
        at = USED + 8 * code
        out[at : at + 5] = [_parts(behaviour.weekday * factor) for factor in behaviour.week]
        out[at + 5 : at + 8] = _parts(behaviour.weekend)
        mean, habit = behaviour.turned_off, behaviour.habit
        out[OFF + 2 * code : OFF + 2 * code + 2] = (
            _parts(mean * (1 - habit)),
            _parts(mean + habit * (1 - mean)),
        )
        out[HABIT + code], out[PAUSE + code] = _parts(mean), _parts(behaviour.pause)
    return out


def _parts(share: float) -> int:
    return round(min(1.0, share) * 65536)


def _probabilities() -> NDArray[np.float64]:
    """Return the BINS + 1 probabilities of a table; the outermost ones lie half a bin inside."""
    steps = np.arange(BINS + 1) / BINS
    return np.clip(steps, 0.5 / BINS, 1 - 0.5 / BINS)


@lru_cache(maxsize=1)
def _scores() -> NDArray[np.float64]:
    """Return the standard normal quantile of each probability of a table; all runs share them."""
    return np.array([NormalDist().inv_cdf(p) for p in _probabilities()])


def _lognormal(length: LogNormal) -> LongArray:
    seconds = np.clip(np.round(length.median * np.exp(sigma_of(length) * _scores())), 1, NEVER)
    return np.asarray(seconds, dtype=np.int64)


def _exponential(per_year: float) -> LongArray:
    if per_year <= 0:
        return np.full(BINS + 1, NEVER, dtype=np.int64)
    steps = np.minimum(np.arange(BINS + 1) / BINS, 1 - 0.5 / BINS)
    with np.errstate(over="ignore"):  # an overflow: so rare that it never happens
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


def _codes(model: Model, traits: Traits) -> LongArray:
    clients = model.clients
    codes = {failure.code for failure in clients.failures} | {level.code for level in clients.failure}
    return np.array(sorted({*codes, OUTAGE_CODE, *traits.codes}), dtype=np.int64)


def _mix(model: Model, codes: LongArray, *, permanent: bool) -> LongArray:
    rates = np.zeros(len(codes))
    for failure in model.clients.failures:
        if failure.permanent == permanent:
            rates[np.flatnonzero(codes == failure.code)[0]] += failure.rate
    if rates.sum() == 0:
        rates[0] = 1.0
    return np.asarray(np.round(np.cumsum(rates) / rates.sum() * 2**32), dtype=np.int64)
