"""The same faults over the real journal: SQLite and PostgreSQL, killed, overtaken, locked and full."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faults.__main__ import command
from faults.case import Case
from faults.cases import SCENARIOS, drawn
from faults.chances import Kills
from faults.ends import end_of, untouched
from faults.invariants import complaints
from faults.sql import SqlShelf, database_of, shelve
from postgres import fresh_database
from sqlalchemy import event, text

from rollout.store import Database

PLACES = ["sqlite", "postgres"]


@pytest.fixture(name="place", params=PLACES, scope="module")
def _place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Database, str]]:
    folder = tmp_path_factory.mktemp("faults")
    where = str(folder / "a.db") if request.param == "sqlite" else fresh_database()
    database, digest = database_of(where)
    yield database, digest
    database.close()


def seeds(place: tuple[Database, str], first: int, last: int) -> None:
    database, digest = place
    for seed in range(first, last):
        case = shelve(drawn(seed), database, digest, f"seed {seed}")
        found = complaints(case.run())
        assert found == [], f"{found}\n{command('seed', seed)} does the same in memory"
        assert isinstance(case.shelf, SqlShelf)
        assert database.verify_chain(case.shelf.run) is None


def test_drawn_faults_break_nothing_in_a_database(place: tuple[Database, str]) -> None:
    """Some seeds over the real journal; afterwards its chain is whole."""
    seeds(place, 0, 3)


@pytest.mark.slow
def test_drawn_faults_break_nothing_in_a_database_many_times(place: tuple[Database, str]) -> None:
    """The same for more seeds."""
    seeds(place, 3, 43)


@pytest.mark.parametrize("scenario", ["plain", "held"])
def test_killed_at_some_checkpoints_the_database_says_the_same(
    place: tuple[Database, str], scenario: str
) -> None:
    """Kills over the real journal: the same decision rows, batches and members as in memory without a kill."""
    database, digest = place
    whole, points = untouched(scenario)
    for first in range(3, len(points), 41):
        chances = Kills(first, 5)
        case = shelve(SCENARIOS[scenario](chances), database, digest, f"{scenario} {first}")
        record = case.run()
        assert complaints(record) == []
        assert end_of(record) == whole, f"killed at {chances.killed_at}"


def run_with_full_disks(case: Case, free_some: Callable[[], None]) -> int:
    """Run; whenever the disk is full, free some of it and start again. Give how often it was full."""
    full = 0
    while case.record.progress is None:
        case._one_session()
        if case.record.progress is None:
            assert case.record.ends[-1] == "DatabaseError"
            full += 1
            free_some()
    case.record.journal = case.shelf.reader()
    return full


def check_whole(case: Case, database: Database, whole: object) -> None:
    assert isinstance(case.shelf, SqlShelf)
    assert complaints(case.record) == []
    assert end_of(case.record) == whole
    assert database.check_integrity()[0]
    assert database.verify_chain(case.shelf.run) is None
    database.close()


def test_a_disk_that_is_really_full_costs_nothing(tmp_path: Path) -> None:
    """SQLite may not grow by a page: the run ends with one error, and goes on once there is one."""
    whole, _ = untouched("plain")
    database, digest = database_of(tmp_path / "a.db")
    case = shelve(SCENARIOS["plain"](Kills()), database, digest, "plain")
    engine = database._access.engine
    with engine.connect() as connection:
        limit = [int(connection.execute(text("PRAGMA page_count")).scalar_one())]

    @event.listens_for(engine, "connect")
    def confine(connection: Any, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {limit[0]}")

    def free_some() -> None:
        limit[0] += 1
        engine.dispose()

    engine.dispose()
    assert run_with_full_disks(case, free_some) >= 2
    check_whole(case, database, whole)


def full_at(folder: Path, whole: object, write: int) -> int:
    """Let the disk be full at the n-th writing statement; give how often that happened."""
    database, digest = database_of(folder / f"{write}.db")
    case = shelve(SCENARIOS["plain"](Kills()), database, digest, "plain")
    left = [write]

    @event.listens_for(database._access.engine, "before_cursor_execute")
    def refuse(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        # What only reads begins a transaction too, and needs no room.
        if not statement.startswith(("INSERT", "UPDATE", "DELETE")):
            return
        left[0] -= 1
        if left[0] == 0:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error

    times = run_with_full_disks(case, lambda: None)
    check_whole(case, database, whole)
    return times


@pytest.mark.parametrize("write", [1, 2, 3, 13])
def test_a_disk_that_is_full_at_a_write_costs_nothing(tmp_path: Path, write: int) -> None:
    """The n-th write fails: nothing of its transaction stays, the next executor goes on, and the end is the same."""
    assert full_at(tmp_path, untouched("plain")[0], write) == 1


@pytest.mark.slow
def test_a_disk_that_is_full_at_any_write_costs_nothing(tmp_path: Path) -> None:
    """The same for every write that the rollout makes."""
    whole, _ = untouched("plain")
    writes = 0
    while full_at(tmp_path, whole, writes + 1):
        writes += 1
    print(f"\n{writes} writes, each of them on a full disk")
    assert writes > 20
