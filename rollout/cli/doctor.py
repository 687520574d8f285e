"""`rollout doctor`: is everything in order? Reads only."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from rollout.cli.options import DEFAULT_DB, Db, Json, Verbose
from rollout.cli.terminal import emit, say
from rollout.errors import DatabaseError, RolloutError

ENOUGH_BYTES = 500_000_000


class Check(NamedTuple):
    """One thing that was looked at."""

    name: str
    ok: bool
    sentence: str


def doctor(db: Db = DEFAULT_DB, as_json: Json = False, verbose: Verbose = 0) -> None:
    """Look at the database, its journal's chain, the lease, the disk and the engine; change nothing.

    Exit 9 if something is wrong. Example: rollout doctor
    """
    checks = [_python(), _disk(db), _engine(), *_database(db)]
    if as_json:
        emit({"checks": [one._asdict() for one in checks]})
    else:
        for one in checks:
            say(f"{'ok  ' if one.ok else 'BAD '} {one.name}: {one.sentence}")
    bad = [one.name for one in checks if not one.ok]
    if bad:
        raise DatabaseError(f"not in order: {', '.join(bad)}", "the lines above say what was found")


def _python() -> Check:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Check("python", sys.version_info >= (3, 11), f"Python {version}, expected 3.11 or newer")


def _disk(db: str) -> Check:
    folder = Path(db).resolve().parent if "://" not in db else Path.cwd()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return Check("disk", free > ENOUGH_BYTES, f"{free / 1e9:.1f} GB free in {folder}, expected 0.5 GB")


def _engine() -> Check:
    from sim.engine import FAST

    text = "the fast engine serves" if FAST else "numba is missing: the SimPy engine serves, slower"
    return Check("engine", True, text)


def _database(db: str) -> list[Check]:
    if "://" not in db and not Path(db).exists():
        return [Check("database", True, f"{db} does not exist yet; the first command makes it")]
    try:
        return _journal(db)
    except RolloutError as error:
        return [Check("database", False, error.message)]


def _journal(db: str) -> list[Check]:
    from rollout.store import open_database

    if "://" not in db and not os.access(db, os.W_OK):
        return [Check("database", False, f"{db} is read-only")]
    database = open_database(db, create=False)
    looks: list[tuple[str, Callable[[], tuple[bool, str]]]] = [
        ("database", database.check_integrity),
        ("journal", database.check_chain),
        ("lease", database.check_lease),
    ]
    return [Check(name, *look()) for name, look in looks]
