"""Counts of outcomes by batch and stratum, against the plainest possible counting."""

from __future__ import annotations

import numpy as np
from building import MONDAY, make_plan
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.directory.outcome_counts import OutcomeCounts
from rollout.values import NOT_RELEASED, Batch, Outcome

N = 12
PLAN = make_plan(sizes=(N, 0, 0), straggler_after_s=1000, strata=3)
masks = st.lists(st.booleans(), min_size=N, max_size=N).map(lambda one: np.array(one, dtype=np.bool_))
looks = st.lists(st.tuples(st.integers(1, 900), masks, masks, masks), min_size=1, max_size=6)
batches = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 500)), min_size=N, max_size=N)
NOBODY = np.empty(0, dtype=np.int32)


def expected(released_at: int | None, rejected: bool, seen: list[tuple[int, bool, bool, bool]]) -> int:
    """One device's outcome after a history of looks (at, visible, enrolled, failed)."""
    if released_at is None:
        return NOT_RELEASED
    heard = any(visible and (enrolled or failed) for _, visible, enrolled, failed in seen)
    at, visible, enrolled, failed = seen[-1]
    if not visible:
        if rejected:
            return Outcome.REJECTED
        return Outcome.TIMED_OUT if released_at + 1000 < at else NOT_RELEASED
    if enrolled:
        return Outcome.ENROLLED
    if failed:
        return Outcome.FAILED
    return Outcome.TIMED_OUT if not heard and released_at + 1000 < at else Outcome.PENDING


@given(batches, looks, masks, masks)
@settings(derandomize=True, max_examples=100, deadline=None)
def test_counts_are_those_of_plain_counting(
    where: list[tuple[int, int]], seen: list[tuple[int, np.ndarray, np.ndarray, np.ndarray]], out: np.ndarray,
    rejected: np.ndarray,
) -> None:  # fmt: skip
    """Any batches, any history of looks: each device has the outcome that a person would give it."""
    tally = OutcomeCounts(PLAN)
    begun = {number: MONDAY + min(t for n, t in where if n == number) for number, _ in where}
    for number in range(4):
        rows = np.array(
            [row for row, (n, _) in enumerate(where) if n == number and not out[row]], dtype=np.int32
        )
        if len(rows):
            tally.restore([Batch(number, 0, begun[number], rows, NOBODY)])
    tally.rejected[:] = rejected
    at, history, code = MONDAY, [], np.arange(N, dtype=np.int64) + 1
    for wait, visible, enrolled, failed in seen:
        at += wait
        history.append((at, visible, enrolled, failed))
        counted = tally.observe(at, visible, enrolled, failed, code)
    for row in range(N):
        past = [(t, bool(v[row]), bool(e[row]), bool(f[row])) for t, v, e, f in history]
        due = None if out[row] else begun[where[row][0]]
        assert tally.outcomes().outcome[row] == expected(due, bool(rejected[row]), past)
    outcome = tally.outcomes().outcome
    for number in range(counted.counts.shape[0]):
        for stratum in range(3):
            for one in Outcome:
                rows = [
                    r for r in range(N)
                    if outcome[r] == one and where[r][0] == number and PLAN.strata.codes[r] == stratum
                ]  # fmt: skip
                assert counted.counts[number, stratum, one] == len(rows)
    assert counted.failed_codes == {int(code[r]): 1 for r in range(N) if outcome[r] == Outcome.FAILED}


def test_nothing_released_counts_nothing() -> None:
    """Before the first batch there is no row of counts."""
    nobody = np.zeros(N, dtype=np.bool_)
    seen = OutcomeCounts(PLAN).observe(MONDAY, nobody, nobody, nobody, np.zeros(N, dtype=np.int64))
    assert seen.counts.shape == (0, 3, 5)
    assert seen.failed_codes == {}


def test_stragglers_are_timed_from_the_batchs_first_instant() -> None:
    """A chunk that was sent late, after lost answers, does not begin its batch anew: a resumed session agrees."""
    nobody, everybody = np.zeros(N, dtype=np.bool_), np.ones(N, dtype=np.bool_)
    tally = OutcomeCounts(PLAN)
    tally.enter(np.array([0, 1], dtype=np.int32), 0, MONDAY)
    tally.enter(np.array([2], dtype=np.int32), 0, MONDAY + 900)
    seen = tally.observe(MONDAY + 1001, everybody, nobody, nobody, np.zeros(N, dtype=np.int64))
    assert seen.counts.sum(axis=(0, 1)).tolist() == [0, 0, 0, 0, 3]
