"""The rollouts of a database: start, find and command them."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import Connection, Row, insert, select

from rollout.errors import RefusedError
from rollout.store.connection.access import Access
from rollout.store.connection.database_errors import readable
from rollout.store.journal import lease
from rollout.store.journal.entries import Entry, genesis
from rollout.store.journal.membership import ROLLOUT
from rollout.store.journal.replay import COMMANDS
from rollout.store.stored import StoredRollout
from rollout.store.vault import PLAN, find, plan_number
from rollout.values import GateApproval, Progress, document_of, value_of


class Rollouts:
    """The executions of plans."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def start(self, plan_key: str, directory: str, seed: int, speed: str, at: int) -> str:
        """Start to execute a plan in a directory, or continue: there is one rollout per plan and directory."""
        with self._access.writing() as connection:
            number = plan_number(connection, plan_key)
            # Lock the plan's row: on PostgreSQL, two executors may start at the same time.
            query = select(PLAN.c.digest).where(PLAN.c.id == number).with_for_update()
            digest = connection.execute(query).scalar_one()
            same = select(ROLLOUT.c.id).where(ROLLOUT.c.plan_id == number, ROLLOUT.c.directory == directory)
            known = connection.execute(same).scalar()
            if known is not None:
                return f"run-{known}"
            values = {
                "plan_id": number,
                "digest": digest,
                "directory": directory,
                "seed": seed,
                "speed": speed,
                "started_at": at,
            }
            made = connection.execute(insert(ROLLOUT), values).inserted_primary_key
            assert made is not None
            run = int(made[0])
            origin = genesis(run, digest, directory, seed, speed, at)
            connection.execute(insert(lease.LEASE), _free_lease(run, origin, at))
        return f"run-{run}"

    def has_any(self) -> bool:
        """Return whether there is a rollout."""
        with self._access.reading() as connection:
            return connection.execute(select(ROLLOUT.c.id).limit(1)).first() is not None

    def of_plan(self, plan_key: str | None) -> str | None:
        """Return the latest rollout of a plan, None if it was never executed."""
        with self._access.reading() as connection:
            number = plan_number(connection, plan_key)
            query = select(ROLLOUT.c.id).where(ROLLOUT.c.plan_id == number).order_by(ROLLOUT.c.id.desc())
            known = connection.execute(query.limit(1)).scalar()
        return f"run-{known}" if known is not None else None

    def get(self, key: str | None) -> StoredRollout:
        """Return a rollout, the latest by default."""
        with self._access.reading() as connection:
            return _stored(connection, find(connection, ROLLOUT, "run", key))

    def all(self) -> Sequence[StoredRollout]:
        """Return all rollouts, the oldest first."""
        with self._access.reading() as connection:
            numbers = connection.execute(select(ROLLOUT.c.id).order_by(ROLLOUT.c.id)).scalars().all()
            return tuple(_stored(connection, number) for number in numbers)

    def origin(self, key: str | None) -> tuple[int, str, int]:
        """Return (number, seal before the first row, devices) of a rollout.

        Raise `RefusedError` if it no longer belongs to its plan.
        """
        with self._access.reading() as connection:
            number = find(connection, ROLLOUT, "run", key)
            row = _row(connection, number)
            plan = connection.execute(select(PLAN.c.digest, PLAN.c.devices).where(PLAN.c.id == row.plan_id))
            digest, devices = plan.one()
        if digest != row.digest:
            raise RefusedError(
                f"run-{number} executes plan {row.digest[:12]}, but the database has plan {digest[:12]} in its place",
                "restore a backup of the database",
            )
        return number, genesis(number, digest, row.directory, row.seed, row.speed, row.started_at), devices

    def command(
        self,
        key: str,
        kind: str,
        by: str,
        reason: str,
        at: int,
        rows: Sequence[int],
        answer: GateApproval | None,
    ) -> None:
        """Append a person's request to the journal; the executor reads it before its next chunk."""
        if kind not in COMMANDS:
            raise ValueError(f"command {kind!r}: expected one of {', '.join(COMMANDS)}")
        with self._access.writing() as connection:
            number = find(connection, ROLLOUT, "run", key)
            body = {
                "kind": kind,
                "by": by,
                "reason": reason,
                "rows": [int(row) for row in rows],
            }
            if answer is not None:
                body["answer"] = document_of(answer)
            lease.append_from_outside(connection, number, Entry("command", at, body))

    def release_lease(self, key: str, by: str, at: int) -> bool:
        """Release the lease of its holder; False if it is not held."""
        with self._access.writing() as connection:
            number = find(connection, ROLLOUT, "run", key)
            info = lease.info_of(lease.read(connection, number, lock=True))
            return bool(info.holder) and lease.give_back(
                connection, number, info.epoch, at, f"taken away by {by}"
            )


def _free_lease(run: int, origin: str, at: int) -> dict[str, str | int]:
    return {
        "rollout_id": run,
        "epoch": 0,
        "holder": "",
        "process": "",
        "since": at,
        "expires": at,
        "head_number": 0,
        "head_seal": origin,
    }


def _row(connection: Connection, number: int) -> Row[tuple[object, ...]]:
    return connection.execute(select(ROLLOUT).where(ROLLOUT.c.id == number)).one()


def last_progress(connection: Connection, number: int) -> Progress | None:
    """Return the progress of the last decision without reading the rows before it."""
    entry = lease.ENTRY.c
    query = select(entry.body).where(entry.rollout_id == number, entry.kind == "decision")
    body = connection.execute(query.order_by(entry.number.desc()).limit(1)).scalar()
    if body is None:
        return None
    with readable(f"the last decision of run-{number}"):
        return value_of(Progress, json.loads(body)["progress"])


def _stored(connection: Connection, number: int) -> StoredRollout:
    row = _row(connection, number)
    progress = last_progress(connection, number)
    return StoredRollout(
        id=f"run-{number}",
        plan_id=f"plan-{row.plan_id}",
        digest=row.digest,
        directory=row.directory,
        seed=row.seed,
        speed=row.speed,
        started_at=row.started_at,
        state=progress.state if progress else None,
        lease=lease.info_of(lease.read(connection, number)),
    )
