"""The fast engine's inner loop: numba over packed rows, one 64-byte record a client, and a calendar queue.

The queue has one bucket a second: `heads[second]` is the first device whose pending event is due then, each
record names the next one. A bucket is gathered and sorted by (kind, device) when its second comes. All functions
here also run as plain Python (slowly); `sim.clients` says what they do, `sim.oracle` says it again independently.
Importing this module imports numba, so import it lazily.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from rollout.values import NOT_RELEASED, Outcome
from sim import clients as c
from sim import draws as d
from sim.presence import DAY_BEGINS

ROW = np.dtype(
    [
        ("key", "u8"),
        ("due", "i4"),  # second of the pending event
        ("next", "i4"),  # next device in the same bucket, -1 none
        ("offset", "i4"),  # seconds east of UTC, minus the 03:00 shift
        ("released", "i4"),
        ("outcome_at", "i4"),
        ("stratum", "i4"),
        ("batch", "i4"),
        ("habit", "u4"),  # 16 bits arrival, 16 bits spread
        ("throttled", "i4"),  # throttled answers so far
        ("kind", "i1"),  # of the pending event
        ("outcome", "i1"),  # as the directory sees it
        ("going", "i1"),  # outcome that the pending report carries
        ("presence", "i1"),
        ("flags", "u1"),
        ("backoffs", "u1"),  # throttled answers since the last accepted attempt
        ("tries", "i2"),  # failed attempts in this cycle
        ("attempt", "i2"),  # attempts so far
        ("permanent", "i2"),  # index of the code of a permanent fault, -1 none
        ("code", "i2"),  # index of the code of the last failure, -1 none
        ("seen", "i2"),  # the same, as reported
        ("evaluations", "i2"),
        ("enrollments", "i2"),
    ],
    align=True,
)

TURNS_OFF: Final = 1
REPORTED: Final = 2
NEEDS_USER: Final = 4
INTERNET: Final = 8

# Columns of the hourly histogram; the first four are the funnel.
ELIGIBLE: Final = 0
SCHEDULED: Final = 1
INITIATED: Final = 2
ENROLLED: Final = 3
ATTEMPTS: Final = 4
COMPLETED: Final = 5
POLLS: Final = 6
THROTTLED: Final = 7

# Scalars that live between calls.
NOW: Final = 0
PENDING: Final = 1
MINUTE: Final = 2  # the clock minute whose capacity is being counted
TAKEN: Final = 3  # accepted in it
OUTAGE_AT: Final = 4  # index of the first outage that has not ended
FIRST: Final = 5  # second of the first enrollment
RELEASED: Final = 6  # devices in `order`
WATCHED: Final = 7  # devices of `order` whose straggler time is over
SCALARS: Final = 8

_GOLDEN = np.uint64(d.GOLDEN)
_MIX_1 = np.uint64(d.MIX_1)
_MIX_2 = np.uint64(d.MIX_2)
_DAY = 86400
_PENDING, _ENROLLED = int(Outcome.PENDING), int(Outcome.ENROLLED)
_FAILED, _TIMED_OUT = int(Outcome.FAILED), int(Outcome.TIMED_OUT)

_jit: Any = njit(cache=True, nogil=True)


@_jit
def _draw(key, slot):  # type: ignore[no-untyped-def]
    z = key + np.uint64(slot) * _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    return z ^ (z >> np.uint64(31))


@_jit
def _bits(word, shift, mask):  # type: ignore[no-untyped-def]
    return np.int64((word >> np.uint64(shift)) & np.uint64(mask))


@_jit
def _high(word):  # type: ignore[no-untyped-def]
    return np.int64(word >> np.uint64(32))


@_jit
def _low(word):  # type: ignore[no-untyped-def]
    return np.int64(word & np.uint64(0xFFFFFFFF))


@_jit
def _quantile(tables, which, u):  # type: ignore[no-untyped-def]
    i = u >> 7
    a = tables[which, i]
    return a + (((tables[which, i + 1] - a) * (u & 127)) >> 7)


@_jit
def _used(row, day, word, numbers, days):  # type: ignore[no-untyped-def]
    """Say whether a device is used on a local day."""
    at = min(max(day + c.DAYS_BEFORE, 0), len(days) - 1)
    chance = numbers[c.USED + 8 * row.presence + days[at]]
    spread = numbers[c.SPREAD] * (2 * np.int64(row.habit & np.uint32(0xFFFF)) - 65536) >> 16
    return _bits(word, 48, 0xFFFF) < (chance if chance >= 65536 else chance * (65536 + spread) >> 16)


@_jit
def _left_on(row, word, numbers):  # type: ignore[no-untyped-def]
    off = numbers[c.OFF + 2 * row.presence + (row.flags & TURNS_OFF)]
    return _bits(word, 16, 0xFFFF) >= off


@_jit
def _session(row, day, word, numbers, tables, days):  # type: ignore[no-untyped-def]
    """Give arrival, departure, beginning and end of the break (-1, -1 none) of a used day, local seconds."""
    width = numbers[c.ARRIVAL_JITTER]
    u = np.int64(row.habit >> np.uint32(16)) + ((2 * _bits(word, 32, 0xFFFF) - 65536) * width >> 16)
    if u < 0:
        u = -u
    if u > 65535:
        u = 131071 - u
    at = min(max(day + c.DAYS_BEFORE, 0), len(days) - 1)
    weekend = 1 if days[at] >= 5 else 0
    begins = _quantile(tables, c.ARRIVE + weekend, u)
    ends = _quantile(tables, c.LEAVE + weekend, u)
    if _bits(word, 0, 0xFFFF) >= numbers[c.PAUSE + row.presence]:
        return begins, ends, -1, -1
    pause = _draw(row.key, d.SLOT_PAUSE + day + c.DAYS_BEFORE)
    away = _quantile(tables, c.PAUSE_AT, _bits(pause, 0, 0xFFFF))
    back = min(away + _quantile(tables, c.PAUSE_S, _bits(pause, 16, 0xFFFF)), ends - 60)
    if begins < away < back:
        return begins, ends, away, back
    return begins, ends, -1, -1


@_jit
def _was_left_on(row, day, numbers, days):  # type: ignore[no-untyped-def]
    """Say whether the last used day before `day` left the device on."""
    for one in range(day - 1, -c.DAYS_BEFORE - 1, -1):
        word = _draw(row.key, d.SLOT_DAY + one + c.DAYS_BEFORE)
        if _used(row, one, word, numbers, days):
            return _left_on(row, word, numbers)
    return False


@_jit
def _next_up(row, day, numbers, tables, days):  # type: ignore[no-untyped-def]
    """Give the first arrival on `day` or later, local seconds since base."""
    for one in range(day, len(days) - c.DAYS_BEFORE):
        word = _draw(row.key, d.SLOT_DAY + one + c.DAYS_BEFORE)
        if _used(row, one, word, numbers, days):
            return one * _DAY + _session(row, one, word, numbers, tables, days)[0]
    return c.NEVER


@_jit
def _next_down(row, day, numbers, tables, days):  # type: ignore[no-untyped-def]
    """Give when a device that is on as `day` begins goes off, local seconds since base."""
    for one in range(day, len(days) - c.DAYS_BEFORE):
        word = _draw(row.key, d.SLOT_DAY + one + c.DAYS_BEFORE)
        if _used(row, one, word, numbers, days):
            _, ends, away, _ = _session(row, one, word, numbers, tables, days)
            if away >= 0:
                return one * _DAY + away
            if not _left_on(row, word, numbers):
                return one * _DAY + ends
    return c.NEVER


@_jit
def span(row, second, numbers, tables, days):  # type: ignore[no-untyped-def]
    """Say whether a device is on at a second, and when that ends; both relative to base."""
    local = second + row.offset
    day = local // _DAY
    clock = local - day * _DAY
    word = _draw(row.key, d.SLOT_DAY + day + c.DAYS_BEFORE)
    if _used(row, day, word, numbers, days):
        begins, ends, away, back = _session(row, day, word, numbers, tables, days)
        if clock >= begins:
            if away >= 0 and clock < away:
                return True, day * _DAY + away - row.offset
            if away >= 0 and clock < back:
                return False, day * _DAY + back - row.offset
            left_on = _left_on(row, word, numbers)
            if clock < ends and not left_on:
                return True, day * _DAY + ends - row.offset
            if left_on:
                return True, _next_down(row, day + 1, numbers, tables, days) - row.offset
            return False, _next_up(row, day + 1, numbers, tables, days) - row.offset
    if _was_left_on(row, day, numbers, days):
        return True, _next_down(row, day, numbers, tables, days) - row.offset
    return False, _next_up(row, day, numbers, tables, days) - row.offset


@_jit
def _up_from(row, second, numbers, tables, days):  # type: ignore[no-untyped-def]
    on, ends = span(row, second, numbers, tables, days)
    return second if on else ends


@_jit
def _user_from(row, second, numbers, tables, days):  # type: ignore[no-untyped-def]
    """Give the first second from `second` on at which the user is there."""
    local = second + row.offset
    day = local // _DAY
    word = _draw(row.key, d.SLOT_DAY + day + c.DAYS_BEFORE)
    if _used(row, day, word, numbers, days):
        begins, ends, away, back = _session(row, day, word, numbers, tables, days)
        clock = local - day * _DAY
        if clock < begins:
            return day * _DAY + begins - row.offset
        if away <= clock < back:
            return day * _DAY + back - row.offset
        if clock < ends:
            return second
    return _next_up(row, day + 1, numbers, tables, days) - row.offset


@_jit
def _ready_from(row, second, numbers, tables, days):  # type: ignore[no-untyped-def]
    if row.flags & NEEDS_USER:
        return _user_from(row, second, numbers, tables, days)
    return _up_from(row, second, numbers, tables, days)


@_jit
def _contact(row, second, numbers, tables, days):  # type: ignore[no-untyped-def]
    """Give the first policy request from `second` on."""
    word = _draw(row.key, d.SLOT_POLL)
    poll = numbers[c.POLL]
    phase = _high(word) * poll >> 32
    on, ends = span(row, second, numbers, tables, days)
    if on:
        at = second + (phase - second) % poll
        if at < ends:
            return at
        on, ends = span(row, ends, numbers, tables, days)
    while ends < numbers[c.LIMIT]:
        at = ends + numbers[c.WAKE]
        on, ends = span(row, ends, numbers, tables, days)
        if at < ends:
            return at
        on, ends = span(row, ends, numbers, tables, days)
    return c.NEVER


@_jit
def _evaluation(row, contact, numbers, tables, days):  # type: ignore[no-untyped-def]
    """Give the policy evaluation that follows a contact."""
    word = _draw(row.key, d.SLOT_EVALUATION + row.evaluations)
    row.evaluations += 1
    at = contact + 1 + (_high(word) * numbers[c.EVALUATION] >> 32)
    if at >= numbers[c.LIMIT]:
        return c.NEVER
    return _up_from(row, at, numbers, tables, days)


@_jit
def _count(hours, second, column, numbers):  # type: ignore[no-untyped-def]
    if second < numbers[c.LIMIT]:
        hours[second // 3600, column] += 1


@_jit
def _put(rows, heads, device, second, kind):  # type: ignore[no-untyped-def]
    """Make (second, kind) the pending event of a device; past the horizon it has none."""
    row = rows[device]
    if second >= len(heads):
        row.kind = c.KIND_NONE
        return
    row.kind = kind
    row.due = second
    row.next = heads[second]
    heads[second] = device


@_jit
def _evaluated(row, second, hours, numbers, tables, days):  # type: ignore[no-untyped-def]
    """Give the evaluation after the contact after a second, counting the contact."""
    if second >= numbers[c.LIMIT]:
        return c.NEVER
    at = _contact(row, second, numbers, tables, days)
    _count(hours, at, POLLS, numbers)
    if at >= numbers[c.LIMIT]:
        return c.NEVER
    return _evaluation(row, at, numbers, tables, days)


@_jit
def _begin(row, fault, fault_code, mix, numbers):  # type: ignore[no-untyped-def]
    """Set what is fixed for a device's life."""
    word = _draw(row.key, d.SLOT_HABIT)
    row.habit = np.uint32(word >> np.uint64(32))
    flags = TURNS_OFF if _bits(word, 0, 0xFFFF) < numbers[c.HABIT + row.presence] else 0
    word = _draw(row.key, d.SLOT_TOKEN)
    if _bits(word, 0, 0xFFFF) >= numbers[c.TOKEN]:
        flags |= NEEDS_USER
    if _bits(word, 16, 0xFFFF) < numbers[c.INTERNET]:
        flags |= INTERNET
    row.flags = flags
    row.permanent = -1
    word = _draw(row.key, d.SLOT_FAULT)
    if _high(word) < fault:
        row.permanent = fault_code if fault_code >= 0 else np.searchsorted(mix, _low(word), side="right")


@_jit
def _timer(row, second, immediate, numbers, tables, days):  # type: ignore[no-untyped-def]
    """Give when the native timer fires that is set at a second (T6-T9)."""
    width = 0 if immediate else numbers[c.WINDOW]
    at = second + (_high(_draw(row.key, d.SLOT_TIMER)) * width >> 32)
    if at >= numbers[c.LIMIT]:
        return c.NEVER
    on, ends = span(row, at, numbers, tables, days)
    if on:
        return at
    if ends >= numbers[c.LIMIT]:
        return c.NEVER
    at = ends + (_high(_draw(row.key, d.SLOT_LOGON)) * numbers[c.LOGON] >> 32)
    return _up_from(row, at, numbers, tables, days)


@_jit
def _first_attempt(row, at, immediate, hours, numbers, tables, days):  # type: ignore[no-untyped-def]
    """Give the first attempt of a device released at a second: T1 to T12, which no other device touches."""
    grid = numbers[c.GRID]
    second = (at // grid + 1) * grid if grid > 0 else at
    _count(hours, second, ELIGIBLE, numbers)
    if second >= numbers[c.LIMIT]:
        return c.NEVER
    contact = _contact(row, second, numbers, tables, days)
    if row.flags & INTERNET and numbers[c.GATEWAY] > 0 and contact < numbers[c.LIMIT]:
        contact += _low(_draw(row.key, d.SLOT_POLL)) * numbers[c.GATEWAY] >> 32
        contact = _up_from(row, contact, numbers, tables, days)
    _count(hours, contact, POLLS, numbers)
    if contact >= numbers[c.LIMIT]:
        return c.NEVER
    second = _evaluation(row, contact, numbers, tables, days)
    word = _draw(row.key, d.SLOT_BLOCK)
    if _bits(word, 0, 0xFFFF) < numbers[c.BLOCKED]:
        if _bits(word, 16, 0xFFFF) < numbers[c.NEVER_HEALS]:
            return c.NEVER
        second += _quantile(tables, c.HEAL_S, _bits(word, 32, 0xFFFF))
        second = _evaluated(row, second, hours, numbers, tables, days)
    _count(hours, second, SCHEDULED, numbers)
    if second >= numbers[c.LIMIT]:
        return c.NEVER
    second = _timer(row, second, immediate, numbers, tables, days)
    if second >= numbers[c.LIMIT]:
        return c.NEVER
    return _ready_from(row, second, numbers, tables, days)


@_jit
def release(  # type: ignore[no-untyped-def]
    rows,
    devices,
    batch,
    at,
    state,
    heads,
    hours,
    counts,
    order,
    new,
    fault,
    fault_code,
    mix,
    numbers,
    tables,
    days,
):
    """Release the devices of `devices` that are not released yet, at second `at` relative to base."""
    for device in devices:
        row = rows[device]
        if row.outcome != NOT_RELEASED:
            continue
        row.outcome = _PENDING
        row.outcome_at = at
        row.released = at
        row.batch = batch
        counts[batch, row.stratum, _PENDING] += 1
        order[state[RELEASED]] = device
        state[RELEASED] += 1
        state[PENDING] += 1
        immediate = (numbers[c.LATE_IMMEDIATE] != 0 or new[device]) and state[FIRST] < at
        _begin(row, fault[device], fault_code[device], mix, numbers)
        due = _first_attempt(row, at, immediate, hours, numbers, tables, days)
        _put(rows, heads, device, max(due, at), c.KIND_ATTEMPT)


@_jit
def _show(row, outcome, second, counts, state):  # type: ignore[no-untyped-def]
    """Let the directory see an outcome."""
    counts[row.batch, row.stratum, row.outcome] -= 1
    counts[row.batch, row.stratum, outcome] += 1
    state[PENDING] += (1 if outcome == _PENDING else 0) - (1 if row.outcome == _PENDING else 0)
    row.outcome = outcome
    row.outcome_at = second


@_jit
def _throttle(row, second, numbers):  # type: ignore[no-untyped-def]
    """Give when a throttled client tries again, if it can then."""
    wait = numbers[c.BACKOFF]
    for _ in range(row.backoffs):
        wait = min(wait * 2, numbers[c.BACKOFF_MAX])
    wait = min(wait, numbers[c.BACKOFF_MAX])
    swing = wait * numbers[c.JITTER] >> 16
    word = _draw(row.key, d.SLOT_BACKOFF + row.throttled)
    row.throttled += 1
    row.backoffs = min(row.backoffs + 1, 60)
    return second + max(1, wait - swing + (_high(word) * (2 * swing) >> 32))


@_jit
def _failed(rows, heads, device, end, lag, numbers, tables, days):  # type: ignore[no-untyped-def]
    """Go on after a failed attempt that ended at `end`."""
    row = rows[device]
    row.tries += 1
    if row.tries < numbers[c.ATTEMPTS]:
        due = _ready_from(row, end + numbers[c.RETRY], numbers, tables, days)
        _put(rows, heads, device, due, c.KIND_ATTEMPT)
        return
    row.going = _FAILED
    _put(rows, heads, device, end + lag, c.KIND_REPORT)


@_jit
def _attempt(rows, heads, device, second, state, hours, minutes, outages, transient, numbers, tables, days):  # type: ignore[no-untyped-def]
    row = rows[device]
    minute = second // 60
    hours[second // 3600, ATTEMPTS] += 1
    minutes[minute] += 1
    if row.attempt == 0 and row.throttled == 0:
        hours[second // 3600, INITIATED] += 1
    while state[OUTAGE_AT] < len(outages) and outages[state[OUTAGE_AT], 1] <= second:
        state[OUTAGE_AT] += 1
    out = state[OUTAGE_AT] < len(outages) and outages[state[OUTAGE_AT], 0] <= second
    if not out and numbers[c.CAPACITY] > 0:
        if state[MINUTE] != minute:
            state[MINUTE] = minute
            state[TAKEN] = 0
        if state[TAKEN] >= numbers[c.CAPACITY]:
            hours[second // 3600, THROTTLED] += 1
            again = _ready_from(row, _throttle(row, second, numbers), numbers, tables, days)
            _put(rows, heads, device, again, c.KIND_ATTEMPT)
            return
        state[TAKEN] += 1
    word = _draw(row.key, d.SLOT_ATTEMPT + row.attempt)
    row.attempt += 1
    row.backoffs = 0
    lag = _quantile(tables, c.LAG_S, _bits(word, 0, 0xFFFF))
    if out:
        row.code = numbers[c.OUTAGE]
        _failed(rows, heads, device, second + numbers[c.ANSWER], lag, numbers, tables, days)
        return
    end = second + _quantile(tables, c.ENROLL_S, _bits(word, 16, 0xFFFF))
    if row.permanent >= 0:
        row.code = row.permanent
    elif _high(word) < numbers[c.TRANSIENT]:
        code = _draw(row.key, d.SLOT_CODE + row.attempt)
        row.code = np.searchsorted(transient, _high(code), side="right")
    else:
        _count(hours, end, COMPLETED, numbers)
        if row.enrollments == 0:
            _count(hours, end, ENROLLED, numbers)
        row.enrollments += 1
        row.tries = 0
        state[FIRST] = min(state[FIRST], end)
        row.going = _ENROLLED
        _put(rows, heads, device, end + lag, c.KIND_REPORT)
        return
    _failed(rows, heads, device, end, lag, numbers, tables, days)


@_jit
def _report(rows, heads, device, second, state, hours, counts, failed, numbers, tables, days):  # type: ignore[no-untyped-def]
    row = rows[device]
    if row.outcome == _FAILED:
        failed[row.seen] -= 1
    _show(row, row.going, second, counts, state)
    row.flags |= REPORTED
    if row.going == _ENROLLED:
        if numbers[c.UNENROLLS]:
            word = _draw(row.key, d.SLOT_UNENROLL + row.enrollments)
            wait = 1 + _quantile(tables, c.UNENROLL_S, _high(word) >> 16)
            _put(rows, heads, device, second + wait, c.KIND_UNENROLL)
        return
    row.seen = row.code
    failed[row.seen] += 1
    if row.permanent < 0:
        word = _draw(row.key, d.SLOT_ATTEMPT + row.attempt - 1)
        end = second - _quantile(tables, c.LAG_S, _bits(word, 0, 0xFFFF))
        _again(rows, heads, device, max(second, end + numbers[c.CYCLE]), hours, numbers, tables, days)


@_jit
def _again(rows, heads, device, second, hours, numbers, tables, days):  # type: ignore[no-untyped-def]
    """Start the next cycle of attempts at the first evaluation after a second."""
    row = rows[device]
    row.tries = 0
    due = _evaluated(row, second, hours, numbers, tables, days)
    if due < numbers[c.LIMIT]:
        due = _ready_from(row, due, numbers, tables, days)
    _put(rows, heads, device, due, c.KIND_ATTEMPT)


@_jit
def _bucket(rows, heads, second, scratch):  # type: ignore[no-untyped-def]
    """Take the bucket of a second as (kind << 28 | device), sorted, into `scratch`; give its length."""
    size = 0
    device = heads[second]
    heads[second] = -1
    while device >= 0:
        key = np.int64(rows[device].kind) << 28 | device
        place = size
        if size < 24:
            while place > 0 and scratch[place - 1] > key:
                scratch[place] = scratch[place - 1]
                place -= 1
        scratch[place] = key
        size += 1
        device = rows[device].next
    if size > 24:
        scratch[:size].sort()
    return size


@_jit
def _watch(rows, order, second, state, counts, numbers):  # type: ignore[no-untyped-def]
    """Time out the devices whose straggler time ends in this second and of which nothing was reported."""
    while state[WATCHED] < state[RELEASED]:
        row = rows[order[state[WATCHED]]]
        if row.released + numbers[c.STRAGGLER] > second:
            return
        if row.outcome == _PENDING and not row.flags & REPORTED:
            _show(row, _TIMED_OUT, second, counts, state)
        state[WATCHED] += 1


@_jit
def advance(  # type: ignore[no-untyped-def]
    rows,
    until,
    state,
    heads,
    hours,
    minutes,
    counts,
    order,
    failed,
    scratch,
    outages,
    transient,
    numbers,
    tables,
    days,
):
    """Process every event whose second, relative to base, is less than `until`."""
    end = min(until, len(heads))
    for second in range(state[NOW], end):
        if heads[second] >= 0:
            for place in range(_bucket(rows, heads, second, scratch)):
                device = np.int32(scratch[place] & 0xFFFFFFF)
                kind = scratch[place] >> 28
                if kind == c.KIND_ATTEMPT:
                    _attempt(
                        rows,
                        heads,
                        device,
                        second,
                        state,
                        hours,
                        minutes,
                        outages,
                        transient,
                        numbers,
                        tables,
                        days,
                    )
                elif kind == c.KIND_REPORT:
                    _report(rows, heads, device, second, state, hours, counts, failed, numbers, tables, days)
                else:
                    _show(rows[device], _PENDING, second, counts, state)
                    _again(rows, heads, device, second, hours, numbers, tables, days)
        if state[WATCHED] < state[RELEASED]:
            if rows[order[state[WATCHED]]].released + numbers[c.STRAGGLER] <= second:
                _watch(rows, order, second, state, counts, numbers)
    state[NOW] = max(state[NOW], until)
