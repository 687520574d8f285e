"""`rollout doctor`: check the installation. Reads only, except when a person releases a lease."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from rollout.api.control import user
from rollout.api.databases import open_db
from rollout.api.scenarios import world_of_plan
from rollout.cli.options import DEFAULT_DB, By, Db, Json, Settings, Verbose
from rollout.cli.terminal import emit, say
from rollout.directory.port import Check
from rollout.directory.registry import BACKENDS
from rollout.documents.executing import Check as CheckDocument
from rollout.documents.executing import Doctor, LeaseReleased
from rollout.errors import DatabaseError, RolloutError
from rollout.executor import directories
from rollout.loop.ports import Directory
from rollout.loop.undo import still_ours
from rollout.planning import membership_drift
from rollout.store import Database, open_database
from sim.engines.engine import FAST

ENOUGH_BYTES = 500_000_000


def doctor(
    release_lease: Annotated[
        str,
        typer.Option(
            "--release-lease", metavar="RUN-ID", help="Take the lease of this rollout away from its holder."
        ),
    ] = "",
    by: By = "",
    directory: Annotated[
        str, typer.Option(help=f"Check a real directory too: {' or '.join(BACKENDS)}. Reads only.")
    ] = directories.EMBEDDED,
    settings: Settings = directories.DEFAULT_SETTINGS,
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Check the database, the journal, the lease, the disk and the directory; change nothing.

    Only --release-lease changes something: the executor that loses its lease stops writing and sending. Exit 9 if
    something is wrong.

    Example: rollout doctor
    """
    if release_lease:
        take_lease_away(db, release_lease, by, as_json=as_json)
        return
    directories.check_name(directory)
    checks = [_python(), _disk(db), _engine(), *_database(db)]
    if directory != directories.EMBEDDED:
        checks += _real_directory(db, directory, settings)
    if as_json:
        emit(Doctor(checks=tuple(CheckDocument.build(check) for check in checks)))
    else:
        for check in checks:
            say(f"{'ok  ' if check.ok else 'BAD '} {check.name}: {check.sentence}")
    bad = [check.name for check in checks if not check.ok]
    if bad:
        raise DatabaseError(f"failed checks: {', '.join(bad)}", "see the lines above")


def _real_directory(db: str, name: str, settings: Path) -> list[Check]:
    """Let a real directory run its checks with the latest plan, and compare its members with the journal."""
    with open_db(db) as database:
        setting = world_of_plan(database, database.latest_plan())
        known = database.rollout_of(setting.stored.id)
        with directories.opened(database, setting, name, settings, known, read_only=True) as real:
            checks = real.checks()
            if known and all(check.ok for check in checks):
                real.prepare(setting.stored.plan)
                checks.append(_drift(database, known, real))
            return checks


def _drift(database: Database, rollout_id: str, real: Directory) -> Check:
    """Compare the devices that we added with the members: a person's removal stands, and is reported."""
    ours = still_ours(database.reader(rollout_id))
    gone = membership_drift(ours, real.members(ours)).withdrawn
    sentence = f"{len(ours) - len(gone):,} of {len(ours):,} devices that {rollout_id} added are members"
    if len(gone):
        sentence += f"; {len(gone):,} were removed by somebody else and are not added again"
    return Check("membership", True, sentence)


def take_lease_away(db: str, rollout_id: str, by: str, *, as_json: bool) -> None:
    """Let another executor continue at once; recorded in the journal with the person's name."""
    with open_db(db) as database:
        holder = database.rollout(rollout_id).lease.holder
        released = database.release_lease(rollout_id, by or user(), int(database.now()))
    if as_json:
        emit(LeaseReleased(rollout=rollout_id, released=released, holder=holder or None))
    elif released:
        say(f"the lease of {rollout_id} was taken away from {holder}; 'rollout run' can continue")
    else:
        say(f"nobody holds the lease of {rollout_id}")


def _python() -> Check:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Check("python", sys.version_info >= (3, 11), f"Python {version}, expected 3.11 or newer")


def _disk(db: str) -> Check:
    folder = Path(db).resolve().parent if "://" not in db else Path.cwd()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return Check("disk", free > ENOUGH_BYTES, f"{free / 1e9:.1f} GB free in {folder}, at least 0.5 GB needed")


def _engine() -> Check:
    text = "the fast engine is available" if FAST else "numba is missing: the slower SimPy engine is used"
    return Check("engine", True, text)


def _database(db: str) -> list[Check]:
    if "://" not in db and not Path(db).exists():
        return [Check("database", True, f"{db} does not exist yet; the first command creates it")]
    try:
        return _journal(db)
    except RolloutError as error:
        return [Check("database", False, error.message)]


def _journal(db: str) -> list[Check]:
    if "://" not in db and not os.access(db, os.W_OK):
        return [Check("database", False, f"{db} is read-only")]
    with open_database(db, create=False) as database:
        checks: list[tuple[str, Callable[[], tuple[bool, str]]]] = [
            ("database", database.check_integrity),
            ("journal", database.check_chain),
            ("lease", database.check_lease),
        ]
        return [Check(name, *check()) for name, check in checks]
