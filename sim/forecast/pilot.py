"""What is known of the devices that a rollout has released: when they were released, and their outcomes so far.

A device without an outcome is known to take longer than until now: it is censored, and treated as such.
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

MIN_DEVICES = 30
"""Released devices that a calibration needs at least."""


@dataclass(frozen=True, slots=True, eq=False)
class Pilot:
    """The released devices, (k,) each, in the order of release.

    rows : fleet rows. released_at : Unix seconds. ended_at : Unix seconds of the enrollment or failure, -1
    while there is none. failed : whether the device failed. code : the HRESULT of the failure, 0 if there is none.
    start : Unix seconds of the plan's start. now : Unix seconds up to which outcomes are known. traits : traits of
    these devices.
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
        """(k,) whether the device is enrolled."""
        return (self.ended_at >= 0) & ~self.failed

    @property
    def ages(self) -> FloatArray:
        """(k,) hours from release to enrollment; infinite for devices that are not enrolled."""
        return ages_of(self.released_at, np.where(self.enrolled, self.ended_at, -1))


def ages_of(released_at: LongArray, enrolled_at: LongArray) -> FloatArray:
    """Return hours from release to enrollment, infinite where `enrolled_at` is -1."""
    hours = (enrolled_at - released_at) / 3600.0
    return np.where(enrolled_at < 0, np.inf, np.maximum(hours, 0.0))


def pilot_of(
    plan: Plan, fleet: Fleet, model: Model, batches: Sequence[Batch], outcomes: DeviceOutcomes, now: int
) -> Pilot:
    """Return the released devices of a rollout's journal; rejected devices are left out, as they were never members.

    now : Unix seconds up to which `outcomes` are known. Raise a `UsageError` for fewer than MIN_DEVICES devices.
    """
    rows = np.concatenate([np.empty(0, dtype=np.int32), *(batch.rows for batch in batches)]).astype(np.int32)
    sizes = [len(batch) for batch in batches]
    at = np.repeat(np.array([batch.at for batch in batches], dtype=np.int64), sizes)
    adopted = np.concatenate([np.empty(0, dtype=np.int32), *(batch.adopted for batch in batches)])
    keep = (outcomes.outcome[rows] != Outcome.REJECTED) & ~np.isin(rows, adopted) & (at < now)
    rows, at = rows[keep], at[keep]
    if len(rows) < MIN_DEVICES:
        raise UsageError(
            f"expected at least {MIN_DEVICES} released devices, found {len(rows)}",
            "Let the pilot continue, then calibrate again.",
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
    """Return the second up to which saved outcomes are known: they are saved daily, not at every observation."""
    last = int(outcomes.at.max(initial=-1))
    return min(progress_at, last + 1) if last >= 0 else progress_at


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedOutcomes:
    """The simulated outcomes of a pilot's devices at its `now`, (k,) each.

    outcome : int8 `Outcome`. at : Unix seconds of its last change. keys : (k,) uint64, the keys of the random draws.
    """

    outcome: FlagArray
    at: LongArray
    keys: NDArray[np.uint64]

    @property
    def enrolled_at(self) -> LongArray:
        """(k,) Unix seconds, -1 for devices that are not enrolled."""
        return np.where(self.outcome == Outcome.ENROLLED, self.at, -1)


def simulate_pilot(
    pilot: Pilot, model: Model, *, seed: int, replication: int, until: int = 0
) -> SimulatedOutcomes:
    """Simulate the pilot's releases with `model`; no device times out.

    until : Unix seconds, the pilot's `now` by default. Permanent failures come from the pilot's traits; the model's
    rates of permanent failures have no effect.
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
    return SimulatedOutcomes(outcome, engine.outcome_at, draws.keys)
