"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "rollout_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything."""
    _values()
    _journal()


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.Integer(), primary_key=True)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False)


def _long(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _bytes(name: str) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary(), nullable=False)


def _part(name: str, target: str) -> sa.Column[int]:
    """A part of a primary key that points elsewhere."""
    return sa.Column(name, sa.Integer(), sa.ForeignKey(target), primary_key=True, autoincrement=False)


def _to(name: str, target: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), sa.ForeignKey(target), nullable=False)


def _values() -> None:
    op.create_table(
        "inventory",
        _id(),
        _text("digest"),
        _long("taken"),
        _number("accepted"),
        _number("rejected"),
        _bytes("body"),
        _text("seal"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "findings",
        _part("inventory_id", "inventory.id"),
        _number("count"),
        _bytes("body"),
        _text("seal"),
    )
    op.create_table(
        "plan",
        _id(),
        sa.Column("digest", sa.String(), nullable=False, unique=True),
        _to("inventory_id", "inventory.id"),
        _text("name"),
        _number("devices"),
        _bytes("body"),
        _text("scenario"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "approval",
        _id(),
        _to("plan_id", "plan.id"),
        _text("by"),
        _long("at"),
        _text("seal"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_approval_plan_id", "approval", ["plan_id"])
    op.create_table(
        "simulation", _id(), _to("plan_id", "plan.id"), _text("summary"), sqlite_autoincrement=True
    )
    op.create_index("ix_simulation_plan_id", "simulation", ["plan_id"])


def _journal() -> None:
    op.create_table(
        "rollout",
        _id(),
        _to("plan_id", "plan.id"),
        _text("digest"),
        _text("directory"),
        _long("seed"),
        _text("speed"),
        _long("started_at"),
        sa.UniqueConstraint("plan_id", "directory", name="one_rollout_a_plan_and_directory"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "lease",
        _part("rollout_id", "rollout.id"),
        _number("epoch"),
        _text("holder"),
        _text("process"),
        _long("since"),
        _long("expires"),
        _number("head_number"),
        _text("head_seal"),
    )
    op.create_table(
        "entry",
        _part("rollout_id", "rollout.id"),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        _text("kind"),
        _long("at"),
        _number("epoch"),
        _number("batch"),
        _text("body"),
        _bytes("packed"),
        _text("seal"),
    )
    op.create_index("entry_by_kind", "entry", ["rollout_id", "kind", "number"])
    op.create_table(
        "device",
        _part("rollout_id", "rollout.id"),
        sa.Column("row", sa.Integer(), primary_key=True, autoincrement=False),
        _number("outcome"),
        _long("at"),
        _long("code"),
    )
    op.create_table(
        "membership",
        _part("rollout_id", "rollout.id"),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        _long("at"),
        _number("batch"),
        _bytes("packed"),
        _text("seal"),
    )
