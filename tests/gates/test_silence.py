"""Silent devices: by stratum, anytime-valid; by cohort, without a model of when computers are on."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from numpy.typing import NDArray

from rollout.gates import GateCounts, judge
from rollout.gates.rules.silence import PATIENCE_S, log_limit
from rollout.gates.silence import (
    ANSWERING,
    EVERY_S,
    LEAST_SPEED,
    SLOWEST,
    SilenceWatch,
    boundaries,
    is_short,
    log_evidence_of,
    next_boundary,
    rebuilt,
    smallest_share,
)
from rollout.values import (
    DAY_S,
    HOUR_S,
    OUTCOMES,
    EvidenceGate,
    GatePolicy,
    LongArray,
    Outcome,
    Silence,
    Verdict,
)

START = 1_767_596_400
NEVER = -1


class World:
    """Devices that answer at a rate of their own by day, hardly at night and at weekends.

    A pilot of 500 on the first day, from the second Monday on 500 devices an hour on weekdays from 0 to 12 o'clock.
    """

    def __init__(self, seed: int, devices: int = 40_000, strata: int = 1, days: int = 25) -> None:
        rng = np.random.default_rng(seed)
        hours = [hour for hour in range(7 * 24, days * 24) if hour // 24 % 7 < 5 and hour % 24 < 12]
        batches = [0, *hours[: (devices - 500) // 500]]
        self.until = START + days * DAY_S
        self.batch_at = START + HOUR_S * np.array(batches, dtype=np.int64)
        self.batch_of = np.repeat(np.arange(len(batches)), 500).astype(np.int32)
        self.codes = rng.integers(0, strata, len(self.batch_of)).astype(np.int32)
        self.strata = strata
        clock = np.arange(0, days * 24)
        speed = np.where(clock % 24 < 12, 1.0, 0.2) * np.where(clock // 24 % 7 < 5, 1.0, 0.3)
        run = np.concatenate([[0.0], np.cumsum(speed)])  # effective hours since the start
        begun = run[(self.batch_at - START) // HOUR_S][self.batch_of]
        frailty = rng.choice([0.5, 1.0, 3.0], len(begun))
        need = begun + rng.exponential(16.0, len(begun)) / frailty
        at = START + (np.interp(need, run, np.arange(len(run))) * HOUR_S).astype(np.int64)
        self.answered_at = np.where(need < run[-1], at, NEVER)

    def silence(self, rows: NDArray[np.bool_]) -> World:
        self.answered_at = np.where(rows, NEVER, self.answered_at)
        return self

    def results(self) -> list[Silence]:
        """Advance through every boundary."""
        watch, out = SilenceWatch(START, self.strata), []
        for at in boundaries(START, self.until).tolist():
            out.append(watch.advance(at, *self.counts(at)))
        return out

    def counts(self, at: int) -> tuple[LongArray, LongArray, LongArray]:
        visible = int(np.searchsorted(self.batch_at, at))
        known = (self.answered_at >= 0) & (self.answered_at < at)
        return self.batch_at[:visible], self._count(visible, True), self._count(visible, known)

    def _count(self, visible: int, which: NDArray[np.bool_] | bool) -> LongArray:
        rows = np.flatnonzero((self.batch_of < visible) & which)
        place = self.batch_of[rows].astype(np.int64) * self.strata + self.codes[rows]
        return np.bincount(place, minlength=visible * self.strata).reshape(visible, self.strata)

    def released_at(self, at: int) -> int:
        return int((self.batch_at[self.batch_of] < at).sum())


def exact(order: tuple[int, ...], pending: list[int], speed: float) -> NDArray[np.float64]:
    """The ln evidence against each stratum if the devices answer in this order of strata."""
    left = np.array(pending, dtype=np.float64)
    out = np.zeros(len(left))
    for stratum in order:
        others = left.sum() - left
        out += np.log((others + SLOWEST * left) / (others + speed * left))
        out[stratum] += np.log(speed / SLOWEST)
        left[stratum] -= 1
    return out


def grown(pending: list[int], answers: list[int], speed: float) -> NDArray[np.float64]:
    """What an interval of one batch gives."""
    before = np.array([pending])
    return log_evidence_of(before, before - np.array([answers]), [np.array([speed])])[0]


@pytest.mark.parametrize(
    ("pending", "answers"),
    [([3, 4], [1, 3]), ([1, 1], [0, 1]), ([2, 2, 3], [0, 2, 2]), ([9, 1, 2], [3, 1, 1]), ([5, 2], [5, 0])],
)
@pytest.mark.parametrize("speed", [LEAST_SPEED, 0.1, 0.4])
def test_what_an_interval_gives_is_below_the_evidence_in_every_order(
    pending: list[int], answers: list[int], speed: float
) -> None:
    """The order within an interval is unknown: no order may give less."""
    given = grown(pending, answers, speed)
    all_of_them = [stratum for stratum, count in enumerate(answers) for _ in range(count)]
    least = np.min([exact(order, pending, speed) for order in set(permutations(all_of_them))], axis=0)
    assert (given <= least + 1e-12).all()
    assert (given >= least - 0.6 * sum(answers)).all()  # and not uselessly far below


def test_the_bound_is_tight_where_few_of_many_answer() -> None:
    """A stratum of 25 in 500 that is silent while 200 of the others answer loses little."""
    pending, answers = [475, 25], [200, 0]
    given = grown(pending, answers, 0.1)[1]
    assert given == pytest.approx(exact((0,) * 200, pending, 0.1)[1], rel=0.03)


def crossed(rate: float, seed: int, rollouts: int, limit: float) -> float:
    """The share of rollouts in which the evidence against a stratum at this rate ever reaches the limit."""
    rng = np.random.default_rng(seed)
    times = 0
    ends = np.arange(1, 31) * EVERY_S + START
    for _ in range(rollouts):
        sizes = np.repeat(np.arange(4), rng.integers(20, 120, 4))
        codes = (rng.random(len(sizes)) < rng.choice([0.05, 0.2, 0.5])).astype(np.int64)
        answer = rng.exponential(1.0, len(sizes)) / np.where(codes == 1, rate, 1.0)
        at = START + (answer * 10 * EVERY_S).astype(np.int64)
        watch = SilenceWatch(START, 2)
        place = sizes * 2 + codes
        released = np.bincount(place, minlength=8).reshape(4, 2)
        most = -np.inf
        for end in ends.tolist():
            known = np.bincount(place[at < end], minlength=8).reshape(4, 2)
            silence = watch.advance(end, np.full(4, START), released, known)
            most = max(most, float(silence.log_evidence[1]))
        times += most >= limit
    return times / rollouts


def test_a_stratum_that_answers_half_as_fast_is_held_no_more_often_than_promised() -> None:
    """At the slowest healthy rate the evidence ever reaches 10 in at most a tenth of rollouts, however often read."""
    assert crossed(SLOWEST, 1, 300, np.log(10)) <= 0.1 + 0.03
    assert crossed(1.0, 2, 100, np.log(10)) <= 0.01
    assert crossed(0.05, 3, 60, np.log(10)) > 0.6


@pytest.mark.parametrize("strata", [40, 400])
def test_healthy_strata_are_not_held(strata: int) -> None:
    """Random strata, night, weekend, devices of every kind: no evidence gets near the limit."""
    limit = log_limit(GatePolicy(), strata)
    worst = max(float(silence.log_evidence.max()) for silence in World(5, strata=strata).results())
    assert worst < limit - 2


@pytest.mark.parametrize(
    ("size", "share", "most"), [(0.05, 1.0, 60), (0.05, 0.8, 300), (0.05, 0.6, 1_000), (0.01, 1.0, 150)]
)
def test_a_silent_model_is_found_and_no_other(size: float, share: float, most: int) -> None:
    """How many of its devices are released by then."""
    world = World(8, strata=40)
    rng = np.random.default_rng(4)
    world.codes[rng.random(len(world.codes)) < size] = 0
    others = (world.codes == 0) & (rng.random(len(world.codes)) >= size * 40)
    world.codes[others & (world.codes != 0)] = 1
    bad = rng.random(len(world.codes)) < size
    world.codes = np.where(bad, 0, 1 + world.codes % 39).astype(np.int32)
    world.silence(bad & (rng.random(len(bad)) < share))
    limit = log_limit(GatePolicy(), 40)
    results = world.results()
    found = next(silence for silence in results if silence.log_evidence[0] >= limit)
    released = world.batch_at[world.batch_of] < found.at
    assert int((released & bad).sum()) <= most
    assert max(float(silence.log_evidence[1:].max()) for silence in results) < limit


def first_short(world: World, after: int) -> Silence | None:
    return next((silence for silence in world.results() if silence.at > after and is_short(silence)), None)


@pytest.mark.parametrize(("share", "most"), [(0.3, 7_500), (0.6, 4_000), (1.0, 4_000)])
def test_devices_that_fall_silent_in_the_middle_make_releases_wait(share: float, most: int) -> None:
    """500 an hour here; the cohort that is told begins where the silence does."""
    for seed in (1, 2, 3):
        world = World(seed)
        onset = START + (14 * 24 + 24 + 3) * HOUR_S
        late = world.batch_at[world.batch_of] >= onset
        world.silence(late & (np.random.default_rng(seed).random(len(late)) < share))
        short = first_short(world, onset)
        assert short is not None
        assert world.released_at(short.at) - world.released_at(onset) <= most
        assert abs(short.since - onset) <= DAY_S


def test_healthy_releases_do_not_wait() -> None:
    """Neither at night nor at a weekend; after the first day of releases, which only a pilot of other hours precedes.

    There a WAIT in the night after it delays the next morning by an interval at most.
    """
    for seed in range(11, 19):
        short = [silence.at - START for silence in World(seed).results() if is_short(silence)]
        assert all(7 * DAY_S + 12 * HOUR_S < at <= 8 * DAY_S for at in short)
        assert len(short) <= 2


def test_a_wait_ends_by_itself_once_the_answers_come() -> None:
    """All are silent for two days, and then answer: a network that was down for new devices."""
    world = World(21)
    begin, end = START + 15 * DAY_S, START + 17 * DAY_S
    late = (world.batch_at[world.batch_of] >= begin) & (world.batch_at[world.batch_of] < end)
    world.answered_at = np.where(late & (world.answered_at < end), end + HOUR_S, world.answered_at)
    short = [silence.at for silence in world.results() if is_short(silence)]
    assert short
    assert min(short) > begin
    assert max(short) <= end + DAY_S


def test_a_wait_does_not_end_by_waiting() -> None:
    """Nothing more is released while it lasts, and nobody answers: it stands until the patience ends, and beyond."""
    world = World(22, days=45)
    onset = START + 15 * DAY_S
    kept = world.batch_at < onset + DAY_S
    rows = kept[world.batch_of]
    world.batch_at = world.batch_at[kept]
    world.batch_of, world.codes, world.answered_at = (
        column[rows] for column in (world.batch_of, world.codes, world.answered_at)
    )
    world.silence(world.batch_at[world.batch_of] >= onset)
    results = world.results()
    short = [is_short(silence) for silence in results if silence.at > onset + DAY_S]
    assert len(short) > 28 * DAY_S // EVERY_S
    assert all(short)


def test_all_the_same_after_a_restart() -> None:
    """Rebuilt from what is known of each device, bit by bit, at any boundary."""
    world = World(31, devices=20_000, strata=7)
    world.silence((world.codes == 3) & (world.batch_of > 9))
    results = world.results()
    for index in (0, 3, 50, 90, len(results) - 1):
        _, found = rebuilt(
            START,
            7,
            results[index].at + EVERY_S - 1,
            world.batch_at,
            world.batch_of,
            world.codes,
            world.answered_at,
        )
        assert found is not None
        told = results[index]
        assert (found.at, found.answered, found.expected, found.cohort, found.since) == (
            told.at,
            told.answered,
            told.expected,
            told.cohort,
            told.since,
        )
        assert np.array_equal(found.log_evidence, told.log_evidence)


def test_a_rebuilt_watch_goes_on_as_the_other() -> None:
    """Also its hidden state is the same."""
    world = World(32, devices=20_000, strata=3)
    results = world.results()
    watch, _ = rebuilt(
        START, 3, START + 12 * DAY_S, world.batch_at, world.batch_of, world.codes, world.answered_at
    )
    for at in boundaries(START, world.until).tolist():
        if at > watch.at:
            found = watch.advance(at, *world.counts(at))
    assert np.array_equal(found.log_evidence, results[-1].log_evidence)
    assert found.expected == results[-1].expected


def test_nothing_to_watch() -> None:
    """No batch, one stratum, one batch, all rejected, batches without devices: no evidence and no cohort."""
    nothing = np.zeros((0, 3), dtype=np.int64)
    watch = SilenceWatch(START, 3)
    silence = watch.advance(START + EVERY_S, np.zeros(0, dtype=np.int64), nothing, nothing)
    assert silence.log_evidence.tolist() == [0, 0, 0]
    rejected = np.zeros((2, 3), dtype=np.int64)
    for _ in range(60):
        silence = watch.advance(watch.at + EVERY_S, np.full(2, START), rejected, rejected)
    assert (silence.cohort, silence.log_evidence.tolist()) == (0, [0, 0, 0])
    single = SilenceWatch(START, 1)
    for step in range(60):
        known = np.array([[min(10 * step, 500)]])
        silence = single.advance(single.at + EVERY_S, np.array([START]), np.array([[1_000]]), known)
    assert (silence.cohort, silence.log_evidence.tolist()) == (0, [0])


def test_boundaries_are_taken_in_order() -> None:
    """A skipped one would leave out an interval."""
    watch = SilenceWatch(START, 2)
    nothing = np.zeros((0, 2), dtype=np.int64)
    with pytest.raises(ValueError, match="expected the boundary"):
        watch.advance(START + 2 * EVERY_S, np.zeros(0, dtype=np.int64), nothing, nothing)
    assert boundaries(START, START).tolist() == []
    assert boundaries(START, START + EVERY_S).tolist() == [START + EVERY_S]
    assert next_boundary(START, START) == START + EVERY_S
    assert next_boundary(START, START + EVERY_S) == START + 2 * EVERY_S


def test_devices_rejected_later_leave_the_batch() -> None:
    """The directory's refusal may come after the release."""
    watch = SilenceWatch(START, 2)
    batch_at = np.array([START])
    silence = watch.advance(START + EVERY_S, batch_at, np.array([[80, 20]]), np.array([[8, 0]]))
    for _ in range(3):
        silence = watch.advance(watch.at + EVERY_S, batch_at, np.array([[80, 0]]), np.array([[60, 0]]))
    assert silence.log_evidence[1] < 1


def test_the_smallest_share_falls_with_the_devices() -> None:
    """25 of a model in a pilot of 500 show 80 %, three show nothing."""
    limit = log_limit(GatePolicy(), 40)
    shares = [smallest_share(devices, limit) for devices in (3, 8, 25, 100, 1_000)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == float("inf")
    assert 0.5 < shares[2] <= 0.8
    assert 0.3 < shares[-1] <= 0.5
    assert len(ANSWERING) == 2


def counts_of(silence: Silence | None, **changes: object) -> GateCounts:
    whole = np.zeros((3, OUTCOMES), dtype=np.int64)
    whole[:, Outcome.ENROLLED] = (500, 2, 690)
    whole[:, Outcome.PENDING] = (200, 27, 310)
    whole[0, Outcome.REJECTED] = 40
    counts = GateCounts(
        whole,
        whole,
        whole,
        np.full(3, 900, dtype=np.int64),
        ("A1", "X7", "B2"),
        False,
        True,
        column="model",
        silence=silence,
    )
    return replace(counts, **changes)  # type: ignore[arg-type]


def silence_of(*evidence: float, **cohort: object) -> Silence:
    return Silence(START + DAY_S, np.array(evidence), **cohort)  # type: ignore[arg-type]


def test_a_silent_stratum_is_held_apart() -> None:
    """With the counts; the others go on."""
    judgement = judge(GatePolicy(), counts_of(silence_of(0.0, 8.0, -3.0)))
    assert judgement.verdict is Verdict.GO
    (hold,) = judgement.strata
    assert (hold.rule, hold.stratum, hold.harmed, hold.of) == ("silence", "X7", 27, 29)
    assert (
        hold.sentence == "model 'X7': 2 of 29 devices have answered where the others lead to expect about 20"
    )


def test_the_limit_is_shared_among_the_strata() -> None:
    """alpha is halved and divided by their number; without an evidence gate it is the default."""
    limit = np.log(2 * 3 / 0.01)
    policy = GatePolicy(evidence=EvidenceGate(alpha=0.01))
    assert judge(policy, counts_of(silence_of(0, limit + 1e-9, 0))).strata
    assert not judge(policy, counts_of(silence_of(0, limit - 1e-9, 0))).strata
    assert log_limit(GatePolicy(evidence=None), 3) == pytest.approx(np.log(2 * 3 / 0.05))


def test_strata_that_are_held_already_are_not_told_again() -> None:
    held = np.array([False, True, False])
    silence = silence_of(9.0, 9.0, 0.0)
    names = [hold.stratum for hold in judge(GatePolicy(), counts_of(silence, held=held)).strata]
    assert names == ["A1"]


def test_all_offenders_the_worst_first() -> None:
    judgement = judge(GatePolicy(), counts_of(silence_of(8.0, 30.0, 0.0)))
    assert [hold.stratum for hold in judgement.strata] == ["X7", "A1"]


def test_one_stratum_may_stop_all() -> None:
    """`on_stratum = "halt"`: a HOLD of the whole, and no stratum apart."""
    judgement = judge(GatePolicy(on_stratum="halt"), counts_of(silence_of(0.0, 8.0, 0.0)))
    assert (judgement.verdict, judgement.rule, judgement.stratum) == (Verdict.HOLD, "silence", "X7")
    assert (judgement.harmed, judgement.of, judgement.strata) == (27, 29, ())
    assert "model 'X7': 2 of 29" in judgement.sentence


def test_no_stratum_is_held_where_none_is_judged_apart() -> None:
    silence = silence_of(99.0, 99.0, 99.0)
    assert not judge(GatePolicy(per_stratum=False), counts_of(silence)).strata
    assert not judge(GatePolicy(), counts_of(None)).strata


def test_a_dry_run_reports_the_strata() -> None:
    judgement = judge(GatePolicy(dry_run=True), counts_of(silence_of(0.0, 8.0, 0.0)))
    assert not judgement.strata
    assert "model 'X7'" in judgement.dry_run[-1]


def test_a_short_cohort_waits_and_then_asks_a_person() -> None:
    """The patience is the policy's, 10 days without one."""
    silence = silence_of(0, 0, 0, answered=1_204, expected=2_950.2, cohort=8_412, since=START)
    judgement = judge(GatePolicy(), counts_of(silence))
    assert (judgement.verdict, judgement.rule, judgement.harmed, judgement.of) == (
        Verdict.WAIT,
        "silence",
        1_746,
        8_412,
    )
    assert judgement.sentence == (
        "WAIT: of 8,412 devices released in the last 24 hours, 1,204 have answered; those released earlier lead to "
        "expect 2,950 by now: releases wait for more answers"
    )
    later = counts_of(silence, waited_s=PATIENCE_S)
    held = judge(GatePolicy(), later)
    assert held.verdict is Verdict.HOLD
    assert "waited for 10 days; a person must decide" in held.sentence
    assert judge(GatePolicy(figures=(("patience", 20 * DAY_S),)), later).verdict is Verdict.WAIT


def test_a_cohort_that_answers_as_expected_may_go_on() -> None:
    assert (
        judge(
            GatePolicy(), counts_of(silence_of(0, 0, 0, answered=90, expected=100.0, cohort=200, since=START))
        ).verdict
        is Verdict.GO
    )
    assert judge(GatePolicy(), counts_of(silence_of(0, 0, 0))).verdict is Verdict.GO
