"""What was seen of a device is never forgotten, whatever a directory shows next, with restarts in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from building import MONDAY
from directory_kinds import KINDS, MODEL, REAL, Opened
from emulators.adminservice import LIMIT
from emulators.people import FIRST_RESOURCE, Prompt
from emulators.web import Fault, Reply, in_process
from opened import FACTORIES, Setting, fleet_plan, network_of, rows, site, tenant

from rollout.directory.port import Opening
from rollout.errors import OutsideError
from rollout.text import instant
from rollout.values import DAY_S, HOUR_S, Batch, Fact, Facts, Mark, Observation, Outcome
from sim.model import FailureCode

NOBODY = rows()
FAILS = 0x80180018
"""A failure that does not mend by itself."""
MEMBERS, STATES = "SMS_FullCollectionMembership", "SMS_Client_ComanagementState"
MAKE = {"adminservice": site, "graph": tenant}


def totals(seen: Observation) -> list[int]:
    return list(seen.counts.sum(axis=(0, 1)).tolist())


def lost(seen: Observation) -> dict[int, int]:
    """Give why devices are lost, by row."""
    if seen.lost is None:
        return {}
    return dict(zip(seen.lost.rows.tolist(), seen.lost.facts.tolist(), strict=True))


def same(one: Observation, other: Observation) -> None:
    """Two observations show the same evidence."""
    assert one.counts.tolist() == other.counts.tolist()
    assert one.failed_codes == other.failed_codes
    assert lost(one) == lost(other)
    marks = [[] if seen.marks is None else seen.marks.tolist() for seen in (one, other)]
    assert marks[0] == marks[1]


class Watched:
    """A directory with the facts that a journal would have; `restart` opens it again, as a new process does."""

    def __init__(self, opened: Opened, count: int) -> None:
        self.opened, self.directory = opened, opened.directory
        self.batch = Batch(0, 0, opened.pass_(0), np.arange(count, dtype=np.int32), NOBODY)
        self.facts: list[Facts] = []
        self.directory.apply(0, self.batch.rows, self.batch.at)

    def see(self, seconds: int) -> Observation:
        seen = self.directory.observe(self.opened.pass_(seconds))
        self.facts += [seen.facts] if seen.facts else []
        return seen

    def restart(self) -> None:
        assert self.opened.outside is not None
        self.directory = self.opened.outside.again()
        self.directory.prepare(self.opened.plan)
        self.directory.restore([self.batch])
        self.directory.recall(self.facts)


@pytest.fixture(params=REAL)
def mixed(request: pytest.FixtureRequest) -> Watched:
    """A directory with 28 members of which some failed and some are enrolled."""
    code = FailureCode(code=FAILS, rate=0.3, permanent=True)
    model = MODEL.model_copy(update={"clients": MODEL.clients.model_copy(update={"failures": (code,)})})
    return Watched(KINDS[request.param](fleet_plan(40, chunk=40)[1], model, 3), 28)


@pytest.mark.parametrize("restarts", [False, True])
def test_who_is_taken_out_stays_what_it_was(mixed: Watched, restarts: bool) -> None:
    """The help desk takes all failed devices out, then a colleague everybody: no count changes."""
    before = mixed.see(9 * DAY_S)
    outcome = mixed.directory.outcomes().outcome
    failed = np.flatnonzero(outcome == Outcome.FAILED).tolist()
    assert len(failed) > 3
    assert totals(before)[Outcome.ENROLLED] > 3
    assert mixed.opened.outside is not None
    for gone in (failed, list(range(28))):
        mixed.opened.outside.remove(gone)
        if restarts:
            mixed.restart()
        after = mixed.see(HOUR_S)
        assert after.counts.tolist() == before.counts.tolist()
        assert after.failed_codes == before.failed_codes
        assert lost(after) == dict.fromkeys(gone, Fact.REMOVED)
        assert not after.blind
    first = {int(at) for at in after.lost.at} if after.lost else set()
    assert first == {MONDAY + 9 * DAY_S + HOUR_S, MONDAY + 9 * DAY_S + 2 * HOUR_S}, (
        "each since it was first seen"
    )
    answered = mixed.directory.answered_at()
    assert (
        answered[:28]
        == np.where(np.isin(outcome[:28], (Outcome.ENROLLED, Outcome.FAILED)), MONDAY + 9 * DAY_S, -1)
    ).all()


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("shown", [2, 0])
@pytest.mark.parametrize("kind", REAL)
def test_a_list_that_shrank_is_not_believed(kind: str, shown: int, restarts: bool) -> None:
    """28 were enrolled, 2 or none are listed: blind with the last good counts, for as long as it lasts."""
    it = Watched(KINDS[kind](fleet_plan(40, chunk=40)[1], MODEL, 3), 28)
    assert it.opened.outside is not None
    good = it.see(6 * DAY_S)
    enrolled = totals(good)[Outcome.ENROLLED]
    assert enrolled > 20
    it.opened.outside.only(shown)
    if restarts:
        it.restart()
    for _ in range(5):
        seen = it.see(3 * HOUR_S)
        assert not seen.readable
        assert f" of the {enrolled} devices that were enrolled" in seen.blind
        assert seen.blind.endswith("the list is incomplete")
        assert seen.facts is None
        assert seen.counts.tolist() == good.counts.tolist()
    it.opened.outside.only(None)
    seen = it.see(60)
    assert seen.readable
    assert not seen.blind
    assert totals(seen)[Outcome.ENROLLED] >= enrolled


# Over the emulators alone: what no file can show.


def prompt(kind: str, n: int = 28, code: Callable[[int], int] = lambda _row: 0, **keys: Any) -> Setting:
    """A site or a tenant in which `n` members have their outcome."""
    it = MAKE[kind](40, chunk=40, world=lambda plan, _fleet: Prompt(len(plan), code=code), **keys)
    it.directory.apply(0, np.arange(n, dtype=np.int32), it.now)
    it.now += HOUR_S
    return it


def again(it: Setting, kind: str, facts: list[Facts], n: int = 28) -> Any:
    """A new process: its directory after `restore` and `recall`."""
    opening = Opening(it.plan, it.fleet, {}, clock=it.time)
    directory = FACTORIES[kind](it.directory.settings, opening, network_of(in_process(it.emulator)))
    directory.prepare(it.plan)
    directory.restore([Batch(0, 0, MONDAY, np.arange(n, dtype=np.int32), NOBODY)])
    directory.recall(facts)
    return directory


@pytest.mark.parametrize("kind", list(MAKE))
def test_unenrolled_devices_wait_before_and_after_a_restart(kind: str) -> None:
    """Ten of 28 are un-enrolled: ten pending, never ten timed out."""
    it = prompt(kind)
    first = it.directory.observe(it.now)
    assert totals(first) == [0, 28, 0, 0, 0]
    for row in range(10):
        it.emulator.world.leave(row)
    it.now += HOUR_S
    second = it.directory.observe(it.now)
    assert totals(second) == [10, 18, 0, 0, 0]
    assert second.marks is not None
    assert second.marks.sum(axis=(0, 1)).tolist()[Mark.UNENROLLED] == 10
    it.now += 30 * DAY_S
    later = again(it, kind, [first.facts, second.facts])
    for directory in (it.directory, later):
        same(directory.observe(it.now), second)


@pytest.mark.parametrize("kind", list(MAKE))
def test_a_colleague_empties_the_collection_and_fills_it_again(kind: str) -> None:
    """All 28 are out at once, and our rules too: no blindness, each is lost; put back, none is."""
    it = prompt(kind)
    first = it.directory.observe(it.now)
    it.emulator.remove(list(range(28)))
    it.now += HOUR_S
    second = it.directory.observe(it.now)
    assert not second.blind
    assert totals(second) == [0, 28, 0, 0, 0]
    assert lost(second) == dict.fromkeys(range(28), Fact.REMOVED)
    later = again(it, kind, [first.facts, second.facts])
    it.emulator.restore(list(range(20)))
    it.now += HOUR_S
    for directory in (it.directory, later):
        third = directory.observe(it.now)
        assert lost(third) == dict.fromkeys(range(20, 28), Fact.REMOVED)
        assert third.lost.at.tolist() == [MONDAY + 2 * HOUR_S] * 8
        assert third.facts.facts.tolist() == [Fact.RETURNED] * 20


@pytest.mark.parametrize("kind", list(MAKE))
def test_a_device_that_is_gone_is_told_apart_and_linked_to_its_new_record(kind: str) -> None:
    """Two are deleted, one of them was set up again; a third was removed by hand."""
    it = prompt(kind, unknown_max=2)
    first = it.directory.observe(it.now)
    it.emulator.delete([3])
    it.emulator.delete([4], set_up_again=True)
    it.emulator.remove([5])
    it.now += HOUR_S
    seen = it.directory.observe(it.now)
    assert totals(seen) == [0, 28, 0, 0, 0]
    assert lost(seen) == {3: Fact.GONE, 4: Fact.GONE, 5: Fact.REMOVED}
    assert list(seen.lost.successors) == [4]
    assert "of the same name" in seen.lost.successors[4]
    for facts in ([first.facts], [first.facts, seen.facts]):  # deleted while nobody looked, and before
        same(again(it, kind, facts).observe(it.now), seen)


@pytest.mark.parametrize("kind", list(MAKE))
def test_all_devices_gone_at_once_is_not_believed(kind: str) -> None:
    """Not one of 28 records is there any more: rather the answer is wrong."""
    it = prompt(kind)
    good = it.directory.observe(it.now)
    it.emulator.delete(list(range(28)))
    it.now += HOUR_S
    seen = it.directory.observe(it.now)
    assert "lists 0 of the 28" in seen.blind
    assert not seen.readable
    same(seen, good)


@pytest.mark.parametrize("kind", list(MAKE))
def test_many_of_a_large_fleet_are_taken_out(kind: str) -> None:
    """Above the size up to which devices are read one by one: 300 of 450 removed, 5 deleted."""
    everybody = np.arange(450, dtype=np.int32)
    it = MAKE[kind](450, chunk=450)
    it.directory.apply(0, everybody, it.now)
    it.now += HOUR_S
    assert totals(it.directory.observe(it.now)) == [0, 450, 0, 0, 0]
    it.emulator.remove(list(range(300)))
    it.emulator.delete(list(range(445, 450)))
    it.now += HOUR_S
    seen = it.directory.observe(it.now)
    assert not seen.blind
    assert totals(seen) == [0, 450, 0, 0, 0]
    expected = dict.fromkeys(range(300), Fact.REMOVED) | dict.fromkeys(range(445, 450), Fact.GONE)
    assert lost(seen) == expected


def test_devices_that_leave_the_limiting_collection_are_told_apart() -> None:
    """Their rules are there: one at first, then nearly all of them."""
    it = prompt("adminservice")
    it.directory.observe(it.now)
    it.emulator.leave([7])
    it.now += HOUR_S
    assert lost(it.directory.observe(it.now)) == {7: Fact.LEFT}
    it.emulator.leave(list(range(28)))
    it.now += HOUR_S
    seen = it.directory.observe(it.now)
    assert not seen.blind
    assert lost(seen) == dict.fromkeys(range(28), Fact.LEFT)
    assert totals(seen) == [0, 28, 0, 0, 0]


@pytest.mark.parametrize("shown", [2, 0])
def test_a_collection_that_shows_few_of_its_members_is_not_believed(shown: int) -> None:
    """Their rules are there, and they are in the limiting collection: the list is short."""
    it = prompt("adminservice")
    good = it.directory.observe(it.now)
    names = list(it.emulator.collections)
    first = names[: names.index(it.emulator.target.id)]
    before = sum(len(it.emulator.collections[name].members) for name in first)
    it.emulator.only = {MEMBERS: before + shown}
    it.now += HOUR_S
    for _ in range(2):
        seen = it.directory.observe(it.now)
        assert f"The site lists {shown} of the 28 devices that were members" in seen.blind
        same(seen, good)
    it.emulator.only = {}
    assert it.directory.observe(it.now).readable
    assert LIMIT in first


@pytest.mark.parametrize("restarts", [False, True])
def test_failure_events_that_leave_the_list_are_not_forgotten(restarts: bool) -> None:
    """Intune's list keeps two hours: seven of 28 failed, and stay so."""
    it = prompt("graph", code=lambda row: FAILS if row < 7 else 0)
    it.emulator.horizon_s = 2 * HOUR_S
    first = it.directory.observe(it.now)
    assert totals(first) == [0, 21, 7, 0, 0]
    it.now += 5 * HOUR_S
    assert not it.emulator._events()
    directory = again(it, "graph", [first.facts]) if restarts else it.directory
    same(directory.observe(it.now), first)


@pytest.mark.parametrize("kind", list(MAKE))
def test_a_refusal_is_remembered_after_a_restart(kind: str) -> None:
    """The directory refused two devices: rejected in this session and in the next, whatever it says of them then."""
    it = MAKE[kind](40, chunk=40)
    it.emulator.gone = (
        {FIRST_RESOURCE + row for row in (1, 2)}
        if kind == "adminservice"
        else {it.emulator.object_of[row] for row in (1, 2)}
    )
    assert it.directory.apply(0, np.arange(28, dtype=np.int32), it.now).rejected.tolist() == [1, 2]
    it.emulator.gone = set()
    it.now += HOUR_S
    first = it.directory.observe(it.now)
    assert totals(first) == [0, 26, 0, 2, 0]
    same(again(it, kind, [first.facts]).observe(it.now), first)


@pytest.mark.parametrize("retry_after", [{}, {"Retry-After": "30"}, {"Retry-After": "900"}])
@pytest.mark.parametrize("kind", list(MAKE))
def test_writes_that_are_throttled_for_hours_name_the_answer(kind: str, retry_after: dict[str, str]) -> None:
    """Each try says 429 and since when, without the host; what was read before stays readable."""
    it = MAKE[kind](40, chunk=40)
    busy = Reply(429, {"error": {"code": "TooManyRequests", "message": "Too many"}}, retry_after)
    it.emulator.faults.append(Fault("PATCH|AddMembershipRule", times=10_000, reply=busy))
    since = instant(int(it.time.wall()))
    for _ in range(6):
        with pytest.raises(
            OutsideError, match=rf"^writes are answered 429 \(throttled\) since {since}"
        ) as told:
            it.directory.apply(0, np.arange(28, dtype=np.int32), it.now)
        assert "http" not in told.value.message
        assert ("Retry-After" in told.value.message) == bool(retry_after)
        it.time.pass_(max(1800, told.value.wait_s))
        it.now += HOUR_S
        assert it.directory.observe(it.now).readable
    it.emulator.faults.clear()
    assert len(it.directory.apply(0, np.arange(28, dtype=np.int32), it.now).accepted) == 28


def test_the_contract_is_the_same_in_the_middle_of_everything() -> None:
    """A device fails, is taken out, enrolls, is put back and deleted: failed and recovered to the end, once."""
    for kind in MAKE:
        it = prompt(kind, n=1, code=lambda _row: FAILS)
        facts = [it.directory.observe(it.now).facts]
        it.emulator.remove([0])
        it.now += HOUR_S
        facts.append(it.directory.observe(it.now).facts)
        it.emulator.world = Prompt(40)
        it.emulator.world.enter(0, it.now)
        it.now += HOUR_S
        seen = it.directory.observe(it.now)
        facts.append(seen.facts)
        assert totals(seen) == [0, 1, 0, 0, 0]
        assert seen.evidence(0, 1).sum(axis=0).tolist() == [0, 0, 1, 0, 0]
        later = again(it, kind, facts, 1)
        it.emulator.restore([0])
        for directory in (it.directory, later):
            last = directory.observe(it.now)
            assert lost(last) == {}
            same(replace(last, lost=None), replace(seen, lost=None))
            assert directory.answered_at()[0] == MONDAY + HOUR_S
