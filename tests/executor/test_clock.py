"""The wall clock of `run`."""

from __future__ import annotations

import time
from email.utils import formatdate
from types import SimpleNamespace

import httpx2
import pytest
from building import make_plan
from emulators.web import FakeTime

from rollout.directory.http.pace import Pace
from rollout.directory.http.requests import get
from rollout.directory.http.transport import Transport
from rollout.executor import clock, session
from rollout.executor.clock import LivelyTime, WallClock
from rollout.loop.drive import Permit
from rollout.values import Commands
from sim.world.directory import SimClock


class Time:
    """A wall clock that a test can set, over a monotonic clock that only sleeping moves."""

    def __init__(self) -> None:
        self.wall = 1_000_000.0
        self.passed = 0.0
        self.jumps: dict[int, float] = {}
        self.sleeps = 0

    def sleep(self, seconds: float) -> None:
        self.sleeps += 1
        self.passed += seconds
        self.wall += seconds + self.jumps.get(self.sleeps, 0.0)

    def clock(self) -> WallClock:
        return WallClock(self.sleep, lambda: self.wall, lambda: self.passed)


def test_it_waits_as_long_as_it_says() -> None:
    """Sixty seconds are sixty seconds."""
    time = Time()
    clock = time.clock()
    assert clock.wait_until(clock.now() + 60) == 1_000_060
    assert time.passed == 60


def test_a_clock_set_back_makes_nobody_wait_longer() -> None:
    """An hour back in the middle of the wait: it ends after the sixty seconds all the same."""
    time = Time()
    time.jumps[10] = -3600.0
    clock = time.clock()
    assert clock.wait_until(clock.now() + 60) == 1_000_060
    assert time.passed == 60
    assert clock.now() == 1_000_060


def test_a_clock_set_forward_opens_nothing_early() -> None:
    """A day forward in the middle of the wait: the sixty seconds are waited for all the same."""
    time = Time()
    time.jumps[10] = 86_400.0
    clock = time.clock()
    assert clock.wait_until(clock.now() + 60) == 1_000_060
    assert time.passed == 60


def test_a_server_that_tells_the_time_is_believed() -> None:
    """The machine's clock is a day behind: windows and soaks go by the server's."""
    time = Time()
    clock = WallClock(time.sleep, lambda: time.wall, lambda: time.passed, lambda: 2_000_000.0 + time.passed)
    assert clock.now() == 2_000_000
    assert clock.wait_until(2_000_060) == 2_000_060
    assert time.passed == 60


def test_the_pretend_clock_sleeps_by_its_speed() -> None:
    """At speed 60 a simulated hour takes a real minute; as fast as it goes it takes none."""
    time = Time()
    clock = SimClock(0, 60.0, sleep=time.sleep, monotonic=lambda: time.passed)
    assert clock.wait_until(3600) == 3600
    assert abs(time.passed - 60) < 1e-6
    resumed = SimClock(0, 60.0, lived_until=3600, sleep=time.sleep, monotonic=lambda: time.passed)
    assert resumed.wait_until(1800) == 1800
    assert abs(time.passed - 60) < 1e-6, "an earlier session waited for that"
    fast = SimClock(0, None, sleep=time.sleep)
    assert fast.wait_until(10**9) == 10**9
    assert abs(time.passed - 60) < 1e-6


def test_a_wait_of_minutes_ends_when_somebody_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that waits two minutes for a throttled server looks after signals and the lease meanwhile."""
    passed = [0.0]
    monkeypatch.setattr(clock, "steady", lambda: passed[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: passed.__setitem__(0, passed[0] + seconds))
    lively = clock.LivelyTime()
    asked = []

    def alive() -> None:
        asked.append(passed[0])
        if passed[0] >= 3:
            raise KeyboardInterrupt

    lively.alive = alive
    with pytest.raises(KeyboardInterrupt):
        lively.sleep(120)
    assert passed[0] <= 3.5
    assert len(asked) >= 6


def test_each_answer_of_a_server_tells_its_time() -> None:
    """The Date of the last answer is the server's time; until the next one ours passes on."""
    fake = FakeTime()
    at = int(fake.wall()) + 120

    def answer(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json={}, headers={"Date": formatdate(at, usegmt=True)})

    transport = Transport(
        Pace(fake), fake, chance=lambda: 0.5, new_id=lambda: "id", http=httpx2.MockTransport(answer)
    )
    assert transport.server_now() is None
    transport.read(get("https://cm.example/a"))
    assert transport.server_now() == at
    fake.sleep(60)
    assert transport.server_now() == at + 60
    transport.close()


def test_a_write_after_a_suspension_knows_what_people_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause given while the machine slept, or while the call before was slow, bars the next write of the chunk."""
    slept = [0.0]
    monkeypatch.setattr(clock, "time", SimpleNamespace(clock_gettime=lambda _: slept[0], time=time.time))
    plan = make_plan()
    permit = Permit(plan, rows=plan.phases[0].order)
    commands = [Commands()]
    journal = SimpleNamespace(commands=lambda: commands[0], heartbeat=lambda: None)
    idle = SimpleNamespace(update=lambda: None, renewed=lambda: None)
    upkeep = session._Upkeep(journal, None, lambda: False, idle, idle, permit)  # type: ignore[arg-type]
    waiting = LivelyTime()
    real = SimpleNamespace(server_now=lambda: plan.start + slept[0])
    session._wall_clock(real, waiting, permit, upkeep)  # type: ignore[arg-type]
    assert waiting.barred() == ""
    commands[0] = Commands(paused=True, by="Kim")
    slept[0] += 3600
    assert waiting.barred() == "it was paused"
