"""Many runs of one plan: when it will be done, the load it causes, how often a gate halts it.

Each run is the executor's own loop over a simulated directory. Native mode All runs on the same draws for comparison:
every device targeted at once (automatic enrollment "All"), with only the client's random window.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rollout.loop.drive import drive, pump
from rollout.loop.ports import MembershipLog
from rollout.values import (
    HOUR_S,
    DecisionRow,
    Fleet,
    LongArray,
    Outcome,
    Plan,
    Progress,
    State,
)
from rollout.values.bands import Bands
from sim.clients.draws import Traits, make_draws, traits_of
from sim.engines.engine import make_engine
from sim.engines.port import EngineRun
from sim.model import Model
from sim.workers import ignore_progress, workers_of
from sim.world.directory import SimClock, SimulatedDirectory
from sim.world.journal import MemoryJournal

QUANTILES = (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95)


@dataclass(frozen=True, slots=True, eq=False)
class RunResult:
    """One run. All arrays count clock hours; hour 0 is the one in which the plan starts.

    eta_s : seconds from the start to the last outcome; -1 if the horizon came first.
    final : devices by name (enrolled, failed, rejected, timed_out, pending, excluded); sums to the fleet.
    enrolled : (hours,) devices enrolled by the end of each hour; by_phase : (phases, hours), the same for each phase.
    attempts : (hours,) enrollment attempts in each hour.
    held : whether a person was needed: the gate held the rollout at least once. waited_s : seconds in which releases
        waited for answers.
    """

    replication: int
    state: State
    reason: str
    eta_s: int
    final: dict[str, int]
    released: int
    enrolled: LongArray
    by_phase: LongArray
    attempts: LongArray
    failed_codes: dict[int, int]
    decisions: tuple[DecisionRow, ...] = ()
    held: bool = False
    waited_s: int = 0


Quantiles = Mapping[str, float | None]
"""Level -> figure that this share of runs does not exceed, such as {"p10": …, "p50": …, "p90": …}; None is never."""


@dataclass(frozen=True, slots=True)
class KeyFigures:
    """Key figures of many runs, in hours from the plan's start and in devices.

    eta_hours : until every device has an outcome; p10, p50, p90. enrolled_90_hours : until 90 % of the planned
    devices are enrolled; p10, p50, p90. enrolled_hours : median until 50, 90, 95 and 99 % are enrolled; p50, p90,
    p95, p99. peak_per_hour : enrollment attempts in the busiest hour; p50, p90. halt_chance : share of the runs
    that a gate halted; held_chance : in which it asked a person. waited_hours : hours in which releases waited for
    answers; p50, p90. final : devices by outcome in the typical run, see `RunResult`.
    """

    eta_hours: Quantiles
    enrolled_hours: Quantiles
    enrolled_90_hours: Quantiles
    peak_per_hour: Quantiles
    halt_chance: float
    held_chance: float
    waited_hours: Quantiles
    final: Mapping[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """The runs of one plan and of its baseline, native mode All, on the same draws."""

    digest: str
    start: int
    seed: int
    devices: int
    runs: tuple[RunResult, ...]
    baseline: tuple[RunResult, ...]

    @property
    def first_hour(self) -> int:
        """Unix seconds at which the clock hour of the plan's start begins."""
        return self.start // HOUR_S * HOUR_S

    @property
    def figures(self) -> KeyFigures:
        """Key figures of the plan."""
        return _figures(self.runs)

    @property
    def baseline_figures(self) -> KeyFigures:
        """Key figures of the baseline."""
        return _figures(self.baseline)

    def enrolled_bands(self, baseline: bool = False) -> Bands:
        """Return the enrolled devices at the end of each hour as quantiles over the runs."""
        runs = self.baseline if baseline else self.runs
        return _bands([run.enrolled for run in runs], self.first_hour + HOUR_S, hold=True)

    def phase_bands(self) -> tuple[Bands, ...]:
        """Return the enrolled devices of each phase at the end of each hour, as quantiles over the runs."""
        phases = range(len(self.runs[0].by_phase))
        end = self.first_hour + HOUR_S
        return tuple(_bands([run.by_phase[index] for run in self.runs], end, hold=True) for index in phases)

    def load_bands(self, baseline: bool = False) -> Bands:
        """Return the enrollment attempts in the hour that begins at each instant, as quantiles over the runs."""
        runs = self.baseline if baseline else self.runs
        return _bands([run.attempts for run in runs], self.first_hour, hold=False)

    @property
    def typical(self) -> RunResult:
        """The run in the middle, by the time of its last outcome."""
        return _typical(self.runs)


def world_of(
    plan: Plan,
    traits: Traits,
    model: Model,
    *,
    seed: int,
    replication: int = 0,
    log: MembershipLog | None = None,
    skip_s: int = 0,
) -> SimulatedDirectory:
    """Return the simulated directory of one run: the same for `simulate` and for `run` on the embedded directory.

    skip_s : how far ahead it may skip observations that decide nothing; the decisions do not depend on it.
    """
    draws = make_draws(
        model, traits, seed=seed, replication=replication, start=plan.start, horizon_s=model.horizon
    )
    engine = make_engine(
        model,
        traits,
        draws,
        start=plan.start,
        strata=plan.strata.codes,
        n_strata=len(plan.strata.names),
        straggler_after_s=plan.straggler_after_s,
    )
    return SimulatedDirectory(engine, len(plan), log, skip_s)


def simulate_once(
    plan: Plan, traits: Traits, model: Model, *, seed: int, replication: int, keep_decisions: bool = False
) -> RunResult:
    """Run the plan once, through the executor's own loop."""
    world = world_of(plan, traits, model, seed=seed, replication=replication, skip_s=model.horizon)
    progress, rows = play(plan, world, plan.start + model.horizon)
    by_phase = _enrolled_by_hour(world.engine, plan)
    eta_s = progress.at - plan.start if progress.state.is_finished else -1
    return RunResult(
        replication=replication,
        state=progress.state,
        reason=progress.reason,
        eta_s=eta_s,
        final=final_counts(plan, world.engine.outcome),
        released=sum(progress.released),
        enrolled=by_phase.sum(axis=0),
        by_phase=by_phase,
        attempts=_trim(world.engine.load().attempts),
        failed_codes=world.engine.failed_codes,
        decisions=rows if keep_decisions else (),
        held=any(row.state is State.HELD for row in rows),
        waited_s=waited_s(rows, progress.at),
    )


def play(plan: Plan, world: SimulatedDirectory, until: int) -> tuple[Progress, tuple[DecisionRow, ...]]:
    """Drive a rollout in a simulated directory to its end, or until the Unix second `until`."""
    journal = MemoryJournal()
    progress = pump(drive(plan, journal, world, until), SimClock(plan.start).wait_until)
    world.engine.advance(min(progress.at, until))
    return progress, tuple(journal.decisions())


def waited_s(rows: Sequence[DecisionRow], until: int) -> int:
    """Return for how many seconds releases waited for answers up to the Unix second `until`."""
    ends = [*(row.at for row in rows[1:]), until] if rows else []
    return sum(after - row.at for row, after in zip(rows, ends, strict=True) if row.state is State.WAITING)


def simulate_baseline(plan: Plan, traits: Traits, model: Model, *, seed: int, replication: int) -> RunResult:
    """Run native mode All on the same draws: all planned devices are targeted at the start."""
    world = world_of(plan, traits, model, seed=seed, replication=replication)
    rows = np.flatnonzero(plan.phase_of >= 0).astype(np.int32)
    world.apply(0, rows, plan.start)
    # It ends as the plan's own run does: every device has an outcome, or has had time enough for one.
    last = plan.start + min(plan.straggler_after_s, model.horizon)
    now = plan.start
    while now < last and not (now > plan.start and world.engine.settled()):
        now = min(now + HOUR_S, last)
        world.engine.advance(now)
    outcome = world.engine.outcome
    by_phase = _enrolled_by_hour(world.engine, plan)
    return RunResult(
        replication=replication,
        state=State.FINISHED,
        reason="native mode All",
        eta_s=now - plan.start,
        final=final_counts(plan, outcome),
        released=len(rows),
        enrolled=by_phase.sum(axis=0),
        by_phase=by_phase,
        attempts=_trim(world.engine.load().attempts),
        failed_codes=world.engine.failed_codes,
    )


def final_counts(plan: Plan, outcome: NDArray[np.int8]) -> dict[str, int]:
    """Return devices by outcome; the numbers sum to the fleet."""
    counts = {
        item.name.lower(): int((outcome == item).sum()) for item in Outcome if item is not Outcome.PENDING
    }
    return {
        **counts,
        "pending": plan.planned - sum(counts.values()),
        "excluded": len(plan) - plan.planned,
    }


def simulate(
    plan: Plan,
    fleet: Fleet,
    model: Model,
    *,
    seed: int = 1,
    runs: int = 20,
    workers: int = 1,
    keep_decisions: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Simulation:
    """Run the plan and its baseline `runs` times. The result does not depend on `workers`.

    progress : called with the number of finished runs.
    """
    # Chunks exist so that a person's command takes effect between them; a simulation has no commands.
    job = _Job(replace(plan, chunk=len(plan) + 1), traits_of(fleet, model), model, seed, keep_decisions)
    with workers_of(min(workers, runs)) as pool:
        pairs = pool.map(job, range(runs), progress or ignore_progress)
    return Simulation(
        digest=plan.digest,
        start=plan.start,
        seed=seed,
        devices=len(plan),
        runs=tuple(run for run, _ in pairs),
        baseline=tuple(base for _, base in pairs),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    plan: Plan
    traits: Traits
    model: Model
    seed: int
    keep_decisions: bool

    def __call__(self, replication: int) -> tuple[RunResult, RunResult]:
        arguments = (self.plan, self.traits, self.model)
        keep = self.keep_decisions and replication == 0
        return (
            simulate_once(*arguments, seed=self.seed, replication=replication, keep_decisions=keep),
            simulate_baseline(*arguments, seed=self.seed, replication=replication),
        )


def _figures(runs: Sequence[RunResult]) -> KeyFigures:
    etas = np.array([run.eta_s / HOUR_S if run.eta_s >= 0 else np.inf for run in runs])
    peaks = np.array([float(run.attempts.max(initial=0)) for run in runs])
    waited = np.array([run.waited_s / HOUR_S for run in runs])
    hours = {percent: _hours_to(runs, percent) for percent in (50, 90, 95, 99)}
    return KeyFigures(
        eta_hours={f"p{level}": _quantile(etas, level) for level in (10, 50, 90)},
        enrolled_hours={f"p{percent}": _quantile(each, 50) for percent, each in hours.items()},
        enrolled_90_hours={f"p{level}": _quantile(hours[90], level) for level in (10, 50, 90)},
        peak_per_hour={f"p{level}": _quantile(peaks, level) for level in (50, 90)},
        halt_chance=sum(run.state is State.HALTED for run in runs) / len(runs),
        held_chance=sum(run.held for run in runs) / len(runs),
        waited_hours={f"p{level}": _quantile(waited, level) for level in (50, 90)},
        final=_typical(runs).final,
    )


def _quantile(values: NDArray[np.float64], percent: float) -> float | None:
    """Return the smallest value that `percent` of the runs do not exceed; None if that run never ended."""
    value = float(np.quantile(values, percent / 100, method="inverted_cdf"))
    return round(value, 3) if np.isfinite(value) else None


def _hours_to(runs: Sequence[RunResult], percent: int) -> NDArray[np.float64]:
    """Return hours until `percent` of the planned devices are enrolled, per run; infinite where they never are."""
    hours = []
    for run in runs:
        planned = sum(run.final.values()) - run.final["excluded"]
        reached = np.flatnonzero(100 * run.enrolled >= percent * planned)
        hours.append(float(reached[0] + 1) if len(reached) and planned else np.inf)
    return np.array(hours)


def _typical(runs: Sequence[RunResult]) -> RunResult:
    ranked = sorted(runs, key=lambda run: (run.eta_s < 0, run.eta_s, run.replication))
    return ranked[(len(ranked) - 1) // 2]


def _enrolled_by_hour(engine: EngineRun, plan: Plan) -> LongArray:
    """Return the devices enrolled by the end of each hour, by phase: (phases, hours)."""
    rows = np.flatnonzero(engine.outcome == Outcome.ENROLLED)
    hours = engine.outcome_at[rows] // HOUR_S - plan.start // HOUR_S
    width = int(hours.max(initial=0)) + 1
    flat = plan.phase_of[rows].astype(np.int64) * width + hours
    counts = np.bincount(flat, minlength=len(plan.phases) * width).reshape(len(plan.phases), width)
    return np.cumsum(counts, axis=1).astype(np.int64)


def _trim(series: LongArray) -> LongArray:
    """Cut the empty hours at the end."""
    used = np.flatnonzero(series)
    return np.array(series[: used[-1] + 1 if len(used) else 1], dtype=np.int64)


def _bands(series: Sequence[LongArray], first: int, *, hold: bool) -> Bands:
    """Return the quantiles of series of different lengths; a shorter one holds its last value, or is zero.

    first : Unix seconds of the first column.
    """
    hours = max((len(run) for run in series), default=1)
    table = np.zeros((len(series), hours))
    for index, run in enumerate(series):
        table[index, : len(run)] = run
        if hold and len(run):
            table[index, len(run) :] = run[-1]
    at = np.asarray(first + np.arange(hours) * HOUR_S, dtype=np.int64)
    return Bands(at, QUANTILES, np.quantile(table, QUANTILES, axis=0))
