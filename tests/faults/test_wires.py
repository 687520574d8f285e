"""The real directories under the harness: whatever goes wrong on the wire, nothing is lost or sent twice."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import pytest
from faults.__main__ import one_seed
from faults.case import Case, Record, Session
from faults.cases import plain_plan, quiet_world
from faults.chances import Chances, Fault, Kills
from faults.ends import end_of
from faults.invariants import complaints
from faults.wires import WireWorld

from rollout.directory.http.requests import Call
from rollout.directory.http.transport import Answer, LostAnswerError, Transport
from rollout.values import Commands

KINDS = ["adminservice", "graph"]
TROUBLES = {
    "throttled": Fault("refused", 429, share=0.5),
    "refused": Fault("refused", 503),
    "lost after it was done": Fault("lost"),
    "lost before": Fault("partial"),
    "slow": Fault("drip", seconds=20),
    "too slow": Fault("drip", seconds=45),
}


@pytest.fixture(autouse=True)
def _hushed() -> Iterator[None]:
    """The clients log what goes wrong: all of it is meant."""
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


def case_of(kind: str, chances: Chances) -> Case:
    """Give a small rollout over a real directory in which only `chances` goes wrong."""
    outside = partial(WireWorld, kind=kind, clock_stands=True)
    world = quiet_world(plain_plan(), chances, outside=outside)
    return Case(world.plan, world, chances, again=True, asked=lambda _now: Commands())


@cache
def untouched(kind: str) -> tuple[tuple[Any, ...], list[str], Record]:
    """Give the end without trouble, all checkpoints on the way, and the record."""
    chances = Kills()
    record = case_of(kind, chances).run()
    assert complaints(record) == []
    sent = [row for _, row in record.world.sent]  # type: ignore[attr-defined]  # of a WireWorld
    assert sorted(sent) == list(range(len(record.plan)))
    return end_of(record), chances.points, record


def killed(kind: str, places: range) -> Counter[str]:
    """Kill at each of `places` in turn: the same end; give the kinds of checkpoints."""
    whole, points, _ = untouched(kind)
    for place in places:
        chances = Kills(place)
        record = case_of(kind, chances).run()
        assert complaints(record) == [], f"{kind}, killed at {place}, {points[place]}"
        assert end_of(record) == whole, f"{kind}, killed at {place}, {points[place]}: another end"
    return Counter(points[place] for place in places)


@pytest.mark.parametrize("kind", KINDS)
def test_killed_on_the_wire_it_ends_the_same(kind: str) -> None:
    """Killed before or after a request: same members and decision rows, nobody sent twice; here at every fifth."""
    assert killed(kind, range(0, len(untouched(kind)[1]), 5)).total() > 30


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_killed_anywhere_on_the_wire_it_ends_the_same(kind: str) -> None:
    """The same at every request and every other checkpoint."""
    places = killed(kind, range(len(untouched(kind)[1])))
    print(f"\n{kind}: {places.total()} kills, {places['after write']} of them after a write")
    assert {"before read", "after read", "before write", "after write"} <= set(places)


class Once(Chances):
    """One request has one kind of trouble."""

    def __init__(self, request: int, trouble: Fault) -> None:
        super().__init__()
        self._left, self._trouble = request, trouble

    def fault(self, call: str) -> Fault | None:
        self._left -= 1
        return self._trouble if self._left == -1 else None


def decided(record: Record) -> list[Any]:
    """All releases and the end. An answer that is lost costs seconds, and what is not seen is held meanwhile."""
    rows = record.journal.decisions()
    return [(row.phase, row.batch, row.count, row.released) for row in rows if row.batch >= 0] + [
        rows[-1].state
    ]


def troubled(kind: str, names: list[str], every: int) -> int:
    """Let each `every`-th request meet each of the troubles: same members, batches and decisions; give the cases."""
    record = untouched(kind)[2]
    requests = len(record.world.emulator.asked)  # type: ignore[attr-defined]  # of a WireWorld
    cases = 0
    for name in names:
        for request in range(0, requests, every):
            it = case_of(kind, Once(request, TROUBLES[name])).run()
            where = f"{kind}, request {request} is {name}"
            assert complaints(it) == [], where
            assert it.world.is_member.all(), where
            assert decided(it) == decided(record), where
            assert [batch.rows.tolist() for batch in it.journal.batches()] == [
                batch.rows.tolist() for batch in record.journal.batches()
            ], where
            cases += 1
    return cases


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_is_lost_costs_nothing(kind: str) -> None:
    """The answer to each request in turn is lost after it was done: same members, same decisions, nobody sent twice."""
    assert troubled(kind, ["lost after it was done"], 1) >= 30


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_trouble_at_any_request_costs_nothing(kind: str) -> None:
    """The same for every kind of trouble at every request."""
    cases = troubled(kind, list(TROUBLES), 1)
    print(f"\n{kind}: {cases} requests in trouble")
    assert cases > 150


def seeds(kind: str, first: int, last: int) -> Counter[str]:
    """Run drawn seeds over a real directory; give what went wrong in them."""
    seen: Counter[str] = Counter()
    for seed in range(first, last):
        found, faults = one_seed(seed, kind)
        assert found == [], found
        seen += faults
    return seen


@pytest.mark.parametrize("kind", KINDS)
def test_the_invariants_hold_whatever_goes_wrong_on_the_wire(kind: str) -> None:
    """Drawn faults, kills, stalls, people and clocks over real directories: no invariant is broken."""
    seen = seeds(kind, 0, 25)
    assert {"apply lost", "apply refused", "observe drip", "kill after write", "stall"} <= set(seen)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_invariants_hold_in_hundreds_of_seeds_on_the_wire(kind: str) -> None:
    """The same for 300 more seeds each; `python -m faults seeds` runs as many as one likes."""
    print(f"\n{kind}: {seeds(kind, 25, 350).total()} faults")


def caught(kind: str, first: int, last: int) -> str:
    """Give the first complaint over some seeds, "" if there is none."""
    return next((found[0] for seed in range(first, last) if (found := one_seed(seed, kind)[0])), "")


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_repeats_its_writes_is_caught(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transport that sends a write again when its answer was lost: somebody is sent twice."""
    write: Callable[..., Answer] = Transport.write

    def hasty(self: Transport, call: Call, *given: Any, **keys: Any) -> Answer:
        try:
            return write(self, call, *given, **keys)
        except LostAnswerError:
            return write(self, call, *given, **keys)

    monkeypatch.setattr(Transport, "write", hasty)
    found = caught(kind, 0, 30)
    print(f"\n{found}")
    assert "was sent twice" in found


class Stalled(Chances):
    """After a write another executor takes over."""

    def __init__(self, write: int) -> None:
        super().__init__()
        self._left = write

    def at(self, point: str) -> str:
        if self.calm or point != "after write":
            return ""
        self._left -= 1
        return "stall" if self._left == 0 else ""


def stalled() -> list[str]:
    """Stall after each of the first writes in turn; give the complaints."""
    found = []
    for write in range(1, 16):
        chances = Stalled(write)
        world = quiet_world(plain_plan(), chances, outside=partial(WireWorld, kind="adminservice"))
        found += complaints(Case(world.plan, world, chances).run())
    return found


def test_no_write_outlives_the_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stalled past its lease in the middle of a chunk, it sends no more of it; one that knows no lease is caught."""
    assert stalled() == []
    monkeypatch.setattr(Session, "held_s", lambda _self: float("inf"))
    found = stalled()
    print(f"\n{found[:1]}")
    assert any("without the lease" in item for item in found)
