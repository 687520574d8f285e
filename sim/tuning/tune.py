"""The search for a better pacing: plans that no other plan beats in both time and peak load.

Candidates are proposed in batches of a fixed size (`sim.tuning.search`), and their scores are passed on in the
order in which they were proposed: so the result depends on seed and number of trials, and not on the
workers. A candidate that its first run shows to be hopeless is not run again. `budget_s` ends the search by
the clock instead: then the number of trials, and with it the result, is the machine's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from rollout.errors import UsageError
from rollout.values import Inventory, Plan
from sim.fleet.scaling import SMALL, scale_down
from sim.scenario import Scenario, Targets
from sim.tuning.candidates import Candidate, Space, space_of
from sim.tuning.evaluation import NEVER_H, Evaluate, Job, Result, Score, Task, score_of
from sim.tuning.front import Tried, choose, front_of, spread
from sim.tuning.robustness import Robustness, robustness
from sim.tuning.search import Search
from sim.workers import InProcess, Workers

BATCH: Final = 8
"""Candidates proposed at once. Not the number of workers: that must not change the result."""
RUNS: Final = 3
"""Replications of a candidate that is not hopeless."""
HOPELESS: Final = 1.02
"""A first run that a candidate of the front beats by this factor in both objectives is not repeated."""
FEW: Final = 5
"""Candidates of the front whose robustness is measured."""


@dataclass(frozen=True, slots=True, eq=False)
class Tuning:
    """The result of a tuning.

    tried : all candidates in the order in which they were proposed. front : numbers of those on the front,
    fastest first. chosen : number of the chosen plan. reason : a sentence. robust : robustness of some of the
    front and of the chosen plan. factor, small : the scaled-down fleet that represented the whole.
    planned, mature_after_s, created : of the full plan, so that the chosen plan can be made as it was tried.
    """

    tried: tuple[Tried, ...]
    front: tuple[int, ...]
    chosen: int
    reason: str
    robust: tuple[Robustness, ...]
    space: Space
    factor: float
    small: int
    seed: int
    planned: int
    mature_after_s: int
    created: int
    targets: Targets = field(default_factory=Targets)

    @property
    def choice(self) -> Tried:
        """The chosen candidate."""
        return self.tried[self.chosen]

    @property
    def hangs_on(self) -> str:
        """The assumption on which the result depends most, in a sentence."""
        mine = next(entry for entry in self.robust if entry.candidate == self.choice.candidate)
        return mine.sentence(self.targets)


def job_of(scenario: Scenario, plan: Plan, inventory: Inventory, *, seed: int, least: int = SMALL) -> Job:
    """Prepare what workers need. plan : of the whole inventory under the scenario as written.

    least : devices of the scaled-down fleet at least.
    """
    targets = scenario.targets
    space = space_of(plan, scenario.policy, targets.finish_within_h, tries_pilot=targets.exposed > 0)
    if not space.size:
        raise UsageError("expected a plan with devices, found none", "see 'rollout preflight'")
    small = scale_down(
        plan, inventory, scenario.policy, scenario.model, max(least, 10_000 if space.tries_pilot else 0)
    )
    return Job(
        text=scenario.text,
        inventory=small.inventory,
        factor=small.factor,
        planned=plan.planned,
        space=space,
        targets=targets,
        mature_after_s=plan.mature_after_s,
        created=plan.start - 1,
        seed=seed,
        model=scenario.model,
    )


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to search: a number of trials or of seconds, whichever comes first; 0 = no such limit.

    runs : replications of a candidate. clock : returns seconds.
    """

    trials: int = 200
    budget_s: float = 0.0
    runs: int = RUNS
    clock: Callable[[], float] = time.monotonic


def tune(
    job: Job,
    effort: Effort,
    workers: Workers | None = None,
    progress: Callable[[int], None] | None = None,
    *,
    look_around: bool = True,
) -> Tuning:
    """Search, choose, and measure how robust the best are.

    progress : called with the number of candidates tried. look_around : False leaves robustness out.
    Raise a `UsageError` if threadpoolctl is not installed, or if no plan can be made at all.
    """
    hands = workers or InProcess()
    evaluate = Evaluate(job)
    tried = _search(evaluate, effort, hands, progress)
    able = [entry for entry in tried if not entry.score.refused and entry.score.hours < NEVER_H]
    if not able:
        why = tried[0].score.refused or "no plan enrolls 90 % within the model's horizon"
        raise UsageError(f"expected a plan that can be made, found none in {len(tried)} trials: {why}")
    front = front_of(able, job.targets)
    robust: list[Robustness] = []
    if look_around:
        some = spread(front, FEW)
        robust = robustness(
            evaluate, [(entry.candidate, entry.score) for entry in some], hands, tuple(range(effort.runs))
        )
    chosen, reason = choose(front, robust, job.targets)
    if look_around and all(entry.candidate != chosen.candidate for entry in robust):
        robust += robustness(evaluate, [(chosen.candidate, chosen.score)], hands, tuple(range(effort.runs)))
    return Tuning(
        tried=tuple(tried),
        front=tuple(entry.number for entry in front),
        chosen=chosen.number,
        reason=reason,
        robust=tuple(robust),
        space=job.space,
        factor=job.factor,
        small=len(job.inventory.fleet),
        seed=job.seed,
        planned=job.planned,
        mature_after_s=job.mature_after_s,
        created=job.created,
        targets=job.targets,
    )


def _search(
    evaluate: Evaluate, effort: Effort, workers: Workers, progress: Callable[[int], None] | None
) -> list[Tried]:
    job = evaluate.job
    most = effort.trials or 1_000_000
    end = effort.clock() + effort.budget_s if effort.budget_s else None
    search = Search(job.space, job.targets, job.seed)
    while len(search.tried) < most:
        if end is not None and search.tried and effort.clock() >= end:
            break
        candidates = search.ask(min(BATCH, most - len(search.tried)))
        if not candidates:
            break  # all there are
        search.tell(candidates, score_all(evaluate, candidates, search.tried, workers, effort.runs))
        if progress is not None:
            progress(len(search.tried))
    return search.tried


def score_all(
    evaluate: Evaluate,
    candidates: Sequence[Candidate],
    tried: Sequence[Tried],
    workers: Workers,
    runs: int,
) -> list[Score]:
    """Run each candidate once, and those that are not hopeless a few more times."""
    targets = evaluate.job.targets
    first = workers.map(evaluate, [Task(candidate, (0,)) for candidate in candidates])
    results: list[list[Result]] = [[result] for result in first]
    able = [entry for entry in tried if not entry.score.refused]
    front = front_of(able, targets) if able else []
    again = [
        index
        for index in range(len(candidates))
        if not first[index].refused and not _hopeless(score_of(results[index], targets), front)
    ]
    # One task per run, so that a batch keeps more workers busy than it has candidates.
    tasks = [Task(candidates[index], (run,)) for index in again for run in range(1, runs)]
    more = workers.map(evaluate, tasks)
    for place, index in enumerate(again):
        results[index] += more[place * (runs - 1) : (place + 1) * (runs - 1)]
    return [score_of(result, targets) for result in results]


def _hopeless(score: Score, front: Sequence[Tried]) -> bool:
    return any(
        entry.score.hours * HOPELESS < score.hours and entry.score.peak * HOPELESS < score.peak
        for entry in front
    )
