"""Two executors: the holder of the lease writes, the other changes nothing, even after a long stall."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import journals as build
import numpy as np
import pytest
from emulators.web import FakeTime
from hypothesis import given, settings
from hypothesis import strategies as st
from journals import AT, Wall, child, filled, wait_for
from postgres import fresh_database, place_of

from rollout.directory.http.pace import Pace
from rollout.directory.http.requests import Call, get
from rollout.directory.http.transport import LostAnswerError, Transport
from rollout.errors import LeaseError, OutsideError
from rollout.store import Database, SqlJournal, open_database
from rollout.store.connection.process import is_surely_dead, mark_of_this_process
from rollout.values import DeviceOutcomes, Fact, Facts, GateApproval, Hold

PLACES = ["sqlite", "postgres"]


@pytest.fixture(name="wall")
def _wall() -> Wall:
    return Wall()


@pytest.fixture(name="database", params=PLACES)
def _database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with filled(place_of(request.param, tmp_path)) as database:
        yield database


def take(database: Database, owner: str, wall: Wall) -> SqlJournal:
    return database.journal("run-1", owner=owner, now=wall, lease_s=60)


def test_a_taken_lease_names_its_holder(database: Database, wall: Wall) -> None:
    """The error names the holder and since when it holds the lease; nothing is changed."""
    take(database, "anna's server:11", wall)
    wall.at += 59
    with pytest.raises(
        LeaseError, match="anna's server:11 has held the lease of run-1 since 2027-01-11 00:00:00 UTC"
    ) as caught:
        take(database, "second", wall)
    assert "rollout doctor --release-lease run-1" in caught.value.hint
    assert database.rollout("run-1").lease.epoch == 1


def test_a_released_lease_is_free_at_once(database: Database, wall: Wall) -> None:
    """An executor that ends releases the lease, and the next executor need not wait."""
    with take(database, "first", wall):
        pass
    second = take(database, "second", wall)
    second.check()
    assert database.rollout("run-1").lease.holder == "second"


def test_a_lease_ends_by_itself(database: Database, wall: Wall) -> None:
    """An executor that is silent for the duration of the lease loses it to another."""
    take(database, "first", wall)
    wall.at += 60
    take(database, "second", wall).check()


def outcomes() -> DeviceOutcomes:
    from rollout.store.journal.outcomes import nothing_known

    known = nothing_known(100)
    known.outcome[3], known.at[3] = 1, AT
    return known


WRITES: dict[str, Callable[[SqlJournal], object]] = {
    "intend": lambda journal: journal.intend(build.progress(1), build.row(1), None, build.point(1)),
    "release": lambda journal: journal.intend(
        build.progress(1, 2), build.row(1), build.batch(1), build.point(1)
    ),
    "observe": lambda journal: (journal.observe(build.point(1)), journal.heartbeat()),
    "confirm": lambda journal: journal.confirm(0, 2, build.accepted(build.rows_of(5, 3)), AT),
    "cancel": lambda journal: journal.cancel(0, AT, "why not"),
    "session": lambda journal: journal.session(AT, "note", "text"),
    "heartbeat": lambda journal: journal.heartbeat(),
    "check": lambda journal: journal.check(),
    "commands": lambda journal: journal.commands(),
    "save_outcomes": lambda journal: journal.save_outcomes(outcomes()),
}


@pytest.mark.parametrize("name", WRITES)
def test_an_old_holder_writes_nothing(tmp_path: Path, wall: Wall, name: str) -> None:
    """After a stall past its lease, an executor that lost it gets an error and leaves no trace."""
    with filled(tmp_path / "a.db") as database:
        stalled = take(database, "first", wall)
        batch = build.batch(0)
        stalled.intend(build.progress(0, 1), build.row(0, batch), batch, build.point(0))
        wall.at += 61
        take(database, "second", wall)
        before = contents(tmp_path / "a.db")
        for _ in range(2):
            with pytest.raises(LeaseError, match="second"):
                WRITES[name](stalled)
        stalled.release()
        assert contents(tmp_path / "a.db") == before


def contents(path: Path) -> list[str]:
    """Return everything in a database, as SQL."""
    import contextlib
    import sqlite3

    with contextlib.closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def test_an_old_holder_writes_nothing_on_a_server(wall: Wall) -> None:
    """The same on PostgreSQL, for all writes in turn."""
    with filled(fresh_database()) as database:
        stalled = take(database, "first", wall)
        batch = build.batch(0)
        stalled.intend(build.progress(0, 1), build.row(0, batch), batch, build.point(0))
        wall.at += 61
        take(database, "second", wall)
        reader = database.reader("run-1")
        before = reader.audit(), reader.lease(), reader.outcomes().outcome.tolist()
        for write in WRITES.values():
            with pytest.raises(LeaseError, match="second"):
                write(stalled)
        reader.refresh()
        assert (reader.audit(), reader.lease(), reader.outcomes().outcome.tolist()) == before


@pytest.mark.parametrize("name", sorted(set(WRITES) - {"check", "commands"}))
def test_each_write_renews_the_lease(tmp_path: Path, wall: Wall, name: str) -> None:
    """Every write renews the lease."""
    with filled(tmp_path / "a.db") as database:
        journal = take(database, "first", wall)
        batch = build.batch(0)
        journal.intend(build.progress(0, 1), build.row(0, batch), batch, build.point(0))
        wall.at += 50
        WRITES[name](journal)
        assert database.rollout("run-1").lease.expires == int(wall.at) + 60


def test_a_check_leaves_time_to_send(database: Database, wall: Wall) -> None:
    """After a check, no executor can take over for half the lease's time."""
    journal = take(database, "first", wall)
    for _ in range(20):
        wall.at += 25
        journal.check()
        assert database.rollout("run-1").lease.expires - wall.at >= 30


def test_what_is_left_of_a_lease_is_known_without_asking(database: Database, wall: Wall) -> None:
    """The time counts from the last renewal, and is used up when the lease is over."""
    journal = take(database, "first", wall)
    assert 59 <= journal.held_s() <= 60
    wall.at += 25
    assert 34 <= journal.held_s() <= 35
    journal.session(AT, "note", "text")
    assert 59 <= journal.held_s() <= 60
    wall.at += 61
    assert journal.held_s() <= 0
    wall.at -= 3600  # a clock that is set back gives nobody more time
    assert journal.held_s() <= 60


class Leased(FakeTime):
    """Clocks while `left` seconds of a lease remain."""

    left = 12.0

    def held_s(self) -> float:
        return self.left


def test_a_write_gets_no_more_time_than_the_lease_has_left() -> None:
    """Waiting is cut to the lease; once it is over, nothing is sent. Reading needs no lease."""
    asked: list[tuple[str, float, float]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        patience = request.extensions["timeout"]
        asked.append((request.method, patience["connect"], patience["read"]))
        return httpx2.Response(200, json={})

    clock = Leased()
    transport = Transport(
        *(Pace(clock), clock),
        chance=lambda: 0.5,
        new_id=lambda: "id",
        timeout_s=600,
        deadline_s=3600,
        http=httpx2.MockTransport(answer),
    )
    call = Call("POST", "https://cm.example/a", body={})
    transport.write(call)
    transport.read(get("https://cm.example/a"))
    clock.left = 0.0
    with pytest.raises(OutsideError, match="not sent: the lease must be renewed first") as caught:
        transport.write(call)
    assert not isinstance(caught.value, LostAnswerError)
    transport.read(get("https://cm.example/a"))
    assert asked == [("POST", 4.0, 12.0), ("GET", 600, 600), ("GET", 600, 600)]
    transport.close()


def test_an_overdue_holder_goes_on_if_nobody_came(database: Database, wall: Wall) -> None:
    """An expired lease stays with its holder until another executor takes it."""
    journal = take(database, "first", wall)
    wall.at += 3600
    journal.check()
    journal.session(AT, "note", "still here")
    with pytest.raises(LeaseError):
        take(database, "second", wall)


def test_a_person_may_take_the_lease_away(database: Database, wall: Wall) -> None:
    """A lease that a person released is free, and its former holder can no longer change anything."""
    journal = take(database, "first", wall)
    assert database.release_lease("run-1", "anna", AT)
    assert not database.release_lease("run-1", "anna", AT)
    with pytest.raises(LeaseError, match="was released"):
        journal.session(AT, "note", "text")
    take(database, "second", wall)
    assert (AT, "first", "lease released", "taken away by anna") in database.reader("run-1").audit()


def test_commands_come_between_writes(database: Database, wall: Wall) -> None:
    """A command of another process takes effect at the next read, and the holder's next write follows it."""
    journal = take(database, "first", wall)
    journal.session(AT, "note", "before")
    database.command("run-1", "pause", "anna", "help desk is full", AT)
    journal.session(AT, "note", "after")
    database.command("run-1", "exclude", "anna", "board", AT, rows=(4, 7))
    database.command("run-1", "exclude", "ben", "board", AT, rows=(2,))
    seen = journal.commands()
    assert (seen.paused, seen.by, seen.reason, seen.excluded) == (
        True,
        "anna",
        "help desk is full",
        (2, 4, 7),
    )
    database.command("run-1", "resume", "ben", "", AT)
    assert not journal.commands().paused
    database.command("run-1", "abort", "ben", "enough", AT)
    database.command("run-1", "resume", "ben", "", AT)
    assert journal.commands().aborted
    assert database.verify_chain("run-1") is None


def test_an_approval_keeps_the_hold_that_it_answers(database: Database, wall: Wall) -> None:
    """Rule, stratum and counts come back; an approval that names no hold, as earlier versions wrote it, is none."""
    journal = take(database, "first", wall)
    journal.intend(build.progress(0), build.row(0), None, build.point(0))
    database.command("run-1", "approve-gate", "anna", "looked at it", AT)
    assert journal.commands().approvals == ()
    answers = [
        GateApproval(Hold(2, "answered", "", 30, 100, "30 of 100"), "anna", 77),
        GateApproval(Hold(2, "silence", "X7", 9, 9), "ben", 88),
    ]
    for answer in answers:
        database.command("run-1", "approve-gate", answer.by, "", AT, answer=answer)
    assert journal.commands().approvals == tuple(answers)
    assert database.reader("run-1").commands().approvals == tuple(answers)


def test_what_is_learned_of_devices_is_kept(database: Database, wall: Wall) -> None:
    """Facts come back as they were, for the executor and for readers, and departures stand in the audit."""
    journal = take(database, "first", wall)
    facts = Facts(
        AT,
        np.array([3, 5, 3], dtype=np.int32),
        np.array([Fact.FAILED, Fact.REMOVED, Fact.MEMBER], dtype=np.int8),
        np.array([0x80180014, 0, 0], dtype=np.int64),
    )
    journal.learn(facts)
    journal.release()
    reader = database.reader("run-1")
    for known in (journal.facts(), reader.facts(), take(database, "second", wall).facts()):
        (found,) = known
        assert (found.at, found.rows.tolist(), found.facts.tolist(), found.codes.tolist()) == (
            AT,
            [3, 5, 3],
            [Fact.FAILED, Fact.REMOVED, Fact.MEMBER],
            [0x80180014, 0, 0],
        )
    assert any("taken out of the collection by somebody else" in row[2] for row in reader.audit())


ACTS = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["take", "write", "wait", "away"])), max_size=25)


@pytest.fixture(name="shared", scope="module")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with filled(tmp_path_factory.mktemp("lease") / "a.db") as database:
        yield database


@settings(max_examples=40, deadline=None, derandomize=True)
@given(acts=ACTS)
def test_only_the_last_taker_ever_writes(shared: Database, acts: list[tuple[int, str]]) -> None:
    """However three executors stall and return, only the one that took the lease last can write."""
    wall = Wall()
    run = shared.start_rollout("plan-1", str((len(shared.rollouts()), acts)), 1, "max", AT)
    holders: list[SqlJournal | None] = [None, None, None]
    valid, until, written = -1, -1, 0
    for who, act in acts:
        journal = holders[who]
        if act == "wait":
            wall.at += 35
        elif act == "away":
            shared.release_lease(run, "anna", AT)
            valid, until = -1, -1
        elif act == "take":
            if wall.at < until:
                with pytest.raises(LeaseError):
                    shared.journal(run, owner=str(who), now=wall)
            else:
                holders[who] = shared.journal(run, owner=str(who), now=wall)
                valid, until = who, int(wall.at) + 60
        elif journal is not None:
            if who == valid:
                journal.session(AT, "write", "")
                written, until = written + 1, int(wall.at) + 60
            else:
                with pytest.raises(LeaseError):
                    journal.session(AT, "write", "")
    assert len(shared.reader(run).sessions()) == written
    assert shared.verify_chain(run) is None


HOLDER = """
import sys, time
from rollout.store import open_database
database = open_database(sys.argv[1])
journal = database.journal("run-1", owner="child", lease_s=int(sys.argv[2]))
print("ready", flush=True)
sys.stdin.readline()
try:
    journal.session(1, "late", "text")
except Exception as error:
    print(type(error).__name__, flush=True)
else:
    print("wrote", flush=True)
"""


@pytest.mark.skipif(not mark_of_this_process(), reason="this system has no /proc to tell dead processes by")
def test_a_killed_holder_need_not_be_waited_for(tmp_path: Path) -> None:
    """On the same machine, a killed executor's lease can be taken immediately, a living executor's cannot."""
    with filled(tmp_path / "a.db") as database:
        process = child(HOLDER, str(tmp_path / "a.db"), "600")
        wait_for(process, "ready")
        with pytest.raises(LeaseError, match="child"):
            database.journal("run-1", owner="second")
        process.kill()
        process.communicate()
        with database.journal("run-1", owner="second") as journal:
            journal.check()
        assert any("the lease of child expired" in why for *_, why in database.reader("run-1").audit())


def test_marks_of_other_machines_say_nothing() -> None:
    """A process counts as dead only on the boot and in the namespace in which it would be visible."""
    mark = mark_of_this_process()
    assert not is_surely_dead(mark)
    assert not is_surely_dead("")
    assert not is_surely_dead("another-boot pid:[1] 1 1")
    assert not is_surely_dead("' OR 1=1 --")
    if mark:
        boot, space, _, _ = mark.split()
        assert is_surely_dead(f"{boot} {space} {os.getpid()} 1")


@pytest.mark.parametrize("kind", PLACES)
def test_a_stopped_executor_writes_nothing_when_it_wakes(kind: str, tmp_path: Path) -> None:
    """SIGSTOP past the lease, another executor takes over, SIGCONT: the first writes nothing."""
    place = place_of(kind, tmp_path)
    with filled(place) as database:
        process = child(HOLDER, place, "1")
        wait_for(process, "ready")
        process.send_signal(signal.SIGSTOP)
        time.sleep(2.1)
        second = database.journal("run-1", owner="second")
        process.send_signal(signal.SIGCONT)
        out, _ = process.communicate("\n", timeout=60)
        assert out.split() == ["LeaseError"]
        second.session(1, "note", "still mine")
        assert [kind for _, kind, _ in database.reader("run-1").sessions()] == ["note"]


COMMANDER = """
import sys
from rollout.store import open_database
database = open_database(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[3])):
    database.command("run-1", "exclude", sys.argv[2], "", number, rows=(number % 100,))
"""


def contend(place: str, each: int) -> None:
    with filled(place) as database:
        processes = [child(COMMANDER, place, name, str(each)) for name in ("anna", "ben")]
        for process in processes:
            wait_for(process, "ready")
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        try:
            said = [process.communicate(timeout=240)[1] for process in processes]
        finally:
            for process in processes:
                process.kill()
                process.wait()
        assert said == ["", ""]
        assert database.verify_chain("run-1") is None
        by = [who for _, who, _, _ in database.reader("run-1").audit()]
        assert (by.count("anna"), by.count("ben")) == (each, each)


@pytest.mark.parametrize("kind", PLACES)
def test_contending_writers_lose_nothing(kind: str, tmp_path: Path) -> None:
    """Two processes that write at the same time lose no row, and the chain stays intact."""
    contend(place_of(kind, tmp_path), 100)


BUSY = """
import sys
from rollout.store import open_database
database = open_database(sys.argv[1])
journal = database.journal("run-1", owner="busy")
print("ready", flush=True)
while True:
    journal.session(1, "note", "text")
"""


@pytest.mark.parametrize("kind", PLACES)
def test_a_busy_executor_lets_commands_in(kind: str, tmp_path: Path) -> None:
    """While an executor writes without pause, a person's command is always recorded within moments."""
    place = place_of(kind, tmp_path)
    with filled(place) as database:
        process = child(BUSY, place)
        try:
            wait_for(process, "ready")
            for number in range(10):
                database.command("run-1", "exclude", "anna", "", AT, rows=(number,))
        finally:
            process.kill()
            process.communicate()
        assert database.reader("run-1").commands().excluded == tuple(range(10))


@pytest.mark.slow
@pytest.mark.parametrize("kind", PLACES)
def test_a_thousand_contended_writes_lose_nothing(kind: str, tmp_path: Path) -> None:
    """The same with 1,000 writes each."""
    contend(place_of(kind, tmp_path), 1000)


def test_two_who_begin_at_once_get_one_rollout(tmp_path: Path) -> None:
    """There is one rollout per plan and directory, however often it is started and by which process."""
    with filled(tmp_path / "a.db") as one, open_database(str(tmp_path / "a.db")) as other:
        assert one.start_rollout("plan-1", "embedded", 1, "max", AT) == "run-1"
        assert other.start_rollout("plan-1", "embedded", 2, "1", AT + 9) == "run-1"
        assert other.start_rollout("plan-1", "graph", 2, "1", AT) == "run-2"
