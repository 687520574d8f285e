"""Real directories under a stranger's clock and a stranger's waits: nothing early, nothing outside a window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import numpy as np
import pytest
from building import MONDAY, make_plan
from directory_kinds import KINDS, MODEL, REAL, Opened, emulated
from emulators.web import Asked, Fault, Reply
from opened import Setting, fleet_plan

from rollout.executor import clock as clocks
from rollout.executor.clock import WallClock
from rollout.loop.drive import Permit, drive, pump
from rollout.pacing.calendar import is_open
from rollout.values import DAY_S, HOUR_S, Commands, GatePolicy, Plan, State, Window
from sim.world.journal import MemoryJournal

WIRED = ("adminservice", "graph")
"""The kinds that send over HTTP."""
FAULT_S = 33 * 60
WAIT = Reply(429, headers={"Retry-After": "150"})
OPEN = GatePolicy(evidence=None, min_executed=0, straggler_max=1.0, figures=(("answered", 0.0),))
"""A gate that passes at the end of the soak."""


def opened_with(
    kind: str, plan: Plan, patch: pytest.MonkeyPatch
) -> tuple[Opened, Setting, WallClock, Permit]:
    """A real directory, the clock of `run` over fake time, and the permit that its writes ask for."""
    patch.setattr(clocks, "STEP_S", 60.0)
    opened = KINDS[kind](plan, MODEL)
    it = opened.setting
    assert it is not None

    def sleep(seconds: float) -> None:
        it.time.pass_(seconds)
        it.now = int(it.time.wall())

    clock = WallClock(sleep, it.time.wall, it.time.monotonic, opened.directory.server_now)  # type: ignore[attr-defined]
    permit = Permit(plan)
    it.time.barred = lambda: permit.barred(clock.now())  # type: ignore[method-assign]
    return opened, it, clock, permit


def dated(it: Setting, off: Callable[[float], float]) -> None:
    """Let the emulator say in each answer what time it is, wrong by `off` of the true time."""
    answer = it.emulator.answer

    def late(asked: Asked) -> Reply:
        reply = answer(asked)
        true = it.time.wall()
        return replace(reply, headers={**reply.headers, "Date": formatdate(true + off(true), usegmt=True)})

    it.emulator.answer = late


def plan_for(n: int, **changes: Any) -> Plan:
    return replace(make_plan(gate=OPEN, **changes), ids=fleet_plan(n)[0].ids, look_s=2 * HOUR_S)


@pytest.mark.parametrize("kind", WIRED)
@pytest.mark.parametrize(
    "days", [2.0, *(pytest.param(days, marks=pytest.mark.slow) for days in (-1.0, 1 / 24, 365.0, 70 * 365.0))]
)
def test_a_wrong_date_header_opens_nothing_early(
    kind: str, days: float, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Wrong for 33 minutes within a soak of 9 hours: the same decisions at the same instants, and one line each way."""
    plan = replace(plan_for(20, sizes=(6, 14, 0), hours=(1, 2, 1), soak_s=9 * HOUR_S), look_s=600)
    begin = MONDAY + 4 * HOUR_S

    def rolled(off: float) -> tuple[list[tuple[int, State, int, int]], list[str]]:
        caplog.clear()
        opened, it, clock, permit = opened_with(kind, plan, monkeypatch)
        dated(it, lambda true: off if begin <= true < begin + FAULT_S else 0.0)
        journal = MemoryJournal()
        steps = drive(opened.plan, journal, opened.directory, MONDAY + 2 * DAY_S, permit=permit)
        pump(steps, clock.wait_until)
        rows = [(row.at, row.state, row.phase, row.count) for row in journal.decisions()]
        return rows, [record.getMessage() for record in caplog.records if "clock" in record.getMessage()]

    truth, nothing = rolled(0.0)
    rows, said = rolled(days * DAY_S)
    assert rows == truth
    assert rows[-1][0] < MONDAY + DAY_S
    assert any(phase == 1 for _, _, phase, _ in rows)
    assert nothing == []
    assert len(said) == 2, said


@pytest.mark.parametrize("kind", WIRED)
def test_a_clock_that_is_a_little_wrong_is_the_servers_own(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two minutes ahead: windows and soaks go by the server, as before."""
    opened, it, clock, _ = opened_with(kind, plan_for(20, sizes=(6, 14, 0)), monkeypatch)
    dated(it, lambda _true: 120.0)
    opened.directory.identity()  # type: ignore[attr-defined]
    opened.directory.members(np.arange(20, dtype=np.int32))
    assert abs(clock.now() - (it.time.wall() + 120)) <= 1


def written(it: Setting) -> list[tuple[float, str]]:
    """Give when (Unix seconds) and what changed members, from now on."""
    seen: list[tuple[float, str]] = []
    answer = it.emulator.answer

    def watched(asked: Asked) -> Reply:
        if "AddMembershipRule" in asked.url or asked.method in ("PATCH", "DELETE"):
            seen.append((it.time.wall(), asked.method))
        return answer(asked)

    it.emulator.answer = watched
    return seen


@pytest.mark.parametrize("kind", WIRED)
def test_nothing_is_sent_after_the_window_closed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """00:00-00:02, a 429 that asks for 150 s: the rest waits for the next day's opening, which is looked at."""
    window = Window((0, 1, 2, 3, 4, 5, 6), 0, 2, "UTC")
    plan = plan_for(60, sizes=(60, 0, 0), hours=(0, 1, 1), windows=(window,), chunk=20)
    opened, it, clock, permit = opened_with(kind, plan, monkeypatch)
    it.emulator.faults.append(Fault("AddMembershipRule|PATCH", skip=1, reply=WAIT))
    seen = written(it)
    journal = MemoryJournal()
    pump(drive(opened.plan, journal, opened.directory, MONDAY + 4 * DAY_S, permit=permit), clock.wait_until)
    assert len(seen) > 2
    assert all(is_open(plan.calendar, int(at)) for at, _ in seen)
    assert len(opened.directory.members(np.arange(60, dtype=np.int32))) == 60
    assert any("not sent: the change window is closed" in text for _, _, text in journal.sessions)
    assert journal.decisions()[-1].state is not State.HALTED


def test_our_own_quota_keeps_to_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """20 members per 1,500 s and a window to 00:20: what does not fit waits for the next day."""
    window = Window((0, 1, 2, 3, 4, 5, 6), 0, 20, "UTC")
    plan = plan_for(60, sizes=(60, 0, 0), hours=(0, 1, 1), windows=(window,), chunk=60)
    monkeypatch.setattr(clocks, "STEP_S", 60.0)
    quota: dict[str, Any] = {"writes": 20, "writes_window_s": 1500, "write_counts": "member"}
    opened = emulated("graph", plan, MODEL, **quota)
    it = opened.setting
    assert it is not None

    def sleep(seconds: float) -> None:
        it.time.pass_(seconds)
        it.now = int(it.time.wall())

    clock, permit = WallClock(sleep, it.time.wall, it.time.monotonic), Permit(plan)
    it.time.barred = lambda: permit.barred(clock.now())  # type: ignore[method-assign]
    seen = written(it)
    pump(drive(plan, MemoryJournal(), opened.directory, MONDAY + 4 * DAY_S, permit=permit), clock.wait_until)
    assert len(seen) == 3
    assert all(is_open(plan.calendar, int(at)) for at, _ in seen)
    assert len(opened.directory.members(np.arange(60, dtype=np.int32))) == 60


@pytest.mark.parametrize("kind", KINDS)
def test_a_window_shorter_than_a_look_is_met_at_its_opening(kind: str) -> None:
    """Windows of two minutes, a look each hour, chunks that one window cannot take: all are sent in the end."""
    window = Window((0, 1, 2, 3, 4, 5, 6), 1, 3, "UTC")
    plan = replace(
        plan_for(60, sizes=(60, 0, 0), hours=(0, 1, 1), windows=(window,), chunk=20), look_s=HOUR_S
    )
    opened = KINDS[kind](plan, MODEL)
    journal, now = MemoryJournal(), plan.start

    def wait_until(at: int) -> int:
        nonlocal now
        late = max(at, now + 70)  # each chunk takes more than half a window
        opened.pass_(late - now)
        now = late
        return now

    pump(drive(plan, journal, opened.directory, plan.start + 9 * DAY_S), wait_until)
    assert len(opened.directory.members(np.arange(60, dtype=np.int32))) == 60


@pytest.mark.parametrize("kind", WIRED)
def test_a_pause_reaches_a_write_that_waits(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paused while a 429 is waited out: nothing more is sent."""
    plan = plan_for(60, sizes=(60, 0, 0), hours=(0, 1, 1), chunk=20)
    opened, it, clock, permit = opened_with(kind, plan, monkeypatch)
    it.emulator.faults.append(Fault("AddMembershipRule|PATCH", skip=1, reply=WAIT))
    seen = written(it)
    journal = MemoryJournal()

    def barred() -> str:
        if it.time.wall() > MONDAY + 60:
            journal.commands_now = Commands(paused=True, by="Kim")
            permit.refresh(journal.commands())
        return permit.barred(clock.now())

    it.time.barred = barred  # type: ignore[method-assign]
    pump(drive(opened.plan, journal, opened.directory, MONDAY + DAY_S, permit=permit), clock.wait_until)
    assert max(at for at, _ in seen) <= MONDAY + 60
    assert journal.decisions()[-1].state is State.PAUSED


@pytest.mark.parametrize("kind", REAL)
def test_who_is_excluded_before_it_is_sent_is_not_sent(kind: str) -> None:
    """An intended batch of which a person excludes devices: they stay out, and the others go."""
    plan = plan_for(40, sizes=(40, 0, 0), hours=(0, 1, 1), chunk=10)
    opened = KINDS[kind](plan, MODEL)
    journal = MemoryJournal()
    steps = drive(plan, journal, opened.directory)
    at = next(steps)
    for _ in range(3):
        at = steps.send(max(at, plan.start))
    rest = journal.batches()[0].rows[-5:]
    journal.commands_now = Commands(excluded=tuple(rest.tolist()))
    for _ in range(12):
        at = steps.send(max(at, plan.start))
    inside = opened.directory.members(np.arange(40, dtype=np.int32)).tolist()
    assert set(rest.tolist()).isdisjoint(inside)
    assert len(inside) == 35


def test_a_rule_that_somebody_took_out_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """AdminService: a device that is a member already is taken out by an administrator before its batch comes."""
    plan = plan_for(40, sizes=(10, 30, 0), hours=(1, 1, 1), soak_s=2 * HOUR_S)
    opened, it, clock, permit = opened_with("adminservice", plan, monkeypatch)
    late = int(plan.phases[1].order[3])
    opened.directory.apply(0, np.array([late], dtype=np.int32), it.now)
    taken: list[bool] = []

    def wait_until(at: int) -> int:
        if at > MONDAY + HOUR_S and not taken:
            resource = int(it.fleet.resource_ids[late])
            del it.emulator.target.rules[resource]
            it.emulator.target.members.discard(resource)
            taken.append(True)
        return clock.wait_until(at)

    pump(drive(opened.plan, MemoryJournal(), opened.directory, MONDAY + 2 * DAY_S, permit=permit), wait_until)
    assert late in opened.directory.members(np.arange(40, dtype=np.int32)).tolist()


@pytest.mark.parametrize("kind", WIRED)
def test_a_machine_that_stood_still_sends_nothing_outside_the_window(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paused for three hours in a window of two, while a 429 is waited out; no clock but the wall's notices."""
    window = Window((0, 1, 2, 3, 4, 5, 6), 0, 120, "UTC")
    plan = plan_for(60, sizes=(60, 0, 0), hours=(0, 1, 1), windows=(window,), chunk=20)
    opened, it, clock, permit = opened_with(kind, plan, monkeypatch)
    it.emulator.faults.append(Fault("AddMembershipRule|PATCH", skip=1, reply=WAIT))
    dated(it, lambda _true: 0.0)
    seen = written(it)
    sleep, is_paused = it.time.sleep, []

    def stand_still(seconds: float) -> None:
        sleep(seconds)
        if len(seen) == 2 and not is_paused:
            is_paused.append(True)
            it.time._wall += 3 * HOUR_S  # the wall alone

    it.time.sleep = stand_still  # type: ignore[method-assign]
    journal = MemoryJournal()
    pump(drive(opened.plan, journal, opened.directory, MONDAY + 4 * DAY_S, permit=permit), clock.wait_until)
    assert is_paused
    assert all(is_open(plan.calendar, int(at)) for at, _ in seen), [at - MONDAY for at, _ in seen]
    assert len(opened.directory.members(np.arange(60, dtype=np.int32))) == 60
    assert max(at for at, _ in seen) < MONDAY + DAY_S + HOUR_S


@pytest.mark.parametrize("kind", WIRED)
@pytest.mark.parametrize("hours", [-5, 5])
def test_clocks_that_never_agreed_both_need_an_open_window(
    kind: str, hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which of the two is wrong is unknown: nothing is sent while the window is closed by either."""
    window = Window((0, 1, 2, 3, 4, 5, 6), 0, 6 * 60, "UTC")
    plan = plan_for(20, sizes=(20, 0, 0), hours=(0, 1, 1), windows=(window,))
    opened, it, clock, permit = opened_with(kind, plan, monkeypatch)
    it.time.barred = lambda later_by=0.0: permit.barred(clock.peek() + int(later_by))  # type: ignore[method-assign]
    dated(it, lambda _true: hours * HOUR_S)
    it.time.pass_((7 if hours < 0 else 2) * HOUR_S)
    it.now = int(it.time.wall())
    seen = written(it)
    pump(
        drive(opened.plan, MemoryJournal(), opened.directory, MONDAY + 3 * DAY_S, permit=permit),
        clock.wait_until,
    )
    assert len(opened.directory.members(np.arange(20, dtype=np.int32))) == 20
    for at, _ in seen:
        assert is_open(plan.calendar, int(at))
        assert is_open(plan.calendar, int(at) + hours * HOUR_S)


@pytest.mark.parametrize("kind", WIRED)
def test_a_pause_does_not_bar_a_withdrawal(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paused in the middle of a batch, then devices are withdrawn: they leave, and nothing else is sent."""
    plan = plan_for(60, sizes=(60, 0, 0), hours=(0, 1, 1), chunk=20)
    opened, it, clock, permit = opened_with(kind, plan, monkeypatch)
    journal = MemoryJournal()
    steps = drive(opened.plan, journal, opened.directory, MONDAY + DAY_S, permit=permit)
    at = next(steps)
    while not len(journal.added()):
        at = steps.send(clock.wait_until(at))
    out = journal.added()[:2]
    journal.commands_now = Commands(paused=True, by="Kim")
    for _ in range(2):
        at = steps.send(clock.wait_until(at))
    seen = written(it)
    journal.commands_now = Commands(paused=True, by="Kim", withdrawn=tuple(out.tolist()))
    for _ in range(2):
        at = steps.send(clock.wait_until(at))
    inside = opened.directory.members(np.arange(60, dtype=np.int32)).tolist()
    assert set(out.tolist()).isdisjoint(inside), journal.sessions
    assert all(method == "DELETE" or kind == "adminservice" for _, method in seen)
