"""The way to the database: connections whose transactions are what they seem.

SQLite: BEGIN IMMEDIATE for writers (without it contended updates were lost silently), synchronous FULL,
write-ahead log only where SQLite is free of the WAL-reset bug. PostgreSQL: READ COMMITTED and row locks.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError

from rollout.errors import DatabaseError, UsageError
from rollout.files import create_private
from rollout.store.connection.database_errors import translated

BUSY_S = 4.0
"""How long a writer waits for another one: shorter than the 5 s in which a signal must end the program."""

LOOK_AGAIN_S = (0.0005, 0.0011, 0.0017, 0.0023, 0.0031)
"""Pauses between two attempts to become SQLite's writer; uneven, so as not to keep step with another's."""

STALLED_S = 20.0
"""How long a stalled process may keep its transaction, and with it everybody else, on PostgreSQL."""

CONNECT_S = 10.0

_SERVER_NOW = text("SELECT extract(epoch FROM clock_timestamp())")

MAGIC = b"SQLite format 3\x00"


def is_wal_safe(version: tuple[int, int, int]) -> bool:
    """Return whether this SQLite is free of the WAL-reset bug: 3.51.3, back-ported to 3.50.7 and 3.44.6."""
    if version >= (3, 51, 3):
        return True
    return any(version[:2] == safe[:2] and version >= safe for safe in ((3, 50, 7), (3, 44, 6)))


class Access:
    """An engine, and the two ways to use it.

    where : how messages name the database; never with a password. path : SQLite's file, None elsewhere.
    """

    def __init__(self, url_or_path: str) -> None:
        url = _url_of(url_or_path)
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self.path = Path(str(url.database)) if self.is_sqlite else None
        self.where = (
            str(self.path) if self.is_sqlite else url.set(query={}).render_as_string(hide_password=True)
        )
        with translated(self.where):
            self.engine = _engine_of(url)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Return a connection that sees one state of the database and writes nothing."""
        with translated(self.where), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Return a connection in a transaction that no other writer can interleave with.

        Committed at the end, durable then; rolled back if anything is raised.
        """
        with (
            translated(self.where),
            self.engine.connect().execution_options(rollout_writes=True) as connection,
            connection.begin(),
        ):
            yield connection

    def now(self) -> float:
        """Return Unix seconds by the clock that all executors share: a server's own, or this machine's."""
        if self.is_sqlite:
            return time.time()
        with self.reading() as connection:
            return float(connection.execute(_SERVER_NOW).scalar_one())

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _url_of(url_or_path: str) -> URL:
    if "://" not in url_or_path:
        return URL.create("sqlite", database=url_or_path)
    try:
        url = make_url(url_or_path)
    except (ArgumentError, ValueError):
        # Its text may hold a part of the password.
        raise UsageError("--db: expected a file or a database URL, found one that cannot be read") from None
    if url.drivername == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if url.drivername not in ("sqlite", "postgresql+psycopg"):
        raise UsageError(
            f"--db: expected a file or postgresql+psycopg://…, found {url.drivername}://…",
            "SQLite and PostgreSQL are supported",
        )
    if url.drivername == "sqlite" and not url.database:
        raise UsageError("--db: expected sqlite:///FILE, found no file")
    return url


def _engine_of(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, hide_parameters=True, pool_pre_ping=True, connect_args=_server_options(url))
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_S})
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def _server_options(url: URL) -> dict[str, Any]:
    """Wait for locks as long as on SQLite; end a transaction whose process stalls in it; durable commits."""
    own = [
        f"-c lock_timeout={int(BUSY_S * 1000)}",
        f"-c idle_in_transaction_session_timeout={int(STALLED_S * 1000)}",
        "-c synchronous_commit=on",
    ]
    given = url.query.get("options", "")
    return {
        "options": " ".join([*([given] if isinstance(given, str) else given), *own]),
        "connect_timeout": int(CONNECT_S),
    }


def _set_up(connection: Any, _record: object) -> None:
    # Transactions are begun by `_begin` alone: the driver's own begin is late and not immediate.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    mode = "wal" if is_wal_safe(sqlite3.sqlite_version_info) else "delete"
    now = connection.execute(f"PRAGMA journal_mode = {mode}").fetchone()[0]
    if now == "wal" and mode != "wal":
        raise DatabaseError(
            f"SQLite {sqlite3.sqlite_version} may damage a write-ahead log that another process has open",
            "close the other process, or update SQLite to 3.51.3",
        )


def _begin(connection: Connection) -> None:
    if not connection.get_execution_options().get("rollout_writes", False):
        connection.exec_driver_sql("BEGIN")
        return
    # SQLite's own waiting looks every 100 ms at last. Between two writes of a busy executor there is about one
    # millisecond, so a second writer would starve: we look more often.
    driver: Any = connection.connection
    driver.execute("PRAGMA busy_timeout = 0")
    try:
        _begin_at_once(driver)
    finally:
        driver.execute(f"PRAGMA busy_timeout = {int(BUSY_S * 1000)}")


def _begin_at_once(driver: Any) -> None:
    end = time.monotonic() + BUSY_S
    for pause_s in itertools.cycle(LOOK_AGAIN_S):
        try:
            driver.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(pause_s)
        else:
            return


def look_at_file(path: Path, *, create: bool) -> None:
    """Raise `DatabaseError` if `path` cannot be a database of SQLite, before SQLite touches it.

    create : a missing one is made, empty and for its owner alone; the mode of an existing one is kept.
    """
    try:
        if path.is_dir():
            raise DatabaseError(
                f"database {path}: expected a file, found a directory", "name a file with --db"
            )
        if not path.parent.is_dir():
            raise DatabaseError(f"database {path}: its folder does not exist", f"create {path.parent} first")
        if not path.exists():
            if not create:
                raise DatabaseError(f"database {path} does not exist", "begin with 'rollout inventory'")
            # SQLite would make it readable by everybody; its journal and write-ahead log get the mode of the database.
            # What it cannot make, SQLite cannot either, and says why.
            with contextlib.suppress(OSError):
                create_private(path.resolve())
            return
        with path.open("rb") as file:
            head = file.read(len(MAGIC))
    except OSError as error:
        raise DatabaseError(f"database {path} cannot be read ({error.strerror})") from error
    if head and head != MAGIC:
        raise DatabaseError(f"database {path} is no SQLite database", "name another file with --db")
