"""The three seams through which the loop meets a world: Journal, Directory, Clock.

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
    IntArray,
    Observation,
    Plan,
    Progress,
    ProgressPoint,
    Quiet,
)


class Record(Protocol):
    """What was recorded of one rollout: enough to know what the next look would do."""

    def progress(self) -> Progress | None:
        """Give the progress of the last recorded decision, None before the first."""
        ...

    def batches(self) -> Sequence[Batch]:
        """Give all intended batches in order of their number."""
        ...

    def confirmed(self, batch: int) -> int:
        """Say how many devices of a batch, from its front, are confirmed (or were cancelled)."""
        ...

    def commands(self) -> Commands:
        """Give what people ask for at this moment; read afresh at each call by whoever writes the journal."""
        ...

    def decisions(self) -> Sequence[DecisionRow]:
        """Give all decision rows in order."""
        ...

    def points(self) -> Sequence[ProgressPoint]:
        """Give the recorded counts in order of time."""
        ...

    def added(self) -> IntArray:
        """Give the rows that we added to the collection, in order; those who left it again are among them."""
        ...

    def withdrawals(self) -> Sequence[tuple[int, Applied]]:
        """Give (Unix seconds, answer) of the withdrawals of single devices that the directory has answered."""
        ...


class Journal(Record, Protocol):
    """The append-only record of one rollout: intentions, confirmations, observations, decisions.

    Everything that the loop knows comes from here, so a killed loop loses nothing.
    Every writing method raises `LeaseError` and writes nothing once the lease is lost.
    """

    def check(self) -> None:
        """Raise `LeaseError` if another executor has taken over. Called right before anything is sent."""
        ...

    def intend(self, progress: Progress, row: DecisionRow, batch: Batch | None, point: ProgressPoint) -> None:
        """Record a decision, its progress, its batch and its observed counts in one transaction."""
        ...

    def observe(self, point: ProgressPoint) -> None:
        """Keep observed counts for charts and forecasts; the loop calls it at most once an hour."""
        ...

    def confirm(self, batch: int, upto: int, applied: Applied, at: int) -> None:
        """Record that the first `upto` devices of `batch` have been answered by the directory."""
        ...

    def confirm_withdrawal(self, applied: Applied, at: int) -> None:
        """Record what the directory answered to a withdrawal of single devices. The command is its intention."""
        ...

    def cancel(self, batch: int, at: int, reason: str) -> None:
        """Record that the unconfirmed rest of `batch` will never be sent (abort, halt)."""
        ...

    def session(self, at: int, kind: str, text: str) -> None:
        """Append a row of the session kind (resume, error, alert): never compared across runs."""
        ...


class Directory(Protocol):
    """The outside system that holds the collection and the enrollment states."""

    def prepare(self, plan: Plan) -> None:
        """Look before anything is sent; raise `RefusedError` if the plan must not be executed here.

        Called once, before `restore` and before the first look.
        """
        ...

    def restore(self, batches: Sequence[Batch]) -> None:
        """Take up batches of an earlier session, so that `observe` counts them. They may be half-sent."""
        ...

    def follow(self, batch: Batch) -> None:
        """Count the devices of a batch that is intended now, those that were members before with them."""
        ...

    def members(self, rows: IntArray) -> IntArray:
        """Give those of `rows` that are members of the target collection now."""
        ...

    def apply(self, batch: int, rows: IntArray, at: int) -> Applied:
        """Make `rows` members. Adding a member twice changes nothing.

        Raise `OutsideError` when the answer is lost: the caller looks again before it sends again. Rows that it
        does not name in `never_sent` may have gone out.
        """
        ...

    def withdraw(self, batch: int, rows: IntArray, at: int) -> Applied:
        """Make `rows` no members any more: the way back. Who is none already is adopted.

        Raise `OutsideError` when the answer is lost, as `apply` does.
        """
        ...

    def keep_counting(self, rows: IntArray) -> None:
        """Go on counting the outcomes of `rows`, whom we withdrew: evidence does not leave with the membership."""
        ...

    def observe(self, at: int) -> Observation:
        """Give the counts over all batches applied so far: events strictly before `at`."""
        ...

    def quiet_until(self, again: int, quiet: Quiet) -> int:
        """Give the instant of the next look that may decide something: not before `again`.

        A directory that cannot tell the future gives `again`. A pretend world may look ahead and skip
        looks that would decide nothing.
        """
        ...

    def outcomes(self) -> DeviceOutcomes:
        """Give the state of each device as of the last observation."""
        ...


class Clock(Protocol):
    """Time as the loop meets it, in Unix seconds."""

    def now(self) -> int:
        """Give the present second."""
        ...

    def wait_until(self, at: int) -> int:
        """Return at `at`, or later; give the present second then. Return at once if `at` is past.

        Raise `KeyboardInterrupt` when the process is asked to end.
        """
        ...


class MembershipLog(Protocol):
    """Where the embedded directory keeps its own memory, apart from the journal."""

    def load(self) -> Iterator[tuple[int, int, IntArray]]:
        """Give (instant, batch, rows) of all additions in order."""
        ...

    def append(self, at: int, batch: int, rows: IntArray) -> None:
        """Keep an addition, durably, before it is acknowledged."""
        ...
