"""The journal in a database, written under a fenced lease."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import NamedTuple, Self

from sqlalchemy import Connection

from rollout.errors import LeaseError
from rollout.store.connection.access import Access
from rollout.store.journal import lease
from rollout.store.journal.entries import (
    Entry,
    Kept,
    confirm_entry,
    decision_entry,
    facts_entry,
    kept,
    withdraw_entry,
)
from rollout.store.journal.outcomes import changed_rows, load_outcomes, write_outcomes
from rollout.store.journal.reader import ReplayedJournal, catch_up
from rollout.store.journal.replay import Replay
from rollout.store.stored import LeaseInfo
from rollout.values import (
    Applied,
    Batch,
    Commands,
    DecisionRow,
    DeviceOutcomes,
    Facts,
    Progress,
    ProgressPoint,
    document_of,
)

LEASE_S = 60


class _Term(NamedTuple):
    """When a lease that is renewed now ends: in Unix seconds, and by a monotonic clock."""

    until: int
    until_steady: float


class SqlJournal(ReplayedJournal):
    """A `rollout.loop.ports.Journal` that survives its process.

    Constructing it takes the lease: `LeaseError` if another executor holds it. Each write is a transaction,
    durable when it returns, and renews the lease; only observed counts wait for the next write or
    heartbeat. Reads are answered from the replayed rows: only this executor writes them, except for
    commands, which `commands` reads each time.

    now : returns real Unix seconds, for the lease only. carried : the same without asking a database.
    Use it as a context manager: leaving it releases the lease.
    """

    def __init__(
        self,
        access: Access,
        run: int,
        origin: str,
        devices: int,
        *,
        owner: str,
        now: Callable[[], float],
        carried: Callable[[], float] | None = None,
        lease_s: int = LEASE_S,
    ) -> None:
        self._access, self._run, self._devices = access, run, devices
        self._now, self._carried, self._lease_s = now, carried or now, lease_s
        self._replay = Replay(f"run-{run}", origin)
        self._saved: DeviceOutcomes | None = None
        self._waiting: list[ProgressPoint] = []
        with access.reading() as connection:
            # A damaged journal is refused before anything is written to it.
            catch_up(connection, run, self._replay)
        term = self._term()
        with access.writing() as connection:
            self._epoch = lease.take(connection, run, owner, int(now()), lease_s)
            catch_up(connection, run, self._replay)
        self._held = term

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release("interrupted" if error is not None else "ended")

    def commands(self) -> Commands:
        """Return what people have requested by now. Raise `LeaseError` if the lease is lost."""
        with self._access.reading() as connection:
            self._mine(catch_up(connection, self._run, self._replay))
        return self._replay.commands

    def check(self) -> None:
        """Raise `LeaseError` if another executor has taken over; renew a lease that is more than half over.

        Afterwards no executor can take over for half the lease's time, unless a person releases it: see `held_s`.
        """
        with self._access.reading() as connection:
            info = lease.info_of(lease.read(connection, self._run))
        self._mine(info)
        if info.expires - self._now() < self._lease_s / 2:
            self.heartbeat()

    def held_s(self) -> float:
        """Return the seconds for which no executor can take over, by this machine's clocks; negative once it is over.

        It asks no database, so any thread may call it. It does not notice a lease that a person released by hand.
        """
        return min(self._held.until - self._carried(), self._held.until_steady - time.monotonic())

    def heartbeat(self) -> None:
        """Renew the lease; raise `LeaseError` if another executor has taken over."""
        if self._waiting:
            self._append()
            return
        self._renew()

    def release(self, why: str = "ended") -> None:
        """Release the lease so that another executor can continue immediately. If it is lost, do nothing."""
        with contextlib.suppress(LeaseError):
            self._append()
        with self._access.writing() as connection:
            lease.give_back(connection, self._run, self._epoch, int(self._now()), why)

    def intend(self, progress: Progress, row: DecisionRow, batch: Batch | None, point: ProgressPoint) -> None:
        """Record a decision, its progress, its batch and its observed counts in one row."""
        if batch is not None and batch.number != len(self._replay.batches):
            raise ValueError(f"expected batch {len(self._replay.batches)}, found {batch.number}")
        self._append(decision_entry(row, progress, batch, point))

    def learn(self, facts: Facts) -> None:
        """Record at once what an observation showed of single devices: the next answer may not show it again."""
        self._append(facts_entry(facts))

    def observe(self, point: ProgressPoint) -> None:
        """Store observed counts for charts, later: if a kill loses them, a resumed loop observes again."""
        self._waiting.append(point)

    def confirm(self, batch: int, upto: int, applied: Applied, at: int) -> None:
        """Record that the first `upto` devices of `batch` have been answered by the directory."""
        self._append(confirm_entry(batch, upto, applied, at))

    def confirm_withdrawal(self, applied: Applied, at: int) -> None:
        """Record the directory's answer to a withdrawal of single devices."""
        self._append(withdraw_entry(applied, at))

    def cancel(self, batch: int, at: int, reason: str) -> None:
        """Record that the unconfirmed rest of `batch` will never be sent."""
        self._append(Entry("cancel", at, {"reason": reason}, batch))

    def session(self, at: int, kind: str, text: str) -> None:
        """Append a row of kind session; these are never compared across runs."""
        self._append(Entry("session", at, {"kind": kind, "text": text}))

    def points(self) -> Sequence[ProgressPoint]:
        """Return the recorded counts in order of time."""
        return (*self._replay.points, *self._waiting)

    def save_outcomes(self, outcomes: DeviceOutcomes) -> int:
        """Write the outcomes that changed since the last call and return their number."""
        if self._saved is None:
            with self._access.reading() as connection:
                self._saved = load_outcomes(connection, self._run, self._devices)
        rows = changed_rows(self._saved, outcomes)
        if not len(rows):
            return 0
        term = self._term()
        with self._access.writing() as connection:
            if not lease.renew(connection, self._run, self._epoch, term.until):
                self._lost(connection)
            write_outcomes(connection, self._run, outcomes, rows)
        self._held = term
        # A simulated directory may change its arrays in place.
        self._saved = DeviceOutcomes(outcomes.outcome.copy(), outcomes.at.copy(), outcomes.code.copy())
        return len(rows)

    def _renew(self) -> None:
        term = self._term()
        with self._access.writing() as connection:
            if not lease.renew(connection, self._run, self._epoch, term.until):
                self._lost(connection)
        self._held = term

    def _append(self, *entries: Entry) -> None:
        """Write the waiting counts, then `entries`, in one transaction."""
        waiting = [Entry("point", point.at, document_of(point)) for point in self._waiting]
        if not waiting and not entries:
            return
        term = self._term()
        with self._access.writing() as connection:
            new = self._chained([*waiting, *entries])
            while not lease.advance(connection, self._run, self._epoch, new, term.until):
                # Either a person's command was written first, so its rows precede ours, or the lease is lost.
                self._mine(catch_up(connection, self._run, self._replay))
                new = self._chained([*waiting, *entries])
        self._held = term
        del self._waiting[: len(waiting)]
        self._replay.take(new)

    def _chained(self, entries: Sequence[Entry]) -> list[Kept]:
        """Return the entries as rows that follow the last known row."""
        number, seal = self._replay.number, self._replay.seal
        new = []
        for entry in entries:
            new.append(kept(entry, number + 1, self._epoch, seal))
            number, seal = new[-1].number, new[-1].seal
        return new

    def _term(self) -> _Term:
        return _Term(int(self._now()) + self._lease_s, time.monotonic() + self._lease_s)

    def _lost(self, connection: Connection) -> None:
        self._mine(lease.info_of(lease.read(connection, self._run)))

    def _mine(self, info: LeaseInfo) -> None:
        if info.epoch != self._epoch:
            raise lease.taken_error(self._run, info)
