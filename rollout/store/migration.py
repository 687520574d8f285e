"""Migrate a database to the current version, after a backup, or refuse it clearly."""

from __future__ import annotations

import os
import re
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from rollout.errors import DatabaseError
from rollout.files import create_private
from rollout.store.connection.access import Access
from rollout.store.connection.database_errors import translated

HEAD = "rollout_0001"
"""The newest migration in migrations/versions; stated here so that Alembic is loaded only when needed."""

VERSION_TABLE = "rollout_schema"
_LOCK = 0x726F6C6C  # any number: key of PostgreSQL's advisory lock for migrations


def bring_up_to_date(access: Access) -> Path | None:
    """Create or migrate the tables; return the path of the backup made before, None if none was needed.

    Raise `DatabaseError` if the database is newer than this program or belongs to another program.
    """
    with access.reading() as connection:
        found = version_of(connection, access.where)
    if found == HEAD:
        return None
    backup = back_up(access, found) if found else None
    with access.writing() as connection:
        if not access.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        # Another process may have migrated it while this one waited for the lock.
        if version_of(connection, access.where) != HEAD:
            _upgrade(connection)
    return backup


def version_of(connection: Connection, where: str) -> str | None:
    """Return the version of the database, None if it is empty; raise `DatabaseError` if it cannot be ours."""
    tables = set(inspect(connection).get_table_names())
    if VERSION_TABLE not in tables:
        if tables:
            raise DatabaseError(
                f"database {where} belongs to another program (it has a table '{min(tables)}')",
                "name another file or database with --db",
            )
        return None
    found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalars().all()
    version = found[0] if len(found) == 1 else ""
    if not re.fullmatch(r"rollout_\d{4}", str(version)):
        raise DatabaseError(
            f"database {where}: expected version {HEAD}, found the unknown version '{version}'",
            "name another file or database with --db",
        )
    if version > HEAD:
        raise DatabaseError(
            f"database {where} was written by a newer rollout: expected version {HEAD} or older, found {version}",
            "update rollout",
        )
    return str(version)


def back_up(access: Access, version: str) -> Path | None:
    """Copy an SQLite database to its own folder before it is changed; PostgreSQL is backed up by its own tools."""
    if access.path is None:
        return None
    backup = _free_name(access.path, version)
    try:
        create_private(backup, like=access.path)
        with translated(access.where):
            raw = access.engine.raw_connection()
            try:
                # VACUUM is refused inside a transaction, so this bypasses SQLAlchemy's.
                raw.cursor().execute("VACUUM INTO ?", (str(backup),))
            finally:
                raw.close()
        _sync(backup)
    except OSError as error:
        backup.unlink(missing_ok=True)
        raise DatabaseError(f"cannot write the backup {backup}: {error.strerror}") from error
    except DatabaseError:
        backup.unlink(missing_ok=True)
        raise
    return backup


def _free_name(path: Path, version: str) -> Path:
    stem = f"{path.name}.{version}.backup"
    names = [stem, *(f"{stem}-{number}" for number in range(2, 1000))]
    free = next((path.with_name(name) for name in names if not path.with_name(name).exists()), None)
    if free is None:
        raise DatabaseError(f"database {path} already has 999 backups in its folder", "remove old backups")
    return free


def _sync(path: Path) -> None:
    """Wait until a file is on the disk, which VACUUM INTO does not."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)
