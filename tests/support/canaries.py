"""Planted secrets, and the search for them in everything that a command leaves behind.

Each place that a secret may come from has one; what is written to output, logs, files and databases is searched
after every test (see conftest). A secret that stands in a file that a person wrote is not a leak: `may_hold` says so.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path

from emulators.graph import TOKEN
from sqlalchemy import create_engine, inspect, text

from rollout.directory.configmgr.settings import PASSWORD_ENV
from rollout.directory.graph.settings import SECRETS

CANARY = "c4n4ry-d0-n0t-t3ll"
SOURCES = (
    PASSWORD_ENV,
    *SECRETS,
    "PGPASSWORD",
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "AZURE_PASSWORD",
)
"""Variables of the environment that hold a secret, ours and those of libraries."""

_NEEDLES = (CANARY, TOKEN)  # the token is what the emulated tenant takes for one


@contextlib.contextmanager
def planted() -> Iterator[None]:
    """Plant a canary in every variable, for us and for the processes that we start."""
    before = {name: os.environ.get(name) for name in SOURCES}
    os.environ.update(dict.fromkeys(SOURCES, CANARY))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class Watch:
    """What a test left behind. text : whatever was printed or logged."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []
        self._may_hold: set[Path] = set()

    def may_hold(self, path: Path) -> None:
        """Say that a person wrote a secret into this file."""
        self._may_hold.add(path.resolve())

    def saw(self, where: str, text: str) -> None:
        """Take note of something that was printed or logged."""
        self.texts.append((where, text))

    def forget(self, folder: Path) -> None:
        """Take what was found up to now for what the test was about."""
        self.texts.clear()
        for path in folder.rglob("*"):
            self.may_hold(path)

    def leaks(self, folder: Path | None) -> list[str]:
        """Give the places in which a canary was found, in the texts and below `folder`."""
        found = [where for where, text in self.texts if is_told(text.encode())]
        if folder is None:
            return found
        files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
        return found + [
            place for path in files if path.resolve() not in self._may_hold for place in in_file(path)
        ]


def is_told(data: bytes) -> bool:
    """Say whether a canary is in there."""
    return any(one.encode() in data for one in _NEEDLES)


def in_file(path: Path) -> list[str]:
    """Give the places of a file in which a canary stands: of a database also what is stored compressed."""
    try:
        data = path.read_bytes()
    except OSError:
        return []  # closed to us on purpose
    found = [str(path)] if is_told(data) else []
    if data.startswith(b"SQLite format 3\0"):
        found += in_database(path)
    return found


def in_database(path: Path) -> list[str]:
    """Give the columns of a SQLite file in which a canary stands; a damaged file has none that can be read."""
    found: list[str] = []
    with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(_looked_at(path)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            rows = connection.execute(f'SELECT * FROM "{table}"')
            names = [one[0] for one in rows.description]
            for row in rows:
                found += [
                    f"{path}: {table}.{name}" for name, value in zip(names, row, strict=True) if _holds(value)
                ]
    return found


def on_server(url: str) -> list[str]:
    """Give the columns of a PostgreSQL database in which a canary stands. url : as SQLAlchemy takes it."""
    engine = create_engine(url)
    try:
        found = []
        for table in inspect(engine).get_table_names():
            with engine.connect() as connection:
                rows = connection.execute(text(f'SELECT * FROM "{table}"'))
                found += [
                    f"{table}.{name}" for row in rows for name, value in row._mapping.items() if _holds(value)
                ]
        return found
    finally:
        engine.dispose()


def _looked_at(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)


def _holds(value: object) -> bool:
    data = value.encode() if isinstance(value, str) else value if isinstance(value, bytes) else b""
    if is_told(data):
        return True
    if not data.startswith(b"x"):
        return False
    with contextlib.suppress(zlib.error):
        return is_told(zlib.decompress(data))
    return False
