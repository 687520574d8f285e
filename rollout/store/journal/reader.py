"""The journal for commands that only read: status, report, doctor."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterator, Sequence

import numpy as np
from sqlalchemy import Connection, bindparam, select

from rollout.errors import DatabaseError
from rollout.store.connection.access import Access
from rollout.store.journal import lease
from rollout.store.journal.entries import Kept
from rollout.store.journal.outcomes import load_outcomes
from rollout.store.journal.replay import Audit, Replay
from rollout.store.stored import ChainBreak, LeaseInfo
from rollout.values import (
    Applied,
    Batch,
    Commands,
    DecisionRow,
    DeviceOutcomes,
    Facts,
    IntArray,
    Progress,
    ProgressPoint,
)

_ROWS = (
    select(
        *(
            lease.ENTRY.c[name]
            for name in ("number", "kind", "at", "epoch", "batch", "body", "packed", "seal")
        )
    )
    .where(
        lease.ENTRY.c.rollout_id == bindparam("run"),
        lease.ENTRY.c.number > bindparam("after"),
        lease.ENTRY.c.number <= bindparam("upto"),
    )
    .order_by(lease.ENTRY.c.number)
)


def catch_up(connection: Connection, run: int, replay: Replay) -> LeaseInfo:
    """Replay the rows that were written since and return the lease.

    Raise `DatabaseError` if a row does not match its seal, or if rows are missing at the end.
    """
    row = lease.read(connection, run)
    if row.head_number != replay.number:
        replay.take(rows_after(connection, run, replay.number, row.head_number))
    if (replay.number, replay.seal) != (row.head_number, row.head_seal):
        raise DatabaseError(
            f"journal of run-{run}: expected row {row.head_number} at its end, found {replay.number}",
            "nothing was sent; restore a backup of the database and check it with 'rollout doctor'",
        )
    return lease.info_of(row)


def rows_after(connection: Connection, run: int, after: int, upto: int) -> Iterator[Kept]:
    """Yield the rows `after` < number ≤ `upto`, in order."""
    for row in connection.execute(_ROWS, {"run": run, "after": after, "upto": upto}):
        number, kind, at, epoch, batch, body, packed, seal = row
        yield Kept(number, kind, at, epoch, batch, body, bytes(packed or b""), seal)


class ReplayedJournal(ABC):
    """The content of a journal, replayed: for the executor that writes it and for its readers."""

    _replay: Replay

    def progress(self) -> Progress | None:
        """Return the progress of the last decision, None before the first."""
        return self._replay.progress

    def batches(self) -> Sequence[Batch]:
        """Return all intended batches in order."""
        return tuple(self._replay.batches)

    def confirmed(self, batch: int) -> int:
        """Return how many devices of a batch are confirmed or cancelled."""
        return self._replay.confirmed[batch]

    def commands(self) -> Commands:
        """Return what people have requested."""
        return self._replay.commands

    def decisions(self) -> Sequence[DecisionRow]:
        """Return all decision rows in order."""
        return tuple(self._replay.decisions)

    def points(self) -> Sequence[ProgressPoint]:
        """Return the recorded counts in order."""
        return tuple(self._replay.points)

    def facts(self) -> Sequence[Facts]:
        """Return what observations showed of single devices, in order."""
        return tuple(self._replay.facts)

    def sent_at(self) -> int:
        """Return the Unix seconds at which the directory last answered a chunk, -1 if it never did."""
        return self._replay.sent_at

    def added(self) -> IntArray:
        """Return the rows that we added, in order."""
        parts = [applied.accepted for _, _, applied in self._replay.applied]
        return np.concatenate([np.empty(0, dtype=np.int32), *parts]).astype(np.int32)

    def withdrawals(self) -> Sequence[tuple[int, Applied]]:
        """Return (Unix seconds, answer) of the withdrawals of single devices."""
        return tuple(self._replay.withdrawals)

    def sessions(self) -> Sequence[tuple[int, str, str]]:
        """Return (Unix seconds, kind, text) of each event of the executions."""
        return tuple(self._replay.sessions)


class JournalReader(ReplayedJournal):
    """A journal without a lease, in its state at construction or at the last `refresh`.

    run : number of the rollout. origin : the seal before the first row. devices : number of devices in the plan.
    """

    def __init__(self, access: Access, run: int, origin: str, devices: int) -> None:
        self._access, self._run, self._origin, self._devices = access, run, origin, devices
        self._replay = Replay(f"run-{run}", origin)
        self.refresh()

    def refresh(self) -> None:
        """Read the rows that were written since."""
        with self._access.reading() as connection:
            self._lease = catch_up(connection, self._run, self._replay)

    def applied(self) -> Sequence[tuple[int, int, Applied]]:
        """Return (Unix seconds, batch, answer) of each confirmed chunk."""
        return tuple(self._replay.applied)

    def audit(self) -> Sequence[Audit]:
        """Return (Unix seconds, who, what, why) of everything that was decided or requested."""
        return tuple(self._replay.audit)

    def lease(self) -> LeaseInfo:
        """Return the lease: which executor may write."""
        return self._lease

    def outcomes(self) -> DeviceOutcomes:
        """Return the state of each device as it was last saved."""
        with self._access.reading() as connection:
            return load_outcomes(connection, self._run, self._devices)


def first_break(access: Access, run: int, origin: str) -> ChainBreak | None:
    """Return the first row of a journal that breaks its chain, None if the chain is intact."""
    replay = Replay(f"run-{run}", origin)
    with access.reading() as connection:
        head = lease.read(connection, run)
        for row in rows_after(connection, run, 0, head.head_number):
            sentence = replay.misfit(row)
            if sentence:
                return ChainBreak(replay.number + 1, sentence)
            replay.number, replay.seal = row.number, row.seal
    if (replay.number, replay.seal) != (head.head_number, head.head_seal):
        return ChainBreak(replay.number + 1, f"expected {head.head_number} rows, found {replay.number}")
    return None
