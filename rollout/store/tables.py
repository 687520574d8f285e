"""The tables. Rows never leave this package: values do.

`entry` is the journal and only grows. `lease` is the only row per rollout that changes: which executor may write, and
where the journal ends. Times are Unix seconds; packed arrays are zlib over little-endian int32.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, UniqueConstraint
from sqlmodel import Field, SQLModel


def _long(*, default: int | None = None) -> Column[int]:
    return Column(BigInteger, nullable=False, server_default=None if default is None else str(default))


def _bytes() -> Column[bytes]:
    return Column(LargeBinary, nullable=False)


class InventoryRow(SQLModel, table=True):
    """A snapshot of the fleet. digest : the fleet's digest. seal : SHA-256 of `body`."""

    __tablename__ = "inventory"
    __table_args__ = {"sqlite_autoincrement": True}

    id: int | None = Field(default=None, primary_key=True)
    digest: str
    taken: int = Field(sa_column=_long())
    accepted: int
    rejected: int
    body: bytes = Field(sa_column=_bytes())
    seal: str


class FindingsRow(SQLModel, table=True):
    """The findings about an inventory, as columns in a single value; the latest replace earlier ones."""

    __tablename__ = "findings"

    inventory_id: int = Field(primary_key=True, foreign_key="inventory.id")
    count: int
    body: bytes = Field(sa_column=_bytes())
    seal: str


class PlanRow(SQLModel, table=True):
    """A frozen plan. digest : the plan's own digest, so an edited body does not match it."""

    __tablename__ = "plan"
    __table_args__ = {"sqlite_autoincrement": True}

    id: int | None = Field(default=None, primary_key=True)
    digest: str = Field(unique=True)
    inventory_id: int = Field(foreign_key="inventory.id")
    name: str
    devices: int
    body: bytes = Field(sa_column=_bytes())
    scenario: str


class ApprovalRow(SQLModel, table=True):
    """An approval of a plan's digest. seal : SHA-256 over digest, name and time."""

    __tablename__ = "approval"
    __table_args__ = {"sqlite_autoincrement": True}

    id: int | None = Field(default=None, primary_key=True)
    plan_id: int = Field(foreign_key="plan.id", index=True)
    by: str
    at: int = Field(sa_column=_long())
    seal: str


class SimulationRow(SQLModel, table=True):
    """The summary of a simulation, as JSON."""

    __tablename__ = "simulation"
    __table_args__ = {"sqlite_autoincrement": True}

    id: int | None = Field(default=None, primary_key=True)
    plan_id: int = Field(foreign_key="plan.id", index=True)
    summary: str


class RolloutRow(SQLModel, table=True):
    """An execution of a plan in a directory; written once."""

    __tablename__ = "rollout"
    __table_args__ = (
        UniqueConstraint("plan_id", "directory", name="one_rollout_a_plan_and_directory"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True)
    plan_id: int = Field(foreign_key="plan.id")
    digest: str
    directory: str
    seed: int = Field(sa_column=_long())
    speed: str
    started_at: int = Field(sa_column=_long())


class LeaseRow(SQLModel, table=True):
    """The executor that may write, and the end of the journal.

    process : identifies the holder's process on its machine, to detect that it has died; "" if unknown.
    head_number, head_seal : the last row of the journal, so that rows removed from its end are noticed.
    """

    __tablename__ = "lease"

    rollout_id: int = Field(primary_key=True, foreign_key="rollout.id")
    epoch: int
    holder: str
    process: str
    since: int = Field(sa_column=_long())
    expires: int = Field(sa_column=_long())
    head_number: int
    head_seal: str


class EntryRow(SQLModel, table=True):
    """A row of the journal.

    number : from 1, without gaps within a rollout. kind : see `rollout.store.journal.entries`. epoch : that of the
    lease under which it was written, 0 for commands. batch : its number, -1 if none. body : JSON. packed : the arrays.
    seal : SHA-256 over the previous row's seal and this row.
    """

    __tablename__ = "entry"
    __table_args__ = (Index("entry_by_kind", "rollout_id", "kind", "number"),)

    rollout_id: int = Field(primary_key=True, foreign_key="rollout.id")
    number: int = Field(primary_key=True)
    kind: str
    at: int = Field(sa_column=_long())
    epoch: int
    batch: int
    body: str
    packed: bytes = Field(sa_column=_bytes())
    seal: str


class DeviceRow(SQLModel, table=True):
    """The outcome of a released device, overwritten when it changes. row : its row in the plan's fleet."""

    __tablename__ = "device"

    rollout_id: int = Field(primary_key=True, foreign_key="rollout.id")
    row: int = Field(primary_key=True)
    outcome: int
    at: int = Field(sa_column=_long())
    code: int = Field(sa_column=_long())


class MembershipRow(SQLModel, table=True):
    """An addition in the simulated directory's own log. seal : as in `entry`."""

    __tablename__ = "membership"

    rollout_id: int = Field(primary_key=True, foreign_key="rollout.id")
    number: int = Field(primary_key=True)
    at: int = Field(sa_column=_long())
    batch: int
    packed: bytes = Field(sa_column=_bytes())
    seal: str
