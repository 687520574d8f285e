"""The journal of a simulated rollout, in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rollout.values import (
    Applied,
    Batch,
    Commands,
    DecisionRow,
    Facts,
    IntArray,
    Progress,
    ProgressPoint,
)


class MemoryJournal:
    """A `rollout.loop.ports.Journal` that exists only as long as its process.

    commands_now may be set at any time. There is no lease, because no other process can access the journal.
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
        self._facts: list[Facts] = []
        self._sent_at = -1

    def progress(self) -> Progress | None:
        """Return the progress of the last recorded decision."""
        return self._progress

    def batches(self) -> Sequence[Batch]:
        """Return all recorded batches."""
        return tuple(self._batches)

    def confirmed(self, batch: int) -> int:
        """Return how many devices of a batch are confirmed or cancelled."""
        return self._confirmed[batch]

    def commands(self) -> Commands:
        """Return the commands in effect."""
        return self.commands_now

    def check(self) -> None:
        """Do nothing: there is no lease to lose."""

    def intend(self, progress: Progress, row: DecisionRow, batch: Batch | None, point: ProgressPoint) -> None:
        """Record a decision, its batch and the counts it is based on."""
        if batch is not None:
            if batch.number != len(self._batches):
                raise ValueError(f"expected batch {len(self._batches)}, found {batch.number}")
            self._batches.append(batch)
            self._confirmed.append(0)
        self._progress = progress
        self._rows.append(row)
        self._points.append(point)

    def observe(self, point: ProgressPoint) -> None:
        """Record observed counts."""
        self._points.append(point)

    def confirm(self, batch: int, upto: int, applied: Applied, at: int) -> None:
        """Record the directory's answer for the first `upto` devices of a batch."""
        self._confirmed[batch] = max(self._confirmed[batch], upto)
        self.applied.append((at, batch, applied))
        self._sent_at = max(self._sent_at, at)

    def learn(self, facts: Facts) -> None:
        """Record what an observation showed of single devices."""
        self._facts.append(facts)

    def facts(self) -> Sequence[Facts]:
        """Return what observations showed of single devices."""
        return tuple(self._facts)

    def sent_at(self) -> int:
        """Return the instant of the last confirmed chunk, -1 if there is none."""
        return self._sent_at

    def added(self) -> IntArray:
        """Return the rows that were added, in order."""
        parts = [applied.accepted for _, _, applied in self.applied]
        return np.concatenate([np.empty(0, dtype=np.int32), *parts]).astype(np.int32)

    def withdrawals(self) -> Sequence[tuple[int, Applied]]:
        """Return the withdrawals of single devices that the directory has answered."""
        return tuple(self._withdrawals)

    def confirm_withdrawal(self, applied: Applied, at: int) -> None:
        """Record the directory's answer to a withdrawal of single devices."""
        self._withdrawals.append((at, applied))

    def cancel(self, batch: int, at: int, reason: str) -> None:
        """Record that the rest of a batch will not be sent."""
        self._confirmed[batch] = len(self._batches[batch])
        self.session(at, "cancelled", f"batch {batch + 1}: {reason}")

    def session(self, at: int, kind: str, text: str) -> None:
        """Append a session event, which is not compared across runs."""
        self.sessions.append((at, kind, text))

    def decisions(self) -> Sequence[DecisionRow]:
        """Return all recorded decisions."""
        return tuple(self._rows)

    def points(self) -> Sequence[ProgressPoint]:
        """Return the recorded counts."""
        return tuple(self._points)
