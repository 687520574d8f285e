"""One suite over the fast engine and the oracle; and their equality, to the second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from rollout.values import (
    DAY_S,
    HOUR_S,
    MARKS,
    NOT_RELEASED,
    OUTCOMES,
    LongArray,
    Mark,
    Observation,
    Outcome,
    Quiet,
)
from rollout.values.failures import AGAIN_S, MENDS_WITHIN_S, mends
from sim.clients.draws import make_draws, traits_like
from sim.engines import oracle as oracle_module
from sim.engines.engine import FAST, Engine, make_engine
from sim.engines.oracle import Oracle
from sim.engines.port import EngineRun
from sim.model import Model

UNKNOWN = 0x80070ABC
"""A failure code that no model has."""
START = 1_767_596_400  # a Monday, 07:00 UTC

Kind = Callable[..., EngineRun]

KINDS = [
    pytest.param(Engine, id="engine", marks=pytest.mark.skipif(not FAST, reason="numba is not installed")),
    pytest.param(Oracle, id="oracle"),
]

THROTTLED = {"capacity_per_minute": 2, "backoff": "2m", "backoff_max": "40m"}
OUTAGES = {"outages": [{"after": "20h", "lasts": "5h"}], "outages_per_year": 60}
GATEWAY = {"cmg_instances": 1, "cmg_clients": 100}
HARD = {
    "blocked_share": 0.1,
    "never_heals": 0.2,
    "device_token_share": 0.7,
    "unenroll_per_year": 12,
    "next_cycle": "4h",
    "failures": [
        {"code": 0x80180018, "rate": 0.03, "permanent": True},
        {"code": 0x80180026, "rate": 0.02, "permanent": True},
        {"code": 0x80180005, "rate": 0.2},
        {"code": 0x80192EE2, "rate": 0.2},
    ],
}
LASTING = HARD | {
    "unenroll_per_year": 60,
    "next_cycle": "1d",
    "attempts": 1,
    "failures": [
        {"code": 0x80180018, "rate": 0.03, "permanent": True},
        {"code": 0x80180005, "rate": 0.06, "permanent": True},
        {"code": 0x80180005, "rate": 0.2},
        {"code": 0x80180014, "rate": 0.1},
        {"code": 0x80192EE2, "rate": 0.2},
    ],
}
"""Failures that mend and others, of which some last, some come back, and some are followed by an un-enrollment."""
VARIANTS: tuple[dict[str, Any], ...] = (
    {"clients": {"window": "24h"}, "service": THROTTLED},
    {"clients": {"window": "immediate", **HARD}, "service": OUTAGES | THROTTLED},
    {"clients": {"window": "72h", "late_joiner": "immediate", **HARD}, "service": OUTAGES},
    {
        "clients": {"window": "6h", "collection_evaluation": 0, **HARD},
        "service": THROTTLED | GATEWAY | OUTAGES,
    },
    {
        "clients": {"window": "immediate", "policy_poll": "60s", "policy_evaluation": 0, **HARD},
        "service": THROTTLED,
    },
    {"clients": {"window": "immediate", **LASTING}, "service": OUTAGES},
    {"clients": {"window": "6h", **LASTING}},
)
LONG = 5
"""The first variant in which failures last for more than a week."""
HARMED = 6
"""The first variant in which devices are silent, and failures are reported late."""


@dataclass(frozen=True)
class World:
    """A small fleet, how it is released, and when one looks."""

    seed: int
    variant: int = 1
    n: int = 200
    batches: int = 10
    days: int = 10
    straggler_after_s: int = 3 * DAY_S
    looks: tuple[int, ...] = ()

    def model(self) -> Model:
        """The model of this variant."""
        return Model.model_validate(VARIANTS[self.variant] | {"horizon": f"{self.days}d"})

    def open(self, kind: Kind) -> EngineRun:
        """Give a fresh simulation; every fifth device is a newcomer."""
        model = self.model()
        rows = np.arange(self.n)
        traits = replace(traits_like(self.n, model), new=rows % 5 == 0)
        if self.variant >= HARMED:
            delay = np.where(rows % 3 == 0, rows * 997, 0).astype(np.int32)
            code = np.where(rows % 11 == 0, UNKNOWN, 0)
            traits = replace(traits, silent=rows % 7 == 0, delay=delay, fault_code=code, codes=(UNKNOWN,))
        return kind(
            model,
            traits,
            make_draws(model, traits, self.seed, 0, START),
            start=START,
            strata=(np.arange(self.n) % 3).astype(np.int32),
            n_strata=3,
            straggler_after_s=self.straggler_after_s,
        )

    def releases(self) -> list[tuple[int, int, Any]]:
        """Give (second, batch, rows): shuffled devices, batches some hours apart."""
        order = np.random.default_rng(self.seed).permutation(self.n).astype(np.int32)
        parts = np.array_split(order, self.batches)
        return [(START + number * 7 * 601, number, rows) for number, rows in enumerate(parts)]


def play(kind: Kind, world: World) -> tuple[EngineRun, list[LongArray]]:
    """Run a world to its horizon; give the simulation and the counts at each look."""
    simulation = world.open(kind)
    hourly = range(START + 1, START + world.days * DAY_S, 11 * HOUR_S)
    steps: list[tuple[int, int, Any]] = [(at, -1, None) for at in (*world.looks, *hourly)]
    seen = []
    for at, batch, rows in sorted(steps + world.releases(), key=lambda step: step[:2]):
        if rows is None:
            simulation.advance(at)
            seen.append(tables(simulation))
        else:
            simulation.release(rows, batch, at)
    simulation.advance(START + world.days * DAY_S)
    return simulation, [*seen, tables(simulation)]


def tables(simulation: EngineRun) -> LongArray:
    """Give counts and marks together, (batches, strata, OUTCOMES + MARKS)."""
    counts, marks = simulation.counts, simulation.marks
    nothing = np.zeros((*counts.shape[:2], MARKS), dtype=np.int64)
    return np.concatenate((counts, nothing if marks is None else marks), axis=2)


def differences(
    item: tuple[EngineRun, list[LongArray]], other: tuple[EngineRun, list[LongArray]]
) -> list[str]:
    """Name everything in which two played worlds differ."""
    (a, seen_a), (b, seen_b) = item, other
    pairs: dict[str, tuple[Any, Any]] = {
        name: (getattr(a, name), getattr(b, name))
        for name in ("outcome", "outcome_at", "code", "answered_at")
    }
    for step in ("eligible", "scheduled", "initiated", "enrolled"):
        pairs[step] = getattr(a.funnel(), step), getattr(b.funnel(), step)
    for load in ("attempts", "throttled", "completions", "polls", "peak_per_minute"):
        pairs[load] = getattr(a.load(), load), getattr(b.load(), load)
    out = [name for name, (x, y) in pairs.items() if not np.array_equal(x, y)]
    out += ["failed_codes"] if a.failed_codes != b.failed_codes else []
    out += ["looks"] if not all(np.array_equal(x, y) for x, y in zip(seen_a, seen_b, strict=True)) else []
    return out


def seen_at(world: World) -> tuple[int, ...]:
    """Give the seconds at which outcomes change: the instants at which ties are decided."""
    simulation, _ = play(make_engine, world)
    return tuple(int(at) for at in np.unique(simulation.outcome_at) if at >= 0)[:40]


def tied(world: World) -> World:
    """Give the same world with looks, and a straggler time, that fall on the second of some outcome."""
    simulation, _ = play(make_engine, world)
    late = {int(row): at for at, _, rows in world.releases() for row in rows}
    rows = np.flatnonzero(simulation.outcome == Outcome.ENROLLED)
    waits = sorted(int(simulation.outcome_at[row]) - late[int(row)] for row in rows)
    return replace(world, looks=seen_at(world), straggler_after_s=waits[len(waits) // 2])


@pytest.mark.parametrize("seed", range(14))
def test_both_engines_agree(seed: int) -> None:
    """Every outcome, second, code, count and load is the same."""
    world = tied(World(seed, variant=seed % len(VARIANTS)))
    assert differences(play(Engine, world), play(Oracle, world)) == []


@pytest.mark.slow
@pytest.mark.parametrize("block", range(8))
def test_both_engines_agree_on_two_hundred_seeds(block: int) -> None:
    """The same with 25 x 8 seeds of 1,000 devices, under throttle, outages, newcomers and un-enrollment."""
    for seed in range(100 + 25 * block, 125 + 25 * block):
        variant = seed % len(VARIANTS)
        world = World(seed, variant=variant, n=1000, days=10 if variant >= LONG else 6)
        looks = tuple(START + 4001 * number for number in range(1, 40))
        world = replace(world, looks=looks)
        assert differences(play(Engine, world), play(Oracle, world)) == [], f"seed {seed}"


@pytest.mark.parametrize("kind", KINDS)
def test_every_mark_occurs(kind: Kind) -> None:
    """The variants in which the engines are compared have devices with each mark, and silent ones."""
    seen = [play(kind, World(seed, variant, days=12)) for seed, variant in ((0, 5), (1, 6))]
    for simulation, tallies in seen:
        for mark in Mark:
            assert max(tally[:, :, OUTCOMES + mark].max() for tally in tallies) > 0, mark
        assert (simulation.outcome == Outcome.TIMED_OUT).any()
    silent = np.arange(200) % 7 == 0
    assert (seen[1][0].answered_at[silent] == -1).all()
    assert (seen[1][0].outcome[silent] == Outcome.TIMED_OUT).all()


@pytest.mark.parametrize("kind", KINDS[:1])  # the oracle agrees with it, and would take a minute
@pytest.mark.parametrize("seed", range(3))
def test_marks_follow_from_what_each_device_reported(kind: Kind, seed: int) -> None:
    """Watched device by device, minute by minute, the marks are what the rule says of its failures."""
    world = World(seed, variant=5, n=90, days=12)
    simulation = world.open(kind)
    simulation.release(np.arange(world.n, dtype=np.int32), 0, START)
    begun, reports = np.full(world.n, -1), [(np.int64(-1), -1)] * world.n
    harmed, answered = np.zeros(world.n, bool), np.full(world.n, -1)
    for second in range(START + 60, START + 12 * DAY_S, 60):
        simulation.advance(second)
        outcome, when, code = simulation.outcome, simulation.outcome_at, simulation.code
        for row in np.flatnonzero(when >= second - 60):
            was_failed = reports[row][1] == Outcome.FAILED
            reports[row] = (when[row], outcome[row])
            if answered[row] == -1 and when[row] > START and outcome[row] != Outcome.TIMED_OUT:
                # One that un-enrolled within the minute answered at an instant that was not watched.
                answered[row] = when[row] if outcome[row] != Outcome.PENDING else -2
            if outcome[row] == Outcome.FAILED and not harmed[row]:
                begun[row] = begun[row] if was_failed else when[row]
                harmed[row] = not mends(int(code[row])) or when[row] - begun[row] >= AGAIN_S
        failed = outcome == Outcome.FAILED
        harmed |= failed & (second - 1 - begun >= MENDS_WITHIN_S)
        marks = tables(simulation)[:, :, OUTCOMES:].sum(axis=(0, 1))
        assert marks[Mark.MENDING] == (failed & ~harmed).sum()
        assert marks[Mark.RECOVERED] == ((outcome == Outcome.ENROLLED) & harmed).sum()
        assert marks[Mark.UNENROLLED] == ((outcome == Outcome.PENDING) & (when > START)).sum()
    known = answered != -2
    assert np.array_equal(simulation.answered_at[known], answered[known])
    assert harmed.any()
    assert known.sum() > 70


@pytest.mark.parametrize("kind", KINDS)
def test_evidence_of_failures_only_grows(kind: Kind) -> None:
    """A failure that counts is counted for ever: through enrollment, un-enrollment, and whatever follows."""
    world = World(2, variant=5, n=150, days=20)
    simulation = world.open(kind)
    for at, batch, rows in world.releases():
        simulation.release(rows, batch, at)
    before = np.zeros(3, dtype=np.int64)
    for second in range(simulation.now + 1, START + 20 * DAY_S, 1801):
        simulation.advance(second)
        observation = Observation(second, simulation.counts, simulation.failed_codes, marks=simulation.marks)
        failed = observation.evidence(0, world.batches)[:, Outcome.FAILED]
        assert (failed >= before).all()
        before = failed
    assert before.sum() > observation.of(0, world.batches)[:, Outcome.FAILED].sum() > 0, "nobody recovered"


def serve_backwards(patch: pytest.MonkeyPatch) -> None:
    """Mutant: the service serves the highest device first within a second."""
    patch.setattr(oracle_module, "sorted", lambda them: sorted(them, reverse=True), raising=False)


def one_more_try(patch: pytest.MonkeyPatch) -> None:
    """Mutant: a cycle has one attempt more."""
    whole = oracle_module.spec_of

    def more(*args: Any) -> Any:
        spec = whole(*args)
        spec.numbers[oracle_module.c.ATTEMPTS] += 1
        return spec

    patch.setattr(oracle_module, "spec_of", more)


def look_too_late(patch: pytest.MonkeyPatch) -> None:
    """Mutant: a look sees the events of its own second."""
    whole = Oracle.advance
    patch.setattr(Oracle, "advance", lambda self, until: whole(self, until + 1))


@pytest.mark.parametrize("mutate", [look_too_late, serve_backwards, one_more_try])
def test_a_mutant_is_caught(
    mutate: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of the tie order, of the serve order or of the retry count makes the engines differ."""
    worlds = [tied(World(seed, variant=variant, n=600)) for seed, variant in ((0, 1), (1, 4))]
    honest = [play(Engine, world) for world in worlds]
    mutate(monkeypatch)
    found = [differences(item, play(Oracle, world)) for item, world in zip(honest, worlds, strict=True)]
    assert any(found)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_every_device_is_in_one_state_at_each_instant(kind: Kind, seed: int) -> None:
    """Counts sum to the released devices, agree with the states of the devices, and time never runs back."""
    world = World(seed, variant=seed % len(VARIANTS), n=120)
    simulation = world.open(kind)
    released = 0
    before = START
    for at, batch, rows in world.releases():
        simulation.release(rows, batch, at)
        released += len(rows)
        for later in range(at + 1, at + 3 * HOUR_S, 1201):
            if batch < world.batches - 1 and later > at + 7 * 601:
                break
            simulation.advance(later)
            assert simulation.now >= before
            before = simulation.now
            conserve(simulation, released)
    simulation.advance(START + 30 * DAY_S)
    conserve(simulation, world.n)


def conserve(simulation: EngineRun, released: int) -> None:
    """Check the sums at an instant."""
    outcome, counts = simulation.outcome, simulation.counts
    assert counts.min(initial=0) >= 0
    assert counts.sum() == released == np.count_nonzero(outcome != NOT_RELEASED)
    sizes = np.bincount(outcome[outcome != NOT_RELEASED], minlength=OUTCOMES)
    assert counts.sum(axis=(0, 1)).tolist() == sizes.tolist()
    assert simulation.outcome_at.max() < simulation.now or simulation.now == START
    assert sum(simulation.failed_codes.values()) == sizes[Outcome.FAILED]
    marks = tables(simulation)[:, :, OUTCOMES:]
    for mark, of in ((Mark.MENDING, Outcome.FAILED), (Mark.RECOVERED, Outcome.ENROLLED)):
        assert (marks[:, :, mark] >= 0).all()
        assert (marks[:, :, mark] <= counts[:, :, of]).all()
    answered = simulation.answered_at
    assert ((answered >= 0) | (outcome != Outcome.ENROLLED) & (outcome != Outcome.FAILED)).all()
    assert (answered <= simulation.outcome_at).all()
    assert simulation.settled() == (sizes[Outcome.PENDING] == 0)


@pytest.mark.parametrize("kind", KINDS)
def test_steps_do_not_matter(kind: Kind) -> None:
    """Many short advances give what one long one gives."""
    world = World(3, n=150)
    fine = replace(world, looks=tuple(range(START, START + DAY_S, 977)))
    one, other = play(kind, world), play(kind, fine)
    assert differences((one[0], []), (other[0], [])) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_release_of_a_device_changes_nothing(kind: Kind) -> None:
    """Adding a member twice is adding it once."""
    world = World(4, n=50)
    once, twice = world.open(kind), world.open(kind)
    rows = np.arange(50, dtype=np.int32)
    once.release(rows, 0, START)
    twice.release(rows, 0, START)
    twice.release(rows[:20], 0, START + 500)
    for simulation in (once, twice):
        simulation.advance(START + 5 * DAY_S)
    assert differences((once, []), (twice, [])) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_release_in_the_past_or_a_gap_in_batches_is_refused(kind: Kind) -> None:
    """Time and batch numbers only grow."""
    simulation = World(5, n=10).open(kind)
    rows = np.arange(3, dtype=np.int32)
    simulation.advance(START + 10)
    with pytest.raises(ValueError, match="at or after"):
        simulation.release(rows, 0, START + 9)
    with pytest.raises(ValueError, match="batch number"):
        simulation.release(rows, 1, START + 10)


@pytest.mark.parametrize("kind", KINDS)
def test_capacity_is_never_exceeded(kind: Kind) -> None:
    """In each hour the service accepts at most 60 times its capacity a minute."""
    simulation, _ = play(kind, World(6, variant=1, n=300, batches=1))
    load = simulation.load()
    assert load.throttled.sum() > 0
    out = World(6).model().service.outages[0]
    accepted = (load.attempts - load.throttled)[: out.after // HOUR_S]
    assert 60 < accepted.max() <= 60 * 2


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_happens_past_the_horizon(kind: Kind) -> None:
    """A release after the horizon waits for ever, and advancing on changes nothing."""
    world = World(7, n=20)
    simulation = world.open(kind)
    simulation.release(np.arange(10, dtype=np.int32), 0, START)
    simulation.advance(START + world.days * DAY_S)
    before = simulation.counts.copy()
    simulation.release(np.arange(10, 20, dtype=np.int32), 1, START + (world.days + 1) * DAY_S)
    simulation.advance(START + (world.days + 9) * DAY_S)
    assert np.array_equal(simulation.counts[:1], before)
    assert simulation.counts[1].sum(axis=0)[Outcome.PENDING] == 10


BOUNDS: tuple[tuple[str, tuple[int, int, int, int], int, bool], ...] = (
    ("the failures of one stratum", (4, 10**9, 10**9, 10**9), 10**9, False),
    ("the last stratum", (10**9, 10**9, 3, 10**9), 10**9, False),
    ("the failures of all", (10**9, 10**9, 10**9, 9), 10**9, False),
    ("time-outs", (10**9, 10**9, 10**9, 10**9), 5, False),
    ("nobody pending", (10**9, 10**9, 10**9, 10**9), 10**9, True),
    ("nothing", (10**9, 10**9, 10**9, 10**9), 10**9, False),
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("failed", "timed_out", "settled"), [b[1:] for b in BOUNDS], ids=[b[0] for b in BOUNDS]
)
def test_quiet_looks_end_where_plain_stepping_sees_it(
    kind: Kind, failed: tuple[int, ...], timed_out: int, settled: bool
) -> None:
    """Skipping stops at the first observation at which the counts reach a bound, having seen no event after it."""
    variant = 0 if settled else 1  # where devices un-enroll, somebody is always pending
    world = World(seed=5, variant=variant, n=120, batches=3, days=6, straggler_after_s=2 * DAY_S)
    living, stepping = world.open(kind), world.open(Oracle)
    for second, batch, rows in world.releases():
        living.release(rows, batch, second)
        stepping.release(rows, batch, second)
    begin, end = living.now + 300, START + 6 * DAY_S
    quiet = Quiet(end, 1800, np.array(failed), timed_out, first_batch=1, settled=settled)
    stopped = living.skip_quiet_observations(begin, end, quiet)

    expected = end
    for look in range(begin, end, 1800):
        stepping.advance(look)
        # A failure that counts does so after the device enrolled as well, so recovered devices are failures here.
        seen = tables(stepping)
        by_stratum = (seen[:, :, Outcome.FAILED] + seen[:, :, OUTCOMES + Mark.RECOVERED]).sum(axis=0)
        if (
            (by_stratum >= failed[:3]).any()
            or by_stratum.sum() >= failed[3]
            or stepping.counts[1:, :, Outcome.TIMED_OUT].sum() >= timed_out
            or (settled and stepping.counts[:, :, Outcome.PENDING].sum() == 0)
        ):
            expected = look
            break
    assert stopped == expected
    assert (stopped == end) == (min(failed) == timed_out == 10**9 and not settled)
    assert living.now == stepping.now
    assert np.array_equal(living.counts, stepping.counts)
