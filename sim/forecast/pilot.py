"""What is known of the devices that a rollout has released: when, and what became of them by when.

Of who has no outcome yet it is known that he took longer than until now: censored, and counted as such.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rollout.errors import UsageError
from rollout.values import (
    NOT_RELEASED,
    Batch,
    BoolArray,
    DeviceOutcomes,
    FlagArray,
    Fleet,
    IntArray,
    LongArray,
    Outcome,
    Plan,
)
from sim.clients.draws import Traits, make_draws, traits_of
from sim.engines.engine import make_engine
from sim.model import Model

FloatArray = NDArray[np.float64]

LEAST = 30
"""Fewer released devices tell nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Pilot:
    """The released devices, (k,) each, in the order of release.

    rows : fleet rows. released_at : Unix seconds. ended_at : Unix seconds of the enrollment or failure, -1
    while there is none. failed : whether it failed. code : its HRESULT, 0 none.
    start : the plan's. now : Unix seconds up to which outcomes are known. traits : of these devices.
    """

    rows: IntArray
    released_at: LongArray
    ended_at: LongArray
    failed: BoolArray
    code: LongArray
    start: int
    now: int
    traits: Traits

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def enrolled(self) -> BoolArray:
        """(k,) whether it is enrolled."""
        return (self.ended_at >= 0) & ~self.failed

    @property
    def ages(self) -> FloatArray:
        """(k,) hours from release to enrollment; infinite for all others."""
        return ages_of(self.released_at, np.where(self.enrolled, self.ended_at, -1))


def ages_of(released_at: LongArray, enrolled_at: LongArray) -> FloatArray:
    """Return hours from release to enrollment, infinite where `enrolled_at` is -1."""
    hours = (enrolled_at - released_at) / 3600.0
    return np.where(enrolled_at < 0, np.inf, np.maximum(hours, 0.0))


def pilot_of(
    plan: Plan, fleet: Fleet, model: Model, batches: Sequence[Batch], outcomes: DeviceOutcomes, now: int
) -> Pilot:
    """Return what a rollout's journal knows. Rejected devices were never members, they do not count.

    now : Unix seconds up to which `outcomes` are known. Raise a `UsageError` below LEAST devices.
    """
    rows = np.concatenate([np.empty(0, dtype=np.int32), *(batch.rows for batch in batches)]).astype(np.int32)
    sizes = [len(batch) for batch in batches]
    at = np.repeat(np.array([batch.at for batch in batches], dtype=np.int64), sizes)
    adopted = np.concatenate([np.empty(0, dtype=np.int32), *(batch.adopted for batch in batches)])
    keep = (outcomes.outcome[rows] != Outcome.REJECTED) & ~np.isin(rows, adopted) & (at < now)
    rows, at = rows[keep], at[keep]
    if len(rows) < LEAST:
        raise UsageError(
            f"expected at least {LEAST} released devices, found {len(rows)}",
            "let the pilot go on; then calibrate again",
        )
    outcome = outcomes.outcome[rows]
    ended = (outcome == Outcome.ENROLLED) | (outcome == Outcome.FAILED)
    return Pilot(
        rows=rows,
        released_at=at,
        ended_at=np.where(ended, outcomes.at[rows], -1),
        failed=outcome == Outcome.FAILED,
        code=np.where(outcome == Outcome.FAILED, outcomes.code[rows], 0),
        start=plan.start,
        now=now,
        traits=traits_of(fleet.take(rows), model),
    )


def known_until(outcomes: DeviceOutcomes, progress_at: int) -> int:
    """Return the second up to which saved outcomes are known: they are saved daily, not at each look."""
    last = int(outcomes.at.max(initial=-1))
    return min(progress_at, last + 1) if last >= 0 else progress_at


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a pretend world says of a pilot's devices at its `now`, (k,) each.

    outcome : int8 `Outcome`; at : Unix seconds of its last change. keys : (k,) uint64, their chance.
    """

    outcome: FlagArray
    at: LongArray
    keys: NDArray[np.uint64]

    @property
    def enrolled_at(self) -> LongArray:
        """(k,) Unix seconds, -1 where not enrolled."""
        return np.where(self.outcome == Outcome.ENROLLED, self.at, -1)


def answer(pilot: Pilot, model: Model, *, seed: int, replication: int, until: int = 0) -> Answer:
    """Live through the pilot's releases in a world with `model`; nobody times out there.

    until : Unix seconds, the pilot's `now` by default. Traits are those of the pilot: failure rates of
    `model` that are for good do not count, they are traits.
    """
    end = until or pilot.now
    horizon_s = max(end - pilot.start, 3600) + 3600
    draws = make_draws(
        model,
        pilot.traits,
        seed=seed,
        replication=replication,
        start=pilot.start,
        horizon_s=horizon_s,
    )
    engine = make_engine(
        model,
        pilot.traits,
        draws,
        start=pilot.start,
        strata=np.zeros(len(pilot), dtype=np.int32),
        n_strata=1,
        straggler_after_s=10 * horizon_s,
    )
    edges = np.flatnonzero(np.diff(pilot.released_at, prepend=-1, append=-1))
    for number, (first, last) in enumerate(pairwise(edges.tolist())):
        at = int(pilot.released_at[first])
        engine.advance(at)
        engine.release(np.arange(first, last, dtype=np.int32), number, at)
    engine.advance(end)
    outcome = engine.outcome
    assert (outcome != NOT_RELEASED).all()
    return Answer(outcome, engine.outcome_at, draws.keys)
