"""The outcome of each device, as rows that are written when they change."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from sqlalchemy import Connection, Insert, select
from sqlalchemy.dialects import postgresql, sqlite

from rollout.store.connection.database_errors import readable
from rollout.store.tables import DeviceRow
from rollout.values import NOT_RELEASED, DeviceOutcomes, LongArray, Outcome

DEVICE = DeviceRow.__table__  # type: ignore[attr-defined]  # SQLModel does not declare it
ROWS_PER_STATEMENT = 10_000
"""Enough to be fast, few enough to need little memory."""


def nothing_known(devices: int) -> DeviceOutcomes:
    """Return the outcomes of a fleet before the first release."""
    return DeviceOutcomes(
        outcome=np.full(devices, NOT_RELEASED, dtype=np.int8),
        at=np.full(devices, -1, dtype=np.int64),
        code=np.zeros(devices, dtype=np.int64),
    )


def load_outcomes(connection: Connection, run: int, devices: int) -> DeviceOutcomes:
    """Return the outcomes as they were last saved."""
    out = nothing_known(devices)
    query = select(DEVICE.c.row, DEVICE.c.outcome, DEVICE.c.at, DEVICE.c.code)
    found = connection.execute(query.where(DEVICE.c.rollout_id == run)).all()
    if not found:
        return out
    with readable(f"table of devices of run-{run}"):
        rows, outcome, at, code = (np.array(column, dtype=np.int64) for column in zip(*found, strict=True))
        if rows.min() < 0 or outcome.min() < NOT_RELEASED or outcome.max() >= len(Outcome):
            raise ValueError("a row or an outcome is out of range")
        out.outcome[rows], out.at[rows], out.code[rows] = outcome, at, code
    return out


def changed_rows(before: DeviceOutcomes, after: DeviceOutcomes) -> LongArray:
    """Return the fleet rows whose outcome, instant or code differs."""
    differs = (before.outcome != after.outcome) | (before.at != after.at) | (before.code != after.code)
    return np.flatnonzero(differs)


def write_outcomes(connection: Connection, run: int, after: DeviceOutcomes, rows: LongArray) -> None:
    """Write the outcomes of some fleet rows, replacing those stored before."""
    statement = _upsert(connection.dialect.name)
    for piece in _pieces(rows):
        columns = (piece, after.outcome[piece], after.at[piece], after.code[piece])
        connection.execute(
            statement,
            [
                {"rollout_id": run, "row": row, "outcome": outcome, "at": at, "code": code}
                for row, outcome, at, code in zip(*(column.tolist() for column in columns), strict=True)
            ],
        )


def _pieces(rows: LongArray) -> Iterator[LongArray]:
    for start in range(0, len(rows), ROWS_PER_STATEMENT):
        yield rows[start : start + ROWS_PER_STATEMENT]


def _upsert(dialect: str) -> Insert:
    insert = postgresql.insert(DEVICE) if dialect == "postgresql" else sqlite.insert(DEVICE)
    new = {name: insert.excluded[name] for name in ("outcome", "at", "code")}
    return insert.on_conflict_do_update(index_elements=["rollout_id", "row"], set_=new)
