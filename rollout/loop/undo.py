"""Undo and withdrawal. An undo runs the same loop over an inverted directory.

There, "applying" removes devices from the collection, a "member" is a device that is not in the collection, and a
device is done when it has left. Leaving the collection does not un-enroll a device; it only keeps it from being
enrolled again.
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
    Facts,
    IntArray,
    LongArray,
    Observation,
    Outcome,
    Plan,
    Quiet,
)

NOBODY: IntArray = np.empty(0, dtype=np.int32)


def withdrawn_rows(record: Record) -> IntArray:
    """Return the rows that were withdrawn individually: removed by us, or found to be no members."""
    parts = [part for _, answer in record.withdrawals() for part in (answer.accepted, answer.adopted)]
    return np.concatenate([NOBODY, *parts])


def still_ours(record: Record) -> IntArray:
    """Return the rows that we added and that were not withdrawn since, in the order in which they were added."""
    added = record.added()
    return added[~np.isin(added, withdrawn_rows(record))]


def to_withdraw(plan: Plan, record: Record) -> IntArray:
    """Return the rows to withdraw that we added and for which the directory has not answered yet."""
    requested = record.commands().withdrawn
    if not requested or plan.is_undo:
        return NOBODY
    refused = np.concatenate([NOBODY, *(answer.rejected for _, answer in record.withdrawals())])
    ours = still_ours(record)
    return ours[np.isin(ours, requested) & ~np.isin(ours, refused)]


def withdraw_requested(plan: Plan, journal: Journal, directory: Directory, now: int) -> None:
    """Withdraw the requested devices from the collection: only those that we added, and none of them twice.

    The command is the recorded intention: after a crash before the directory's answer is recorded, the next call
    reads the members and resumes. Raise `OutsideError` if the directory does not answer, `LeaseError` if another
    executor has taken over.
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
    """A `rollout.loop.ports.Directory` that removes devices from the collection of another one.

    In its counts, ENROLLED means that a device has left the collection.
    """

    def __init__(self, plan: Plan, directory: Directory) -> None:
        self._plan = plan
        self._directory = directory
        self._batch = np.full(len(plan), NOT_RELEASED, dtype=np.int32)
        self._left_at = np.full(len(plan), -1, dtype=np.int64)
        self._refused = np.zeros(len(plan), dtype=np.bool_)

    def prepare(self, plan: Plan) -> None:
        """Check before anything is removed."""
        self._directory.prepare(plan)

    def restore(self, batches: Sequence[Batch]) -> None:
        """Adopt batches of earlier sessions."""
        self._directory.restore(batches)
        for batch in batches:
            self._batch[batch.rows] = batch.number

    def recall(self, facts: Sequence[Facts]) -> None:
        """Do nothing: whether a device has left is read at every observation."""

    def follow(self, batch: Batch) -> None:
        """Count a batch from now on."""
        self._batch[batch.rows] = batch.number

    def members(self, rows: IntArray) -> IntArray:
        """Return those of `rows` that are not in the collection."""
        return np.setdiff1d(rows, self._directory.members(rows)).astype(np.int32)

    def apply(self, batch: int, rows: IntArray, at: int) -> Applied:
        """Remove `rows` from the collection."""
        answer = self._directory.withdraw(batch, rows, at)
        self._refused[answer.rejected] = True
        return answer

    def withdraw(self, batch: int, rows: IntArray, at: int) -> Applied:
        """Not supported: undoing an undo is a rollout of its own."""
        raise AssertionError("an undo cannot be undone: plan a rollout instead")

    def keep_counting(self, rows: IntArray) -> None:
        """Do nothing: an undo has no withdrawals."""

    def quiet_until(self, again: int, quiet: Quiet) -> int:
        """Return `again`: only an observation shows which devices have left."""
        return again

    def observe(self, at: int) -> Observation:
        """Count the devices that have left, by batch and stratum."""
        rows = np.flatnonzero(self._batch >= 0).astype(np.int32)
        left = np.isin(rows, self.members(rows))
        newly_left = rows[left & (self._left_at[rows] < 0)]
        self._left_at[newly_left] = at
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
        """Return which devices had left at the last observation."""
        outcome = np.full(len(self._plan), NOT_RELEASED, dtype=np.int8)
        rows = np.flatnonzero(self._batch >= 0).astype(np.int32)
        outcome[rows] = self._outcome(rows, self._left_at[rows] >= 0)
        return DeviceOutcomes(outcome, self._left_at.copy(), np.zeros(len(self._plan), dtype=np.int64))

    def answered_at(self) -> LongArray:
        """Return when each device was first seen to have left, -1 if never."""
        return self._left_at
