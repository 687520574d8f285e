"""The database: what it refuses, what survives, what it verifies."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import journals as build
import numpy as np
import pytest
from journals import AT, Wall, filled, plan_for, raw, refused
from plan_builders import make_inventory
from postgres import fresh_database

from rollout.errors import DatabaseError, RefusedError, UsageError
from rollout.store import Database, open_database
from rollout.store.connection.access import is_wal_safe
from rollout.store.connection.database_errors import POSTGRES, SQLITE, UNEXPECTED, message_of
from rollout.store.journal.outcomes import nothing_known
from rollout.values import DeviceOutcomes, Finding, Outcome, Severity, State

PLACES = ["sqlite", "postgres"]


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "rollout.db"


@pytest.fixture(name="database", params=PLACES)
def _database(request: pytest.FixtureRequest, path: Path) -> Iterator[Database]:
    with filled(path if request.param == "sqlite" else fresh_database()) as database:
        yield database


# Opening


def test_a_missing_database_is_made_only_if_asked_for(path: Path) -> None:
    """Without `create`, nothing is created."""
    assert "no rollout database at" in refused(path, create=False).message
    assert not path.exists()
    open_database(str(path)).close()
    assert path.exists()


def test_what_is_no_database_is_refused(tmp_path: Path, path: Path) -> None:
    """A directory, a text file, another program's database and a missing folder each get their own sentence."""
    assert "is a directory" in refused(tmp_path).message
    assert "the folder of database" in refused(tmp_path / "no" / "rollout.db").message
    path.write_text("Device ID,Device name\n")
    assert "is not an SQLite database" in refused(path).message
    assert path.read_text() == "Device ID,Device name\n"
    with raw(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE songs (title)")
    assert "another program (it has a table 'songs')" in refused(tmp_path / "other.db").message


def test_an_empty_file_becomes_a_database(path: Path) -> None:
    """An empty file may be left by a creation that was killed."""
    path.touch()
    with open_database(str(path)) as database:
        assert not database.has_plans()


def test_an_unknown_kind_of_database_is_a_usage_error() -> None:
    """The error about an unsupported or invalid URL says what is supported and shows no password."""
    for url in ("mysql://u:secret@h/d", "sqlite://", "postgresql+psycopg://u:secret@h:port/d"):
        with pytest.raises(UsageError) as caught:
            open_database(url)
        assert "secret" not in f"{caught.value} {caught.value.hint}"


def test_an_unreachable_server_is_one_line_without_the_password() -> None:
    """A PostgreSQL that does not answer is a `DatabaseError`; the password is not in it."""
    pytest.importorskip("psycopg")
    error = refused("postgresql+psycopg://anna:secret@127.0.0.1:1/rollout?application_name=hidden")
    assert "cannot be reached" in error.message
    assert "secret" not in f"{error.message} {error.hint}"


def test_a_newer_database_is_refused(path: Path) -> None:
    """A database of a later version is not changed."""
    filled(path).close()
    with raw(path) as connection:
        connection.execute("UPDATE rollout_schema SET version_num = 'rollout_9999'")
    before = path.read_bytes()
    error = refused(path)
    assert "found rollout_9999" in error.message
    assert "update rollout" in error.hint
    assert path.read_bytes() == before


@pytest.mark.parametrize("version", ["1a2b3c4d", "", "rollout_1"])
def test_another_lineage_is_refused(path: Path, version: str) -> None:
    """A version that rollout never had belongs to another program."""
    filled(path).close()
    with raw(path) as connection:
        connection.execute("UPDATE rollout_schema SET version_num = ?", (version,))
    assert "the unknown version" in refused(path).message


def test_the_write_ahead_log_is_used_only_where_it_is_safe() -> None:
    """The WAL-reset bug was fixed in 3.51.3, 3.50.7 and 3.44.6."""
    safe = [(3, 51, 3), (3, 52, 0), (4, 0, 0), (3, 50, 7), (3, 50, 9), (3, 44, 6)]
    unsafe = [(3, 51, 2), (3, 51, 0), (3, 50, 6), (3, 44, 5), (3, 45, 9), (3, 40, 1), (3, 49, 99)]
    assert all(is_wal_safe(version) for version in safe)
    assert not any(is_wal_safe(version) for version in unsafe)


def test_transactions_are_durable_and_immediate(path: Path) -> None:
    """Writers take the lock when they begin; each commit waits for the disk."""
    with filled(path) as database, database._access.writing() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        expected = "wal" if is_wal_safe(sqlite3.sqlite_version_info[:3]) else "delete"
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == expected
        with (
            contextlib.closing(sqlite3.connect(path, timeout=0)) as other,
            pytest.raises(sqlite3.OperationalError),
        ):
            other.execute("BEGIN IMMEDIATE")


# What is stored


def test_values_come_back_as_they_were(database: Database) -> None:
    """Inventory, findings, plan, scenario, approval and simulation are read as they were written."""
    inventory = make_inventory(100)
    assert database.inventory().fleet.digest == inventory.fleet.digest
    assert database.inventory("inv-1").files == inventory.files
    findings = [
        Finding("E1", Severity.BLOCK, 7, "no record", "join it", {"found": "ä"}),
        Finding("T2", Severity.WARN, -1, "mode is All", "set Pilot"),
    ]
    assert database.findings("inv-1") == ()
    for _ in range(2):
        database.add_findings("inv-1", findings)
        assert database.findings("inv-1") == tuple(findings)
    stored = database.plan()
    assert stored.plan.digest == stored.digest == plan_for(inventory).digest
    assert (stored.id, stored.inventory_id, stored.scenario) == ("plan-1", "inv-1", "[rollout]\n")
    assert (stored.approved_by, stored.approved_at) == ("", -1)
    database.approve("plan-1", "anna", AT)
    database.approve(stored.digest[:8], "ben", AT + 1)
    assert (database.plan().approved_by, database.plan().approved_at) == ("ben", AT + 1)
    assert database.simulations("plan-1") is None
    assert database.add_simulation("plan-1", {"eta": 1.5, "none": None}) == "sim-1"
    assert database.add_simulation("plan-1", {"eta": 2.5}) == "sim-2"
    assert database.simulations() == {"eta": 2.5}


def test_ids_are_found_by_name_prefix_or_default(database: Database) -> None:
    """None means the latest; the error about an unknown, short or ambiguous key names what exists."""
    inventory = make_inventory(100)
    digest = database.plan("plan-1").digest
    other = database.add_plan(plan_for(inventory, "other"), "inv-1")
    assert other == database.plan().id == "plan-2"
    assert database.plan(digest[:4].upper()).id == "plan-1"
    assert database.add_plan(plan_for(inventory), "inv-1") == "plan-1"
    for key, said in (
        ("plan-9", "plan-2, plan-1"),
        ("inv-1", "plan-2, plan-1"),
        (digest[:3], "at least 4 digits"),
        ("0" * 60, "no plan digest starts"),
        ("x'; DROP TABLE plan; --", "plan-2, plan-1"),
    ):
        with pytest.raises(UsageError, match=said):
            database.plan(key)
    with pytest.raises(UsageError, match="run-1"):
        database.rollout("run-7")
    with pytest.raises(UsageError, match="inv-1"):
        database.inventory("inv-2")


def test_an_ambiguous_digest_names_its_plans(database: Database) -> None:
    """Two plans whose digests start the same are both named."""
    from rollout.store.vault import PLAN

    inventory = make_inventory(100)
    database.add_plan(plan_for(inventory, "other"), "inv-1")
    with database._access.writing() as connection:
        connection.execute(PLAN.update().where(PLAN.c.id == 1).values(digest="abcd" + "0" * 60))
        connection.execute(PLAN.update().where(PLAN.c.id == 2).values(digest="abcd" + "1" * 60))
    with pytest.raises(UsageError, match=r"plan-1 .*plan-2"):
        database.plan("abcd")


def test_an_empty_database_says_what_comes_first(path: Path) -> None:
    """If nothing exists, the hint names the command that creates the first."""
    with open_database(str(path)) as database:
        for look, command in (
            (database.inventory, "rollout inventory"),
            (database.plan, "rollout plan"),
            (database.rollout, "rollout run"),
        ):
            with pytest.raises(UsageError) as caught:
                look()
            assert command in caught.value.hint


def test_a_plan_of_another_inventory_is_refused(database: Database) -> None:
    """A plan is stored only with the inventory that it was made from."""
    database.add_inventory(make_inventory(90))
    with pytest.raises(RefusedError, match="was made from inventory"):
        database.add_plan(plan_for(make_inventory(100), "other"), "inv-2")


def test_outcomes_are_written_when_they_change(database: Database) -> None:
    """Only changed devices are written, and the next executor knows what was written."""
    with database.journal("run-1", owner="a", now=Wall()) as journal:
        known = nothing_known(100)
        assert journal.save_outcomes(known) == 0
        known.outcome[[3, 5]], known.at[[3, 5]] = Outcome.PENDING, AT
        assert journal.save_outcomes(known) == 2
        known.outcome[5], known.code[5] = Outcome.FAILED, 0x80180014
        assert journal.save_outcomes(known) == 1
        assert journal.save_outcomes(known) == 0
    with database.journal("run-1", owner="b", now=Wall()) as journal:
        assert journal.save_outcomes(known) == 0
    read: DeviceOutcomes = database.reader().outcomes()
    for name in ("outcome", "at", "code"):
        assert np.array_equal(getattr(read, name), getattr(known, name))


def test_the_directorys_memory_is_kept_in_order(database: Database) -> None:
    """Additions are read in order with their instants, separately from the journal."""
    log = database.membership_log("run-1")
    added = [(AT, 0, [3, 1]), (AT + 5, 0, []), (AT + 9, 1, [7]), (AT + 20, -1, [3]), (AT + 30, -2, [1, 7])]
    for at, batch, rows in added:
        log.append(at, batch, build.rows_of(*rows))
    again = database.membership_log("run-1").load()
    assert [(at, batch, rows.tolist()) for at, batch, rows in again] == added
    assert database.reader().audit() == ()


def test_a_rollout_tells_its_state(database: Database) -> None:
    """The state is that of the last decision; a finished rollout keeps it."""
    assert database.rollout().state is None
    assert database.rollout_of("plan-1") == "run-1"
    with database.journal("run-1", owner="a", now=Wall()) as journal:
        for number, state in enumerate((State.RUNNING, State.HELD, State.FINISHED)):
            journal.intend(build.progress(number, 0, state), build.row(number), None, build.point(number))
            assert database.rollout().state is state
    assert [rollout.id for rollout in database.rollouts()] == ["run-1"]


def test_the_audit_says_who_did_what_and_why(database: Database) -> None:
    """Leases, decisions, commands and errors are listed in order, with their reasons."""
    with database.journal("run-1", owner="host:1", now=Wall()) as journal:
        batch = build.batch(0)
        journal.intend(build.progress(0, 1), build.row(0, batch), batch, build.point(0))
        database.command("run-1", "pause", "anna", "help desk is full", AT)
        journal.session(AT, "unreadable", "no answer")
        journal.cancel(0, AT, "halted")
    audit = [(who, what, why) for _, who, what, why in database.reader("run-1").audit()]
    assert audit == [
        ("host:1", "lease taken", "epoch 1"),
        ("host:1", "released 4", "decision 0"),
        ("anna", "pause", "help desk is full"),
        ("host:1", "unreadable", "no answer"),
        ("host:1", "cancelled 4 of batch 1", "halted"),
        ("host:1", "lease released", "ended"),
    ]


# Sentences


def test_every_code_of_sqlite_has_words() -> None:
    """The table knows each primary result code that Python names."""
    names = [name for name in dir(sqlite3) if name.startswith("SQLITE_") and name.count("_") == 1]
    codes = {getattr(sqlite3, name) for name in names if isinstance(getattr(sqlite3, name), int)}
    known = [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB]
    assert codes.issuperset(known)
    # The primary result codes are 1 to 26 without gaps; 27 and 28 are notices, 100 and 101 no errors.
    assert set(SQLITE) == set(range(1, 27))
    assert all(what and hint for what, hint in (*SQLITE.values(), *POSTGRES.values()))


def test_an_unknown_error_still_has_words() -> None:
    """All other errors of a driver get a general sentence."""
    assert message_of(sqlite3.InterfaceError("odd")) == UNEXPECTED


def test_bound_values_never_show(path: Path) -> None:
    """An error that the database raises over a value does not print it."""
    from sqlalchemy import text

    with (
        filled(path) as database,
        pytest.raises(DatabaseError) as caught,
        database._access.writing() as connection,
    ):
        connection.execute(text("INSERT INTO no_such_table VALUES (:secret)"), {"secret": "canary-5417"})
    error: BaseException | None = caught.value
    while error is not None:
        assert "canary-5417" not in f"{error} {error!r}"
        error = error.__cause__


def test_asking_for_help_loads_no_database() -> None:
    """Importing the command line and the API loads no database package."""
    code = (
        "import sys, json, rollout.cli.app, rollout.api;"
        "print(json.dumps([m for m in ('sqlmodel', 'sqlalchemy', 'alembic') if m in sys.modules]))"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert json.loads(out) == []
