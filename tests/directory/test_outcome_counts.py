"""Counts of outcomes by batch and stratum, against the plainest possible counting; and what is never forgotten."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from building import MONDAY, make_plan
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.directory.outcome_counts import OutcomeCounts, Reading
from rollout.values import (
    DAY_S,
    HOUR_S,
    NOT_RELEASED,
    Batch,
    Fact,
    Facts,
    Mark,
    Observation,
    Outcome,
)
from rollout.values.failures import AGAIN_S, MENDS_WITHIN_S, mends

N = 12
LATE_S = 2 * DAY_S
PLAN = make_plan(sizes=(N, 0, 0), straggler_after_s=LATE_S, strata=3)
NOBODY = np.empty(0, dtype=np.int32)
CODES = (0x80180018, 0x80192EE7, 0x80192EE2, 0)
"""Codes of failures: for good, by the network (twice), unknown."""

masks = st.lists(st.booleans(), min_size=N, max_size=N).map(lambda item: np.array(item, dtype=np.bool_))
codes = st.lists(st.sampled_from(CODES), min_size=N, max_size=N).map(
    lambda item: np.array(item, dtype=np.int64)
)
outs = st.lists(st.sampled_from((0, Fact.GONE, Fact.LEFT, Fact.REMOVED)), min_size=N, max_size=N).map(
    lambda item: np.array(item, dtype=np.int8)
)
ages = st.lists(st.integers(-1, 3 * DAY_S), min_size=N, max_size=N).map(
    lambda item: np.array(item, dtype=np.int64)
)
batches = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 500)), min_size=N, max_size=N)


@dataclass(frozen=True)
class Look:
    """What a directory shows `wait` seconds after the last time, and what we have done before."""

    wait: int
    visible: Any
    enrolled: Any
    failed: Any
    code: Any
    unenrolled: Any
    accepted: Any
    out: Any
    age: Any
    refused: Any
    withdrawn: Any
    restarts: bool

    def reading(self, at: int) -> Reading:
        failed_at = np.where(self.age < 0, -1, at - self.age)
        return Reading(
            self.visible, self.enrolled, self.failed, self.code, self.unenrolled, self.accepted, failed_at, self.out
        )  # fmt: skip


rare = st.lists(st.integers(0, 9), min_size=N, max_size=N).map(lambda item: np.array(item) == 0)
looks = st.lists(
    st.builds(
        Look,
        wait=st.sampled_from((600, HOUR_S, 9 * HOUR_S, DAY_S, 4 * DAY_S)),
        visible=masks, enrolled=masks, failed=masks, code=codes, unenrolled=masks, accepted=masks, out=outs, age=ages,
        refused=rare, withdrawn=rare, restarts=st.booleans(),
    ),
    min_size=1, max_size=7,
)  # fmt: skip


@dataclass
class Person:
    """One device as a person with a pencil would follow it. begun : instant of its batch, None = not released."""

    begun: int | None
    member: bool = False
    counted: bool = False
    rejected: bool = False
    withdrawn: bool = False
    silent: bool = False
    harmed: bool = False
    now: str = ""
    code: int = 0
    failing_since: int = 0
    answered: int = -1
    out: int = 0
    out_at: int = -1
    history: list[str] = field(default_factory=list)

    def see(self, at: int, look: Look, row: int) -> None:
        visible, enrolled = bool(look.visible[row]), bool(look.enrolled[row])
        failed, code = bool(look.failed[row]) and not enrolled, int(look.code[row])
        refused = bool(look.refused[row])
        self.withdrawn |= bool(look.withdrawn[row])
        if self.begun is None:
            return
        if self.out and visible:
            self.out = 0
        elif not self.out and not visible and not self.withdrawn and look.out[row]:
            self.out, self.out_at, self.counted, self.member = int(look.out[row]), at, True, True
        if visible or self.withdrawn:
            self.member = self.counted = True
        if self.counted and enrolled:
            self.now, self.answered = "enrolled", self.answered if self.answered >= 0 else at
        elif self.counted and failed and self.now != "failed":
            self.now, self.failing_since, self.code = "failed", at, code
            self.answered = self.answered if self.answered >= 0 else at
            self.harmed |= not mends(code)
        elif self.now == "failed":
            is_other = failed and code not in (0, self.code)
            failed_at = at - int(look.age[row]) if look.age[row] >= 0 else -1
            is_again = failed and failed_at - self.failing_since >= AGAIN_S
            if is_other or (not self.harmed and (is_again or at - self.failing_since >= MENDS_WITHIN_S)):
                self.code = code if failed and code else self.code
                self.harmed |= not mends(self.code) or at - self.failing_since >= AGAIN_S
        elif self.now == "enrolled" and bool(look.unenrolled[row]) and not failed:
            self.now = "unenrolled"
        late = self.begun + LATE_S < at
        if late and self.answered < 0 and (self.counted or bool(look.accepted[row])):
            self.silent = self.counted = True
        if refused and not self.counted:
            self.rejected = True

    @property
    def outcome(self) -> int:
        if self.begun is None or not (self.counted or self.rejected):
            return NOT_RELEASED
        if not self.counted:
            return Outcome.REJECTED
        if self.now == "enrolled":
            return Outcome.ENROLLED
        if self.now == "failed" or self.harmed:
            return Outcome.FAILED
        return Outcome.TIMED_OUT if self.silent and not self.now else Outcome.PENDING

    @property
    def mark(self) -> int:
        if self.outcome == Outcome.FAILED and not self.harmed:
            return Mark.MENDING
        if self.outcome == Outcome.ENROLLED and self.harmed:
            return Mark.RECOVERED
        return Mark.UNENROLLED if self.outcome == Outcome.PENDING and self.now == "unenrolled" else -1


def released(where: list[tuple[int, int]], out: np.ndarray) -> list[Batch]:
    """Give the batches of the devices that are not `out`."""
    begun = {number: MONDAY + min(t for n, t in where if n == number) for number, _ in where}
    rows = {
        number: [row for row, (n, _) in enumerate(where) if n == number and not out[row]] for number in begun
    }
    return [
        Batch(number, 0, begun[number], np.array(rows[number], dtype=np.int32), NOBODY)
        for number in sorted(begun)
        if rows[number]
    ]


def observed(tally: OutcomeCounts, at: int, look: Look) -> Observation:
    tally.reject(np.flatnonzero(look.refused))
    tally.withdrawn[look.withdrawn] = True
    return tally.observe(at, look.reading(at))


@given(batches, looks, masks)
@settings(derandomize=True, max_examples=150, deadline=None)
def test_counts_are_those_of_plain_counting(
    where: list[tuple[int, int]], seen: list[Look], out: np.ndarray
) -> None:
    """Any batches, any history: each device has the outcome, the mark and the reason that a person would give it."""
    tally, all_batches = OutcomeCounts(PLAN), released(where, out)
    tally.restore(all_batches)
    begun = {int(row): batch.at for batch in all_batches for row in batch.rows}
    people = [Person(begun.get(row)) for row in range(N)]
    at = MONDAY
    for look in seen:
        at += look.wait
        counted = observed(tally, at, look)
        for row, person in enumerate(people):
            person.see(at, look, row)
    told = tally.outcomes()
    assert told.outcome.tolist() == [person.outcome for person in people]
    assert tally.answered_at().tolist() == [person.answered for person in people]
    for number, stratum in np.ndindex(*counted.counts.shape[:2]):
        here = [
            person
            for row, person in enumerate(people)
            if person.begun is not None and where[row][0] == number and PLAN.strata.codes[row] == stratum
        ]
        for item in Outcome:
            assert counted.counts[number, stratum, item] == sum(person.outcome == item for person in here)
        for mark in Mark:
            found = 0 if counted.marks is None else counted.marks[number, stratum, mark]
            assert found == sum(person.mark == mark for person in here)
    failed = [person.code for person in people if person.outcome == Outcome.FAILED]
    assert counted.failed_codes == {code: failed.count(code) for code in failed}
    lost = {
        row: (person.out, person.out_at)
        for row, person in enumerate(people)
        if person.out and not person.withdrawn
    }
    assert lost == lost_of(counted)


def lost_of(seen: Observation) -> dict[int, tuple[int, int]]:
    if seen.lost is None:
        return {}
    parts = (seen.lost.rows.tolist(), seen.lost.facts.tolist(), seen.lost.at.tolist())
    return {row: (fact, at) for row, fact, at in zip(*parts, strict=True)}


@given(batches, looks, masks)
@settings(derandomize=True, max_examples=150, deadline=None)
def test_restarts_change_nothing(where: list[tuple[int, int]], seen: list[Look], out: np.ndarray) -> None:
    """Sessions that end after any observation: the next one has the same evidence, at once and ever after."""
    all_batches = released(where, out)
    whole, parts = OutcomeCounts(PLAN), OutcomeCounts(PLAN)
    whole.restore(all_batches)
    parts.restore(all_batches)
    journal: list[Facts] = []
    at, withdrawn = MONDAY, np.zeros(N, dtype=np.bool_)
    for look in seen:
        at += look.wait
        withdrawn |= look.withdrawn
        expected, found = observed(whole, at, look), observed(parts, at, look)
        if found.facts is not None:
            assert len(found.facts) > 0
            assert found.facts.at == at
            journal.append(found.facts)
        if look.restarts:
            parts = OutcomeCounts(PLAN)
            parts.restore(all_batches)
            parts.recall(journal)
            parts.withdrawn[withdrawn] = True
            found = parts.blind(at, "nothing was read yet")
        assert same(expected, found)
        assert (whole.answered_at() == parts.answered_at()).all()
        for name in ("outcome", "at", "code"):
            assert (getattr(whole.outcomes(), name) == getattr(parts.outcomes(), name)).all(), name


def same(one: Observation, other: Observation) -> bool:
    marks = [None if it.marks is None else it.marks.tolist() for it in (one, other)]
    return (
        one.counts.tolist() == other.counts.tolist()
        and marks[0] == marks[1]
        and one.failed_codes == other.failed_codes
        and lost_of(one) == lost_of(other)
    )


@given(batches, looks, masks)
@settings(derandomize=True, max_examples=150, deadline=None)
def test_evidence_only_grows(where: list[tuple[int, int]], seen: list[Look], out: np.ndarray) -> None:
    """Whatever a directory shows next: nobody drops out of the counts, and no failure that counts is forgotten."""
    tally = OutcomeCounts(PLAN)
    tally.restore(released(where, out))
    at, counted, failed = MONDAY, 0, 0
    for look in seen:
        at += look.wait
        observation = observed(tally, at, look)
        evidence = observation.evidence(0, len(observation.counts)).sum(axis=0)
        assert evidence.sum() >= counted
        assert evidence[Outcome.FAILED] >= failed
        assert (evidence >= 0).all()
        counted, failed = evidence.sum(), evidence[Outcome.FAILED]


def mask(*rows: int) -> np.ndarray:
    out = np.zeros(N, dtype=np.bool_)
    out[list(rows)] = True
    return out


EVERYBODY, NONE = np.ones(N, dtype=np.bool_), np.zeros(N, dtype=np.bool_)


def shown(**changes: Any) -> Reading:
    """Give a reading in which everybody is a member and nothing has happened yet."""
    plain = {"visible": EVERYBODY, "enrolled": NONE, "failed": NONE, "code": np.zeros(N, dtype=np.int64)}
    return Reading(**plain | changes)


def coded(code: int) -> np.ndarray:
    return np.full(N, code, dtype=np.int64)


def fresh(*rows: int) -> OutcomeCounts:
    """Give counts in which `rows` were released on Monday."""
    tally = OutcomeCounts(PLAN)
    tally.enter(np.array(rows, dtype=np.int32), 0, MONDAY)
    return tally


def totals(seen: Observation) -> list[int]:
    return list(seen.counts.sum(axis=(0, 1)).tolist())


def marks(seen: Observation) -> list[int]:
    return [0, 0, 0] if seen.marks is None else list(seen.marks.sum(axis=(0, 1)).tolist())


def test_nothing_released_counts_nothing() -> None:
    """Before the first batch there is no row of counts."""
    seen = OutcomeCounts(PLAN).observe(MONDAY, shown())
    assert seen.counts.shape == (0, 3, 5)
    assert seen.failed_codes == {}
    assert seen.facts is None
    assert seen.marks is None
    assert seen.lost is None


def test_stragglers_are_timed_from_the_batchs_first_instant() -> None:
    """A chunk that was sent late, after lost answers, does not begin its batch anew: a resumed session agrees."""
    tally = fresh(0, 1)
    tally.enter(np.array([2], dtype=np.int32), 0, MONDAY + 900)
    assert totals(tally.observe(MONDAY + LATE_S + 1, shown())) == [0, 0, 0, 0, 3]


def test_a_device_that_was_never_sent_is_never_silent() -> None:
    """Intended, but the window closed for a week: it is no evidence of anything."""
    assert totals(fresh(0, 1).observe(MONDAY + 9 * DAY_S, shown(visible=mask(1)))) == [0, 0, 0, 0, 1]


def test_a_device_that_was_accepted_and_never_became_visible_is_silent_in_the_end() -> None:
    """Its rule is there, the site never evaluated it."""
    tally = fresh(0, 1)
    assert totals(tally.observe(MONDAY + 60, shown(visible=NONE, accepted=mask(0)))) == [0, 0, 0, 0, 0]
    assert totals(tally.observe(MONDAY + LATE_S + 1, shown(visible=NONE, accepted=mask(0)))) == [
        0,
        0,
        0,
        0,
        1,
    ]


def test_failed_silent_and_enrolled_devices_that_are_taken_out_stay_what_they_were() -> None:
    """The help desk empties the collection: every count stays."""
    tally = fresh(0, 1, 2)
    failed = {"failed": mask(0), "code": coded(0x80180018)}
    tally.observe(MONDAY + LATE_S + 1, shown(enrolled=mask(1), **failed))
    out = np.full(N, Fact.REMOVED, dtype=np.int8)
    seen = tally.observe(MONDAY + LATE_S + 60, shown(visible=NONE, out=out))
    assert totals(seen) == [0, 1, 1, 0, 1]
    assert seen.failed_codes == {0x80180018: 1}
    assert lost_of(seen) == dict.fromkeys(range(3), (int(Fact.REMOVED), MONDAY + LATE_S + 60))


def test_a_member_again_is_lost_no_more_and_lost_again_later() -> None:
    """Out at ten, restored at eleven, out at twelve: since twelve."""
    tally, out = fresh(0), np.full(N, Fact.LEFT, dtype=np.int8)
    tally.observe(MONDAY, shown())
    tally.observe(MONDAY + 600, shown(visible=NONE, out=out))
    back = tally.observe(MONDAY + 1200, shown())
    assert back.lost is None
    assert back.facts is not None
    assert back.facts.facts.tolist() == [Fact.RETURNED]
    assert lost_of(tally.observe(MONDAY + 1800, shown(visible=NONE, out=out))) == {
        0: (int(Fact.LEFT), MONDAY + 1800)
    }


def test_an_unenrolled_device_waits_and_is_never_silent() -> None:
    """Once heard of, always heard of: before and after a restart."""
    tally = fresh(0, 1)
    first = tally.observe(MONDAY + 600, shown(enrolled=mask(0, 1)))
    second = tally.observe(MONDAY + 1200, shown(unenrolled=EVERYBODY))
    assert (totals(second), marks(second)) == ([2, 0, 0, 0, 0], [0, 0, 2])
    later = fresh(0, 1)
    assert first.facts is not None
    assert second.facts is not None
    later.recall([first.facts, second.facts])
    for it in (tally, later):
        seen = it.observe(MONDAY + 9 * DAY_S, shown())
        assert (totals(seen), marks(seen)) == ([2, 0, 0, 0, 0], [0, 0, 2])


def test_a_failure_that_mends_by_itself_counts_when_it_comes_back() -> None:
    """The network fails at first, and again a day later: then it is a failure like any other."""
    tally = fresh(0, 1)
    network = {"failed": mask(0), "code": coded(0x80192EE7)}
    times = np.full(N, MONDAY, dtype=np.int64)
    seen = tally.observe(MONDAY + 600, shown(failed_at=times, **network))
    assert (totals(seen), marks(seen)) == ([1, 0, 1, 0, 0], [1, 0, 0])
    seen = tally.observe(MONDAY + DAY_S, shown(failed_at=times, **network))
    assert marks(seen) == [1, 0, 0], "still the same event"
    times = times + DAY_S
    seen = tally.observe(MONDAY + DAY_S + 60, shown(failed_at=times, **network))
    assert (totals(seen), marks(seen)) == ([1, 0, 1, 0, 0], [0, 0, 0])
    seen = tally.observe(MONDAY + DAY_S + 600, shown(enrolled=mask(0)))
    assert (totals(seen), marks(seen)) == ([1, 1, 0, 0, 0], [0, 1, 0])
    assert seen.evidence(0, 1).sum(axis=0).tolist() == [1, 0, 1, 0, 0]


def test_a_failure_that_mends_by_itself_counts_when_it_lasts_a_week() -> None:
    """The event leaves the list after a day, nothing else is heard: it did not mend."""
    tally = fresh(0)
    tally.observe(MONDAY, shown(failed=mask(0), code=coded(0x80192EE7)))
    assert marks(tally.observe(MONDAY + MENDS_WITHIN_S - 1, shown())) == [1, 0, 0]
    seen = tally.observe(MONDAY + MENDS_WITHIN_S, shown())
    assert (totals(seen), marks(seen)) == ([0, 0, 1, 0, 0], [0, 0, 0])
    assert seen.failed_codes == {0x80192EE7: 1}


def test_a_failure_that_mended_is_no_harm() -> None:
    """An outage, then an enrollment: no mark."""
    tally = fresh(0)
    tally.observe(MONDAY, shown(failed=mask(0), code=coded(0x80192EE7)))
    seen = tally.observe(MONDAY + HOUR_S, shown(enrolled=mask(0)))
    assert (totals(seen), marks(seen)) == ([0, 1, 0, 0, 0], [0, 0, 0])


def test_a_blind_observation_gives_the_last_good_counts_and_learns_nothing() -> None:
    """The list is not believed: what was seen before stands."""
    tally = fresh(0, 1)
    good = tally.observe(MONDAY + 600, shown(enrolled=mask(0)))
    seen = tally.blind(MONDAY + 900, "the list is incomplete")
    assert not seen.readable
    assert seen.blind == "the list is incomplete"
    assert seen.facts is None
    assert same(seen, good)
