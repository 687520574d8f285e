"""The lease: one row per rollout, with an epoch that grows with each holder, and the end of the journal.

Every write goes through `advance`, whose WHERE clause names the epoch: a former holder changes no row, however long
it slept, and learns that it lost the lease.
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
    """Return the lease row. lock : keep others from changing it during this transaction (PostgreSQL)."""
    row = connection.execute(_LOCK if lock else _READ, {"run": run}).one_or_none()
    if row is None:
        raise DatabaseError(f"the lease row of run-{run} is missing", "restore a backup of the database")
    return row


def info_of(row: Row[tuple[object, ...]]) -> LeaseInfo:
    """Return the lease in a row."""
    return LeaseInfo(row.epoch, row.holder, row.since, row.expires)


def take(connection: Connection, run: int, owner: str, now: int, lease_s: int) -> int:
    """Take the lease and return its new epoch.

    Raise `LeaseError` if another executor holds it, unless it has expired or that executor is known to be dead.
    """
    row = read(connection, run, lock=True)
    info = info_of(row)
    if info.is_taken(now) and not is_surely_dead(row.process):
        raise taken_error(run, info)
    epoch = info.epoch + 1
    why = f"epoch {epoch}" + (
        f", after the lease of {info.holder} expired or its process died" if info.holder else ""
    )
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
    """End the lease of `epoch`; False if another executor has it by now. The epoch is never valid again."""
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

    Return False, with nothing written, if another executor holds the lease or the journal has grown.
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
    """Extend the lease of `epoch`; False if another executor has it."""
    done = connection.execute(_RENEW, {"run": run, "my_epoch": epoch, "until": until})
    return done.rowcount == 1


def append_from_outside(connection: Connection, run: int, entry: Entry) -> Kept:
    """Append a command: it needs no lease and moves the end of the journal while another process holds the lease."""
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
    """Return the error that names the holder of the lease, its start and its end."""
    if not info.holder:
        return LeaseError(f"the lease of run-{run} was released", "start 'rollout run' again")
    return LeaseError(
        f"{info.holder} has held the lease of run-{run} since {_clock(info.since)}",
        f"it ends at {_clock(info.expires)} unless renewed; if its process is gone for good, run "
        f"'rollout doctor --release-lease run-{run}'",
    )


def _clock(at: int) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
