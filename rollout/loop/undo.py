"""The way back: an undo is the same loop over a directory that is seen the other way round.

"Applying" takes devices out, a "member" is one that is out already, and a device is done when it has
left. Leaving the collection does not un-enroll a device; it only stops enrolling it again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rollout.loop.ports import Directory, Journal, Record
from rollout.values import (
    NOT_RELEASED,
    OUTCOMES,
    Applied,
    Batch,
    DeviceOutcomes,
    IntArray,
    Observation,
    Outcome,
    Plan,
    Quiet,
)

NOBODY: IntArray = np.empty(0, dtype=np.int32)


def withdrawn_rows(record: Record) -> IntArray:
    """Give the rows that people took out one by one: taken out by us, or found outside."""
    parts = [part for _, told in record.withdrawals() for part in (told.accepted, told.adopted)]
    return np.concatenate([NOBODY, *parts])


def still_ours(record: Record) -> IntArray:
    """Give the rows that we added and nobody took out since, in the order in which they were added."""
    added = record.added()
    return added[~np.isin(added, withdrawn_rows(record))]


def to_withdraw(plan: Plan, record: Record) -> IntArray:
    """Give the rows that people want out, that we added, and for which the directory has given no answer yet."""
    asked = record.commands().withdrawn
    if not asked or plan.is_undo:
        return NOBODY
    refused = np.concatenate([NOBODY, *(told.rejected for _, told in record.withdrawals())])
    ours = still_ours(record)
    return ours[np.isin(ours, asked) & ~np.isin(ours, refused)]


def take_out(plan: Plan, journal: Journal, directory: Directory, now: int) -> None:
    """Take single devices out as people asked; only those that we added, and nothing is sent twice.

    The command is the intention: killed before the directory's answer is written, the next call looks and goes on.
    Raise `OutsideError` if the directory does not answer, `LeaseError` if another executor took over.
    """
    rows = to_withdraw(plan, journal)
    for first in range(0, len(rows), plan.chunk):
        part = rows[first : first + plan.chunk]
        inside = directory.members(part)
        answer = Applied(NOBODY, NOBODY, NOBODY)
        if len(inside):
            journal.check()
            answer = directory.withdraw(-1, inside, now)
        outside = np.concatenate([part[~np.isin(part, inside)], answer.adopted])
        journal.confirm_withdrawal(Applied(answer.accepted, outside, answer.rejected, answer.reasons), now)
        directory.keep_counting(np.concatenate([answer.accepted, outside]))


class UndoDirectory:
    """A `rollout.loop.ports.Directory` that takes devices out of the collection of another one.

    In its counts ENROLLED means: has left the collection.
    """

    def __init__(self, plan: Plan, directory: Directory) -> None:
        self._plan = plan
        self._directory = directory
        self._batch = np.full(len(plan), NOT_RELEASED, dtype=np.int32)
        self._left_at = np.full(len(plan), -1, dtype=np.int64)
        self._refused = np.zeros(len(plan), dtype=np.bool_)

    def prepare(self, plan: Plan) -> None:
        """Look before anything is taken out."""
        self._directory.prepare(plan)

    def restore(self, batches: Sequence[Batch]) -> None:
        """Take up batches of an earlier session."""
        self._directory.restore(batches)
        for batch in batches:
            self._batch[batch.rows] = batch.number

    def follow(self, batch: Batch) -> None:
        """Count a batch that is intended now."""
        self._batch[batch.rows] = batch.number

    def members(self, rows: IntArray) -> IntArray:
        """Give those of `rows` that are out already."""
        return np.setdiff1d(rows, self._directory.members(rows)).astype(np.int32)

    def apply(self, batch: int, rows: IntArray, at: int) -> Applied:
        """Take `rows` out."""
        answer = self._directory.withdraw(batch, rows, at)
        self._refused[answer.rejected] = True
        return answer

    def withdraw(self, batch: int, rows: IntArray, at: int) -> Applied:
        """The way back of the way back is a rollout of its own."""
        raise AssertionError("an undo is not undone: plan a rollout instead")

    def keep_counting(self, rows: IntArray) -> None:
        """Nobody is withdrawn from the way back."""

    def quiet_until(self, again: int, quiet: Quiet) -> int:
        """Look each time: who has left is only seen by looking."""
        return again

    def observe(self, at: int) -> Observation:
        """Count who has left, by batch and stratum."""
        rows = np.flatnonzero(self._batch >= 0).astype(np.int32)
        left = np.isin(rows, self.members(rows))
        fresh = rows[left & (self._left_at[rows] < 0)]
        self._left_at[fresh] = at
        outcome = self._outcome(rows, left)
        counts = np.zeros(
            (int(self._batch.max()) + 1, len(self._plan.strata.names), OUTCOMES), dtype=np.int64
        )
        np.add.at(counts, (self._batch[rows], self._plan.strata.codes[rows], outcome), 1)
        return Observation(at, counts, {})

    def _outcome(self, rows: IntArray, left: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> IntArray:
        refused = np.where(self._refused[rows], int(Outcome.REJECTED), int(Outcome.PENDING))
        return np.where(left, int(Outcome.ENROLLED), refused).astype(np.int32)

    def outcomes(self) -> DeviceOutcomes:
        """Give who has left as of the last observation."""
        outcome = np.full(len(self._plan), NOT_RELEASED, dtype=np.int8)
        rows = np.flatnonzero(self._batch >= 0).astype(np.int32)
        outcome[rows] = self._outcome(rows, self._left_at[rows] >= 0)
        return DeviceOutcomes(outcome, self._left_at.copy(), np.zeros(len(self._plan), dtype=np.int64))
