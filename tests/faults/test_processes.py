"""Real processes, really killed, stopped, interrupted and paused: `rollout run` over SQLite and PostgreSQL."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from faults.processes import check_whole, ended, planned, run_here, running, start
from postgres import place_of

from rollout.errors import DatabaseError
from rollout.store import Database
from rollout.store.journal.lease import ENTRY
from rollout.values import State

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of this kind exist on POSIX systems only")

SHORT_LEASE = """
import sys
from rollout.executor import session as executing; from rollout.cli import main
from rollout.store import Database
executing.BEAT_S = 0.3
take = Database.journal
Database.journal = lambda self, run, **options: take(self, run, lease_s=2, **options)
sys.exit(main())
"""


def outcome_of(database: Database) -> tuple[Any, ...]:
    """Give the embedded directory's own memory and all decisions: what kills must not change."""
    known = database.rollout()
    joined = sorted(
        (at, batch, int(row)) for at, batch, rows in database.membership_log(known.id).load() for row in rows
    )
    return joined, list(database.reader(known.id).decisions())


def kill_often(kind: str, folder: Path, times: int, seed: int) -> None:
    """Kill executors at random moments, `times` in all, up to five a rollout; compare the ends."""
    draw = random.Random(seed)
    (folder / "whole").mkdir()
    with planned(str(folder / "whole" / "a.db")) as database:
        assert run_here(str(folder / "whole" / "a.db")) == 0
        whole = outcome_of(database)
    killed = rollouts = 0
    while killed < times:
        rollouts += 1
        (folder / str(rollouts)).mkdir()
        place = place_of(kind, folder / str(rollouts))
        with planned(place) as database:
            for _ in range(min(5, times - killed)):
                killed += _killed(start(place, "--speed", "max"), draw)
            assert run_here(place) == 0
            check_whole(database)
            assert outcome_of(database) == whole
    print(f"\n{kind}: {killed} kills in {rollouts} rollouts, each ended as the untouched one")


def _killed(process: subprocess.Popen[str], draw: random.Random) -> bool:
    """Kill a process somewhere between its first breath and its end; False if it had ended before."""
    assert process.stderr is not None
    if draw.random() < 0.8:
        process.stderr.readline()  # it has begun to release
    time.sleep(draw.uniform(0, 2.5))
    had_ended = process.poll() is not None
    process.kill()
    process.communicate()
    return not had_ended


def _is_finished(database: Database) -> bool:
    return database.has_rollouts() and database.rollout().state is State.FINISHED


def test_a_killed_process_loses_nothing(tmp_path: Path) -> None:
    """SIGKILL at a random moment: the same members and decisions as without, and a whole database."""
    kill_often("sqlite", tmp_path, 1, 1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_processes_killed_often_lose_nothing(kind: str, tmp_path: Path) -> None:
    """The same ten times, or as often as ROLLOUT_TEST_KILLS says."""
    kill_often(kind, tmp_path, int(os.environ.get("ROLLOUT_TEST_KILLS", "10")), 2)


@pytest.mark.slow
def test_the_second_of_two_runs_exits_7(tmp_path: Path) -> None:
    """Two at once: the second names the first and sends nothing."""
    place = str(tmp_path / "a.db")
    with planned(place) as database, running(place, "--speed", "3600") as first:
        code, err = ended(start(place, "--speed", "max"))
        assert code == 7
        assert f":{first.pid} has held the lease" in err
        assert database.rollout().lease.holder.endswith(f":{first.pid}")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_stopped_run_that_wakes_after_its_lease_does_nothing(kind: str, tmp_path: Path) -> None:
    """SIGSTOP, another takes over, SIGCONT: the first writes and sends nothing and exits 7."""
    place = place_of(kind, tmp_path)
    with planned(place) as database, running(place, "--speed", "900", code=SHORT_LEASE) as first:
        _stop_between_writes(first, database)
        time.sleep(2.5)
        second = start(place, "--speed", "900", code=SHORT_LEASE)
        try:
            _wait_for_holder(database, second)
            before = _rows_of(database, epoch=1)
            first.send_signal(signal.SIGCONT)
            code, err = ended(first)
            assert code == 7, err
            assert _rows_of(database, epoch=1) == before
            assert database.rollout().lease.holder.endswith(f":{second.pid}")
            second.send_signal(signal.SIGTERM)
            assert ended(second)[0] == 130
        finally:
            second.kill()
            second.communicate()
        assert run_here(place) == 0
        check_whole(database)
        rows = [row for _, _, row in outcome_of(database)[0]]
        assert len(set(rows)) == len(rows)


def _wait_for_holder(database: Database, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60
    while not database.rollout().lease.holder.endswith(f":{process.pid}"):
        assert time.monotonic() < end, "it never took over"
        time.sleep(0.1)


def _stop_between_writes(process: subprocess.Popen[str], database: Database) -> None:
    """Stop it where it holds no transaction: on SQLite everybody else would wait for it (and exit 9)."""
    for _ in range(20):
        time.sleep(0.5)
        process.send_signal(signal.SIGSTOP)
        try:
            with database._access.writing():
                return
        except DatabaseError:
            process.send_signal(signal.SIGCONT)
    raise AssertionError("it never stopped between two writes")


def _rows_of(database: Database, epoch: int) -> int:
    """Count the journal's rows of one holder; its giving the lease back would be one too."""
    with database._access.reading() as connection:
        return len(connection.execute(ENTRY.select().where(ENTRY.c.epoch == epoch)).all())


@pytest.mark.slow
def test_a_pause_in_the_middle_of_a_large_batch_stops_it(tmp_path: Path) -> None:
    """Of a batch of 5,000 at most one more chunk goes out after the command; exit 6."""
    place = str(tmp_path / "a.db")
    with planned(place, clients=5600, pilot=5000, hours=1, chunk=25) as database:
        process = start(place, "--speed", "max")
        try:
            _wait_for_chunks(database, 20)
            run = database.rollout().id
            database.command(run, "pause", "Kim", "help desk is full", 0)
            code, err = ended(process)
        finally:
            process.kill()
            process.communicate()
        assert code == 6, err
        assert "help desk is full" in err
        with database._access.reading() as connection:
            rows = connection.execute(ENTRY.select().order_by(ENTRY.c.number)).all()
        paused = next(row.number for row in rows if row.kind == "command")
        after = [row for row in rows if row.kind == "confirm" and row.number > paused]
        sent = sum(len(rows) for _, _, rows in database.membership_log(run).load())
        print(f"\npaused after {sent} of 5000, {len(after)} chunk after the command")
        assert len(after) <= 1
        assert 0 < sent < 5000


def _wait_for_chunks(database: Database, chunks: int) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if database.has_rollouts():
            reader = database.reader(database.rollout().id)
            if len(reader.applied()) >= chunks:
                return
        time.sleep(0.02)
    raise AssertionError("no chunks were sent")
