"""Harm done to the database: a change, a flip, a cut, a full disk, a kill. Refused, or nothing is lost."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import journals as build
import pytest
from journals import AT, Wall, child, filled, plan_for, raw, wait_for
from plan_builders import make_inventory
from postgres import fresh_database

from rollout.errors import DatabaseError, RefusedError, RolloutError
from rollout.store import Database, SqlJournal, open_database
from rollout.store.journal.outcomes import nothing_known
from rollout.values import Outcome

PLACES = ["sqlite", "postgres"]


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "rollout.db"


def played(path: Path) -> Path:
    """A database with a journal of some rows, closed."""
    with filled(path) as database:
        database.approve("plan-1", "anna", AT)
        log = database.membership_log("run-1")
        with database.journal("run-1", owner="a", now=Wall()) as journal:
            for number in range(8):
                batch = build.batch(number, range(number * 10, number * 10 + 10), ())
                journal.intend(
                    build.progress(number, number + 1), build.row(number, batch), batch, build.point(number)
                )
                log.append(AT, number, batch.rows)
                journal.confirm(number, 10, build.accepted(batch.rows), AT)
            known = nothing_known(100)
            known.outcome[:80], known.at[:80] = Outcome.ENROLLED, AT
            journal.save_outcomes(known)
    return path


CHANGES = {
    "a decision": "UPDATE entry SET body = replace(body, '\"phase\":1', '\"phase\":2') WHERE number = 2",
    "a batch": "UPDATE entry SET packed = x'00' WHERE number = 2",
    "an instant": "UPDATE entry SET at = at + 1 WHERE number = 3",
    "an epoch": "UPDATE entry SET epoch = 7 WHERE number = 3",
    "a kind": "UPDATE entry SET kind = 'session' WHERE number = 3",
    "a seal": "UPDATE entry SET seal = upper(seal) WHERE number = 3",
    "a removed row": "DELETE FROM entry WHERE number = 3",
    "a cut end": "DELETE FROM entry WHERE number > 10",
    "all rows": "DELETE FROM entry",
    "the head": "UPDATE lease SET head_number = 5",
    "a type": "UPDATE entry SET body = x'ff' WHERE number = 3",
}


BEGINNINGS = {
    "the seed": "UPDATE rollout SET seed = 2",
    "the directory": "UPDATE rollout SET directory = 'other'",
    "the speed": "UPDATE rollout SET speed = '7'",
    "the start": "UPDATE rollout SET started_at = started_at + 1",
    "the first row": "UPDATE entry SET at = at + 1 WHERE number = 1",
}


@pytest.mark.parametrize("change", [*CHANGES, *BEGINNINGS])
def test_a_changed_journal_is_refused(path: Path, change: str) -> None:
    """Whatever is changed in the journal by hand, it is neither read nor continued, and doctor says where.

    What the rollout was begun with is refused as a plan that was changed is.
    """
    played(path)
    with raw(path) as connection:
        assert connection.execute((CHANGES | BEGINNINGS)[change]).rowcount > 0
    before = path.read_bytes()
    expected = RefusedError if change in BEGINNINGS else DatabaseError
    with open_database(str(path)) as database:
        for act in (database.reader, lambda: database.journal("run-1", owner="b", now=Wall())):
            with pytest.raises(expected, match="run-1"):
                act()
        broken = database.verify_chain("run-1")
        assert broken is not None
        ok, sentence = database.check_chain()
        assert not ok
        assert f"row {broken.number}" in sentence
    assert path.read_bytes() == before


SWAPS = {
    "plan": "UPDATE plan SET body = (SELECT body FROM plan WHERE id = 2) WHERE id = 1",
    "digest": "UPDATE plan SET digest = replace(digest, 'a', 'b') WHERE id = 1",
    "inventory": "UPDATE inventory SET digest = replace(digest, 'a', 'b')",
    "approver": "UPDATE approval SET by = 'mallory'",
    "bytes": "UPDATE plan SET body = x'789c' WHERE id = 1",
    "kind": "UPDATE plan SET body = (SELECT body FROM inventory) WHERE id = 1",
    "text": "UPDATE plan SET body = 'text' WHERE id = 1",
}


@pytest.mark.parametrize("swap", SWAPS)
def test_a_changed_plan_is_refused(path: Path, swap: str) -> None:
    """A plan, its inventory and its approval are what they were when they were stored, or nothing."""
    with filled(path) as database:
        database.add_plan(plan_for(make_inventory(100), "other"), "inv-1")
        database.approve("plan-1", "anna", AT)
    with raw(path) as connection:
        assert connection.execute(SWAPS[swap]).rowcount > 0
    with open_database(str(path)) as database, pytest.raises(RefusedError):
        database.plan("plan-1")


def test_each_byte_of_a_stored_plan_counts(path: Path) -> None:
    """A plan edited by one byte, anywhere, is refused."""
    filled(path).close()
    with raw(path) as connection:
        (body,) = connection.execute("SELECT body FROM plan").fetchone()
    with open_database(str(path)) as database:
        for place in range(0, len(body), max(1, len(body) // 60)):
            edited = bytearray(body)
            edited[place] ^= 1 << place % 8
            with raw(path) as connection:
                connection.execute("UPDATE plan SET body = ?", (bytes(edited),))
            with pytest.raises(RefusedError):
                database.plan()


def told(path: Path) -> Any:
    """Everything that execution builds upon."""
    with open_database(str(path), create=False) as database:
        stored = database.plan()
        with database.journal("run-1", owner="b", now=Wall(AT + 999)) as journal:
            log = [(at, batch, rows.tolist()) for at, batch, rows in database.membership_log("run-1").load()]
            batches = [
                (batch.number, batch.rows.tolist(), journal.confirmed(batch.number))
                for batch in journal.batches()
            ]
            return stored.digest, database.rollout("run-1").seed, batches, journal.progress(), log


def harm(path: Path, times: int, seed: int) -> tuple[int, int]:
    """Flip bytes and cut the end; give (refused, harmless). Fails if anything else is told."""
    played(path)
    whole, before = path.read_bytes(), None
    copy = path.with_name("copy.db")
    copy.write_bytes(whole)
    before = told(copy)
    chance, refusals, harmless = random.Random(seed), 0, 0
    for number in range(times):
        bad = bytearray(whole)
        if number % 6 == 5:
            del bad[chance.randrange(len(bad)) :]
        else:
            bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
        copy.write_bytes(bad)
        try:
            after = told(copy)
        except RolloutError:
            refusals += 1
        else:
            assert after == before, f"seed {seed}, number {number}"
            harmless += 1
    return refusals, harmless


def test_damaged_files_are_refused_or_harmless(path: Path) -> None:
    """Bytes flipped anywhere, ends cut off: either an error of one line, or nothing that matters is changed."""
    refusals, harmless = harm(path, 24, seed=1)
    assert refusals + harmless == 24
    assert refusals >= 5


@pytest.mark.slow
def test_many_damaged_files_are_refused_or_harmless(path: Path) -> None:
    """The same with 100 flips and 20 cuts."""
    refusals, harmless = harm(path, 120, seed=2)
    assert refusals >= 30
    assert refusals + harmless == 120


# Trouble while writing


def fill(journal: SqlJournal) -> None:
    for _ in range(1000):
        journal.session(AT, "note", "x" * 500)


def test_a_full_disk_is_one_line_and_leaves_the_database_whole(path: Path) -> None:
    """Where nothing fits any more the write fails whole, and goes on once there is room."""
    with filled(path) as database:
        journal = database.journal("run-1", owner="a", now=Wall())
        with database._access.reading() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(DatabaseError, match="disk is full") as caught:
            fill(journal)
        number = len(database.reader("run-1").sessions())
        assert "\n" not in caught.value.message
        assert database.verify_chain("run-1") is None
        with database._access.reading() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
        journal.session(AT, "note", "there is room again")
        assert len(database.reader("run-1").sessions()) == number + 1
        assert database.check_integrity()[0]
        assert database.verify_chain("run-1") is None


def test_a_locked_database_is_waited_for_then_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program that keeps the file locked is an error in words, after a while."""
    monkeypatch.setattr("rollout.store.connection.access.BUSY_S", 0.2)
    with filled(path) as database, contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        begun = time.monotonic()
        with pytest.raises(DatabaseError, match="locked"):
            database.command("run-1", "pause", "anna", "", AT)
        assert time.monotonic() - begun < 3
        other.execute("ROLLBACK")
        database.command("run-1", "pause", "anna", "", AT)


def test_a_stalled_process_on_a_server_is_not_waited_for_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    """On PostgreSQL a lock that somebody keeps is an error in words, and a stalled transaction is ended."""
    monkeypatch.setattr("rollout.store.connection.access.BUSY_S", 0.2)
    monkeypatch.setattr("rollout.store.connection.access.STALLED_S", 1.0)
    place = fresh_database()
    with filled(place) as database, open_database(place) as other:
        with pytest.raises(DatabaseError, match="a stalled transaction"):
            stall(other, database)
        assert database.reader("run-1").commands().paused


def stall(other: Database, database: Database) -> None:
    """Keep the lease's lock in `other`, first shorter, then longer than it may be kept."""
    with other._access.writing() as stalled:
        stalled.exec_driver_sql("SELECT * FROM lease FOR UPDATE")
        with pytest.raises(DatabaseError, match="locked"):
            database.command("run-1", "pause", "anna", "", AT)
        time.sleep(1.5)
        database.command("run-1", "pause", "anna", "", AT)


READ_ONLY = """
import os, sys
from rollout.errors import DatabaseError
import rollout.store.tables, rollout.store.database, alembic.command
from rollout.store import open_database
if os.geteuid() == 0:
    os.setuid(65534)
try:
    database = open_database(sys.argv[1])
    database.journal("run-1", owner="a")
except DatabaseError as error:
    print(error.message)
"""


def test_a_read_only_database_is_refused(tmp_path: Path) -> None:
    """Where this user may not write, taking the lease already fails, and nothing is changed."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    path = folder / "rollout.db"
    filled(path).close()
    for parent in (folder, *folder.parents):
        if parent == Path(tempfile.gettempdir()):
            break
        parent.chmod(0o755)
    path.chmod(0o444)
    before = path.read_bytes()
    process = child(READ_ONLY, str(path))
    out, err = process.communicate(timeout=60)
    assert not err
    assert "cannot be written" in out or "cannot be opened" in out
    assert path.read_bytes() == before
    if os.geteuid() == 0:
        folder.chmod(0o755)


def test_a_folder_that_may_not_be_entered_is_one_line(tmp_path: Path) -> None:
    """Not even looking is allowed there: a `DatabaseError`, as for every other unusable file."""
    folder = tmp_path / "locked"
    folder.mkdir()
    for parent in (folder, *folder.parents):
        if parent == Path(tempfile.gettempdir()):
            break
        parent.chmod(0o755)
    folder.chmod(0o700)
    process = child(READ_ONLY, str(folder / "rollout.db"))
    out, err = process.communicate(timeout=60)
    assert not err
    assert "cannot read database" in out or os.geteuid() != 0


WRITER = """
import sys
import journals as build
from rollout.store import open_database
database = open_database(sys.argv[1])
journal = database.journal("run-1", owner="child", lease_s=1)
print("ready", flush=True)
known = len(journal.batches())
for number in range(known, 100000):
    batch = build.batch(number, [number % 100], ())
    journal.intend(build.progress(number, number + 1), build.row(number, batch), batch, build.point(number))
    print(number, flush=True)
"""


def kill_often(place: str, times: int, seed: int) -> None:
    """SIGKILL a writer at random moments; what it said to have written is there, and the chain holds."""
    chance = random.Random(seed)
    with filled(place) as database:
        said = -1
        for _ in range(times):
            process = child(WRITER, place)
            wait_for(process, "ready")
            time.sleep(chance.uniform(0.0, 0.25))
            process.send_signal(signal.SIGKILL)
            lines = process.communicate()[0].split("\n")
            said = max([said, *(int(line) for line in lines[:-1])])
            broken = database.verify_chain("run-1")
            assert broken is None
            assert database.check_integrity()[0]
            assert len(database.reader("run-1").batches()) in (said + 1, said + 2)
            said = len(database.reader("run-1").batches()) - 1
        assert said > 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux knows at once that the killed holder is gone")
@pytest.mark.parametrize("kind", PLACES)
def test_a_killed_writer_loses_nothing(kind: str, path: Path) -> None:
    """What an executor wrote before SIGKILL is there; what it was writing is there whole or not at all."""
    kill_often(str(path) if kind == "sqlite" else fresh_database(), 3, seed=1)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux knows at once that the killed holder is gone")
@pytest.mark.parametrize("kind", PLACES)
def test_a_writer_killed_often_loses_nothing(kind: str, path: Path) -> None:
    """The same, fifteen times."""
    kill_often(str(path) if kind == "sqlite" else fresh_database(), 15, seed=2)
