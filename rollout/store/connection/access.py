"""Access to the database: connections with reliable transactions.

SQLite: BEGIN IMMEDIATE for writers (without it, contended updates were lost silently), synchronous FULL, write-ahead
log only if SQLite is free of the WAL-reset bug. PostgreSQL: READ COMMITTED and row locks.
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
"""How long a writer waits for another writer: less than the 5 s in which a signal must end the program."""

RETRY_PAUSES_S = (0.0005, 0.0011, 0.0017, 0.0023, 0.0031)
"""Pauses between two attempts to become SQLite's writer; uneven, so that two waiting writers do not keep in step."""

STALLED_S = 20.0
"""How long a stalled process may hold its transaction on PostgreSQL, and so block all others."""

CONNECT_S = 10.0

_SERVER_NOW = text("SELECT extract(epoch FROM clock_timestamp())")

MAGIC = b"SQLite format 3\x00"


def is_wal_safe(version: tuple[int, int, int]) -> bool:
    """Return whether this SQLite is free of the WAL-reset bug: fixed in 3.51.3, 3.50.7 and 3.44.6."""
    if version >= (3, 51, 3):
        return True
    return any(version[:2] == safe[:2] and version >= safe for safe in ((3, 50, 7), (3, 44, 6)))


class Access:
    """An engine, for reading and for writing.

    where : the database's name in messages, never with a password. path : the SQLite file, None for PostgreSQL.
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
        """Yield a connection that sees a single state of the database and writes nothing."""
        with translated(self.where), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that no other writer can interleave with.

        It is committed durably at the end, or rolled back if anything is raised.
        """
        with (
            translated(self.where),
            self.engine.connect().execution_options(rollout_writes=True) as connection,
            connection.begin(),
        ):
            yield connection

    def now(self) -> float:
        """Return Unix seconds by the clock that all executors share: the server's, or with SQLite this machine's."""
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
        # The error's own text may contain a part of the password.
        raise UsageError(
            "--db: the database URL is not valid", "name a file or postgresql+psycopg://…"
        ) from None
    if url.drivername == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if url.drivername not in ("sqlite", "postgresql+psycopg"):
        raise UsageError(
            f"--db: expected a file or postgresql+psycopg://…, found {url.drivername}://…",
            "SQLite and PostgreSQL are supported",
        )
    if url.drivername == "sqlite" and not url.database:
        raise UsageError("--db: the URL names no file", "write sqlite:///FILE, or only the name of the file")
    return url


def _engine_of(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, hide_parameters=True, pool_pre_ping=True, connect_args=_server_options(url))
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_S})
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def _server_options(url: URL) -> dict[str, Any]:
    """Return the server's options: SQLite's wait for locks, an end to stalled transactions, durable commits."""
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
    # Only `_begin` starts transactions: the driver's own begin comes late and is not immediate.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    mode = "wal" if is_wal_safe(sqlite3.sqlite_version_info) else "delete"
    now = connection.execute(f"PRAGMA journal_mode = {mode}").fetchone()[0]
    if now == "wal" and mode != "wal":
        raise DatabaseError(
            f"SQLite {sqlite3.sqlite_version} can corrupt a write-ahead log that another process has open",
            "close the other process, or update SQLite to 3.51.3",
        )


def _begin(connection: Connection) -> None:
    if not connection.get_execution_options().get("rollout_writes", False):
        connection.exec_driver_sql("BEGIN")
        return
    # SQLite's own wait ends up retrying every 100 ms. A busy executor pauses about one millisecond between two
    # writes, so a second writer would starve: we retry more often.
    driver: Any = connection.connection
    driver.execute("PRAGMA busy_timeout = 0")
    try:
        _begin_immediate(driver)
    finally:
        driver.execute(f"PRAGMA busy_timeout = {int(BUSY_S * 1000)}")


def _begin_immediate(driver: Any) -> None:
    end = time.monotonic() + BUSY_S
    for pause_s in itertools.cycle(RETRY_PAUSES_S):
        try:
            driver.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(pause_s)
        else:
            return


def check_file(path: Path, *, create: bool) -> None:
    """Raise `DatabaseError` if `path` cannot be an SQLite database, before SQLite touches it.

    create : create a missing file, empty and for its owner only. An existing file keeps its mode.
    """
    try:
        if path.is_dir():
            raise DatabaseError(f"database {path} is a directory", "name a file with --db")
        if not path.parent.is_dir():
            raise DatabaseError(
                f"the folder of database {path} does not exist", f"create {path.parent} first"
            )
        if not path.exists():
            if not create:
                raise DatabaseError(f"no rollout database at {path}", "start with 'rollout inventory'")
            # SQLite would make it readable by everyone; its journal and write-ahead log get the database's mode.
            # If we cannot create the file, SQLite cannot either, and it says why.
            with contextlib.suppress(OSError):
                create_private(path.resolve())
            return
        with path.open("rb") as file:
            head = file.read(len(MAGIC))
    except OSError as error:
        raise DatabaseError(f"cannot read database {path}: {error.strerror}") from error
    if head and head != MAGIC:
        raise DatabaseError(f"{path} is not an SQLite database", "name another file with --db")
