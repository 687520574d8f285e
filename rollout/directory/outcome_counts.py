"""The outcome of each released device, and the counts that the loop observes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rollout.values import (
    NOT_RELEASED,
    OUTCOMES,
    Batch,
    BoolArray,
    DeviceOutcomes,
    IntArray,
    LongArray,
    Observation,
    Outcome,
    Plan,
)


class OutcomeCounts:
    """Outcomes of the released devices of one plan, over the observations of one session.

    A device is counted once it is a visible member, or once the directory refused it; and also if we took it out
    ourselves: `withdrawn`, (n,) bool.
    """

    def __init__(self, plan: Plan) -> None:
        n = len(plan)
        self._plan = plan
        self._batch = np.full(n, -1, dtype=np.int32)
        self._batch_at: dict[int, int] = {}
        self._heard = np.zeros(n, dtype=np.bool_)
        self._outcome = np.full(n, NOT_RELEASED, dtype=np.int8)
        self._at = np.full(n, -1, dtype=np.int64)
        self._code = np.zeros(n, dtype=np.int64)
        self.rejected = np.zeros(n, dtype=np.bool_)
        self.withdrawn = np.zeros(n, dtype=np.bool_)

    @property
    def released(self) -> BoolArray:
        """(n,) bool: the devices of all batches so far, half-sent batches included."""
        return np.asarray(self._batch >= 0, dtype=np.bool_)

    @property
    def enrolled(self) -> BoolArray:
        """(n,) bool: enrolled at the last observation."""
        return np.asarray(self._outcome == Outcome.ENROLLED, dtype=np.bool_)

    def restore(self, batches: Sequence[Batch]) -> None:
        """Restore the batches of earlier sessions."""
        for batch in batches:
            self.enter(batch.rows, batch.number, batch.at)

    def enter(self, rows: IntArray, batch: int, at: int) -> None:
        """Add `rows` to a batch. Its stragglers are timed from its first instant."""
        self._batch[rows] = batch
        self._batch_at.setdefault(batch, at)

    def observe(
        self, at: int, visible: BoolArray, enrolled: BoolArray, failed: BoolArray, code: LongArray
    ) -> Observation:
        """Count what the directory shows at `at`.

        visible, enrolled, failed : (n,) bool, code : (n,) int64 HRESULT, 0 unknown. Enrolled wins over failed.
        A device that never showed an outcome is TIMED_OUT past `straggler_after_s`; it may still enroll.
        """
        released, visible = self.released, visible | self.withdrawn
        counted = released & visible
        outcome = np.full(len(self._plan), NOT_RELEASED, dtype=np.int8)
        outcome[counted] = Outcome.PENDING
        outcome[counted & failed] = Outcome.FAILED
        outcome[counted & enrolled] = Outcome.ENROLLED
        self._heard |= counted & (failed | enrolled)
        late = self._since() + self._plan.straggler_after_s < at
        outcome[(outcome == Outcome.PENDING) & ~self._heard & late] = Outcome.TIMED_OUT
        # A device that a person took out is silent too, and must not fill a budget for ever.
        outcome[released & ~visible & late] = Outcome.TIMED_OUT
        outcome[released & ~visible & self.rejected] = Outcome.REJECTED
        changed = outcome != self._outcome
        self._at[changed] = at
        self._code = np.where(outcome == Outcome.FAILED, code, 0)
        self._outcome = outcome
        return Observation(at, self._counts(), self._failed_codes())

    def _since(self) -> LongArray:
        times = np.array([*self._batch_at.values(), 0], dtype=np.int64)
        place = np.full(max(self._batch_at, default=-1) + 2, len(times) - 1, dtype=np.int64)
        place[list(self._batch_at)] = np.arange(len(self._batch_at))
        return times[place[self._batch]]

    def _counts(self) -> LongArray:
        strata = len(self._plan.strata.names)
        batches = max(self._batch_at, default=-1) + 1
        rows = np.flatnonzero(self._outcome >= 0)
        place = (self._batch[rows].astype(np.int64) * strata + self._plan.strata.codes[rows]) * OUTCOMES
        flat = np.bincount(place + self._outcome[rows], minlength=batches * strata * OUTCOMES)
        return flat.astype(np.int64).reshape(batches, strata, OUTCOMES)

    def _failed_codes(self) -> dict[int, int]:
        codes, counts = np.unique(self._code[self._outcome == Outcome.FAILED], return_counts=True)
        return {int(code): int(count) for code, count in zip(codes, counts, strict=True)}

    def outcomes(self) -> DeviceOutcomes:
        """Return the state of each device at the last observation."""
        return DeviceOutcomes(self._outcome, self._at, self._code)
