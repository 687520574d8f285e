"""The end of a running rollout, forecast from its current state.

The simulated past is made to match the real one: each released device gets random draws under which its simulated
outcome is its real outcome (enrolled, failed, or none yet). From there the executor's own loop continues with the
real progress and the real batches, so the rest is simulated as it will be executed: rates, gates, windows. Each
continuation has its own draw of the calibrated assumptions, so the interval includes both kinds of uncertainty.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from rollout.gates import finite_fleet_interval
from rollout.loop.drive import drive, pump
from rollout.values import (
    HOUR_S,
    NOT_RELEASED,
    Applied,
    Batch,
    Commands,
    DecisionRow,
    DeviceOutcomes,
    FlagArray,
    Fleet,
    IntArray,
    LongArray,
    Outcome,
    Plan,
    Progress,
    ProgressPoint,
    State,
    ceil_of,
)
from rollout.values.forecast import Forecast
from sim.clients.draws import Draws, Traits, make_draws, traits_of
from sim.engines.engine import make_engine
from sim.forecast.calibration import Calibration
from sim.forecast.pilot import Pilot, simulate_pilot
from sim.model import Model
from sim.workers import InProcess, Workers
from sim.world.directory import SimClock, SimulatedDirectory
from sim.world.journal import MemoryJournal

RUNS: Final = 20
ROUNDS: Final = 40
"""How often a device's random draws are repeated until its simulated outcome matches the real one."""
SHARE: Final = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class JournalSnapshot:
    """What a rollout's journal says at an instant.

    outcomes : as last saved, known up to `known_until`. applied : (Unix seconds, batch, rows) of all members.
    """

    progress: Progress
    batches: tuple[Batch, ...]
    confirmed: tuple[int, ...]
    commands: Commands
    outcomes: DeviceOutcomes
    known_until: int
    applied: tuple[tuple[int, int, IntArray], ...]


@dataclass(frozen=True, slots=True)
class Continuation:
    """The result of a simulated continuation.

    done, enrolled_90 : Unix seconds of the end, and of the enrollment of SHARE of the planned devices; -1 is never.
    failed, enrolled : devices at the end. halted : whether a gate halts the rollout. matched : share of the released
    devices whose simulated outcome matches the real one.
    """

    done: int
    enrolled_90: int
    failed: int
    enrolled: int
    halted: bool
    matched: float


def forecast_of(
    plan: Plan,
    fleet: Fleet,
    model: Model,
    snapshot: JournalSnapshot,
    calibration: Calibration | None = None,
    *,
    seed: int = 1,
    runs: int = RUNS,
    workers: Workers | None = None,
) -> Forecast | None:
    """Return the forecast of a rollout, None if it has ended. The same seed gives the same result.

    A paused rollout is assumed to resume now, a held rollout to wait for its gate.
    """
    if snapshot.progress.state.is_final:
        return None
    job = _Job(plan, traits_of(fleet, model), model, snapshot, calibration, seed)
    continuations = (workers or InProcess()).map(job, range(runs))
    outcome = snapshot.outcomes.outcome
    failed = int((outcome == Outcome.FAILED).sum())
    executed = failed + int((outcome == Outcome.ENROLLED).sum())
    return Forecast(
        as_of=snapshot.progress.at,
        runs=runs,
        done=_instants([each.done for each in continuations]),
        enrolled_90=_instants([each.enrolled_90 for each in continuations]),
        failed=_counts([each.failed for each in continuations]),
        failed_surely=finite_fleet_interval(failed, executed, max(plan.planned, executed)),
        halt_chance=sum(each.halted for each in continuations) / runs,
        matched=round(float(np.mean([each.matched for each in continuations])), 4),
        calibrated=calibration is not None,
    )


def _instants(values: Sequence[int]) -> tuple[float, float, float]:
    return _prediction_interval([value if value >= 0 else math.inf for value in values])


def _counts(values: Sequence[int]) -> tuple[int, int, int]:
    p10, p50, p90 = _prediction_interval(values)
    return int(p10), int(p50), int(p90)


def _prediction_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return p10, p50 and p90 such that the truth, another draw like the n `values`, lies between them with 80 %.

    The truth falls into each of the n + 1 gaps with equal probability: p10 is the value of rank 0.1 (n + 1), p90 that
    of rank 0.9 (n + 1), rounded outwards. The plain quantiles of 20 values contain the truth in only 76 % of cases.
    """
    ranked, n = sorted(values), len(values)
    tail = max(1, math.floor((n + 1) / 10))
    return ranked[tail - 1], ranked[(n - 1) // 2], ranked[n - tail]


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    plan: Plan
    traits: Traits
    model: Model
    snapshot: JournalSnapshot
    calibration: Calibration | None
    seed: int

    def __call__(self, run: int) -> Continuation:
        model = self.model
        if self.calibration is not None:
            # Spread the runs over the whole posterior.
            step = max(1, len(self.calibration.samples) // RUNS)
            model = self.calibration.sampled(run * step)
        fault = self.traits.fault
        if self.calibration is not None:
            rate = self.calibration.estimates["failures"]
            rng = np.random.default_rng((self.seed, run, 3))
            a, b = self.calibration.failed + 0.5, self.calibration.executed - self.calibration.failed + 0.5
            usual = float(np.median(fault)) or 1e-9
            fault = np.minimum(1.0, fault * (rng.beta(a, b) / usual if rate.median else 1.0))
        return _continue(self.plan, replace(self.traits, fault=fault), model, self.snapshot, (self.seed, run))


def _continue(
    plan: Plan, traits: Traits, model: Model, snapshot: JournalSnapshot, chance: tuple[int, int]
) -> Continuation:
    seed, run = chance
    horizon = max(model.horizon, 2 * (snapshot.progress.at - plan.start) + model.horizon)
    draws = make_draws(model, traits, seed=seed, replication=1000 * run, start=plan.start, horizon_s=horizon)
    traits = _conditioned(traits, snapshot)
    draws, matched = _match_real_past(draws, traits, model, snapshot, plan, chance)
    engine = make_engine(
        model,
        traits,
        draws,
        start=plan.start,
        strata=plan.strata.codes,
        n_strata=len(plan.strata.names),
        straggler_after_s=plan.straggler_after_s,
    )
    world = SimulatedDirectory(engine, len(plan), _Past(snapshot.applied), skip_s=horizon)
    until = plan.start + horizon
    progress = pump(drive(plan, _journal(snapshot), world, until), SimClock(snapshot.progress.at).wait_until)
    world.engine.advance(until)
    outcome, at = world.engine.outcome, world.engine.outcome_at
    enrolled = np.sort(at[outcome == Outcome.ENROLLED])
    needed = max(1, ceil_of(plan.planned, SHARE))
    return Continuation(
        done=progress.at if progress.state.is_finished else -1,
        enrolled_90=int(enrolled[needed - 1]) if len(enrolled) >= needed else -1,
        failed=int((outcome == Outcome.FAILED).sum()),
        enrolled=len(enrolled),
        halted=progress.state is State.HALTED,
        matched=matched,
    )


def _conditioned(traits: Traits, snapshot: JournalSnapshot) -> Traits:
    """Return the traits given the outcomes: a device that failed has a fault, a device that enrolled has none."""
    outcome = snapshot.outcomes.outcome
    fault = traits.fault.copy()
    fault[outcome == Outcome.FAILED] = 1.0
    fault[outcome == Outcome.ENROLLED] = 0.0
    return replace(traits, fault=fault)


def _match_real_past(
    draws: Draws,
    traits: Traits,
    model: Model,
    snapshot: JournalSnapshot,
    plan: Plan,
    chance: tuple[int, int],
) -> tuple[Draws, float]:
    """Return draws under which simulated outcomes match the real ones, and the share of devices for which they do.

    A device that does not match after ROUNDS draws keeps the last: its outcome is very unlikely in the model.
    """
    keys, presence, offset = draws.keys.copy(), draws.presence.copy(), draws.offset.copy()
    rows, at = _released(snapshot)
    left = np.arange(len(rows))
    real = _final_outcomes(snapshot.outcomes.outcome[rows])
    for number in range(ROUNDS):
        if not len(left):
            break
        unmatched = rows[left]
        selected = _part(traits, unmatched)
        past = _pilot(unmatched, at[left], selected, plan.start, snapshot.known_until)
        replication = 1000 * chance[1] + 1 + number
        simulated = simulate_pilot(past, model, seed=chance[0], replication=replication)
        fresh = make_draws(
            model, selected, seed=chance[0], replication=replication, start=plan.start, horizon_s=HOUR_S
        )
        keys[unmatched], presence[unmatched], offset[unmatched] = fresh.keys, fresh.presence, fresh.offset
        left = left[_final_outcomes(simulated.outcome) != real[left]]
    matched = 1.0 - len(left) / max(1, len(rows))
    return replace(draws, keys=keys, presence=presence, offset=offset), matched


def _final_outcomes(outcome: FlagArray) -> FlagArray:
    """Return ENROLLED, FAILED, or NOT_RELEASED for neither (a device that timed out is only late)."""
    known = (outcome == Outcome.ENROLLED) | (outcome == Outcome.FAILED)
    return np.where(known, outcome, NOT_RELEASED).astype(np.int8)


def _released(snapshot: JournalSnapshot) -> tuple[IntArray, LongArray]:
    """Return the members and the instants of their release, in the order of release."""
    parts = [
        np.empty(0, dtype=np.int32),
        *(rows for at, _, rows in snapshot.applied if at < snapshot.known_until),
    ]
    times = [
        np.full(len(rows), at, dtype=np.int64)
        for at, _, rows in snapshot.applied
        if at < snapshot.known_until
    ]
    return np.concatenate(parts).astype(np.int32), np.concatenate([np.empty(0, dtype=np.int64), *times])


def _part(traits: Traits, rows: IntArray) -> Traits:
    return Traits(
        traits.presence[rows],
        traits.zone[rows],
        traits.zones,
        traits.fault[rows],
        traits.fault_code[rows],
        traits.new[rows],
        None if traits.silent is None else traits.silent[rows],
        None if traits.delay is None else traits.delay[rows],
        traits.codes,
    )


def _pilot(rows: IntArray, at: LongArray, traits: Traits, start: int, now: int) -> Pilot:
    nothing = np.zeros(len(rows), dtype=np.int64)
    return Pilot(rows, at, nothing - 1, nothing > 0, nothing, start, now, traits)


@dataclass(frozen=True, slots=True, eq=False)
class _Past:
    """The real memberships, as the log of a simulated directory."""

    applied: tuple[tuple[int, int, IntArray], ...]

    def load(self) -> Iterator[tuple[int, int, IntArray]]:
        """Return all additions in order."""
        yield from self.applied

    def append(self, at: int, batch: int, rows: IntArray) -> None:
        """Do nothing: a continuation is not stored."""


def _journal(snapshot: JournalSnapshot) -> MemoryJournal:
    """Return a journal in memory with the state of the real one."""
    journal = MemoryJournal()
    progress = snapshot.progress
    if progress.state is State.PAUSED:
        progress = replace(progress, state=State.RUNNING)
    journal.commands_now = replace(snapshot.commands, paused=False, aborted=False)
    for batch in snapshot.batches or (None,):
        journal.intend(progress, _row(progress, batch), batch, ProgressPoint(progress.at, ()))
    nothing = np.empty(0, dtype=np.int32)
    for batch in snapshot.batches:
        journal.confirm(
            batch.number, snapshot.confirmed[batch.number], Applied(nothing, nothing, nothing), batch.at
        )
    return journal


def _row(progress: Progress, batch: Batch | None) -> DecisionRow:
    number = batch.number if batch else -1
    return DecisionRow(0, progress.at, progress.state, progress.phase, number, 0, 0, (), "", "")
