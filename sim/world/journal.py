"""A journal in memory: what a simulated rollout writes into."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rollout.values import (
    Applied,
    Batch,
    Commands,
    DecisionRow,
    IntArray,
    Progress,
    ProgressPoint,
)


class MemoryJournal:
    """A `rollout.loop.ports.Journal` that lives as long as its process.

    commands_now may be set at any time; there is no lease, since nobody else can see it.
    """

    def __init__(self) -> None:
        self.commands_now = Commands()
        self.sessions: list[tuple[int, str, str]] = []
        self._progress: Progress | None = None
        self._batches: list[Batch] = []
        self._confirmed: list[int] = []
        self._rows: list[DecisionRow] = []
        self._points: list[ProgressPoint] = []
        self.applied: list[tuple[int, int, Applied]] = []
        self._withdrawals: list[tuple[int, Applied]] = []

    def progress(self) -> Progress | None:
        """Give the progress of the last recorded decision."""
        return self._progress

    def batches(self) -> Sequence[Batch]:
        """Give all intended batches."""
        return tuple(self._batches)

    def confirmed(self, batch: int) -> int:
        """Say how many devices of a batch are confirmed or cancelled."""
        return self._confirmed[batch]

    def commands(self) -> Commands:
        """Give what people ask for now."""
        return self.commands_now

    def check(self) -> None:
        """Nobody else can hold a lease here."""

    def intend(self, progress: Progress, row: DecisionRow, batch: Batch | None, point: ProgressPoint) -> None:
        """Record a decision with its batch and counts."""
        if batch is not None:
            if batch.number != len(self._batches):
                raise ValueError(f"batch {batch.number} intended, expected {len(self._batches)}")
            self._batches.append(batch)
            self._confirmed.append(0)
        self._progress = progress
        self._rows.append(row)
        self._points.append(point)

    def observe(self, point: ProgressPoint) -> None:
        """Keep observed counts."""
        self._points.append(point)

    def confirm(self, batch: int, upto: int, applied: Applied, at: int) -> None:
        """Record the answer to the first `upto` devices of a batch."""
        self._confirmed[batch] = max(self._confirmed[batch], upto)
        self.applied.append((at, batch, applied))

    def added(self) -> IntArray:
        """Give the rows that were added, in order."""
        parts = [told.accepted for _, _, told in self.applied]
        return np.concatenate([np.empty(0, dtype=np.int32), *parts]).astype(np.int32)

    def withdrawals(self) -> Sequence[tuple[int, Applied]]:
        """Give the answered withdrawals of single devices."""
        return tuple(self._withdrawals)

    def confirm_withdrawal(self, applied: Applied, at: int) -> None:
        """Record the answer to a withdrawal of single devices."""
        self._withdrawals.append((at, applied))

    def cancel(self, batch: int, at: int, reason: str) -> None:
        """Record that the rest of a batch is never sent."""
        self._confirmed[batch] = len(self._batches[batch])
        self.session(at, "cancelled", f"batch {batch + 1}: {reason}")

    def session(self, at: int, kind: str, text: str) -> None:
        """Append a row that is not compared across runs."""
        self.sessions.append((at, kind, text))

    def decisions(self) -> Sequence[DecisionRow]:
        """Give all decision rows."""
        return tuple(self._rows)

    def points(self) -> Sequence[ProgressPoint]:
        """Give the recorded counts."""
        return tuple(self._points)
