"""The journal's database, as commands and scripts open it."""

from __future__ import annotations

from pathlib import Path

from rollout.errors import UsageError
from rollout.store import Database, open_database


def open_db(db: str, *, create: bool = False) -> Database:
    """Open the journal's database; with `create`, it is created if it does not exist.

    Raise `UsageError` if there is none: a command that only reads leaves no empty file behind.
    """
    if not create and not has_db(db):
        raise UsageError(
            f"no rollout database at {db}",
            "start with 'rollout inventory', go to the folder where you did, or name the file with --db",
        )
    return open_database(db)


def has_db(db: str) -> bool:
    """Return whether there is a database: a file, or a server that is known only once it is asked."""
    return "://" in db or Path(db).exists()
