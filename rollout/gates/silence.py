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

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rollout.values import DAY_S, HOUR_S, BoolArray, IntArray, LongArray, Silence

FloatArray = NDArray[np.float64]

EVERY_S = 4 * HOUR_S
"""Seconds between two boundaries; they are counted from the plan's start."""

SLOWEST = 0.5
"""h0: a stratum that answers at least half as fast as the others is healthy."""

ANSWERING = (0.1, 0.4)
"""Shares of a bad stratum that still answer, for which the evidence is made to grow fastest; their mean is taken."""

LEAST_SPEED = 0.02
"""The least h1: what a late answer of a stratum can take from its evidence is bounded."""

SHARE_TO_READ = 0.1
"""A batch is read by stratum once this share of its pending devices answered, or daily."""

SHORT = 0.85
"""A cohort that answered less than this share of what is expected is short."""

AGAIN = 0.05
"""A short cohort is short until it exceeds the limit by this much, so that releases do not start and stop."""

DEVIATIONS = 2.0
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
_YOUNG = 5 * _PER_DAY  # a cohort is judged up to this age
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


def log_evidence_of(pending: LongArray, answers: LongArray, speed: FloatArray) -> FloatArray:
    """Return by how much ln e_g grows at least in an interval, (batches, strata).

    pending : (batches, strata) int64, pending when the interval begins. answers : how many of them answered in it.
    speed : (batches, 1), h1.
    """
    others_answered = answers.sum(axis=1, keepdims=True) - answers
    others = pending.sum(axis=1, keepdims=True) - pending
    silent = np.maximum(pending - answers, 0)
    middle = np.maximum(others - (others_answered - 1) * 0.5, 0.5)
    # ln(1 + x) >= 2 x / (2 + x) at x = (h0 - h1) silent / (middle + h1 silent).
    growth = others_answered * silent / (middle + (SLOWEST + speed) / 2 * silent)
    return np.asarray((SLOWEST - speed) * growth - np.log(SLOWEST / speed) * answers)


@dataclass(slots=True, eq=False)
class _Cohorts:
    """Releases by slot, the interval between two boundaries in which they were released; (n,) each.

    slot : number of the interval. released, answered : devices. pending : share expected to be pending still.
    unsure : of the expected answers, those that were expected without a reference at the same hours. short : found short.
    answers, waiting : (n, ages) answers in each interval of their age, and pending devices when it began.
    """

    slot: LongArray
    released: LongArray
    answered: LongArray
    pending: FloatArray
    unsure: FloatArray
    short: BoolArray
    answers: FloatArray
    waiting: FloatArray

    @classmethod
    def none(cls) -> _Cohorts:
        long, real = np.zeros(0, dtype=np.int64), np.zeros(0)
        table = np.zeros((0, _AGES))
        return cls(long, long, long, real, real, np.zeros(0, dtype=np.bool_), table, table)

    def update(self, slot: LongArray, released: LongArray, answered: LongArray) -> LongArray:
        """Take the totals by batch and return each slot's answers of the last interval."""
        first = np.flatnonzero(np.diff(slot, prepend=-1))
        if not len(first):
            return np.zeros(0, dtype=np.int64)
        self._grow(slot[first])
        self.released = np.add.reduceat(released, first)
        answered = np.add.reduceat(answered, first)
        answers = np.maximum(answered - self.answered, 0)
        self.answered = answered
        return answers

    def _grow(self, slot: LongArray) -> None:
        more = len(slot) - len(self.slot)
        if not more:
            return
        self.slot = slot
        self.answered = np.concatenate([self.answered, np.zeros(more, dtype=np.int64)])
        self.pending = np.concatenate([self.pending, np.ones(more)])
        self.unsure = np.concatenate([self.unsure, np.zeros(more)])
        self.short = np.concatenate([self.short, np.zeros(more, dtype=np.bool_)])
        self.answers = np.concatenate([self.answers, np.zeros((more, _AGES))])
        self.waiting = np.concatenate([self.waiting, np.zeros((more, _AGES))])

    def expect(self, ended: int, answers: LongArray) -> None:
        """Expect answers of the interval that ended: of each slot by its age, from those of earlier days."""
        live = np.flatnonzero((ended - self.slot < _AGES) & (self.released > 0))
        if not len(live):
            return
        age = ended - self.slot[live]
        answers = answers[live]
        waiting = np.maximum(self.released[live] - self.answered[live] + answers, 0)
        self.answers[live, age], self.waiting[live, age] = answers, waiting
        rate, days = self._rates(live, age)
        known = ~np.isnan(rate)
        period, comparable = self._period(live, answers, np.where(known, rate * waiting, 0.0))
        observed = answers / np.maximum(waiting, 1)
        hazard = np.where(known, np.minimum(rate * period, 1.0), observed)
        before = self.pending[live]
        self.pending[live] = before * (1 - hazard)
        sure = np.where(known & comparable, np.minimum(days / SURE_DAYS, 1.0), 0.0)
        self.unsure[live] += self.released[live] * before * hazard * (1 - sure)

    def _rates(self, live: LongArray, age: LongArray) -> tuple[FloatArray, FloatArray]:
        """Return answers per pending device at this age on earlier days, NaN if too few, and how many days match."""
        day, hour = self.slot // _PER_DAY, self.slot % _PER_DAY
        earlier = ((day < day[live, None]) & ~self.short).astype(np.float64)
        same = earlier * (hour == hour[live, None])
        answers, waiting = self.answers[:, age].T, self.waiting[:, age].T
        pool = np.einsum("ls,ls->l", earlier, waiting)
        mean = np.einsum("ls,ls->l", earlier, answers) / np.maximum(pool, 1.0)
        matched = np.einsum("ls,ls->l", same, waiting)
        rate = (np.einsum("ls,ls->l", same, answers) + _POOL * mean) / (matched + _POOL)
        enough = (pool >= _LEAST_POOL) & (earlier @ self.released >= REFERENCE_MIN)
        days = np.einsum("ls,ls->l", same, waiting > 0)
        return np.where(enough, rate, np.nan), days

    def _period(
        self, live: LongArray, answers: LongArray, expected: FloatArray
    ) -> tuple[FloatArray, BoolArray]:
        """Return how much devices of earlier days answered of what was expected of them, at most 1, and if it is known."""
        day = self.slot[live] // _PER_DAY
        ratio = self.answered[live] / np.maximum(self.released[live] * (1 - self.pending[live]), 1.0)
        trusted = ~self.short[live] & (expected > 0) & (ratio >= SHORT)
        before = np.searchsorted(day, day)
        given = np.concatenate([[0.0], np.cumsum(np.where(trusted, answers, 0))])[before]
        wanted = np.concatenate([[0.0], np.cumsum(np.where(trusted, expected, 0.0))])[before]
        known = wanted >= _LEAST_PERIOD
        return np.where(
            known, np.minimum((given + _PERIOD_PRIOR) / (wanted + _PERIOD_PRIOR), 1.0), 1.0
        ), known

    def judge(self, ended: int) -> tuple[int, bool]:
        """Return the first slot of the cohort that is to be told, -1 for none, and whether it is short.

        A cohort is everything released since a slot. Told is the one that lacks most if any is short, otherwise the
        latest day that is not short; one of which neither can be said is not told.
        """
        young = np.flatnonzero(ended - self.slot < _YOUNG)
        if not len(young):
            return -1, False
        answered, released, expected, unsure = (
            np.cumsum(values[young][::-1])[::-1]
            for values in (self.answered, self.released, self.released * (1 - self.pending), self.unsure)
        )
        pending = np.clip(1 - expected / np.maximum(released, 1), 1e-9, 1 - 1e-9)
        # A relative error d of all rates changes the expected answers by d * -S ln S / (1 - S), S still pending.
        swing = -pending * np.log(pending) / (1 - pending)
        share = SHORT - UNSURE * swing * unsure / np.maximum(expected, 1.0) + AGAIN * self.short[young]
        lacking = share * expected - DEVIATIONS * np.sqrt(expected) - answered
        lacking[expected < EXPECTED_MIN] = -1.0
        worst = int(np.argmax(lacking))
        self.short[young] = lacking[worst] > 0
        if lacking[worst] > 0:
            self.short[young[:worst]] = False
            return int(young[worst]), True
        day = self.slot[young] // _PER_DAY
        first = np.searchsorted(day, day)
        fine = first[(expected[first] >= EXPECTED_MIN) & (answered[first] >= SHORT * expected[first])]
        return (int(young[fine[-1]]), False) if len(fine) else (-1, False)


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
        self._cohorts = _Cohorts.none()
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
        batches = int(np.searchsorted(batch_at, at))
        totals = answered[:batches].sum(axis=1)
        self._read_strata(released[:batches], answered[:batches], totals)
        ended = (at - self._start) // EVERY_S - 1
        slot = (np.asarray(batch_at[:batches], dtype=np.int64) - self._start) // EVERY_S
        cohorts = self._cohorts
        answers = cohorts.update(slot, released[:batches].sum(axis=1), totals)
        cohorts.expect(ended, answers)
        return self._silence(*cohorts.judge(ended), batch_at)

    def _read_strata(self, released: LongArray, answered: LongArray, totals: LongArray) -> None:
        """Add the evidence of the batches in which enough devices answered since they were read."""
        new = len(totals) - len(self._read_total)
        if new:
            strata = self._read.shape[1]
            self._read = np.concatenate([self._read, np.zeros((new, strata), dtype=np.int64)])
            self._read_total = np.concatenate([self._read_total, np.zeros(new, dtype=np.int64)])
            self._read_at = np.concatenate([self._read_at, np.full(new, self._at - EVERY_S)])
        if self._read.shape[1] < 2:
            return
        answers = totals - self._read_total
        pending = released.sum(axis=1) - self._read_total
        enough = (answers >= SHARE_TO_READ * pending) | (self._at - self._read_at >= DAY_S)
        rows = np.flatnonzero((answers > 0) & enough)
        if not len(rows):
            return
        read, now = self._read[rows], answered[rows]
        known = (self._read_total[rows] / np.maximum(released[rows].sum(axis=1), 1))[:, None]
        for index, share in enumerate(ANSWERING):
            speed = np.maximum(share * (1 - known) / (1 - share * known), LEAST_SPEED)
            self._log_evidence[index] += log_evidence_of(released[rows] - read, now - read, speed).sum(axis=0)
        self._read[rows], self._read_total[rows], self._read_at[rows] = now, totals[rows], self._at

    def _silence(self, first: int, short: bool, batch_at: LongArray) -> Silence:
        evidence = np.logaddexp.reduce(self._log_evidence, axis=0) - np.log(len(ANSWERING))
        if first < 0:
            return Silence(self._at, evidence)
        cohorts = self._cohorts
        since = int(batch_at[np.searchsorted(batch_at, self._start + int(cohorts.slot[first]) * EVERY_S)])
        return Silence(
            self._at,
            evidence,
            int(cohorts.answered[first:].sum()),
            float((cohorts.released * (1 - cohorts.pending))[first:].sum()),
            int(cohorts.released[first:].sum()),
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
    log_limit : ln evidence that is needed, see `rollout.gates.rules.silence.log_limit`. Those that are not silent answer
    like the others.
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
