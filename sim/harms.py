"""Harms: what a change may do to devices, as worlds in which gates show how many devices it reaches before they stop.

A harm changes the traits of devices, so both engines and the executor's own loop meet it as they would meet a real
one. Which devices it reaches is drawn from the harm's own seed: the rest of the world, with its presence, failures and
outages, is the same with and without it, and a larger share reaches the same devices and others.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, Protocol

import numpy as np

from rollout.errors import UsageError
from rollout.values import (
    DAY_S,
    NOT_RELEASED,
    BoolArray,
    Factor,
    Fleet,
    IntArray,
    Observation,
    Outcome,
    Plan,
    Quiet,
    State,
)
from sim.clients.draws import Traits, traits_of
from sim.engines.port import EngineRun
from sim.model import Model
from sim.simulation import play, waited_s, world_of
from sim.workers import ignore_progress, workers_of
from sim.world.directory import SimulatedDirectory

LONGEST_DELAY_S: Final = 365 * DAY_S
"""The longest time by which a report or a removal may follow."""

_STREAM: Final = 0x4841524D
"""Keeps the draws of harms apart from all others of the same seed."""


class HarmKind(StrEnum):
    """What happens to a device that a harm reaches."""

    FAIL_FAST = "fail-fast"  # every attempt fails, reported as usual
    FAIL_LATE = "fail-late"  # every attempt fails, reported later
    SILENT = "silent"  # it gets the policy and is never heard of again
    REMOVED = "removed"  # every attempt fails, and the help desk takes failed devices out of the collection


class Cause(Protocol):
    """Anything that harms the devices of a plan."""

    def reaches(self, plan: Plan, fleet: Fleet) -> BoolArray:
        """Return the devices that it may reach, (n,) bool."""
        ...

    def applied(self, traits: Traits, plan: Plan, fleet: Fleet, replication: int) -> Traits:
        """Return the traits of the devices under it; the same arguments give the same devices."""
        ...


@dataclass(frozen=True, slots=True)
class Harm:
    """A harm that reaches a share of devices, besides those that fail anyway.

    share : of the devices that it may reach, those that it does. column, level : it may reach only devices with this
        level of a fleet column; all by default. after : share of the plan's order of release that it spares, such as
        0.5 for a harm from the middle on; 0 is from the first batch.
    delay_s : seconds from the usual report to the late one (FAIL_LATE), or to the removal (REMOVED).
    code : HRESULT of the failures. seed : of the devices that it reaches.
    """

    kind: HarmKind
    share: float
    column: str = ""
    level: str = ""
    after: float = 0.0
    delay_s: int = 0
    code: int = 0x80180023
    seed: int = 1

    def __post_init__(self) -> None:
        """Raise a `ValueError` for impossible figures."""
        if not (0.0 <= self.share <= 1.0 and 0.0 <= self.after <= 1.0):
            raise ValueError(f"expected shares from 0 to 1, found share {self.share} and after {self.after}")
        if not 0 <= self.delay_s <= LONGEST_DELAY_S:
            raise ValueError(f"expected a delay from 0 to {LONGEST_DELAY_S} seconds, found {self.delay_s}")
        delays = self.kind in (HarmKind.FAIL_LATE, HarmKind.REMOVED)
        if delays != (self.delay_s > 0):
            raise ValueError(f"a harm of kind '{self.kind}' {'needs a' if delays else 'has no'} delay")
        if bool(self.column) != bool(self.level):
            raise ValueError("a harm to one level needs both its column and the level")
        if not 0 < self.code < 1 << 32:
            raise ValueError(f"expected the code as an unsigned 32-bit number above 0, found {self.code}")

    def reaches(self, plan: Plan, fleet: Fleet) -> BoolArray:
        """Return the devices that it may reach, (n,) bool. Raise `UsageError` for an unknown column or level."""
        reached = _place_in_order(plan) >= round(self.after * plan.planned)
        if self.column:
            reached &= _column(fleet, self.column, self.level).where(self.level)
        return reached

    def applied(self, traits: Traits, plan: Plan, fleet: Fleet, replication: int) -> Traits:
        """Return the traits of the devices under it."""
        drawn = _draws(self.seed, replication).random(len(plan)) < self.share
        harmed = self.reaches(plan, fleet) & drawn
        if self.kind is HarmKind.SILENT:
            return replace(traits, silent=harmed if traits.silent is None else traits.silent | harmed)
        fault, code = traits.fault.copy(), traits.fault_code.copy()
        fault[harmed], code[harmed] = 1.0, self.code
        changed = replace(traits, fault=fault, fault_code=code, codes=(*traits.codes, self.code))
        if self.kind is not HarmKind.FAIL_LATE:
            return changed
        delay = np.zeros(len(plan), dtype=np.int32) if traits.delay is None else traits.delay.copy()
        delay[harmed] = self.delay_s
        return replace(changed, delay=delay)


@dataclass(frozen=True, slots=True)
class Clusters:
    """Permanent failures that come in clusters: devices of one site, or of one model, fail together.

    The share of failing devices of each level of `column` is drawn from a beta distribution with this mean, and such
    that the failures of two devices of a level have this correlation. It takes the place of the model's own share of
    permanent failures, so that a device fails with chance `mean`.
    """

    column: str
    mean: float
    correlation: float
    seed: int = 1

    def __post_init__(self) -> None:
        """Raise a `ValueError` for impossible figures."""
        if not (0.0 <= self.mean <= 1.0 and 0.0 <= self.correlation < 1.0):
            raise ValueError(
                "expected a mean from 0 to 1 and a correlation from 0 to below 1, "
                f"found {self.mean} and {self.correlation}"
            )

    def reaches(self, plan: Plan, fleet: Fleet) -> BoolArray:
        """Return that it may reach all planned devices. Raise `UsageError` for an unknown column."""
        _column(fleet, self.column)
        return np.asarray(plan.phase_of >= 0, dtype=np.bool_)

    def applied(self, traits: Traits, plan: Plan, fleet: Fleet, replication: int) -> Traits:
        """Return the traits of the devices under it."""
        factor = _column(fleet, self.column)
        share = np.full(len(factor.levels), self.mean)
        if self.correlation > 0 and 0 < self.mean < 1:
            weight = 1 / self.correlation - 1
            draw = _draws(self.seed, replication)
            share = draw.beta(self.mean * weight, (1 - self.mean) * weight, len(factor.levels))
        return replace(traits, fault=share[factor.codes], fault_code=np.zeros(len(plan), dtype=np.int64))


class HelpDesk(SimulatedDirectory):
    """A simulated directory whose help desk takes failed devices out of the collection some time after the report.

    It skips no observation: who is taken out between two of them matters to the gate.
    """

    def __init__(self, engine: EngineRun, devices: int, after_s: int) -> None:
        SimulatedDirectory.__init__(self, engine, devices)
        self._after_s = after_s
        self._done = np.zeros(devices, dtype=np.bool_)

    def observe(self, at: int) -> Observation:
        """Return what is seen at `at`, after the removals before it."""
        self.engine.advance(at)
        if sum(self.engine.failed_codes.values()):
            due = self.engine.outcome_at + self._after_s
            removed = (self.engine.outcome == Outcome.FAILED) & (due < at) & self.is_member & ~self._done
            for instant in np.unique(due[removed]).tolist():
                self.take_out(np.flatnonzero(removed & (due == instant)).astype(np.int32), instant)
            self._done |= removed
        return SimulatedDirectory.observe(self, at)

    def quiet_until(self, again: int, quiet: Quiet) -> int:
        """Return `again`."""
        del quiet
        return again


@dataclass(frozen=True, slots=True)
class ExposedRun:
    """One rollout under a harm.

    released : devices released when it ended, was stopped, or the simulated time was over. reached : those of them
    that the harm may reach. harmed : those of `reached` that it made fail or fall silent; 0 where failures are a
    matter of chance, as with `Clusters`. at_s : seconds from the start to the last release. held : names of the
    strata that are held while the others go on. waited_s : seconds for which releases waited for answers.
    """

    replication: int
    state: State
    reason: str
    released: int
    reached: int
    harmed: int
    at_s: int
    held: tuple[str, ...]
    waited_s: int

    @property
    def is_stopped(self) -> bool:
        """Whether a gate stopped the rollout: halted it, or holds it, or has it wait, to the end."""
        return self.state in (State.HALTED, State.HELD, State.WAITING)


@dataclass(frozen=True, slots=True)
class ExposureResult:
    """How many devices a harm reaches before a plan's gates stop it, over many simulated rollouts."""

    cause: Cause | None
    planned: int
    runs: tuple[ExposedRun, ...] = field(repr=False)

    @property
    def stopped(self) -> float:
        """Share of the runs that a gate stopped."""
        return sum(run.is_stopped for run in self.runs) / len(self.runs)

    @property
    def contained(self) -> float:
        """Share of the runs that a gate stopped, or in which it holds strata."""
        return sum(run.is_stopped or bool(run.held) for run in self.runs) / len(self.runs)

    def released(self, share: float) -> int:
        """Return the devices released that this share of the runs does not exceed: 0.5 is the median."""
        return _not_exceeded([run.released for run in self.runs], share)

    def reached(self, share: float) -> int:
        """Return the same of the released devices that the harm may reach."""
        return _not_exceeded([run.reached for run in self.runs], share)

    def harmed(self, share: float) -> int:
        """Return the same of those that the harm made fail or fall silent."""
        return _not_exceeded([run.harmed for run in self.runs], share)


def exposure(
    plan: Plan,
    fleet: Fleet,
    model: Model,
    harm: Cause | None,
    *,
    runs: int = 20,
    seed: int = 1,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> ExposureResult:
    """Run a plan many times under a harm, each run through the executor's own loop to the end of the simulated time.

    harm : None for the same rollouts without one. The result does not depend on `workers`. progress : called with the
    number of finished runs. Raise `UsageError` for a column or level that the fleet does not have, or no runs.
    """
    if runs < 1:
        raise UsageError(f"expected at least one run, found {runs}")
    if harm is not None:
        harm.reaches(plan, fleet)  # a mistake in it is told before workers start
    # Chunks exist so that a person's command takes effect between them; a simulation has no commands.
    job = _Job(replace(plan, chunk=len(plan) + 1), fleet, model, harm, seed)
    with workers_of(min(workers, runs)) as pool:
        exposed = pool.map(job, range(runs), progress or ignore_progress)
    return ExposureResult(harm, plan.planned, tuple(exposed))


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    plan: Plan
    fleet: Fleet
    model: Model
    harm: Cause | None
    seed: int

    def __call__(self, replication: int) -> ExposedRun:
        plan, fleet, harm = self.plan, self.fleet, self.harm
        traits = traits_of(fleet, self.model)
        reach = plan.phase_of >= 0
        if harm is not None:
            reach = harm.reaches(plan, fleet)
            traits = harm.applied(traits, plan, fleet, replication)
        world = self._world(traits, replication)
        progress, rows = play(plan, world, plan.start + self.model.horizon)
        outcome = world.engine.outcome
        reached = reach & (outcome != NOT_RELEASED)
        hit = traits.fault >= 1.0 if traits.silent is None else traits.silent
        return ExposedRun(
            replication,
            progress.state,
            progress.reason,
            released=int((outcome != NOT_RELEASED).sum()),
            reached=int(reached.sum()),
            harmed=int((reached & hit).sum()),
            at_s=max((row.at for row in rows if row.batch >= 0), default=plan.start) - plan.start,
            held=tuple(hold.stratum for hold in progress.held),
            waited_s=waited_s(rows, progress.at),
        )

    def _world(self, traits: Traits, replication: int) -> SimulatedDirectory:
        plan, model, harm = self.plan, self.model, self.harm
        world = world_of(plan, traits, model, seed=self.seed, replication=replication, skip_s=model.horizon)
        if isinstance(harm, Harm) and harm.kind is HarmKind.REMOVED:
            return HelpDesk(world.engine, len(plan), harm.delay_s)
        return world


def _draws(seed: int, replication: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((_STREAM, seed, replication))))


def _place_in_order(plan: Plan) -> IntArray:
    """Return the place of each device in the plan's order of release; -1 of devices that are not planned."""
    place = np.full(len(plan), -1, dtype=np.int32)
    order = np.concatenate([np.empty(0, dtype=np.int32), *(phase.order for phase in plan.phases)])
    place[order] = np.arange(len(order))
    return place


def _column(fleet: Fleet, name: str, level: str = "") -> Factor:
    if name not in fleet.factors:
        raise UsageError(f"the fleet has no column {name!r}", f"Known: {', '.join(sorted(fleet.factors))}.")
    factor = fleet.factors[name]
    if level and level not in factor.levels:
        near = difflib.get_close_matches(level, factor.levels, n=1)
        raise UsageError(
            f"no device has {level!r} in column {name!r}",
            f"Did you mean {near[0]!r}?" if near else f"There are {len(factor.levels)} others.",
        )
    return factor


def _not_exceeded(values: Sequence[int], share: float) -> int:
    return int(np.quantile(np.array(values), share, method="inverted_cdf"))
