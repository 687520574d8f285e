"""By which clock a lease ends where executors are on several machines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from journals import filled
from postgres import place_of

from rollout.errors import LeaseError
from rollout.store import Database
from rollout.store.connection.server_time import ASK_AGAIN_S, ServerTime

SERVER = 1_800_000_000.0


class Machine:
    """A server and a machine whose clocks are apart: by ten hours, and by what a test sets."""

    def __init__(self) -> None:
        self.passed, self.set_by, self.slept, self.asked = 0.0, -36_000.0, 0.0, 0

    def server(self) -> float:
        self.asked += 1
        return SERVER + self.passed

    def wall(self) -> float:
        return SERVER + self.passed + self.set_by

    def steady(self) -> float:
        return self.passed - self.slept


@pytest.fixture(name="machine")
def _machine() -> Machine:
    return Machine()


@pytest.fixture(name="clock")
def _clock(machine: Machine) -> ServerTime:
    return ServerTime(machine.server, machine.wall, machine.steady)


def test_the_servers_time_counts(machine: Machine, clock: ServerTime) -> None:
    """A machine that is ten hours late knows the server's time, and carries it on without asking."""
    machine.passed = 40.0
    assert clock.now() == clock.carried() == SERVER + 40
    assert machine.asked == 1


@pytest.mark.parametrize("jump", [-86_400.0, -60.0, 60.0, 86_400.0])
def test_a_clock_that_was_set_is_noticed(machine: Machine, clock: ServerTime, jump: float) -> None:
    """By the other one: the server is asked again."""
    machine.passed += 5
    machine.set_by += jump
    assert clock.now() == SERVER + 5
    assert machine.asked == 2


def test_a_machine_that_slept_does_not_think_that_no_time_passed(machine: Machine, clock: ServerTime) -> None:
    """Its steady clock stood still; without asking, the wall's passed time counts."""
    machine.passed, machine.slept = 600.0, 590.0
    assert clock.carried() == SERVER + 600
    assert clock.now() == SERVER + 600


def test_the_server_is_asked_again_after_a_while(machine: Machine, clock: ServerTime) -> None:
    """Clocks that drift apart slowly stay in step."""
    for _ in range(10):
        machine.passed += ASK_AGAIN_S / 2
        clock.now()
    assert 4 <= machine.asked <= 6


@pytest.fixture(name="database", params=["sqlite", "postgres"])
def _database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with filled(place_of(request.param, tmp_path)) as database:
        yield database


def test_a_database_tells_its_time(database: Database) -> None:
    """On this machine both are the same."""
    assert abs(database.now() - time.time()) < 2


def test_a_machine_that_is_an_hour_fast_takes_no_lease(
    database: Database, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the database is a server, its clock decides; a file is on one machine, whose clock it is."""
    database.journal("run-1", owner="first")
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    if request.node.callspec.params["database"] == "postgres":
        with pytest.raises(LeaseError, match="first has held the lease of run-1 since"):
            database.journal("run-1", owner="second")
        assert database.rollout("run-1").lease.holder == "first"
    else:
        assert database.journal("run-1", owner="second").held_s() > 55
