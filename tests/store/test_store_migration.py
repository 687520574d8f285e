"""Migrate an older database to the current version: a backup, one transaction, nothing lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from journals import filled, raw, refused

from rollout.store import migration as migration_module
from rollout.store import open_database

PLACES = ["sqlite", "postgres"]


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "rollout.db"


def test_tables_and_migrations_agree(path: Path) -> None:
    """The migrations create the tables as they are declared, and HEAD is the newest migration."""
    from alembic.autogenerate import compare_metadata
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from sqlmodel import SQLModel

    config = Config()
    folder = Path(migration_module.__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder))
    assert ScriptDirectory.from_config(config).get_current_head() == migration_module.HEAD
    with filled(path) as database, database._access.reading() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": migration_module.VERSION_TABLE}
        )
        assert compare_metadata(context, SQLModel.metadata) == []


NEXT = '''
"""A later migration."""
import sqlalchemy as sa
from alembic import op
revision = "rollout_0002"
down_revision = "rollout_0001"
def upgrade():
    op.add_column("plan", sa.Column("note", sa.String(), nullable=False, server_default="none"))
    {more}
'''


@pytest.fixture(name="newer")
def _newer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Turn the program into a later version with one more migration; return the migration's file."""
    package = tmp_path / "package"
    shutil.copytree(Path(migration_module.__file__).parent / "migrations", package / "migrations")
    monkeypatch.setattr(migration_module, "HEAD", "rollout_0002")
    monkeypatch.setattr(migration_module, "__file__", str(package / "migration.py"))
    script = package / "migrations" / "versions" / "rollout_0002_note.py"
    script.write_text(NEXT.format(more=""))
    return script


@pytest.mark.usefixtures("newer")
def test_an_older_database_is_backed_up_and_migrated(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The backup is a complete copy of the old database; afterwards everything is still there."""
    with monkeypatch.context() as older:
        older.setattr(migration_module, "HEAD", "rollout_0001")
        filled(path).close()
    with open_database(str(path)) as database:
        assert database.backup == path.with_name("rollout.db.rollout_0001.backup")
        assert database.plan().id == "plan-1"
    with raw(path) as connection:
        assert connection.execute("SELECT note FROM plan").fetchall() == [("none",)]
    with raw(database.backup) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT version_num FROM rollout_schema").fetchall() == [("rollout_0001",)]
        assert connection.execute("SELECT count(*) FROM plan").fetchone() == (1,)
    with open_database(str(path)) as database:
        assert database.backup is None


def test_a_failed_migration_changes_nothing(path: Path, newer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration is a single transaction: if any step fails, the database is unchanged."""
    with monkeypatch.context() as older:
        older.setattr(migration_module, "HEAD", "rollout_0001")
        filled(path).close()
    newer.write_text(NEXT.format(more='op.execute("INSERT INTO no_such_table VALUES (1)")'))
    assert "no such table" in refused(path).message
    with raw(path) as connection:
        assert connection.execute("SELECT version_num FROM rollout_schema").fetchall() == [("rollout_0001",)]
        assert "note" not in [row[1] for row in connection.execute("PRAGMA table_info(plan)")]


def test_a_backup_never_replaces_another(path: Path) -> None:
    """A second backup of the same version gets its own name."""
    with filled(path) as database:
        first = migration_module.back_up(database._access, "rollout_0001")
        second = migration_module.back_up(database._access, "rollout_0001")
    assert first is not None
    assert second is not None
    assert first != second
