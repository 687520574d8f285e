"""The score of a candidate: its runs on a scaled-down fleet, in the figures that targets use.

All candidates are simulated through the same days: the draws of a device depend on seed and replication alone, so what
differs between two candidates is their pacing, not chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from rollout.errors import RefusedError, UsageError
from rollout.loop.drive import drive, pump
from rollout.planning.planner import make_plan
from rollout.policy import Policy
from rollout.values import HOUR_S, Inventory, Outcome, Plan, State, ceil_of
from sim.assumptions import assumed
from sim.clients.draws import traits_of
from sim.fleet.scaling import scaled_model, scaled_policy
from sim.model import Model
from sim.scenario import Targets
from sim.simulation import world_of
from sim.tuning.candidates import Candidate, Space, policy_of
from sim.tuning.exposure import exposed_p90
from sim.world.directory import SimClock
from sim.world.journal import MemoryJournal

LOOK_S: Final = HOUR_S
"""Candidates are observed hourly (or each step, if that is shorter): ten times as fast as every five minutes."""
NEVER_H: Final = 1e6
"""Stands for "never": a plan that is refused, or does not finish within the horizon."""
SHARE: Final = 0.9
"""A plan counts as done when this share of its planned devices is enrolled; the last few are offline."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One run, in devices and hours of the full fleet.

    hours : until SHARE of the planned devices are enrolled. done : until the last outcome. peak : most
    attempts in an hour. failures : most failures in an hour. halted : whether a gate halted it.
    """

    hours: float
    done: float
    peak: float
    failures: float
    halted: bool


@dataclass(frozen=True, slots=True)
class Score:
    """The score of a candidate over its runs.

    hours, peak : medians; the objectives. done_p90, peak_p90, tickets_p90 : nine of ten runs stay below.
    halt_chance : share of runs. exposed_p90 : devices released before a HALT in the bad-model world, -1 where
    no target asks. refused : why the planner refuses it, "" if it does not. runs : replications.
    """

    hours: float
    peak: float
    done_p90: float
    peak_p90: float
    tickets_p90: float
    halt_chance: float
    exposed_p90: float = -1.0
    refused: str = ""
    runs: int = 0

    def violation(self, targets: Targets) -> float:
        """Return by how much it misses the targets, as the sum of the share for each; 0 = it meets them all."""
        if self.refused:
            return 10.0
        return sum(self.misses(targets).values())

    def misses(self, targets: Targets) -> dict[str, float]:
        """Return the targets that it misses, each with the share by which it does."""
        over = {name: share - 1.0 for name, share in self.ratios(targets).items()}
        return {name: min(share, 9.0) for name, share in over.items() if share > 0}

    def ratios(self, targets: Targets) -> dict[str, float]:
        """Return each target's figure as a share of its limit."""
        pairs = {
            "finish_within_h": (self.done_p90, targets.finish_within_h),
            "peak_per_hour": (self.peak_p90, targets.peak_per_hour),
            "tickets_per_hour": (self.tickets_p90, targets.tickets_per_hour),
            "halt_chance": (self.halt_chance, targets.halt_chance),
            "exposed": (self.exposed_p90, float(targets.exposed)),
        }
        return {name: found / limit for name, (found, limit) in pairs.items() if limit > 0}


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """Everything a worker needs to try a candidate.

    text : the scenario. inventory : scaled down by `factor`. planned : devices of the full plan.
    mature_after_s : as the full plan has it. created : Unix seconds of planning.
    """

    text: str
    inventory: Inventory
    factor: float
    planned: int
    space: Space
    targets: Targets
    mature_after_s: int
    created: int
    seed: int
    model: Model

    def policy(self, candidate: Candidate) -> Policy:
        """Return the candidate's policy on the scaled-down fleet."""
        policy = scaled_policy(policy_of(self.text, candidate, self.space, self.planned), self.factor)
        step_s = candidate.step_s or policy.step
        look_s = max(policy.look_every, min(LOOK_S, step_s))
        return policy.model_copy(update={"look_every": look_s})

    def plan(self, candidate: Candidate) -> Plan:
        """Plan the candidate; raise a `RefusedError` or `UsageError` if that cannot be done."""
        return make_plan(
            self.inventory,
            (),
            self.policy(candidate),
            mature_after_s=self.mature_after_s,
            created=self.created,
        )


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of work: some replications of a candidate, under the job's model or a changed one.

    replications : numbers of the runs. assumptions : the changes to the model, see `sim.tuning.robustness`.
    """

    candidate: Candidate
    replications: tuple[int, ...]
    assumptions: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """The runs of a task, or why the planner refuses the candidate."""

    figures: tuple[Figures, ...]
    exposed_p90: float = -1.0
    refused: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluate:
    """Does tasks of one job; picklable."""

    job: Job

    def __call__(self, task: Task) -> Result:
        job = self.job
        try:
            plan = job.plan(task.candidate)
        except (RefusedError, UsageError) as error:
            return Result((), refused=error.message)
        model = scaled_model(assumed(job.model, task.assumptions), job.factor)
        traits = traits_of(job.inventory.fleet, model)
        figures = tuple(_run(plan, traits, model, job, replication) for replication in task.replications)
        exposed = -1.0
        if job.targets.exposed and 0 in task.replications and not task.assumptions:
            fixed = {phase.name for phase in job.policy(task.candidate).phases if phase.devices is not None}
            exposed = exposed_p90(
                plan,
                job.model,
                job.inventory.fleet,
                factor=job.factor,
                fixed=frozenset(fixed),
                bad_rate=job.targets.bad_rate,
                seed=job.seed,
            )
        return Result(figures, exposed)


def _run(plan: Plan, traits: Any, model: Model, job: Job, replication: int) -> Figures:
    world = world_of(plan, traits, model, seed=job.seed, replication=replication, skip_s=model.horizon)
    until = plan.start + model.horizon
    progress = pump(drive(plan, MemoryJournal(), world, until), SimClock(plan.start).wait_until)
    world.engine.advance(until)  # a device that timed out may still enroll
    outcome, at = world.engine.outcome, world.engine.outcome_at
    enrolled = np.sort(at[outcome == Outcome.ENROLLED])
    needed = max(1, ceil_of(plan.planned, SHARE))
    reached = len(enrolled) >= needed
    done = progress.state.is_finished
    failed = (at[outcome == Outcome.FAILED] - plan.start) // HOUR_S
    return Figures(
        hours=float(enrolled[needed - 1] - plan.start) / HOUR_S if reached else NEVER_H,
        done=(progress.at - plan.start) / HOUR_S if done else NEVER_H,
        peak=float(world.engine.load().attempts.max(initial=0)) / job.factor,
        failures=float(np.bincount(failed, minlength=1).max()) / job.factor,
        halted=progress.state is State.HALTED,
    )


def score_of(results: Sequence[Result], targets: Targets) -> Score:
    """Summarize the runs of one candidate."""
    refused = next((result.refused for result in results if result.refused), "")
    if refused:
        return Score(NEVER_H, NEVER_H, NEVER_H, NEVER_H, NEVER_H, 1.0, refused=refused)
    runs = [run for result in results for run in result.figures]
    return Score(
        hours=_quantile([run.hours for run in runs], 0.5),
        peak=_quantile([run.peak for run in runs], 0.5),
        done_p90=_quantile([run.done for run in runs], 0.9),
        peak_p90=_quantile([run.peak for run in runs], 0.9),
        tickets_p90=targets.tickets_per_failure * _quantile([run.failures for run in runs], 0.9),
        halt_chance=sum(run.halted for run in runs) / len(runs),
        exposed_p90=max((result.exposed_p90 for result in results), default=-1.0),
        runs=len(runs),
    )


def _quantile(values: Sequence[float], level: float) -> float:
    """Return the smallest value that a share `level` of the runs do not exceed."""
    return round(float(np.quantile(np.array(values), level, method="inverted_cdf")), 4)
