"""What the answers of released devices say about those that stay silent: a stratum apart, and a day's releases.

A device answers when it is first seen enrolled or failed. Two questions are asked at regular boundaries, and neither
needs a model of when computers are on:

**By stratum** (`log_evidence`). Within a batch all devices were released together, so window, hour, weekend and
outage strike all alike, and a silent stratum shows in *who* answers next. With Y pending devices in the batch, Y_g of
them in stratum g, each answer multiplies the evidence e_g by (Y - Y_g + h0 Y_g) / (Y - Y_g + h1 Y_g), and by h1 / h0 if
the answer is of g. If the devices of g answer at least h0 times as fast as the others, e_g is a non-negative
supermartingale from 1, and by Ville's inequality ever reaches x with a chance of at most 1 / x.

Between two boundaries the order of the answers is not known. Of all orders, the one in which g answers first gives the
least evidence (exchanging two neighbours shows it), so its value bounds the true one from below and the inequality
holds for it too. It is bounded further, from below at each step: the factors of g's own answers are left out, the
sum over the others' answers is at least as large as their number times the term at their mean (the term is convex in
the number of pending devices), and ln(1 + x) >= 2 x / (2 + x). A batch may also be read less often, as long as that
depends on the number of answers and not on whose they are; then the interval is longer and the same bound applies.

**By cohort** (`answered`, `expected`). Releases of the same hours of the day are compared at the same age, with those
of earlier days: hour of day, random window and mix of devices cancel. What differs between days (weekend, holiday,
outage) strikes earlier devices that are still pending too: where they answer less than *their* predecessors did at
that age, less is expected of the new ones. Where they answer more, nothing more is expected: after a weekend mostly
laptops are pending, which say little about new devices. Releases that were found short are no reference for others.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rollout.values import DAY_S, HOUR_S, BoolArray, IntArray, LongArray, Silence

FloatArray = NDArray[np.float64]

EVERY_S = 4 * HOUR_S
"""Seconds between two boundaries; they are counted from the plan's start."""

STRATA_EVERY_S = 2 * EVERY_S
"""Seconds between two readings by stratum, which cost more."""

SLOWEST = 0.5
"""h0: a stratum that answers at least half as fast as the others is healthy."""

ANSWERING = (0.1, 0.4)
"""Shares of a bad stratum that still answer, for which the evidence is made to grow fastest; their mean is taken."""

LEAST_SPEED = 0.02
"""The least h1: what a late answer of a stratum can take from its evidence is bounded."""

SHARE_TO_READ = 0.25
"""A batch is read by stratum once this share of its pending devices answered; daily, once a third of this did."""

SHORT = 0.85
"""A cohort that answered less than this share of what is expected is short."""

AGAIN = 0.05
"""A short cohort is short until it exceeds the limit by this much, so that releases do not start and stop."""

DEVIATIONS = 1.5
"""Standard deviations of chance (Poisson) that a shortfall must exceed."""

UNSURE = 0.50
"""How much lower the limit is where no earlier day had releases at the same hours to compare with."""

SURE_DAYS = 3
"""Earlier days with releases at the same hours that make an expectation sure."""

REFERENCE_MIN = 300
"""Earlier devices without which a cohort is not judged."""

EXPECTED_MIN = 50.0
"""Expected answers without which a cohort is not judged."""

_PER_DAY = DAY_S // EVERY_S
_AGES = 10 * _PER_DAY  # ages that are compared, in intervals
_YOUNG = 5 * _PER_DAY  # slots before the last one with releases of which cohorts begin
_WATCHED_S = 30 * DAY_S  # age from which on a batch is not looked at any more
_POOL = 100.0  # pending devices that the mean over all hours counts for, beside those of the same hours
_LEAST_POOL = 30.0  # pending earlier devices at an age without which nothing is expected at it
_LEAST_PERIOD = 20.0  # expected answers of earlier devices without which an interval cannot be compared
_PERIOD_PRIOR = 5.0


def boundaries(start: int, until: int) -> LongArray:
    """Return the boundaries after `start` up to `until`, both Unix seconds: (k,) int64."""
    return start + EVERY_S * np.arange(1, max(until - start, 0) // EVERY_S + 1, dtype=np.int64)


def next_boundary(start: int, now: int) -> int:
    """Return the first boundary after `now`."""
    return start + EVERY_S * (max(now - start, 0) // EVERY_S + 1)


def is_short(silence: Silence) -> bool:
    """Return whether the cohort that was found answers much less than expected."""
    return silence.cohort > 0 and silence.answered < SHORT * silence.expected


def log_evidence_of(pending: LongArray, silent: LongArray, speeds: Sequence[FloatArray]) -> list[FloatArray]:
    """Return by how much ln e_g grows at least in an interval, summed over batches: (strata,) for each h1.

    pending, silent : (batches, strata) int64, pending when the interval begins, and when it ends. speeds : (batches,)
    h1 each.
    """
    before, after = pending.sum(axis=1), silent.sum(axis=1)
    left = silent.astype(np.float64)
    answers = pending - left
    others = (before - after)[:, None] - answers
    others *= left
    # The others that are pending, halfway, are at most this many less `left`.
    middle = np.maximum(before - (before - after - 1) * 0.5, 1.0)[:, None]
    out = []
    for speed in speeds:
        # ln(1 + x) >= 2 x / (2 + x) at x = (h0 - h1) left / (middle - left + h1 left).
        growth = left * ((SLOWEST + speed) / 2 - 1)[:, None]
        growth += middle
        np.divide(others, growth, out=growth)
        out.append((SLOWEST - speed) @ growth - np.log(SLOWEST / speed) @ answers)
    return out


class _Cohorts:
    """Releases by slot, the interval between two boundaries in which they were released; arrays by slot number.

    released, answered : devices. pending : share expected to be pending still. unsure : of the expected answers, those
    that were expected without a reference at the same hours. short : found short.
    seen : (slots, ages, 3) answers in each interval of their age, pending devices when it began, 1 if there were any.
    same : the sums of `seen` over the same hours of earlier days; around : of `same` over a day's hours.
    """

    def __init__(self) -> None:
        self.slots = 0
        self.last = -1
        self.released = self.answered = np.zeros(0, dtype=np.int64)
        self.pending = self.unsure = np.zeros(0)
        self.short = np.zeros(0, dtype=np.bool_)
        self.seen = self.same = self.around = np.zeros((0, _AGES, 3))

    def update(self, ended: int, slot: LongArray, released: LongArray, answered: LongArray) -> None:
        """Take the interval that ended. slot, released, answered : (batches,) of the batches that may have changed."""
        self.slots = ended + 1
        if self.slots > len(self.released):
            self._grow()
        if not len(slot):
            return
        first = int(slot[0])
        size = ended + 1 - first
        self.released[first : ended + 1] = np.bincount(slot - first, released, size)
        before = self.answered[first : ended + 1].copy()
        self.answered[first : ended + 1] = np.bincount(slot - first, answered, size)
        self.last = int(slot[-1])
        if ended - self.last < _AGES:
            live = min(_AGES, size)
            self._expect(
                ended, live, (self.answered[ended + 1 - live : ended + 1] - before[size - live :])[::-1]
            )

    def _grow(self) -> None:
        more = max(len(self.released), 64)
        for name in ("released", "answered", "pending", "unsure", "short", "seen", "same", "around"):
            old = getattr(self, name)
            fresh = np.ones if name == "pending" else np.zeros
            setattr(self, name, np.concatenate([old, fresh((more, *old.shape[1:]), dtype=old.dtype)]))

    def _expect(self, ended: int, live: int, answers: LongArray) -> None:
        """Expect answers of the interval that ended, of the latest `live` slots by age, from those of earlier days."""
        span = slice(ended, ended - live if ended >= live else None, -1)
        released, before = self.released[span], self.pending[span]
        waiting = np.maximum(released - self.answered[span] + answers, 0)
        rate, days = self._rates(ended, live, answers, waiting)
        if self.around[self.last, 0, 1] < REFERENCE_MIN:  # nothing to compare with, such as during a pilot
            self.pending[span] = before * (1 - answers / np.maximum(waiting, 1))
            return
        known = rate >= 0
        period, comparable = self._period(ended, span, answers, np.where(known, rate * waiting, 0.0))
        hazard = np.where(known, np.minimum(rate * period, 1.0), answers / np.maximum(waiting, 1))
        expected = before * hazard
        self.pending[span] = before - expected
        sure = np.where(known & comparable, np.minimum(days / SURE_DAYS, 1.0), 0.0)
        self.unsure[span] += released * expected * (1 - sure)

    def _rates(
        self, ended: int, live: int, answers: LongArray, waiting: LongArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return answers per pending device at each age on earlier days, -1 if too few, and how many days match."""
        seen = _by_age(self.seen, ended, live)
        seen[:, 0], seen[:, 1], seen[:, 2] = answers, waiting, waiting > 0
        same, around = _by_age(self.same, ended, live), _by_age(self.around, ended, live)
        a_day = min(live, ended - _PER_DAY + 1)
        if a_day > 0:
            yesterday = ended - _PER_DAY
            good = ~self.short[yesterday : yesterday - a_day if yesterday >= a_day else None : -1]
            earlier = _by_age(self.same, yesterday, a_day)
            same[:a_day] = earlier + _by_age(self.seen, yesterday, a_day) * good[:, None]
            around[:a_day] = _by_age(self.around, ended - 1, a_day) + same[:a_day] - earlier
        pool = around[:, 1]
        mean = around[:, 0] / np.maximum(pool, 1.0)
        rate = (same[:, 0] + _POOL * mean) / (same[:, 1] + _POOL)
        reference = self.around[ended : ended - live if ended >= live else None : -1, 0, 1]
        return np.where((pool >= _LEAST_POOL) & (reference >= REFERENCE_MIN), rate, -1.0), same[:, 2]

    def _period(
        self, ended: int, span: slice, answers: LongArray, expected: FloatArray
    ) -> tuple[FloatArray, BoolArray]:
        """Return how much devices of earlier days answered of what was expected, at most 1, and if it is known."""
        trusted = self.answered[span] >= SHORT * self.released[span] * (1 - self.pending[span])
        trusted &= ~self.short[span] & (expected > 0)
        later = _same_or_later_day(ended % _PER_DAY, len(expected))
        given, wanted = (
            np.cumsum((answers * trusted)[::-1])[::-1],
            np.cumsum((expected * trusted)[::-1])[::-1],
        )
        given, wanted = np.append(given, 0)[later], np.append(wanted, 0.0)[later]
        known = wanted >= _LEAST_PERIOD
        return np.where(
            known, np.minimum((given + _PERIOD_PRIOR) / (wanted + _PERIOD_PRIOR), 1.0), 1.0
        ), known

    def judge(self) -> int:
        """Return the first slot of the cohort that is to be told, -1 for none.

        A cohort is everything released since a slot of the last days with releases. Told is the one that lacks most if
        any is short, otherwise the latest day that is not short; one of which neither can be said is not told.
        """
        first = max(self.last + 1 - _YOUNG, 0)
        if self.last < 0 or self.around[self.last, 0, 1] < REFERENCE_MIN:
            return -1
        young = slice(first, self.last + 1)
        by_slot = self.released[young] * (1 - self.pending[young])
        table = np.stack([self.answered[young], self.released[young], by_slot, self.unsure[young]])
        answered, released, expected, unsure = np.cumsum(table[:, ::-1], axis=1)[:, ::-1]
        pending = np.maximum(1 - expected / np.maximum(released, 1), 1e-9)
        # A relative error d of all rates changes the expected answers by d * -S ln S / (1 - S), S still pending.
        swing = -pending * np.log(pending) / np.maximum(1 - pending, 1e-9)
        share = SHORT - UNSURE * swing * unsure / np.maximum(expected, 1.0) + AGAIN * self.short[young]
        lacking = share * expected - DEVIATIONS * np.sqrt(expected) - answered
        lacking[expected < EXPECTED_MIN] = -1.0
        worst = int(np.argmax(lacking))
        if lacking[worst] > 0:
            self._mark(first, first + worst)
            return first + worst
        self._mark(first, self.slots)
        fine = np.flatnonzero((expected >= EXPECTED_MIN) & (answered >= SHORT * expected))
        return first + int(fine[-1]) if len(fine) else -1

    def _mark(self, first: int, since: int) -> None:
        """Mark the slots since one as short, those from `first` until it as not; they are no reference for others."""
        marked = np.arange(first, self.slots) >= since
        if np.array_equal(self.short[first : self.slots], marked):
            return
        self.short[first : self.slots] = marked
        for day in range(_PER_DAY, self.slots, _PER_DAY):
            before, here = slice(day - _PER_DAY, day), slice(day, day + _PER_DAY)
            self.same[here] = (self.same[before] + self.seen[before] * ~self.short[before, None, None])[
                : len(self.same[here])
            ]
        sums = np.cumsum(self.same, axis=0)
        self.around = sums.copy()
        self.around[_PER_DAY:] -= sums[:-_PER_DAY]


def _by_age(table: FloatArray, ended: int, live: int) -> FloatArray:
    """Return a view of (slot ended - age, age) for the ages below `live`, (live, 3)."""
    flat = table.reshape(-1, table.shape[2])
    return flat[ended * _AGES :: 1 - _AGES][:live]


@lru_cache(maxsize=1024)
def _same_or_later_day(hour: int, live: int) -> LongArray:
    """Return for each age how many slots are of the same day as the slot of that age, or of a later one, (live,)."""
    age = np.arange(live)
    return np.minimum(hour + 1 + (age + _PER_DAY - 1 - hour) // _PER_DAY * _PER_DAY, live)


class SilenceWatch:
    """What the answers of one rollout say about silence; see the module.

    It keeps running sums only and is a function of the calls of `advance`: the same counts at the same boundaries
    give the same state, see `rebuilt`.

    Parameters
    ----------
    start : the plan's start, Unix seconds. strata : their number.
    """

    def __init__(self, start: int, strata: int) -> None:
        self._start = start
        self._log_evidence = np.zeros((len(ANSWERING), strata))
        self._read = np.zeros((0, strata), dtype=np.int64)
        self._read_total = np.zeros(0, dtype=np.int64)
        self._read_at = np.zeros(0, dtype=np.int64)
        self._cohorts = _Cohorts()
        self._sizes = np.zeros(0, dtype=np.int64)
        self._at = start

    @property
    def at(self) -> int:
        """The boundary reached, Unix seconds."""
        return self._at

    def advance(self, at: int, batch_at: LongArray, released: LongArray, answered: LongArray) -> Silence:
        """Take the counts at the next boundary.

        batch_at : (batches,) Unix seconds, not falling. released : (batches, strata) int64 devices of the batch that
        may answer: pending or silent, enrolled, failed; without those that the directory rejected, which never do.
        answered : those that have ever been seen enrolled or failed before `at`.
        Raise a `ValueError` unless `at` is the boundary that follows the last.
        """
        if at != self._at + EVERY_S:
            raise ValueError(f"expected the boundary {self._at + EVERY_S}, found {at}")
        self._at = at
        begun, batches = (int(place) for place in np.searchsorted(batch_at, (at - _WATCHED_S, at)))
        totals = answered[begun:batches].sum(axis=1)
        sizes = released[begun:batches].sum(axis=1)
        if self._log_evidence.shape[1] > 1 and (at - self._start) % STRATA_EVERY_S == 0:
            self._read_strata(begun, released[begun:batches], answered[begun:batches], sizes, totals)
        slot = (np.asarray(batch_at[begun:batches], dtype=np.int64) - self._start) // EVERY_S
        cohorts = self._cohorts
        cohorts.update((at - self._start) // EVERY_S - 1, slot, sizes, totals)
        return self._silence(cohorts.judge(), batch_at)

    def _read_strata(
        self, begun: int, released: LongArray, answered: LongArray, sizes: LongArray, totals: LongArray
    ) -> None:
        """Add the evidence of the batches in which enough devices answered since they were read."""
        end = begun + len(totals)
        if end > len(self._read):
            more = max(end - len(self._read), len(self._read), 64)
            strata = self._log_evidence.shape[1]
            self._read = np.concatenate([self._read, np.zeros((more, strata), dtype=np.int64)])
            self._read_total = np.concatenate([self._read_total, np.zeros(more, dtype=np.int64)])
            self._read_at = np.concatenate([self._read_at, np.zeros(more, dtype=np.int64)])
        known = self._read_total[begun:end]
        answers = totals - known
        scarce = np.where(self._at - self._read_at[begun:end] >= DAY_S, SHARE_TO_READ / 3, SHARE_TO_READ)
        rows = np.flatnonzero((answers > 0) & (answers >= scarce * (sizes - known)))
        if not len(rows):
            return
        now, all_of_them, places = answered[rows], released[rows], rows + begun
        share_known = known[rows] / np.maximum(sizes[rows], 1)
        speeds = [
            np.maximum(share * (1 - share_known) / (1 - share * share_known), LEAST_SPEED)
            for share in ANSWERING
        ]
        # A device that was rejected after its release leaves its batch: the counts may fall.
        silent = np.maximum(all_of_them - now, 0)
        pending = np.maximum(all_of_them - self._read[places], silent)
        self._log_evidence += log_evidence_of(pending, silent, speeds)
        self._read[places], self._read_total[places], self._read_at[places] = now, totals[rows], self._at

    def _silence(self, first: int, batch_at: LongArray) -> Silence:
        evidence = np.logaddexp.reduce(self._log_evidence, axis=0) - np.log(len(ANSWERING))
        if first < 0:
            return Silence(self._at, evidence)
        cohorts = self._cohorts
        young = slice(first, cohorts.last + 1)
        since = int(batch_at[np.searchsorted(batch_at, self._start + first * EVERY_S)])
        return Silence(
            self._at,
            evidence,
            int(cohorts.answered[young].sum()),
            float((cohorts.released[young] * (1 - cohorts.pending[young])).sum()),
            int(cohorts.released[young].sum()),
            since,
        )


def rebuilt(
    start: int,
    strata: int,
    until: int,
    batch_at: LongArray,
    batch_of: IntArray,
    codes: IntArray,
    answered_at: LongArray,
) -> tuple[SilenceWatch, Silence | None]:
    """Return the watch as if it had been advanced at every boundary up to `until`, and its last result.

    batch_at : (batches,) Unix seconds. batch_of : (n,) batch of each device, -1 if it was not released or rejected.
    codes : (n,) its stratum. answered_at : (n,) Unix seconds first seen enrolled or failed, -1 if never.
    """
    watch, silence = SilenceWatch(start, strata), None
    rows = np.flatnonzero(batch_of >= 0)
    shape = (len(batch_at), strata)
    place = batch_of[rows].astype(np.int64) * strata + codes[rows]
    released = np.bincount(place, minlength=shape[0] * strata).reshape(shape)
    at = answered_at[rows]
    order = np.argsort(at, kind="stable")
    ats = boundaries(start, until)
    # Seen before the boundary, so an answer at the boundary itself belongs to the next interval.
    ends = np.searchsorted(at[order], ats)
    position = int(np.searchsorted(at[order], 0))
    answered = np.zeros(shape[0] * strata, dtype=np.int64)
    for boundary, end in zip(ats.tolist(), ends.tolist(), strict=True):
        answered += np.bincount(place[order[position:end]], minlength=len(answered))
        position = end
        silence = watch.advance(boundary, batch_at, released, answered.reshape(shape))
    return watch, silence


def smallest_share(devices: int, log_limit: float, answered: float = 0.9) -> float:
    """Return the smallest share of a stratum whose silence its first devices show on average, infinite if none does.

    devices : devices of the stratum released, a small part of batches of which the share `answered` has answered.
    log_limit : ln evidence that is needed, see `rollout.gates.rules.silence.log_limit`. Those that are not silent
    answer like the others.
    """
    known = (np.arange(400) + 0.5) / 400 * answered
    step = answered / 400
    for percent in range(1, 101):
        speaking = 1 - percent / 100
        best = -np.inf
        for share in ANSWERING:
            speed = np.maximum(share * (1 - known) / (1 - share * known), LEAST_SPEED)
            growth = (SLOWEST - speed) * (1 - speaking * known) / (1 - known)
            best = max(best, float((growth - speaking * np.log(SLOWEST / speed)).sum()) * step * devices)
        if best - np.log(len(ANSWERING)) >= log_limit:
            return percent / 100
    return float("inf")
