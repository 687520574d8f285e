"""The simulated directory: what somebody else takes out is told, forgotten by no restart, and changes no outcome."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from building import make_plan

from rollout.loop.drive import drive, pump
from rollout.values import DAY_S, HOUR_S, Fact, IntArray, Observation, State
from sim.clients.draws import traits_like
from sim.model import Model
from sim.simulation import world_of
from sim.world.directory import SimClock, SimulatedDirectory
from sim.world.journal import MemoryJournal

MODEL = Model.model_validate(
    {
        "clients": {
            "window": "6h",
            "unenroll_per_year": 20,
            "failures": [
                {"code": 0x80180018, "rate": 0.2, "permanent": True},
                {"code": 0x80180005, "rate": 0.3},
            ],
        },
        "horizon": "30d",
    }
)
PLAN = make_plan((20, 80, 0))
START = PLAN.start


class Log:
    """A membership log in memory."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, IntArray]] = []

    def load(self) -> Iterator[tuple[int, int, IntArray]]:
        yield from self.rows

    def append(self, at: int, batch: int, rows: IntArray) -> None:
        self.rows.append((at, batch, rows.copy()))


def numbers(*rows: int) -> IntArray:
    return np.array(rows, dtype=np.int32)


def opened(log: Log) -> SimulatedDirectory:
    world = world_of(PLAN, traits_like(len(PLAN), MODEL), MODEL, seed=3, log=log)
    world.prepare(PLAN)
    world.restore([])
    world.recall([])
    return world


def lost(seen: Observation) -> dict[int, tuple[int, int]]:
    """Return why and since when devices are lost, by row."""
    if seen.lost is None:
        return {}
    parts = zip(seen.lost.rows.tolist(), seen.lost.facts.tolist(), seen.lost.at.tolist(), strict=True)
    return {row: (fact, at) for row, fact, at in parts}


def same(one: SimulatedDirectory, other: SimulatedDirectory, at: int) -> None:
    """Check that two directories show the same."""
    a, b = one.observe(at), other.observe(at)
    assert a.counts.tolist() == b.counts.tolist()
    assert (a.marks is None) == (b.marks is None)
    if a.marks is not None and b.marks is not None:
        assert a.marks.tolist() == b.marks.tolist()
    assert a.failed_codes == b.failed_codes
    assert lost(a) == lost(b)
    assert one.answered_at().tolist() == other.answered_at().tolist()
    assert one.is_member.tolist() == other.is_member.tolist()


def test_devices_taken_out_by_others_are_told_and_stay_counted() -> None:
    log = Log()
    world, control = opened(log), opened(Log())
    for directory in (world, control):
        directory.apply(0, numbers(*range(60)), START)
        directory.observe(START + HOUR_S)
    world.take_out(numbers(3, 4, 5, 99), START + 2 * HOUR_S)
    world.take_out(numbers(4, 6), START + 3 * HOUR_S)
    assert lost(world.observe(START + 2 * HOUR_S)) == {}, "it is seen after it happened"
    first, second = (int(Fact.REMOVED), START + 2 * HOUR_S), (int(Fact.REMOVED), START + 3 * HOUR_S)
    for days in range(1, 12):
        at = START + days * DAY_S
        seen, expected = world.observe(at), control.observe(at)
        assert seen.counts.tolist() == expected.counts.tolist()
        assert lost(seen) == {3: first, 4: first, 5: first, 6: second}
        assert world.members(numbers(3, 6, 7)).tolist() == [7]
        same(world, opened(log), at)


def test_who_is_withdrawn_or_added_again_is_lost_no_more() -> None:
    """Also after a restart, which reads the log."""
    log = Log()
    world = opened(log)
    world.apply(0, numbers(*range(10)), START)
    world.take_out(numbers(1, 2, 3), START + 60)
    answer = world.withdraw(-1, numbers(1, 7), START + 120)
    assert (answer.accepted.tolist(), answer.adopted.tolist()) == ([7], [1])
    assert world.apply(0, numbers(2), START + 180).accepted.tolist() == [2]
    at = START + DAY_S
    assert set(lost(world.observe(at))) == {3}
    assert world.members(numbers(1, 2, 3, 7)).tolist() == [2]
    same(world, opened(log), at)


def test_marks_and_answers_are_the_same_after_every_restart() -> None:
    log = Log()
    world = opened(log)
    for batch in range(5):
        world.apply(batch, numbers(*range(20 * batch, 20 * batch + 20)), START + batch * 5 * HOUR_S)
    marked = 0
    for hours in range(21, 24 * 20, 37):
        same(world, opened(log), START + hours * HOUR_S)
        marks = world.observe(START + hours * HOUR_S).marks
        marked = max(marked, 0 if marks is None else np.count_nonzero(marks.sum(axis=(0, 1))))
    assert marked == 3, "mending, recovered and un-enrolled devices"


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_collection_that_a_colleague_empties_holds_the_rollout(share: float) -> None:
    """The loop over the simulated directory stops when all members are taken out, and not when none are."""
    plan = make_plan((20, 80, 0), hours=(2, 100, 1), gate=make_plan().phases[0].gate)
    model = Model.model_validate({"clients": {"window": "1h"}, "horizon": "20d"})
    world = world_of(plan, traits_like(len(plan), model), model, seed=1)
    steps, clock = drive(plan, MemoryJournal(), world, plan.start + model.horizon), SimClock(plan.start)
    emptied = [False]

    def wait(at: int) -> int:
        members = np.flatnonzero(world.is_member).astype(np.int32)
        if len(members) >= 50 and not emptied[0]:
            emptied[0] = True
            world.take_out(members[: round(share * len(members))], clock.now())
        return clock.wait_until(at)

    progress = pump(steps, wait)
    assert emptied[0]
    if share:
        assert progress.state is State.HELD
        assert "no longer in the collection" in progress.reason
        assert sum(progress.released) <= 55
    else:
        assert progress.state is State.FINISHED
