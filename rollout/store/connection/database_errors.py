"""What databases say, as one line for people: a table for SQLite's codes and one for PostgreSQL's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from rollout.errors import DatabaseError

Said = tuple[str, str]
"""What is wrong, and what to do."""

DAMAGED: Said = ("is damaged", "restore a backup; 'rollout doctor' says what is readable")
LOCKED: Said = ("is locked by another process", "wait until it ends, then run the same command again")
FULL: Said = ("has no room: the disk is full", "free some space, then run the same command again")
READ_ONLY: Said = ("cannot be written", "make file and folder writable for this user")
UNOPENED: Said = ("cannot be opened", "check that folder and file exist and that this user may use them")
MISREAD: Said = ("answered something unexpected", "run the command again with -v and report the detail")
UNREACHED: Said = ("cannot be reached", "check that the server runs, its address, user and password")

SQLITE: Mapping[int, Said] = {
    1: MISREAD,  # SQLITE_ERROR
    2: MISREAD,  # INTERNAL
    3: READ_ONLY,  # PERM
    4: MISREAD,  # ABORT
    5: LOCKED,  # BUSY
    6: LOCKED,  # LOCKED
    7: ("has no memory left", "close other programs, then run the same command again"),
    8: READ_ONLY,  # READONLY
    9: ("was interrupted", "run the same command again"),
    10: ("cannot be read or written: the disk reports an error", "check disk and cable, then run it again"),
    11: DAMAGED,  # CORRUPT
    12: MISREAD,  # NOTFOUND
    13: FULL,  # FULL
    14: UNOPENED,  # CANTOPEN
    15: LOCKED,  # PROTOCOL
    16: DAMAGED,  # EMPTY
    17: ("was changed while it was read", "run the same command again"),
    18: ("cannot hold a value of that size", "use PostgreSQL, or a smaller inventory"),
    19: MISREAD,  # CONSTRAINT
    20: DAMAGED,  # MISMATCH
    21: MISREAD,  # MISUSE
    22: ("is too large for this system", "use a file system that holds large files"),
    23: READ_ONLY,  # AUTH
    24: DAMAGED,  # FORMAT
    25: MISREAD,  # RANGE
    26: ("is no SQLite database", "name another file with --db"),
}
"""Primary result code -> what to say; extended codes are looked up by their lowest byte."""

POSTGRES: Mapping[str, Said] = {
    "08": UNREACHED,
    "0A": MISREAD,
    "22": MISREAD,
    "23": MISREAD,
    "25": MISREAD,
    "25006": ("cannot be written", "connect to the primary server, with a user that may write"),
    "25P03": ("ended a transaction that stalled", "run the same command again"),
    "28": ("refuses this user", "check user and password of the URL"),
    "3D": ("does not exist on its server", "create it with createdb, or correct the URL"),
    "3F": ("lacks its schema", "correct the user's search_path"),
    "40": LOCKED,
    "42": ("refuses a statement", "give the user all rights on its database"),
    "53": ("has no room left on its server", "free disk, memory or connections there, then run it again"),
    "54": ("cannot hold a value of that size", "use a smaller inventory"),
    "55": LOCKED,
    "57": ("is shutting down, or ended the statement", "wait for the server, then run it again"),
    "58": ("cannot be read or written: its server's disk reports an error", "look at the server's log"),
    "XX": DAMAGED,
}
"""SQLSTATE, or its class (its first two characters) -> what to say; the whole code is looked up first."""


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn what the driver raises within into a `DatabaseError` that names `where`."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        what, hint = said_of(error)
        raise DatabaseError(f"database {where} {what}{_detail(error)}", hint) from error
    except ModuleNotFoundError as error:
        raise DatabaseError(
            f"database {where} needs the package '{error.name}'", "pip install 'rollout[postgres]'"
        ) from error


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Turn what decoding raises within into a `DatabaseError`: `what` is damaged."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, IndexError) as error:
        raise DatabaseError(f"{what} {DAMAGED[0]}: {error}", DAMAGED[1]) from error


def said_of(error: BaseException) -> Said:
    """Return what to say of an error: by its code, or by its class where it has none."""
    origin: Any = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(origin, "sqlite_errorcode", None)
    if code is not None:
        return SQLITE.get(code & 0xFF, MISREAD)
    state = getattr(origin, "sqlstate", None)
    if state:
        return POSTGRES.get(state) or POSTGRES.get(state[:2], MISREAD)
    if isinstance(origin, (sqlite3.OperationalError, UnicodeDecodeError)):
        return DAMAGED  # Python's own complaint about a text that is no UTF-8 has no code
    if type(origin).__module__.startswith("psycopg"):
        return UNREACHED
    return MISREAD


def _detail(error: BaseException) -> str:
    """The driver's own first line. No bound values are in it, since `hide_parameters` is set."""
    origin = error.orig if isinstance(error, DBAPIError) else error
    lines = str(origin).strip().splitlines()
    return f" ({lines[0]})" if lines else ""
