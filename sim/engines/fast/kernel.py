"""The fast engine's inner loop: numba over packed rows and a calendar queue.

The queue has one bucket per second: `heads[second]` is the first device whose pending event is due then, and each
record names the next device. A bucket is gathered and sorted by (kind, device) when its second comes. The rules are
stated in `sim.clients.spec` and `sim.clients.service`; `sim.engines.oracle` implements them independently. Nothing
that depends on the device alone is an event: a release jumps straight to the first attempt. Importing this module
imports numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rollout.values import NOT_RELEASED, Mark, Outcome
from sim.clients import draws as d
from sim.clients import spec as c
from sim.engines.fast import rows as r
from sim.engines.fast.compiled import entry, jit, prefetch
from sim.engines.fast.rows import draw, high, low, part, quantile, which
from sim.engines.fast.spans import ready_from, span

_PENDING, _ENROLLED = int(Outcome.PENDING), int(Outcome.ENROLLED)
_FAILED, _TIMED_OUT = int(Outcome.FAILED), int(Outcome.TIMED_OUT)
_MENDING, _RECOVERED, _UNENROLLED = int(Mark.MENDING), int(Mark.RECOVERED), int(Mark.UNENROLLED)
_NO_MARK = -1
_KIND_SHIFT = 28
_AHEAD = 64
"""Seconds by which rows are prefetched before their events are due."""


@entry
def step(
    run: Any,
    lists: Any,
    failures: Any,
    counts: Any,
    rules: Any,
    faults: Any,
    until: Any,
    devices: Any,
    batch: Any,
) -> None:
    """Process every event before the second `until`; then release `devices` in that second."""
    advance(run, lists, failures, counts, rules, until)
    for begin in range(0, len(devices), r.BLOCK):
        block = devices[begin : begin + r.BLOCK]
        for place in range(len(block)):
            lists.scratch[place] = _release(
                run, lists, counts.outcomes, rules.book, faults, until, block[place], batch
            )
        for place in range(len(block)):
            if lists.scratch[place] >= 0:
                _schedule(run.rows, run.heads, block[place], lists.scratch[place], c.KIND_ATTEMPT)


@jit
def _release(
    run: Any,
    lists: Any,
    counts: Any,
    book: Any,
    faults: Any,
    at: Any,
    device: Any,
    batch: Any,
) -> Any:
    """Release a device; return the second of its first attempt, -1 if it was released before."""
    row = run.rows[device]
    if row.outcome != NOT_RELEASED:
        return -1
    lists.order[run.tally[r.RELEASED]] = device
    run.tally[r.RELEASED] += 1
    run.tally[r.PENDING] += 1
    counts[batch, row.stratum, _PENDING] += 1
    row.batch = batch
    _initialize(row, device, book, faults)
    any_enrolled = run.tally[r.FIRST_ENROLLMENT] < at
    immediate = any_enrolled and (book[c.LATE_IMMEDIATE] != 0 or faults.new[device])
    due = _first_attempt(row, at, immediate, run.hours, book)
    if due < len(run.heads):
        prefetch(run.heads, due)
    return due


@jit
def advance(run: Any, lists: Any, failures: Any, counts: Any, rules: Any, until: Any) -> None:
    """Process every event before the second `until`."""
    rows, heads, tally = run.rows, run.heads, run.tally
    check = _next_check(rows, lists.order, failures.mending, tally, rules.book)
    for second in range(tally[r.NOW], min(until, len(heads))):
        ahead = second + _AHEAD
        if ahead < len(heads) and heads[ahead] >= 0:
            prefetch(rows, heads[ahead])
        if heads[second] >= 0:
            for place in range(_bucket(rows, heads, lists.scratch, second)):
                device = np.int32(lists.scratch[place] & ((1 << _KIND_SHIFT) - 1))
                kind = lists.scratch[place] >> _KIND_SHIFT
                if kind == c.KIND_ATTEMPT:
                    _attempt(run, rules, device, second)
                elif kind == c.KIND_REPORT and _enrolls_first(rows[device]):
                    _enrolled(rows, heads, tally, counts.outcomes, rules.book, device, second)
                else:
                    _changed(run, failures, counts, rules.book, device, second, kind)
                    check = min(check, _lasts_at(failures.mending, tally, rules.book))
        if second == check:
            _time_out_silent(rows, lists.order, tally, counts, rules.book, second)
            _count_lasting(rows, failures.mending, tally, counts, rules.book, second)
            check = _next_check(rows, lists.order, failures.mending, tally, rules.book)
    tally[r.NOW] = max(tally[r.NOW], until)


@jit
def _bucket(rows: Any, heads: Any, scratch: Any, second: Any) -> Any:
    """Move the bucket of a second into `scratch` as sorted (kind, device) keys; return its length."""
    size = 0
    device = heads[second]
    heads[second] = -1
    while device >= 0:
        row = rows[device]
        scratch[size] = np.int64(row.kind) << _KIND_SHIFT | device
        size += 1
        device = row.next
    if size > 1:
        _sort(scratch, size)
    return size


@jit
def _sort(keys: Any, size: Any) -> None:
    """Sort the first `size` keys in place by Shell's method: buckets are nearly always small."""
    gap = 1
    while gap < size // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for place in range(gap, size):
            key = keys[place]
            while place >= gap and keys[place - gap] > key:
                keys[place] = keys[place - gap]
                place -= gap
            keys[place] = key
        gap //= 3


@jit
def _schedule(rows: Any, heads: Any, device: Any, second: Any, kind: Any) -> None:
    """Make (second, kind) the pending event of a device; past the horizon there is none."""
    row = rows[device]
    if second >= len(heads):
        row.kind = c.KIND_NONE
        return
    row.kind = kind
    row.next = heads[second]
    heads[second] = device


@jit
def _count(hours: Any, second: Any, column: Any, book: Any) -> None:
    if second < book[c.LIMIT]:
        hours[second // 3600, column] += 1


@jit
def _initialize(row: Any, device: Any, book: Any, faults: Any) -> None:
    """Set the fields that stay fixed for the whole life of a device."""
    word = draw(row.key, d.SLOT_HABIT)
    row.habit = np.uint32(high(word))
    flags = r.TURNS_OFF if part(word, 0) < book[c.HABIT + row.presence] else 0
    word = draw(row.key, d.SLOT_TOKEN)
    if part(word, 0) >= book[c.TOKEN]:
        flags |= r.NEEDS_USER
    if part(word, 1) < book[c.INTERNET]:
        flags |= r.INTERNET
    row.flags = flags
    word = draw(row.key, d.SLOT_FAULT)
    if high(word) < faults.chance[device]:
        code = faults.code[device]
        row.permanent = which(faults.mix, low(word)) if code == c.FROM_MIX else code


@jit
def _first_attempt(row: Any, at: Any, immediate: Any, hours: Any, book: Any) -> Any:
    """Return the second of a device's first attempt: T1 to T12, which do not depend on other devices."""
    row.outcome = _PENDING
    row.outcome_at = row.released = at
    limit = book[c.LIMIT]
    grid = book[c.GRID]
    second = (at // grid + 1) * grid if grid > 0 else at
    _count(hours, second, r.ELIGIBLE, book)
    word = draw(row.key, d.SLOT_BLOCK)
    silent = row.permanent == c.SILENT
    healthy = part(word, 0) >= book[c.BLOCKED] and not silent
    first = True
    while second < limit:
        second = _evaluated(row, second, first, hours, book)
        if healthy:
            break
        if silent or part(word, 1) < book[c.NEVER_HEALS]:
            return c.NEVER
        second += quantile(book, c.HEAL_S, part(word, 2))
        healthy, first = True, False
    _count(hours, second, r.SCHEDULED, book)
    if not immediate:
        second += high(draw(row.key, d.SLOT_TIMER)) * book[c.WINDOW] >> 32
    if second >= limit:
        return c.NEVER
    on, ends = span(row, second, second, book)
    if on and not row.flags & r.NEEDS_USER:
        return second
    if not on:
        second = ends
        if second < limit:
            second += high(draw(row.key, d.SLOT_LOGON)) * book[c.LOGON] >> 32
    return ready_from(row, second, book) if second < limit else c.NEVER


@jit
def _evaluated(row: Any, second: Any, first: Any, hours: Any, book: Any) -> Any:
    """Return the policy evaluation after the next contact from `second` on, and count the contact (T2 to T4)."""
    at, ends = _contact(row, second, book)
    gateway = book[c.GATEWAY]
    if first and row.flags & r.INTERNET and gateway > 0:
        at, ends = _delayed(row, at, ends, low(draw(row.key, d.SLOT_POLL)) * gateway >> 32, book)
    _count(hours, at, r.POLLS, book)
    word = draw(row.key, d.SLOT_EVALUATION + row.evaluations)
    row.evaluations += 1
    return _delayed(row, at, ends, 1 + (high(word) * book[c.EVALUATION] >> 32), book)[0]


@jit
def _delayed(row: Any, at: Any, ends: Any, wait: Any, book: Any) -> Any:
    """Return `at` + `wait`, or later if the device is off then, and until when it is known to be on."""
    at += wait
    if at < ends or at >= book[c.LIMIT]:
        return at, ends
    on, changes = span(row, at, at, book)
    return (at, changes) if on else (changes, changes)


@jit
def _contact(row: Any, second: Any, book: Any) -> Any:
    """Return the first policy request from `second` on, and until when the device is then known to be on."""
    poll = book[c.POLL]
    phase = high(draw(row.key, d.SLOT_POLL)) * poll >> 32
    wait = (phase - second) % poll
    while second < book[c.LIMIT]:
        on, ends = span(row, second, second + wait + book[c.EVALUATION], book)
        if on and second + wait < ends:
            return second + wait, ends
        second = ends
        wait = book[c.WAKE]
    return c.NEVER, c.NEVER


@jit
def _attempt(run: Any, rules: Any, device: Any, second: Any) -> None:
    """Serve one attempt."""
    row = run.rows[device]
    book = rules.book
    hour = second // 3600
    run.hours[hour, r.ATTEMPTS] += 1
    run.minutes[second // 60] += 1
    if row.attempt == 0 and row.throttled == 0:
        run.hours[hour, r.INITIATED] += 1
    in_outage = _is_in_outage(run.tally, rules.outages, second)
    if not in_outage and not _is_accepted(run.tally, book[c.CAPACITY], second // 60):
        run.hours[hour, r.THROTTLED] += 1
        again = _backoff(row, second, book)
    else:
        again = _accepted(run, rules, device, second, in_outage)
    if again > 0:
        _schedule(run.rows, run.heads, device, ready_from(row, again, rules.book), c.KIND_ATTEMPT)


@jit
def _accepted(run: Any, rules: Any, device: Any, second: Any, in_outage: Any) -> Any:
    """Carry out an attempt; return the second from which the next attempt of this cycle is due, 0 if it is over."""
    row = run.rows[device]
    book = rules.book
    word = draw(row.key, d.SLOT_ATTEMPT + row.attempt)
    row.attempt += 1
    row.backoffs = 0
    end = second + (book[c.ANSWER] if in_outage else quantile(book, c.ENROLL_S, part(word, 1)))
    row.code = _code(row, word, in_outage, rules)
    if row.code >= 0:
        row.tries += 1
        if row.tries < book[c.ATTEMPTS]:
            return end + book[c.RETRY]
        row.pending_outcome = _FAILED
    else:
        _count(run.hours, end, r.COMPLETED, rules.book)
        if row.enrollments == 0:
            _count(run.hours, end, r.ENROLLED, rules.book)
        row.enrollments += 1
        run.tally[r.FIRST_ENROLLMENT] = min(run.tally[r.FIRST_ENROLLMENT], end)
        row.pending_outcome = _ENROLLED
    _schedule(run.rows, run.heads, device, end + quantile(book, c.LAG_S, part(word, 0)), c.KIND_REPORT)
    return 0


@jit
def _code(row: Any, word: Any, in_outage: Any, rules: Any) -> Any:
    """Return the index of the code with which an attempt fails, -1 if it succeeds."""
    if in_outage:
        return np.int16(rules.book[c.OUTAGE])
    if row.permanent >= 0:
        return row.permanent
    if high(word) < rules.book[c.TRANSIENT]:
        return which(rules.transient, high(draw(row.key, d.SLOT_CODE + row.attempt - 1)))
    return np.int16(-1)


@jit
def _is_in_outage(tally: Any, outages: Any, second: Any) -> Any:
    while tally[r.OUTAGE_AT] < len(outages) and outages[tally[r.OUTAGE_AT], 1] <= second:
        tally[r.OUTAGE_AT] += 1
    return tally[r.OUTAGE_AT] < len(outages) and outages[tally[r.OUTAGE_AT], 0] <= second


@jit
def _is_accepted(tally: Any, capacity: Any, minute: Any) -> Any:
    if capacity == 0:
        return True
    if tally[r.MINUTE] != minute:
        tally[r.MINUTE] = minute
        tally[r.ACCEPTED] = 0
    if tally[r.ACCEPTED] >= capacity:
        return False
    tally[r.ACCEPTED] += 1
    return True


@jit
def _backoff(row: Any, second: Any, book: Any) -> Any:
    """Return the second at which the back-off of a throttled client ends."""
    wait = min(book[c.BACKOFF] << row.backoffs, book[c.BACKOFF_MAX])
    swing = wait * book[c.JITTER] >> 16
    word = draw(row.key, d.SLOT_BACKOFF + row.throttled)
    row.throttled += 1
    row.backoffs = min(row.backoffs + 1, 24)
    return second + max(1, wait - swing + (high(word) * (2 * swing) >> 32))


@jit
def _enrolls_first(row: Any) -> Any:
    """Return whether the pending report is the first of a device and says that it is enrolled: most reports do."""
    return row.pending_outcome == _ENROLLED and not row.flags & r.REPORTED


@jit
def _enrolled(rows: Any, heads: Any, tally: Any, outcomes: Any, book: Any, device: Any, second: Any) -> None:
    """Let the directory see the enrollment of a device that reported nothing before, and so has no mark."""
    row = rows[device]
    outcomes[row.batch, row.stratum, row.outcome] -= 1
    outcomes[row.batch, row.stratum, _ENROLLED] += 1
    if row.outcome == _PENDING:
        tally[r.PENDING] -= 1
    row.outcome = np.int8(_ENROLLED)
    row.outcome_at = row.answered = second
    row.flags |= r.REPORTED
    _await_unenrollment(rows, heads, book, device, second)


@jit
def _await_unenrollment(rows: Any, heads: Any, book: Any, device: Any, second: Any) -> None:
    if book[c.UNENROLLS]:
        row = rows[device]
        word = draw(row.key, d.SLOT_UNENROLL + row.enrollments - 1)
        wait = 1 + quantile(book, c.UNENROLL_S, part(word, 3))
        _schedule(rows, heads, device, second + wait, c.KIND_UNENROLL)


@jit
def _changed(run: Any, failures: Any, counts: Any, book: Any, device: Any, second: Any, kind: Any) -> None:
    """Let the directory see a result or an un-enrollment, and set what follows it."""
    row, again = run.rows[device], second
    if kind == c.KIND_UNENROLL:
        # A failure that counts is not forgotten because the device was enrolled in between.
        outcome = np.int8(_FAILED if row.flags & r.HARMED else _PENDING)
        _report(run, failures, counts, book, device, second, outcome, np.int16(-1))
    elif row.pending_outcome == _ENROLLED:
        _report(run, failures, counts, book, device, second, np.int8(_ENROLLED), np.int16(-1))
        _await_unenrollment(run.rows, run.heads, book, device, second)
        return
    else:
        delay = np.int64(failures.delays[device]) if len(failures.delays) else 0
        if delay > 0 and not row.flags & r.DELAYED:
            row.flags |= r.DELAYED
            _schedule(run.rows, run.heads, device, second + delay, c.KIND_REPORT)
            return
        row.flags &= ~r.DELAYED
        _report(run, failures, counts, book, device, second, np.int8(_FAILED), row.code)
        if row.permanent >= 0:
            return
        word = draw(row.key, d.SLOT_ATTEMPT + row.attempt - 1)
        end = second - delay - quantile(book, c.LAG_S, part(word, 0))
        again = max(second, end + book[c.CYCLE])
    row.tries = 0
    if again < book[c.LIMIT]:
        again = _evaluated(row, again, False, run.hours, book)
        if again < book[c.LIMIT]:
            again = ready_from(row, again, book)
    _schedule(run.rows, run.heads, device, again, c.KIND_ATTEMPT)


@jit
def _report(
    run: Any, failures: Any, counts: Any, book: Any, device: Any, second: Any, outcome: Any, code: Any
) -> None:
    """Set the outcome that the directory reports. code : index of the code of a new failure, -1 if it is none."""
    row, tally, mending = run.rows[device], run.tally, failures.mending
    was_mending = _mark_of(row) == _MENDING
    _count_device(row, tally, counts, -1)
    row.flags |= r.REPORTED
    if row.answered < 0:
        row.answered = second
    if code >= 0:
        row.reported_code = code
        again = was_mending and second - mending[device].since >= book[c.AGAIN]
        if again or not failures.mends[code]:
            row.flags |= r.HARMED
    row.outcome = outcome
    row.outcome_at = second
    _count_device(row, tally, counts, 1)
    is_mending = _mark_of(row) == _MENDING
    if was_mending and not is_mending:
        _unlink(mending, tally, device)
    elif is_mending and not was_mending:
        _link(mending, tally, device, second)


@jit
def _mark_of(row: Any) -> Any:
    """Return the mark of a device, _NO_MARK if it has none."""
    if row.outcome == _ENROLLED:
        return _RECOVERED if row.flags & r.HARMED else _NO_MARK
    if row.outcome == _FAILED:
        return _NO_MARK if row.flags & r.HARMED else _MENDING
    return _UNENROLLED if row.outcome == _PENDING and row.flags & r.REPORTED else _NO_MARK


@jit
def _count_device(row: Any, tally: Any, counts: Any, by: Any) -> None:
    """Count a device (`by` 1), or cease to count it (-1), by what the directory reports of it."""
    counts.outcomes[row.batch, row.stratum, row.outcome] += by
    if row.outcome == _PENDING:
        tally[r.PENDING] += by
    elif row.outcome == _FAILED:
        tally[r.SCALARS + row.reported_code] += by
    mark = _mark_of(row)
    if mark != _NO_MARK:
        counts.marks[row.batch, row.stratum, mark] += by
        tally[r.MARKED] += by
    if row.outcome == _FAILED or mark == _RECOVERED:
        tally[len(tally) - 1 - row.stratum] += by
        tally[r.FAILURES] += 1


@jit
def _link(mending: Any, tally: Any, device: Any, second: Any) -> None:
    """Append a device to the list of those that are mending."""
    last = tally[r.LAST_MENDING]
    mending[device].since = second
    mending[device].before = last
    mending[device].after = -1
    tally[r.LAST_MENDING] = device
    if last >= 0:
        mending[last].after = device
    else:
        tally[r.FIRST_MENDING] = device


@jit
def _unlink(mending: Any, tally: Any, device: Any) -> None:
    """Take a device out of that list."""
    before, after = mending[device].before, mending[device].after
    if before >= 0:
        mending[before].after = after
    else:
        tally[r.FIRST_MENDING] = after
    if after >= 0:
        mending[after].before = before
    else:
        tally[r.LAST_MENDING] = before


@jit
def _next_check(rows: Any, order: Any, mending: Any, tally: Any, book: Any) -> Any:
    """Return the second at which the next device must be checked for silence, or for a failure that lasts."""
    check = _lasts_at(mending, tally, book)
    if tally[r.CHECKED] < tally[r.RELEASED]:
        released = rows[order[tally[r.CHECKED]]].released
        check = min(check, max(released + book[c.STRAGGLER], tally[r.NOW]))
    return check


@jit
def _lasts_at(mending: Any, tally: Any, book: Any) -> Any:
    """Return the second at which the next failure has lasted long enough to count."""
    first = tally[r.FIRST_MENDING]
    return np.int64(mending[first].since) + book[c.LASTS] if first >= 0 else c.NEVER


@jit
def _time_out_silent(rows: Any, order: Any, tally: Any, counts: Any, book: Any, second: Any) -> None:
    """Time out the devices whose straggler time ends in this second and that have reported nothing."""
    while tally[r.CHECKED] < tally[r.RELEASED]:
        row = rows[order[tally[r.CHECKED]]]
        if row.released + book[c.STRAGGLER] > second:
            return
        if row.outcome == _PENDING and not row.flags & r.REPORTED:
            _count_device(row, tally, counts, -1)
            row.outcome = np.int8(_TIMED_OUT)
            row.outcome_at = second
            _count_device(row, tally, counts, 1)
        tally[r.CHECKED] += 1


@jit
def _count_lasting(rows: Any, mending: Any, tally: Any, counts: Any, book: Any, second: Any) -> None:
    """Count the failures that have lasted too long by the end of this second to be left to mend."""
    while _lasts_at(mending, tally, book) <= second:
        device = tally[r.FIRST_MENDING]
        row = rows[device]
        _count_device(row, tally, counts, -1)
        row.flags |= r.HARMED
        _count_device(row, tally, counts, 1)
        _unlink(mending, tally, device)
