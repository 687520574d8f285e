"""The lease: one row a rollout, an epoch that grows with each holder, and the end of the journal.

Every write goes through `advance`, whose WHERE names the epoch: an old holder moves no row, however long
it slept, and learns that it lost.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from rollout.errors import DatabaseError, LeaseError
from rollout.store.connection.process import is_surely_dead, mark_of_this_process
from rollout.store.journal.entries import Entry, Kept, kept
from rollout.store.stored import LeaseInfo
from rollout.store.tables import EntryRow, LeaseRow

ENTRY = EntryRow.__table__  # type: ignore[attr-defined]  # SQLModel does not declare it
LEASE = LeaseRow.__table__  # type: ignore[attr-defined]

_READ = select(LEASE).where(LEASE.c.rollout_id == bindparam("run"))
_LOCK = _READ.with_for_update()
_ADVANCE = (
    update(LEASE)
    .where(
        LEASE.c.rollout_id == bindparam("run"),
        LEASE.c.epoch == bindparam("my_epoch"),
        LEASE.c.head_number == bindparam("before"),
    )
    .values(head_number=bindparam("number"), head_seal=bindparam("seal"), expires=bindparam("until"))
)
_RENEW = (
    update(LEASE)
    .where(LEASE.c.rollout_id == bindparam("run"), LEASE.c.epoch == bindparam("my_epoch"))
    .values(expires=bindparam("until"))
)
_INSERT = insert(ENTRY)


def read(connection: Connection, run: int, *, lock: bool = False) -> Row[tuple[object, ...]]:
    """Return the lease row; with `lock` nobody else changes it in this transaction (PostgreSQL)."""
    row = connection.execute(_LOCK if lock else _READ, {"run": run}).one_or_none()
    if row is None:
        raise DatabaseError(f"the lease row of run-{run} is missing", "restore a backup")
    return row


def info_of(row: Row[tuple[object, ...]]) -> LeaseInfo:
    """Return what people want to know of a lease."""
    return LeaseInfo(row.epoch, row.holder, row.since, row.expires)


def take(connection: Connection, run: int, owner: str, now: int, lease_s: int) -> int:
    """Take the lease and give its new epoch.

    Raise `LeaseError` if somebody else has it, is not overdue, and is not known to be dead.
    """
    row = read(connection, run, lock=True)
    info = info_of(row)
    if info.is_taken(now) and not is_surely_dead(row.process):
        raise taken_error(run, info)
    epoch = info.epoch + 1
    why = f"epoch {epoch}" + (f", after {info.holder} was overdue or dead" if info.holder else "")
    entry = Entry("lease", now, {"what": "lease taken", "holder": owner, "why": why})
    new = kept(entry, row.head_number + 1, epoch, row.head_seal)
    connection.execute(
        update(LEASE).where(LEASE.c.rollout_id == run, LEASE.c.epoch == info.epoch),
        {
            "epoch": epoch,
            "holder": owner,
            "process": mark_of_this_process(),
            "since": now,
            "expires": now + lease_s,
            "head_number": new.number,
            "head_seal": new.seal,
        },
    )
    insert_entries(connection, run, new)
    return epoch


def give_back(connection: Connection, run: int, epoch: int, now: int, why: str) -> bool:
    """End the lease of `epoch`; False if it is somebody else's by now. Its epoch is never valid again."""
    row = read(connection, run, lock=True)
    if row.epoch != epoch:
        return False
    entry = Entry("lease", now, {"what": "lease released", "holder": row.holder, "why": why})
    new = kept(entry, row.head_number + 1, epoch, row.head_seal)
    connection.execute(
        update(LEASE).where(LEASE.c.rollout_id == run),
        {
            "epoch": epoch + 1,
            "holder": "",
            "process": "",
            "since": now,
            "expires": now,
            "head_number": new.number,
            "head_seal": new.seal,
        },
    )
    insert_entries(connection, run, new)
    return True


def advance(connection: Connection, run: int, epoch: int, new: Sequence[Kept], until: int) -> bool:
    """Write rows under the lease of `epoch` and renew it.

    False, and nothing written, if the lease is another's or if the journal has grown meanwhile.
    """
    done = connection.execute(
        _ADVANCE,
        {
            "run": run,
            "my_epoch": epoch,
            "before": new[0].number - 1,
            "number": new[-1].number,
            "seal": new[-1].seal,
            "until": until,
        },
    )
    if done.rowcount != 1:
        return False
    insert_entries(connection, run, *new)
    return True


def renew(connection: Connection, run: int, epoch: int, until: int) -> bool:
    """Prolong the lease of `epoch`; False if it is another's."""
    done = connection.execute(_RENEW, {"run": run, "my_epoch": epoch, "until": until})
    return done.rowcount == 1


def append_from_outside(connection: Connection, run: int, entry: Entry) -> Kept:
    """Write a command: it needs no lease, and moves the end of the journal under the holder's feet."""
    row = read(connection, run, lock=True)
    new = kept(entry, row.head_number + 1, 0, row.head_seal)
    connection.execute(
        update(LEASE).where(LEASE.c.rollout_id == run),
        {"head_number": new.number, "head_seal": new.seal},
    )
    insert_entries(connection, run, new)
    return new


def insert_entries(connection: Connection, run: int, *new: Kept) -> None:
    """Write the rows themselves."""
    connection.execute(
        _INSERT,
        [
            {
                "rollout_id": run,
                "number": row.number,
                "kind": row.kind,
                "at": row.at,
                "epoch": row.epoch,
                "batch": row.batch,
                "body": row.body,
                "packed": row.packed,
                "seal": row.seal,
            }
            for row in new
        ],
    )


def taken_error(run: int, info: LeaseInfo) -> LeaseError:
    """Say who has the lease, since when and until when."""
    if not info.holder:
        return LeaseError(f"the lease of run-{run} was released", "start 'rollout run' again")
    return LeaseError(
        f"run-{run}: expected a free lease, found it with {info.holder} since {_clock(info.since)}",
        f"it ends at {_clock(info.expires)} unless renewed; if its process is gone for good: "
        f"rollout doctor --release-lease run-{run}",
    )


def _clock(at: int) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
