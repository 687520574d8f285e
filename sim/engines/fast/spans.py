"""Presence in numba: the day rule of `sim.clients.presence`, evaluated lazily, without memory of the past.

`row` is a record of `sim.engines.fast.rows.ROW`. Days and seconds count from base; local days and seconds are
shifted so that a day begins at 03:00 local time.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from sim.clients import draws as d
from sim.clients import spec as c
from sim.engines.fast.compiled import entry, jit
from sim.engines.fast.rows import DAY_ZERO, FIRST_DAY, NEEDS_USER, TURNS_OFF, draw, part, quantile

_DAY: Final = 86400


@jit
def _word(row: Any, day: Any) -> Any:
    """Return the random bits of a day, from the highest: used, arrival, off, pause."""
    return draw(row.key, d.SLOT_DAY + day + c.DAYS_BEFORE)


@jit
def _kind(day: Any, book: Any) -> Any:
    return book[min(max(DAY_ZERO + day, FIRST_DAY), book[c.DAYS_END] - 1)]


@jit
def _used(row: Any, day: Any, word: Any, book: Any) -> Any:
    """Return whether a device is used on a local day."""
    chance = book[c.USED + 8 * row.presence + _kind(day, book)]
    if chance >= 65536:
        return True
    spread = book[c.SPREAD] * (2 * np.int64(row.habit & np.uint32(0xFFFF)) - 65536) >> 16
    return part(word, 3) < chance * (65536 + spread) >> 16


@jit
def _left_on(row: Any, word: Any, book: Any) -> Any:
    return part(word, 1) >= book[c.OFF + 2 * row.presence + (row.flags & TURNS_OFF)]


@jit
def _place(row: Any, word: Any, book: Any) -> Any:
    """Return the device's place in the population's order of arrivals and departures that day, parts of 65536."""
    width = book[c.ARRIVAL_JITTER]
    u = np.int64(row.habit >> np.uint32(16)) + ((2 * part(word, 2) - 65536) * width >> 16)
    u = abs(u)  # folded at both ends, so that it stays uniform
    return 131071 - u if u > 65535 else u


@jit
def _arrival(row: Any, day: Any, word: Any, book: Any) -> Any:
    weekend = 1 if _kind(day, book) >= 5 else 0
    return quantile(book, c.ARRIVE + weekend, _place(row, word, book))


@jit
def _departure(row: Any, day: Any, word: Any, book: Any) -> Any:
    """Return the departure of a used day and the beginning and end of its break, both -1 without a break."""
    weekend = 1 if _kind(day, book) >= 5 else 0
    place = _place(row, word, book)
    ends = quantile(book, c.LEAVE + weekend, place)
    if part(word, 0) >= book[c.PAUSE + row.presence]:
        return ends, -1, -1
    pause = draw(row.key, d.SLOT_PAUSE + day + c.DAYS_BEFORE)
    away = quantile(book, c.PAUSE_AT, part(pause, 0))
    back = min(away + quantile(book, c.PAUSE_S, part(pause, 1)), ends - 60)
    if quantile(book, c.ARRIVE + weekend, place) < away < back:
        return ends, away, back
    return ends, -1, -1


@jit
def _was_left_on(row: Any, day: Any, book: Any) -> Any:
    """Return whether the device was left on at the end of the last used day before `day`."""
    for earlier in range(day - 1, -c.DAYS_BEFORE - 1, -1):
        word = _word(row, earlier)
        if _used(row, earlier, word, book):
            return _left_on(row, word, book)
    return False


@jit
def _next_up(row: Any, day: Any, book: Any) -> Any:
    """Return the first arrival on `day` or later, in local seconds."""
    for later in range(day, book[c.DAYS_END] - DAY_ZERO):
        word = _word(row, later)
        if _used(row, later, word, book):
            return later * _DAY + _arrival(row, later, word, book)
    return c.NEVER


@jit
def _next_down(row: Any, day: Any, enough: Any, book: Any) -> Any:
    """Return when a device that is on at the beginning of `day` goes off, in local seconds; exact up to `enough`."""
    for later in range(day, book[c.DAYS_END] - DAY_ZERO):
        if later * _DAY > enough:
            return later * _DAY
        word = _word(row, later)
        if _used(row, later, word, book):
            ends, away, _ = _departure(row, later, word, book)
            if away >= 0:
                return later * _DAY + away
            if not _left_on(row, word, book):
                return later * _DAY + ends
    return c.NEVER


@jit
def span(row: Any, second: Any, enough: Any, book: Any) -> Any:
    """Return whether a device is on at a second, and when that changes.

    If the device stays on past the second `enough`, the result is only some later second up to which it stays on.
    """
    local = second + row.offset
    day = local // _DAY
    clock = local - day * _DAY
    word = _word(row, day)
    if _used(row, day, word, book) and clock >= _arrival(row, day, word, book):
        ends, away, back = _departure(row, day, word, book)
        if clock < back:
            return clock < away, day * _DAY + (away if clock < away else back) - row.offset
        on = _left_on(row, word, book)
        if clock < ends and not on:
            return True, day * _DAY + ends - row.offset
        day += 1
    else:
        on = _was_left_on(row, day, book)
    changes = _next_down(row, day, enough + row.offset, book) if on else _next_up(row, day, book)
    return on, changes - row.offset


@jit
def up_from(row: Any, second: Any, book: Any) -> Any:
    """Return the first second from `second` on at which the device is on."""
    on, ends = span(row, second, second, book)
    return second if on else ends


@jit
def _user_from(row: Any, second: Any, book: Any) -> Any:
    """Return the first second from `second` on at which the user is present."""
    local = second + row.offset
    day = local // _DAY
    clock = local - day * _DAY
    word = _word(row, day)
    if _used(row, day, word, book):
        begins = _arrival(row, day, word, book)
        ends, away, back = _departure(row, day, word, book)
        if clock < begins:
            return day * _DAY + begins - row.offset
        if away <= clock < back:
            return day * _DAY + back - row.offset
        if clock < ends:
            return second
    return _next_up(row, day + 1, book) - row.offset


@jit
def ready_from(row: Any, second: Any, book: Any) -> Any:
    """Return the first second from `second` on at which the device can get a token (T11, T12)."""
    if row.flags & NEEDS_USER:
        return _user_from(row, second, book)
    return up_from(row, second, book)


@entry
def states(rows: Any, seconds: Any, book: Any, on: Any, changes: Any, ready: Any) -> None:
    """Fill, for each row and second, `on`, when that `changes`, and when the device is `ready`: (n, k) each.

    on : whether the device is on. ready : the first second from then on at which it can get a token.
    """
    for device in range(len(rows)):
        for place in range(len(seconds)):
            on[device, place], changes[device, place] = span(rows[device], seconds[place], c.NEVER, book)
            ready[device, place] = ready_from(rows[device], seconds[place], book)
