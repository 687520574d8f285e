"""One contract for every journal: in memory, in SQLite, in PostgreSQL."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import journals as build
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journals import AT, Wall, filled
from postgres import fresh_database

from rollout.loop.ports import Journal
from rollout.store import Database, SqlJournal
from rollout.values import Applied, Batch, Commands, State
from sim.world.journal import MemoryJournal

Make = Callable[[], Journal]


def sql_maker(database: Database) -> Make:
    """Give what makes an empty journal in `database`: one directory each, so one rollout each."""
    numbers = itertools.count()

    def make() -> SqlJournal:
        run = database.start_rollout("plan-1", f"directory {next(numbers)}", 1, "max", AT)
        return database.journal(run, owner="test", now=Wall())

    return make


@pytest.fixture(name="make", params=["memory", "sqlite", "postgres"], scope="module")
def _make(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    if request.param == "memory":
        yield MemoryJournal
        return
    folder = tmp_path_factory.mktemp("journal")
    place = str(folder / "a.db") if request.param == "sqlite" else fresh_database()
    with filled(place) as database:
        yield sql_maker(database)


@pytest.fixture(name="journal")
def _journal(make: Make) -> Journal:
    return make()


def told(journal: Journal) -> dict[str, Any]:
    """Everything that a journal says, comparable."""
    return {
        "progress": journal.progress(),
        "batches": [plain(batch) for batch in journal.batches()],
        "confirmed": [journal.confirmed(batch.number) for batch in journal.batches()],
        "decisions": list(journal.decisions()),
        "points": list(journal.points()),
        "commands": journal.commands(),
    }


def plain(batch: Batch) -> tuple[Any, ...]:
    assert batch.rows.dtype == np.int32
    assert batch.adopted.dtype == np.int32
    return batch.number, batch.phase, batch.at, batch.rows.tolist(), batch.adopted.tolist()


def test_an_empty_journal_knows_nothing(journal: Journal) -> None:
    """A new journal has no progress, no batches, no decisions, no counts and no commands."""
    assert told(journal) == {
        "progress": None,
        "batches": [],
        "confirmed": [],
        "decisions": [],
        "points": [],
        "commands": Commands(),
    }
    journal.check()


def test_a_decision_is_remembered_with_its_progress_and_counts(journal: Journal) -> None:
    """What was intended last is the progress; rows and counts come in order."""
    for number in range(3):
        journal.intend(build.progress(number), build.row(number), None, build.point(number))
    assert journal.progress() == build.progress(2)
    assert list(journal.decisions()) == [build.row(number) for number in range(3)]
    assert list(journal.points()) == [build.point(number) for number in range(3)]
    assert not journal.batches()


def test_an_intended_batch_is_unconfirmed(journal: Journal) -> None:
    """A batch comes back with its rows in release order, and nobody in it is confirmed."""
    batch = build.batch(0)
    journal.intend(build.progress(0, 1), build.row(0, batch), batch, build.point(0))
    assert [plain(batch) for batch in journal.batches()] == [plain(batch)]
    assert journal.confirmed(0) == 0


def test_batches_are_dense(journal: Journal) -> None:
    """A batch whose number is not the next one is a programmer's mistake, and leaves no trace."""
    batch = build.batch(1)
    with pytest.raises(ValueError, match="expected batch 0"):
        journal.intend(build.progress(0, 1), build.row(0, batch), batch, build.point(0))
    assert journal.progress() is None
    assert not journal.batches()


def test_confirmations_grow(journal: Journal) -> None:
    """The furthest confirmation counts, whatever order they come in."""
    batch = build.batch(0)
    journal.intend(build.progress(0, 1), build.row(0, batch), batch, build.point(0))
    for upto, expected in ((2, 2), (4, 4), (3, 4)):
        journal.confirm(0, upto, build.accepted(batch.rows[:upto]), AT)
        assert journal.confirmed(0) == expected


def test_a_rejection_confirms_too(journal: Journal) -> None:
    """A refused device has been answered."""
    batch = build.batch(0)
    journal.intend(build.progress(0, 1), build.row(0, batch), batch, build.point(0))
    answer = Applied(batch.rows[:1], batch.rows[1:2], batch.rows[2:], ("no such device", "gone"))
    journal.confirm(0, 4, answer, AT)
    assert journal.confirmed(0) == 4


def test_a_cancelled_batch_is_done(journal: Journal) -> None:
    """Nothing of a cancelled batch is ever sent, so it counts as confirmed to its end."""
    batch = build.batch(0)
    journal.intend(build.progress(0, 1), build.row(0, batch), batch, build.point(0))
    journal.confirm(0, 1, build.accepted(batch.rows[:1]), AT)
    journal.cancel(0, AT, "halted")
    assert journal.confirmed(0) == 4


def test_observed_counts_are_no_decision(journal: Journal) -> None:
    """Counts that are only observed are points, and change nothing else."""
    journal.intend(build.progress(0), build.row(0), None, build.point(0))
    journal.observe(build.point(1))
    assert list(journal.points()) == [build.point(0), build.point(1)]
    assert len(journal.decisions()) == 1
    assert journal.progress() == build.progress(0)


def test_observed_counts_survive_the_next_write(journal: Journal) -> None:
    """Counts may wait for the next write; they come in the order in which they were observed."""
    journal.intend(build.progress(0), build.row(0), None, build.point(0))
    journal.observe(build.point(1))
    journal.observe(build.point(2))
    journal.intend(build.progress(3), build.row(3), None, build.point(3))
    journal.observe(build.point(4))
    assert list(journal.points()) == [build.point(number) for number in range(5)]


def test_session_rows_change_no_decision(journal: Journal) -> None:
    """What happens to an execution is kept apart from what was decided."""
    journal.intend(build.progress(0), build.row(0), None, build.point(0))
    before = told(journal)
    journal.session(AT, "error", "the directory did not answer")
    assert told(journal) == before


def test_an_empty_batch_is_confirmed_from_the_start(journal: Journal) -> None:
    """A batch of nobody needs no answer."""
    batch = build.batch(0, (), ())
    journal.intend(build.progress(0, 1), build.row(0), batch, build.point(0))
    assert journal.confirmed(0) == len(journal.batches()[0]) == 0


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["decide", "release", "confirm", "cancel", "observe", "session"]),
        st.integers(0, 40),
        st.lists(st.integers(0, 99), max_size=12, unique=True),
    ),
    max_size=14,
)


def play(journal: Journal, steps: list[tuple[str, int, list[int]]]) -> None:
    """Do the same to any journal."""
    for number, (step, amount, rows) in enumerate(steps):
        known = len(journal.batches())
        if step == "decide":
            state = list(State)[amount % len(State)]
            journal.intend(build.progress(number, known, state), build.row(number), None, build.point(number))
        elif step == "release":
            batch = build.batch(known, rows, rows[:2])
            journal.intend(
                build.progress(number, known + 1), build.row(number, batch), batch, build.point(number)
            )
        elif step == "observe":
            journal.observe(build.point(number))
        elif step == "session":
            journal.session(AT + number, "note", f"step {number}")
        elif known:
            target = journal.batches()[amount % known]
            if step == "cancel":
                journal.cancel(target.number, AT + number, "why not")
            else:
                upto = min(amount, len(target))
                journal.confirm(target.number, upto, build.accepted(target.rows[:upto]), AT + number)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(steps=STEPS)
def test_every_journal_says_the_same(make: Make, steps: list[tuple[str, int, list[int]]]) -> None:
    """Whatever is done to it, a journal answers as the one in memory does."""
    journal, model = make(), MemoryJournal()
    play(journal, steps)
    play(model, steps)
    assert told(journal) == told(model)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_reopened_journal_says_the_same(kind: str, tmp_path: Path) -> None:
    """Everything that was said once is said again by another process, a reader and the next executor."""
    place = str(tmp_path / "a.db") if kind == "sqlite" else fresh_database()
    steps = [("release", 0, [1, 2, 3, 4]), ("confirm", 2, []), ("decide", 1, []), ("observe", 0, [])]
    steps += [("release", 0, [9, 8, 7]), ("cancel", 0, []), ("session", 0, [])]
    with filled(place) as database, database.journal("run-1", owner="a", now=Wall()) as journal:
        play(journal, steps)
        before = told(journal)
    from rollout.store import open_database

    with open_database(place) as database:
        reader = database.reader("run-1")
        assert [plain(batch) for batch in reader.batches()] == before["batches"]
        assert [reader.confirmed(0), reader.confirmed(1)] == before["confirmed"]
        assert (reader.progress(), list(reader.decisions())) == (before["progress"], before["decisions"])
        with database.journal("run-1", owner="b", now=Wall()) as journal:
            assert told(journal) == before
        assert database.verify_chain("run-1") is None
