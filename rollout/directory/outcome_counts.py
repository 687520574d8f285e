"""The outcome of each released device, and the counts that the loop observes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rollout.directory.device_facts import NONE, OUT, DeviceFacts, facts_of
from rollout.values import (
    MARKS,
    NOT_RELEASED,
    OUTCOMES,
    Batch,
    BoolArray,
    DeviceOutcomes,
    Fact,
    Facts,
    IntArray,
    LongArray,
    Lost,
    Mark,
    Observation,
    Outcome,
    Plan,
)
from rollout.values.failures import AGAIN_S, MENDS_WITHIN_S


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What a directory shows of the devices of a plan; shape (n,) each.

    visible : members. enrolled, failed : bool; enrolled wins over failed. code : int64 HRESULT, 0 unknown.
    unenrolled : read to be enrolled no more; that a record is missing is less than that. None = nobody.
    accepted : members by our request, even if they are not visible yet. None = as `visible`.
    failed_at : int64 Unix seconds of the failure by the directory's own clock, -1 unknown. None = all unknown.
    out : int8, why a former member is none, `Fact` GONE, LEFT or REMOVED; 0 = unknown, or a member. None = all unknown.
    """

    visible: BoolArray
    enrolled: BoolArray
    failed: BoolArray
    code: LongArray
    unenrolled: BoolArray | None = None
    accepted: BoolArray | None = None
    failed_at: LongArray | None = None
    out: NDArray[np.int8] | None = None


class OutcomeCounts:
    """Outcomes of the released devices of one plan.

    A device is counted from when it was seen as a member, and from then on whatever becomes of its membership. One
    that the directory refused counts as rejected; one that was intended and never sent does not count.
    Everything follows from batches and facts: `restore` and `recall` rebuild the state of an earlier session.

    withdrawn : (n,) bool, devices that we took out ourselves.
    """

    def __init__(self, plan: Plan) -> None:
        n = len(plan)
        self._plan = plan
        self._batch = np.full(n, -1, dtype=np.int32)
        self._batch_at: dict[int, int] = {}
        self._outcome = np.full(n, NOT_RELEASED, dtype=np.int8)
        self._at = np.full(n, -1, dtype=np.int64)
        self._refused = np.zeros(n, dtype=np.bool_)
        self._successors: dict[int, str] = {}
        self.known = DeviceFacts(n)
        self.good_at = -1
        self.withdrawn = np.zeros(n, dtype=np.bool_)

    @property
    def released(self) -> BoolArray:
        """(n,) bool: the devices of all batches so far, half-sent batches included."""
        return np.asarray(self._batch >= 0, dtype=np.bool_)

    @property
    def enrolled(self) -> BoolArray:
        """(n,) bool: enrolled at the last observation, and not out of the directory."""
        return np.asarray((self._outcome == Outcome.ENROLLED) & (self.known.out != Fact.GONE), dtype=np.bool_)

    @property
    def members(self) -> BoolArray:
        """(n,) bool: devices that must be members: they were, and neither we nor anybody else took them out."""
        known = self.known
        return np.asarray(
            self.released & known.member & (known.out == NONE) & ~self.withdrawn, dtype=np.bool_
        )

    def restore(self, batches: Sequence[Batch]) -> None:
        """Restore the batches of earlier sessions."""
        for batch in batches:
            self.enter(batch.rows, batch.number, batch.at)

    def recall(self, facts: Sequence[Facts]) -> None:
        """Adopt what earlier sessions learned, ordered by time."""
        for learned in facts:
            self._learn(learned)

    def enter(self, rows: IntArray, batch: int, at: int) -> None:
        """Add `rows` to a batch. Its stragglers are timed from its first instant."""
        self._batch[rows] = batch
        self._batch_at.setdefault(batch, at)

    def reject(self, rows: IntArray) -> None:
        """Note that the directory refused `rows`; the next observation counts them, unless they are members."""
        self._refused[rows] = True

    def succeed(self, successors: Mapping[int, str]) -> None:
        """Note the new records of computers whose records are gone, by row."""
        self._successors |= successors

    def observe(self, at: int, reading: Reading) -> Observation:
        """Count what the directory shows at `at`.

        A device that never showed an outcome is TIMED_OUT past `straggler_after_s`; it may still enroll.
        """
        facts = self._news(at, reading)
        if facts is not None:
            self._learn(facts)
        self.good_at = at
        return self._observation(at, facts)

    def blind(self, at: int, why: str) -> Observation:
        """Return the last good counts, with the reason why the directory's answer cannot be true."""
        return self._observation(at, None, why)

    def _news(self, at: int, reading: Reading) -> Facts | None:
        """Return what is seen for the first time, or again after something else."""
        known, released = self.known, self.released
        member = released & (reading.visible | self.withdrawn)
        lost = reading.out if reading.out is not None else np.zeros(len(released), dtype=np.int8)
        may_be_out = released & (known.out == NONE) & ~member
        back = released & (known.out != NONE) & reading.visible
        out = [(fact, may_be_out & (lost == fact)) for fact in OUT]
        counted = known.counted | member | (may_be_out & (lost != NONE))
        states = self._new_states(at, released & counted, reading)
        accepted = reading.visible if reading.accepted is None else reading.accepted
        answers = (reading.enrolled | reading.failed) & counted
        late = self._since() + self._plan.straggler_after_s < at
        silent = released & (counted | accepted) & ~known.silent & (known.answered_at < 0) & ~answers & late
        refused = released & self._refused & ~known.rejected & ~counted & ~silent
        self._refused &= ~released
        found = [
            (Fact.MEMBER, member & ~known.member),
            *states,
            (Fact.SILENT, silent),
            (Fact.REJECTED, refused),
            *out,
            (Fact.RETURNED, back),
        ]
        # A failure that lasts keeps its code: the record may not show it any more.
        lasting = (known.now == Fact.FAILED) & (~reading.failed | (reading.code == 0))
        return facts_of(at, found, np.where(lasting, known.code, reading.code))

    def _new_states(self, at: int, counted: BoolArray, reading: Reading) -> list[tuple[Fact, BoolArray]]:
        known = self.known
        failing = known.now == Fact.FAILED
        enrolled = counted & reading.enrolled
        failed = counted & reading.failed & ~enrolled
        changed = failed & (reading.code != 0) & (reading.code != known.code)
        unharmed = counted & failing & ~enrolled & ~known.harmed
        again = unharmed & (at - known.failing_since >= MENDS_WITHIN_S)
        if reading.failed_at is not None:
            again |= unharmed & failed & (reading.failed_at - known.failing_since >= AGAIN_S)
        gone = np.zeros_like(failed) if reading.unenrolled is None else reading.unenrolled
        return [
            (Fact.ENROLLED, enrolled & (known.now != Fact.ENROLLED)),
            (Fact.FAILED, (failed & ~failing) | (failing & changed) | again),
            (Fact.UNENROLLED, counted & gone & (known.now == Fact.ENROLLED) & ~enrolled & ~failed),
        ]

    def _learn(self, facts: Facts) -> None:
        self.known.take_in(facts)
        rows = np.unique(facts.rows)
        outcome = self._outcomes(rows)
        self._at[rows[outcome != self._outcome[rows]]] = facts.at
        self._outcome[rows] = outcome

    def _outcomes(self, rows: IntArray) -> NDArray[np.int8]:
        """Return what `rows` are by their facts alone."""
        known, released = self.known, self._batch[rows] >= 0
        counted, now = released & known.counted[rows], known.now[rows]
        outcome = np.full(len(rows), NOT_RELEASED, dtype=np.int8)
        outcome[released & known.rejected[rows]] = Outcome.REJECTED
        outcome[counted] = Outcome.PENDING
        outcome[counted & known.silent[rows] & (now == NONE)] = Outcome.TIMED_OUT
        # A failure that counts is not forgotten because the device enrolled and is un-enrolled now.
        outcome[counted & ((now == Fact.FAILED) | known.harmed[rows])] = Outcome.FAILED
        outcome[counted & (now == Fact.ENROLLED)] = Outcome.ENROLLED
        return outcome

    def _observation(self, at: int, facts: Facts | None, blind: str = "") -> Observation:
        return Observation(
            at,
            self._counts(),
            self._failed_codes(),
            readable=not blind,
            marks=self._marks(),
            facts=facts,
            lost=self._lost(),
            blind=blind,
        )

    def _lost(self) -> Lost | None:
        rows = np.flatnonzero(self.released & (self.known.out != NONE) & ~self.withdrawn).astype(np.int32)
        if not len(rows):
            return None
        now = {row: text for row, text in self._successors.items() if self.known.out[row] == Fact.GONE}
        return Lost(rows, self.known.out[rows], self.known.out_at[rows], now)

    def _since(self) -> LongArray:
        times = np.array([*self._batch_at.values(), 0], dtype=np.int64)
        place = np.full(max(self._batch_at, default=-1) + 2, len(times) - 1, dtype=np.int64)
        place[list(self._batch_at)] = np.arange(len(self._batch_at))
        return times[place[self._batch]]

    def _counts(self) -> LongArray:
        rows = np.flatnonzero(self._outcome >= 0)
        return self._table(rows, self._outcome[rows], OUTCOMES)

    def _marks(self) -> LongArray | None:
        """Count the marks of the devices; None if there are none."""
        known, outcome = self.known, self._outcome
        marked = (
            (Mark.MENDING, (outcome == Outcome.FAILED) & ~known.harmed),
            (Mark.RECOVERED, (outcome == Outcome.ENROLLED) & known.harmed),
            (Mark.UNENROLLED, (outcome == Outcome.PENDING) & (known.now == Fact.UNENROLLED)),
        )
        parts = [(mark, np.flatnonzero(devices)) for mark, devices in marked]
        rows = np.concatenate([rows for _, rows in parts])
        if not len(rows):
            return None
        kinds = np.concatenate([np.full(len(rows), int(mark)) for mark, rows in parts])
        return self._table(rows, kinds, MARKS)

    def _table(self, rows: NDArray[np.intp], kinds: NDArray[np.integer], width: int) -> LongArray:
        """Count `rows` by batch, stratum and kind."""
        strata = len(self._plan.strata.names)
        batches = max(self._batch_at, default=-1) + 1
        place = (self._batch[rows].astype(np.int64) * strata + self._plan.strata.codes[rows]) * width
        flat = np.bincount(place + kinds, minlength=batches * strata * width)
        return flat.astype(np.int64).reshape(batches, strata, width)

    def _failed_codes(self) -> dict[int, int]:
        codes, counts = np.unique(self._failed_code()[self._outcome == Outcome.FAILED], return_counts=True)
        return {int(code): int(count) for code, count in zip(codes, counts, strict=True)}

    def _failed_code(self) -> LongArray:
        return np.where(self._outcome == Outcome.FAILED, self.known.code, 0)

    def outcomes(self) -> DeviceOutcomes:
        """Return the state of each device at the last observation."""
        return DeviceOutcomes(self._outcome.copy(), self._at.copy(), self._failed_code())

    def answered_at(self) -> LongArray:
        """Return when each device was first seen enrolled or failed, -1 if never."""
        return self.known.answered_at.copy()
