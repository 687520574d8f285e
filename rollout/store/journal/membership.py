"""The simulated directory's own log, separate from the journal because it stands for an outside system."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, func, insert, select

from rollout.errors import DatabaseError
from rollout.store.connection.access import Access
from rollout.store.connection.database_errors import readable
from rollout.store.journal.entries import Entry, Kept, genesis, kept, pack, seal_of, unpack_whole
from rollout.store.tables import MembershipRow, RolloutRow
from rollout.values import IntArray

MEMBERSHIP = MembershipRow.__table__  # type: ignore[attr-defined]  # SQLModel does not declare it
ROLLOUT = RolloutRow.__table__  # type: ignore[attr-defined]


class SqlMembershipLog:
    """A `rollout.loop.ports.MembershipLog`: additions in order, each sealed, each in a transaction of its own."""

    def __init__(self, access: Access, run: int) -> None:
        self._access, self._run = access, run

    def load(self) -> Iterator[tuple[int, int, IntArray]]:
        """Yield (instant, batch, rows) of all additions; raise `DatabaseError` if one was changed."""
        with self._access.reading() as connection:
            found = connection.execute(
                select(MEMBERSHIP).where(MEMBERSHIP.c.rollout_id == self._run).order_by(MEMBERSHIP.c.number)
            ).all()
        before = self._origin
        for number, row in enumerate(found, 1):
            what = f"membership log of run-{self._run}, row {number},"
            with readable(what):
                addition = Kept(row.number, "add", row.at, 0, row.batch, "{}", bytes(row.packed), row.seal)
                if row.number != number or seal_of(before, addition) != row.seal:
                    raise DatabaseError(
                        f"{what} was changed after it was written", "restore a backup of the database"
                    )
                rows = unpack_whole(addition.packed)
            before = row.seal
            yield row.at, row.batch, rows

    def append(self, at: int, batch: int, rows: IntArray) -> None:
        """Store an addition durably."""
        with self._access.writing() as connection:
            number, before = self._end(connection)
            new = kept(Entry("add", at, {}, batch, pack(rows)), number + 1, 0, before)
            connection.execute(
                insert(MEMBERSHIP),
                {
                    "rollout_id": self._run,
                    "number": new.number,
                    "at": at,
                    "batch": batch,
                    "packed": new.packed,
                    "seal": new.seal,
                },
            )

    @property
    def _origin(self) -> str:
        return genesis("membership", self._run)

    def _end(self, connection: Connection) -> tuple[int, str]:
        """Return number and seal of the last row; the rollout's row serves as the lock for appending."""
        connection.execute(select(ROLLOUT.c.id).where(ROLLOUT.c.id == self._run).with_for_update())
        last = select(func.max(MEMBERSHIP.c.number)).where(MEMBERSHIP.c.rollout_id == self._run)
        query = select(MEMBERSHIP.c.number, MEMBERSHIP.c.seal).where(
            MEMBERSHIP.c.rollout_id == self._run, MEMBERSHIP.c.number == last.scalar_subquery()
        )
        row = connection.execute(query).one_or_none()
        return (row.number, row.seal) if row else (0, self._origin)
