"""Run migrations on the connection that `rollout.store.migration` hands over, in its transaction."""

from __future__ import annotations

from alembic import context
from sqlmodel import SQLModel

import rollout.store.tables  # noqa: F401  the tables register themselves in SQLModel's metadata
from rollout.store.migration import VERSION_TABLE

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=SQLModel.metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,  # SQLite can alter little in place
    transactional_ddl=True,  # true for SQLite too, since we begin transactions ourselves
)
with context.begin_transaction():
    context.run_migrations()
