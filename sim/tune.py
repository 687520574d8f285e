"""The search for a better pacing: plans that are beaten by none in both time and peak load.

An optimizer (Optuna's multi-objective TPE) asks for candidates in batches of a fixed size and is told their
scores in the order in which it asked: so the result depends on seed and number of trials, and not on the
workers. All batches but each FRESH-th look around the front instead: between neighbours, widest gap first.
A candidate that its first run shows to be hopeless is not run again. `budget_s` ends the search by the clock
instead: then the number of trials, and with it the result, is the machine's.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rollout.errors import UsageError
from rollout.values import Inventory, Plan
from sim.candidates import AS_WRITTEN, FASTEST_H, SLOWEST_H, Candidate, Space, space_of
from sim.evaluation import NEVER_H, Evaluate, Job, Result, Score, Task, score_of
from sim.robustness import Robustness, robustness
from sim.scaling import SMALL, scale_down
from sim.scenario import Scenario, Targets
from sim.workers import Here, Workers

if TYPE_CHECKING:
    from optuna.study import Study

BATCH: Final = 8
"""Candidates asked for at once. Not the number of workers: that must not change the result."""
FRESH: Final = 6
"""Each FRESH-th batch is the optimizer's own; the others look between neighbours on the front."""
RUNS: Final = 3
"""Replications of a candidate that is not hopeless."""
HOPELESS: Final = 1.15
"""A first run that a candidate of the front beats by this factor in both objectives is not repeated."""
FEW: Final = 5
"""Candidates of the front whose robustness is looked at."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A candidate with its score. number : 0 is the scenario as written."""

    number: int
    candidate: Candidate
    score: Score


@dataclass(frozen=True, slots=True, eq=False)
class Tuning:
    """What a tuning found.

    tried : all candidates in the order in which they were asked for. front : numbers of those on the front,
    fastest first. chosen : number of the chosen one. reason : why, in a sentence. robust : of some of the
    front and of the chosen one. factor, small : the scaled-down fleet that stood for the whole.
    planned, mature_after_s, created : of the full plan, so that the chosen one can be planned as it was tried.
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
        """On which assumption the answer hangs, in a sentence."""
        mine = next(one for one in self.robust if one.candidate == self.choice.candidate)
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
    """How long to search: so many trials, or so many seconds, whichever comes first; 0 = no such limit.

    runs : replications of a candidate. clock : gives seconds.
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
    """Search, choose, and look how robust the best are.

    progress : called with the number of candidates tried. look_around : False leaves robustness out.
    Raise a `UsageError` if optuna is not installed, or if no plan can be made at all.
    """
    hands = workers or Here()
    evaluate = Evaluate(job)
    tried = _search(evaluate, effort, hands, progress)
    able = [one for one in tried if not one.score.refused and one.score.hours < NEVER_H]
    if not able:
        why = tried[0].score.refused or "nobody gets there within the model's horizon"
        raise UsageError(f"expected a plan that can be made, found none in {len(tried)} trials: {why}")
    front = front_of(able, job.targets)
    robust: list[Robustness] = []
    if look_around:
        some = _spread(front, FEW)
        robust = robustness(
            evaluate, [(one.candidate, one.score) for one in some], hands, tuple(range(effort.runs))
        )
    chosen, reason = choose(front, robust, job.targets)
    if look_around and all(one.candidate != chosen.candidate for one in robust):
        robust += robustness(evaluate, [(chosen.candidate, chosen.score)], hands, tuple(range(effort.runs)))
    return Tuning(
        tried=tuple(tried),
        front=tuple(one.number for one in front),
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
    targets, space = evaluate.job.targets, evaluate.job.space
    end = effort.clock() + effort.budget_s if effort.budget_s else None
    tried: list[Tried] = []
    with _quiet():
        study = _study(evaluate.job.seed)
        while len(tried) < (effort.trials or 1_000_000):
            if end is not None and tried and effort.clock() >= end:
                break
            size = min(BATCH, (effort.trials or 1_000_000) - len(tried))
            if not tried:
                _straight_lines(study, space)
            elif len(tried) == BATCH:
                _other_modes(study, space)
            elif len(tried) // BATCH % FRESH:
                for near in between(front_of(tried, targets), space, evaluate.job.seed, len(tried), size):
                    study.enqueue_trial(near)
            asked = [study.ask() for _ in range(size)]
            candidates = [space.ask(trial) for trial in asked]
            if not tried:
                candidates[0] = AS_WRITTEN
            scores = _score(evaluate, candidates, tried, workers, effort.runs)
            for trial, candidate, score in zip(asked, candidates, scores, strict=True):
                tried.append(Tried(len(tried), candidate, score))
                if candidate.mode:
                    trial.set_user_attr("violation", score.violation(targets))
                    study.tell(trial, _objectives(score))
                else:
                    study.tell(trial, state=_failed())
            if progress is not None:
                progress(len(tried))
    return tried


def _straight_lines(study: Study, space: Space) -> None:
    """Begin with straight lines from the fastest to the slowest: they draw the front's outline."""
    study.enqueue_trial({})  # its place is taken by the scenario as written
    for index in range(BATCH - 1):
        hours = FASTEST_H * (space.slowest_h / FASTEST_H) ** (index / (BATCH - 2))
        study.enqueue_trial({"mode": "duration", "hours": hours, "step": 1})


def _other_modes(study: Study, space: Space) -> None:
    """Then ramps and budgets in the middle of their space: each mode is seen at all speeds."""
    for index in range(BATCH):
        hours = FASTEST_H * (space.slowest_h / FASTEST_H) ** (index / (BATCH - 1))
        ramp = {"mode": "ramp", "slow": 8.0, "factor": 2.2, "rung": 0.03}
        told = {"mode": "auto", "in_flight": 0.3} if index % 3 == 2 else ramp
        study.enqueue_trial({"hours": hours, "step": 1, **told})


def between(front: Sequence[Tried], space: Space, seed: int, round_: int, count: int) -> list[dict[str, Any]]:
    """Give candidates, as the optimizer writes them, between or near neighbours on a front, widest gap first.

    The gap is the area between two neighbours that a better plan might win. Repeats from seed and round.
    """
    rng = np.random.default_rng((seed, round_))
    paced = [one for one in front if one.candidate.mode]
    if not paced:
        return []
    pairs = list(pairwise(paced)) or [(paced[0], paced[0])]
    gaps = [(b.score.hours - a.score.hours) * (a.score.peak - b.score.peak) for a, b in pairs]
    order = sorted(range(len(pairs)), key=lambda at: (-gaps[at], at))
    out = []
    for index in range(count):
        one, other = pairs[order[index % len(order)]]
        if index % 8 < (4 if space.slowest_h < SLOWEST_H else 1):
            one, other = pairs[-1][::-1]  # a deadline's gentlest plan is at the slow end, or beyond
        elif rng.random() < 0.5:
            one, other = other, one
        out.append(space.near(one.candidate, other.candidate, rng))
    return out


def _objectives(score: Score) -> tuple[float, float]:
    """What the optimizer sees; what never ends must not stretch its scale."""
    return min(score.hours, 1e4), min(score.peak, 1e6)


def _score(
    evaluate: Evaluate,
    candidates: Sequence[Candidate],
    tried: Sequence[Tried],
    workers: Workers,
    runs: int,
) -> list[Score]:
    """Run each candidate once, and those that are not hopeless some times more."""
    targets = evaluate.job.targets
    first = workers.map(evaluate, [Task(one, (0,)) for one in candidates])
    results: list[list[Result]] = [[one] for one in first]
    able = [one for one in tried if not one.score.refused]
    front = front_of(able, targets) if able else []
    again = [
        index
        for index in range(len(candidates))
        if not first[index].refused and not _hopeless(score_of(results[index], targets), front)
    ]
    # One task a run, so that a batch keeps more workers busy than it has candidates.
    tasks = [Task(candidates[index], (run,)) for index in again for run in range(1, runs)]
    more = workers.map(evaluate, tasks)
    for place, index in enumerate(again):
        results[index] += more[place * (runs - 1) : (place + 1) * (runs - 1)]
    return [score_of(one, targets) for one in results]


def _hopeless(score: Score, front: Sequence[Tried]) -> bool:
    return any(
        one.score.hours * HOPELESS < score.hours and one.score.peak * HOPELESS < score.peak for one in front
    )


def front_of(tried: Sequence[Tried], targets: Targets) -> list[Tried]:
    """Give those that meet the targets and are beaten by none in both objectives, fastest first.

    Where nobody meets the targets, those that miss them least.
    """
    least = min((one.score.violation(targets) for one in tried), default=0.0)
    able = [one for one in tried if one.score.violation(targets) <= least + 1e-9]
    out: list[Tried] = []
    for one in sorted(able, key=lambda one: (one.score.hours, one.score.peak, one.number)):
        if not out or one.score.peak < out[-1].score.peak:
            out.append(one)
    return out


def _spread(front: Sequence[Tried], count: int) -> list[Tried]:
    """Give some of the front, its ends among them."""
    if len(front) <= count:
        return list(front)
    places = sorted({round(index * (len(front) - 1) / (count - 1)) for index in range(count)})
    return [front[place] for place in places]


def choose(front: Sequence[Tried], robust: Sequence[Robustness], targets: Targets) -> tuple[Tried, str]:
    """Choose one of the front and say why.

    With a target for the end: the gentlest that keeps it, under every assumption if one does. Without: the
    one from which a further hour, or a further device an hour, buys least (the front's knee).
    """
    if front[0].score.violation(targets) > 0:
        best = min(front, key=lambda one: (one.score.violation(targets), one.score.peak, one.number))
        missed = ", ".join(best.score.misses(targets)) or "the horizon"
        return best, f"no plan meets all targets; this one misses them least ({missed})"
    if targets.finish_within_h:
        sure = {one.candidate for one in robust if not one.missed(targets)}
        safe = [one for one in front if one.candidate in sure]
        best = min(safe or front, key=lambda one: (one.score.peak, one.number))
        how = "under every assumption tried" if safe else "as the scenario assumes"
        return best, (
            f"the gentlest plan that is done within {targets.finish_within_h:g} h {how}: "
            f"{best.score.peak:,.0f} attempts an hour at its peak"
        )
    best = _knee(front)
    return best, (
        f"the knee of the front: 90 % enrolled after {best.score.hours / 24:.1f} days with "
        f"{best.score.peak:,.0f} attempts an hour at the peak; faster costs more load, gentler more days"
    )


def _knee(front: Sequence[Tried]) -> Tried:
    """The point nearest to the best of both, each on a scale from the front's best to its worst, in ratios."""
    from math import hypot, log

    def place(values: Sequence[float], value: float) -> float:
        low, high = log(max(min(values), 1e-9)), log(max(max(values), 1e-9))
        return (log(max(value, 1e-9)) - low) / (high - low) if high > low else 0.0

    hours, peaks = [one.score.hours for one in front], [one.score.peak for one in front]
    return min(
        front,
        key=lambda one: (
            round(hypot(place(hours, one.score.hours), place(peaks, one.score.peak)), 9),
            one.number,
        ),
    )


def hypervolume(scores: Sequence[Score], reference: tuple[float, float]) -> float:
    """Give the area that scores dominate, up to a reference (hours, peak); larger is better."""
    points = sorted(
        (one.hours, one.peak) for one in scores if one.hours < reference[0] and one.peak < reference[1]
    )
    area, ceiling = 0.0, reference[1]
    for hours, peak in points:
        if peak < ceiling:
            area += (reference[0] - hours) * (ceiling - peak)
            ceiling = peak
    return area


def _study(seed: int) -> Study:
    try:
        import optuna
    except ImportError:
        raise UsageError("expected the package 'optuna', found none", "pip install 'rollout[tune]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler: Any = optuna.samplers.TPESampler(
        seed=seed,
        n_startup_trials=BATCH,
        multivariate=True,
        group=True,
        constraints_func=lambda trial: (trial.user_attrs.get("violation", 0.0),),
    )
    return optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)


def _failed() -> Any:
    from optuna.trial import TrialState

    return TrialState.FAIL


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna warns that options used here are experimental; that is known."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
