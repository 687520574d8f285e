"""Translate database errors into one line for people: a table for SQLite's codes and one for PostgreSQL's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from rollout.errors import DatabaseError

Explanation = tuple[str, str]
"""What is wrong, and what to do about it."""

DAMAGED: Explanation = ("is damaged", "restore a backup; 'rollout doctor' shows what can still be read")
LOCKED: Explanation = ("is locked by another process", "wait until it ends, then run the same command again")
FULL: Explanation = ("cannot grow: the disk is full", "free some space, then run the same command again")
READ_ONLY: Explanation = ("cannot be written", "make the file and its folder writable for this user")
UNOPENED: Explanation = (
    "cannot be opened",
    "check that file and folder exist and that this user may use them",
)
UNEXPECTED: Explanation = (
    "returned an unexpected error",
    "run the command again with -v and report the detail",
)
UNREACHED: Explanation = (
    "cannot be reached",
    "check that the server is running, and its address, user and password",
)

SQLITE: Mapping[int, Explanation] = {
    1: UNEXPECTED,  # SQLITE_ERROR
    2: UNEXPECTED,  # INTERNAL
    3: READ_ONLY,  # PERM
    4: UNEXPECTED,  # ABORT
    5: LOCKED,  # BUSY
    6: LOCKED,  # LOCKED
    7: ("is out of memory", "close other programs, then run the same command again"),
    8: READ_ONLY,  # READONLY
    9: ("was interrupted", "run the same command again"),
    10: (
        "cannot be read or written: the disk reports an error",
        "check the disk, then run the same command again",
    ),
    11: DAMAGED,  # CORRUPT
    12: UNEXPECTED,  # NOTFOUND
    13: FULL,  # FULL
    14: UNOPENED,  # CANTOPEN
    15: LOCKED,  # PROTOCOL
    16: DAMAGED,  # EMPTY
    17: ("was changed while it was being read", "run the same command again"),
    18: ("cannot store a value of that size", "use PostgreSQL, or a smaller inventory"),
    19: UNEXPECTED,  # CONSTRAINT
    20: DAMAGED,  # MISMATCH
    21: UNEXPECTED,  # MISUSE
    22: ("is too large for this system", "use a file system that supports large files"),
    23: READ_ONLY,  # AUTH
    24: DAMAGED,  # FORMAT
    25: UNEXPECTED,  # RANGE
    26: ("is not an SQLite database", "name another file with --db"),
}
"""Primary result code -> explanation; extended codes are looked up by their lowest byte."""

POSTGRES: Mapping[str, Explanation] = {
    "08": UNREACHED,
    "0A": UNEXPECTED,
    "22": UNEXPECTED,
    "23": UNEXPECTED,
    "25": UNEXPECTED,
    "25006": ("cannot be written", "connect to the primary server, as a user with write access"),
    "25P03": ("ended a stalled transaction", "run the same command again"),
    "28": ("rejected this user", "check user and password in the URL"),
    "3D": ("does not exist on its server", "create it with createdb, or correct the URL"),
    "3F": ("lacks its schema", "correct the user's search_path"),
    "40": LOCKED,
    "42": ("rejected a statement", "grant the user all privileges on this database"),
    "53": (
        "is out of resources on its server",
        "free disk space, memory or connections there, then try again",
    ),
    "54": ("cannot store a value of that size", "use a smaller inventory"),
    "55": LOCKED,
    "57": (
        "is shutting down, or canceled the statement",
        "wait for the server, then run the same command again",
    ),
    "58": ("cannot be read or written: its server's disk reports an error", "check the server's log"),
    "XX": DAMAGED,
}
"""SQLSTATE, or its class (its first two characters) -> explanation; the whole code is looked up first."""


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn the driver's exceptions into a `DatabaseError` that names `where`."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        what, hint = explanation_of(error)
        raise DatabaseError(f"database {where} {what}{_detail(error)}", hint) from error
    except ModuleNotFoundError as error:
        raise DatabaseError(
            f"database {where} needs the package '{error.name}'", "pip install 'rollout[postgres]'"
        ) from error


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Turn exceptions of decoding into a `DatabaseError`: `what` is damaged."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, IndexError) as error:
        raise DatabaseError(f"{what} {DAMAGED[0]}: {error}", DAMAGED[1]) from error


def explanation_of(error: BaseException) -> Explanation:
    """Return the explanation of an error: by its code, or by its class if it has none."""
    origin: Any = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(origin, "sqlite_errorcode", None)
    if code is not None:
        return SQLITE.get(code & 0xFF, UNEXPECTED)
    state = getattr(origin, "sqlstate", None)
    if state:
        return POSTGRES.get(state) or POSTGRES.get(state[:2], UNEXPECTED)
    if isinstance(origin, (sqlite3.OperationalError, UnicodeDecodeError)):
        return DAMAGED  # Python's own error about text that is not UTF-8 has no code
    if type(origin).__module__.startswith("psycopg"):
        return UNREACHED
    return UNEXPECTED


def _detail(error: BaseException) -> str:
    """Return the first line of the driver's message; `hide_parameters` keeps bound values out of it."""
    origin = error.orig if isinstance(error, DBAPIError) else error
    lines = str(origin).strip().splitlines()
    return f" ({lines[0]})" if lines else ""
