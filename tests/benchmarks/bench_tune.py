"""The optimizer against ten times as much luck: `python bench_tune.py [TRIALS] [SEEDS] [DEVICES]`.

Same evaluator, same draws. Prints the hypervolume that the tuning's front dominates, that of random search with as
many and with ten times as many candidates, and how near the chosen plan comes to the best that luck found under a
target for the end.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from test_tune import START, TEXT

from rollout.planning.planner import make_plan
from rollout.preflight import preflight
from sim.candidates import MODES, STEPS_S, Candidate, Space
from sim.evaluation import NEVER_H, Evaluate, Job, Score, Task, score_of
from sim.population import generate
from sim.scenario import Targets, parse_scenario
from sim.tune import Effort, hypervolume, job_of, tune
from sim.workers import Workers, workers_of


def job_for(devices: int, seed: int) -> Job:
    """Give a small scenario's job, scaled down to so many devices."""
    scenario = parse_scenario(TEXT, "small")
    inventory = generate(scenario.fleet, 1, START)
    plan = make_plan(inventory, preflight(inventory), scenario.policy, mature_after_s=None, created=START)
    return job_of(scenario, plan, inventory, seed=seed, least=devices)


def random_candidate(space: Space, rng: np.random.Generator) -> Candidate:
    """Draw from the same space as the optimizer."""

    def between(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    mode = MODES[rng.integers(len(MODES))]
    one = Candidate(mode, round(between(4.0, space.slowest_h), 1), STEPS_S[rng.integers(len(STEPS_S))])
    if mode == "ramp":
        return replace(
            one,
            slow=round(between(2, 32)),
            factor=round(rng.uniform(1.5, 4), 1),
            rung=round(between(0.005, 0.2), 3),
        )
    if mode == "auto":
        budget = round(between(0.02, 1.0), 3)
        return replace(one, in_flight=budget if budget < 0.9 else 0.0)
    return one


def luck(job: Job, trials: int, seed: int, hands: Workers) -> list[Score]:
    """Score random candidates."""
    rng = np.random.default_rng(seed)
    tasks = [Task(random_candidate(job.space, rng), (0,)) for _ in range(trials)]
    return [score_of([one], Targets()) for one in hands.map(Evaluate(job), tasks)]


def main(trials: int, seeds: int, devices: int) -> None:
    """Compare over some seeds."""
    with workers_of(2) as hands:
        print("seed  tuned/random x10  tuned/random x1  front  peak against best of luck under a deadline")
        for seed in range(seeds):
            begun = time.monotonic()
            job = job_for(devices, seed)
            found = [one.score for one in tune(job, Effort(trials, runs=1), hands, look_around=False).tried]
            by_luck = luck(job, 10 * trials, seed, hands)
            able = [one for one in (*found, *by_luck) if one.hours < NEVER_H]
            reference = (1.05 * max(one.hours for one in able), 1.05 * max(one.peak for one in able))
            volume = partial(hypervolume, reference=reference)
            within = float(np.quantile([one.done_p90 for one in able], 0.3))
            told = replace(job, targets=Targets(finish_within_h=within))
            chosen = tune(told, Effort(trials, runs=1), hands, look_around=False).choice.score
            best = min(one.peak for one in by_luck if one.done_p90 <= within)
            print(
                f"{seed:4}  {volume(found) / volume(by_luck):16.4f}  "
                f"{volume(found) / volume(by_luck[:trials]):15.4f}  {len(found):5}  "
                f"{chosen.peak:.0f} against {best:.0f} ({chosen.peak / best - 1:+.1%}) within {within:.0f} h  "
                f"[{time.monotonic() - begun:.0f} s]",
                flush=True,
            )


if __name__ == "__main__":
    given = [int(one) for one in sys.argv[1:]]
    main(*(given + [60, 5, 1000][len(given) :]))
