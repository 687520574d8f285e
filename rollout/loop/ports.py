"""The ports of the loop: Journal, Directory and Clock.

The docstrings are the contract; tests/contract runs the same suite over every implementation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from rollout.values import (
    Applied,
    Batch,
    Commands,
    DecisionRow,
    DeviceOutcomes,
    Facts,
    IntArray,
    LongArray,
    Observation,
    Plan,
    Progress,
    ProgressPoint,
    Quiet,
)


class Record(Protocol):
    """The recorded state of one rollout: enough to know what the next observation would lead to."""

    def progress(self) -> Progress | None:
        """Return the progress of the last recorded decision, None before the first."""
        ...

    def batches(self) -> Sequence[Batch]:
        """Return all intended batches, ordered by number."""
        ...

    def confirmed(self, batch: int) -> int:
        """Return how many devices of a batch, counted from its front, are confirmed or cancelled."""
        ...

    def commands(self) -> Commands:
        """Return the commands in force now; the writer of the journal reads them again at each call."""
        ...

    def decisions(self) -> Sequence[DecisionRow]:
        """Return all decision rows in order."""
        ...

    def points(self) -> Sequence[ProgressPoint]:
        """Return the recorded counts, ordered by time."""
        ...

    def facts(self) -> Sequence[Facts]:
        """Return what observations showed of single devices for the first time, ordered by time."""
        ...

    def sent_at(self) -> int:
        """Return the Unix seconds at which the directory last answered a chunk, -1 if it never did."""
        ...

    def added(self) -> IntArray:
        """Return the rows that we added to the collection, in order, including those that have left it since."""
        ...

    def withdrawals(self) -> Sequence[tuple[int, Applied]]:
        """Return (Unix seconds, answer) of each withdrawal that the directory has answered."""
        ...


class Journal(Record, Protocol):
    """The append-only record of one rollout: intentions, confirmations, observations, decisions.

    The loop keeps no other state, so a killed loop loses nothing. Once the lease is lost, every writing method raises
    `LeaseError` and writes nothing.
    """

    def check(self) -> None:
        """Raise `LeaseError` if another executor has taken over. Called immediately before anything is sent."""
        ...

    def intend(self, progress: Progress, row: DecisionRow, batch: Batch | None, point: ProgressPoint) -> None:
        """Record a decision, its progress, its batch and its observed counts in one transaction."""
        ...

    def learn(self, facts: Facts) -> None:
        """Record what an observation showed of single devices, before anything is decided from it."""
        ...

    def observe(self, point: ProgressPoint) -> None:
        """Record observed counts for charts and forecasts; the loop calls this at most once per hour."""
        ...

    def confirm(self, batch: int, upto: int, applied: Applied, at: int) -> None:
        """Record that the directory has answered for the first `upto` devices of `batch`."""
        ...

    def confirm_withdrawal(self, applied: Applied, at: int) -> None:
        """Record the directory's answer to a withdrawal of single devices, whose intention is the command itself."""
        ...

    def cancel(self, batch: int, at: int, reason: str) -> None:
        """Record that the unconfirmed rest of `batch` will never be sent (after an abort or a halt)."""
        ...

    def session(self, at: int, kind: str, text: str) -> None:
        """Append a note about the session (resume, error, alert). Notes are never compared between runs."""
        ...


class Directory(Protocol):
    """The outside system that holds the collection and the enrollment states."""

    def prepare(self, plan: Plan) -> None:
        """Check before anything is sent; raise `RefusedError` if the plan must not be executed here.

        Called once, before `restore` and before the first situation.
        """
        ...

    def restore(self, batches: Sequence[Batch]) -> None:
        """Adopt batches of earlier sessions, so that `observe` counts them. They may be partly sent."""
        ...

    def recall(self, facts: Sequence[Facts]) -> None:
        """Adopt what earlier sessions learned of single devices. Called after `restore`: evidence only grows."""
        ...

    def follow(self, batch: Batch) -> None:
        """Count the devices of a batch from now on, including those that were members before."""
        ...

    def members(self, rows: IntArray) -> IntArray:
        """Return those of `rows` that are members of the target collection now."""
        ...

    def apply(self, batch: int, rows: IntArray, at: int) -> Applied:
        """Make `rows` members. Adding a member twice changes nothing.

        Raise `OutsideError` if the answer is lost: the caller reads the members before it sends again. Rows that
        the error does not list in `never_sent` may have been sent.
        """
        ...

    def withdraw(self, batch: int, rows: IntArray, at: int) -> Applied:
        """Remove `rows` from the collection. Rows that are not members already are adopted.

        Raise `OutsideError` if the answer is lost, as `apply` does.
        """
        ...

    def keep_counting(self, rows: IntArray) -> None:
        """Keep counting the outcomes of `rows`, which we withdrew: evidence outlives the membership."""
        ...

    def observe(self, at: int) -> Observation:
        """Return the counts over all batches applied so far: events strictly before `at`."""
        ...

    def quiet_until(self, again: int, quiet: Quiet) -> int:
        """Return the instant of the next observation that may decide something: not before `again`.

        A real directory returns `again`. The simulated directory knows its future and may skip observations that
        would decide nothing.
        """
        ...

    def outcomes(self) -> DeviceOutcomes:
        """Return the state of each device at the last observation."""
        ...

    def answered_at(self) -> LongArray:
        """Return when each device was first seen enrolled or failed, (n,) int64 Unix seconds, -1 if never.

        The same after a restart, up to the last recorded decision.
        """
        ...


class Clock(Protocol):
    """The time by which the loop acts, in Unix seconds."""

    def now(self) -> int:
        """Return the current second."""
        ...

    def wait_until(self, at: int) -> int:
        """Wait until `at` and return the current second, which may be later. Return at once if `at` is past.

        Raise `KeyboardInterrupt` when the process is asked to end.
        """
        ...


class MembershipLog(Protocol):
    """Where the simulated directory stores its members, apart from the journal."""

    def load(self) -> Iterator[tuple[int, int, IntArray]]:
        """Return (instant, batch, rows) of all additions in order."""
        ...

    def append(self, at: int, batch: int, rows: IntArray) -> None:
        """Store an addition durably before it is acknowledged."""
        ...
