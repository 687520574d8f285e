"""The search against ten times as much luck.

`bench_tune.py closed --seeds 200 211`: closed forms with a planted answer, of the same cost for both: the front of
100 plans against 1,000 random ones; the gentlest plan under a deadline, and a plan that is best in both figures,
each of 240 plans against the best there is and the best of 10,000 random ones.

`bench_tune.py real --seeds 1 5 [--seconds 60 | --trials 600] [--workers 2]`: a scenario's own evaluator; random
search has ten times the seconds, or the plans, and stops hopeless ones as early. Areas are taken up to two corners
(see `closed_tunings.corners`), first by the scores that both sides chose by: the best of many has luck in them, and ten
times as many have more of it. Then both fronts are scored again with other draws on the whole fleet, where luck hardly
counts: that is what a user gets. A row is printed as soon as its seed is done.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

from closed_tunings import Planted, Well, by_luck, corners, random_candidate
from dominated_area import hypervolume
from tune_jobs import job

from rollout.planning.planner import make_plan
from rollout.preflight import preflight
from sim.fleet import MADE_UP_AT
from sim.fleet.population import generate
from sim.scenario import Targets, load_scenario
from sim.tuning.evaluation import Evaluate, Job, Score
from sim.tuning.front import Tried, front_of
from sim.tuning.tune import BATCH, Effort, job_of, score_all, tune
from sim.workers import Workers, workers_of

OTHER_DRAWS = 1_000_000
"""What is added to a seed for other draws."""
OTHER_RUNS = 3

DEFAULT = Path(__file__).parent.parent.parent / "scenarios" / "default.toml"


def areas(ours: list[Score], luck: list[Score]) -> list[float]:
    """Give our area as a share of luck's, for each corner."""
    return [hypervolume(ours, corner) / hypervolume(luck, corner) for corner in corners(ours, luck).values()]


def closed(first: int, last: int) -> None:
    """Print a row per seed, then medians and worst."""
    head = ("seed", "far", "near", "deadline: peak", "hours", "luck's peak", "both: hours", "peak", "luck's")
    print("".join(f"{item:>15}" for item in head))
    rows = []
    for seed in range(first, last + 1):
        rows.append([*_front(seed), *_deadline(seed), *_both(seed)])
        _print(seed, rows[-1])
    _print("median", list(np.median(rows, axis=0)))
    worst = np.array(rows)
    _print("worst", [*worst[:, :2].min(axis=0), *worst[:, 2:].max(axis=0)])


def _print(name: object, row: list[float]) -> None:
    cells = [f"{item:15.4f}" for item in row[:2]] + [f"{item:+15.2%}" for item in row[2:]]
    print(f"{name!s:>15}" + "".join(cells), flush=True)


def _front(seed: int) -> list[float]:
    planted, work = Planted(seed), job(seed=seed)
    tried = tune(work, Effort(100, runs=1), planted, look_around=False).tried
    assert planted.asked == len(tried) <= 100
    return areas([item.score for item in tried], by_luck(planted, work.space, 1000, seed))


def _deadline(seed: int) -> list[float]:
    planted, work = Planted(seed), job(Targets(finish_within_h=100), seed=seed)
    found = tune(work, Effort(240, runs=1), planted, look_around=False)
    assert planted.asked == len(found.tried) <= 240
    luck = [item.peak for item in by_luck(planted, work.space, 10_000, seed) if item.hours <= 100]
    best, chosen = 1e4 / 76, found.choice.score
    return [chosen.peak / best - 1, chosen.hours / 100 - 1, min(luck) / best - 1]


def _both(seed: int) -> list[float]:
    work = job(seed=seed)
    well = Well(seed, work.space)
    found = tune(work, Effort(240, runs=1), well, look_around=False)
    luck = by_luck(well, work.space, 10_000, seed)
    chosen = found.choice.score
    return [
        chosen.hours / 100 - 1,
        chosen.peak / 1000 - 1,
        min(max(item.hours / 100, item.peak / 1000) for item in luck) - 1,
    ]


def real(scenario: Path, first: int, last: int, seconds: float, trials: int, workers: int) -> None:
    """Print a row per seed: both areas, and what each side did."""
    read = load_scenario(scenario)
    fleet = generate(read.fleet, 1, MADE_UP_AT - 3600)
    plan = make_plan(fleet, preflight(fleet), read.policy, mature_after_s=None, created=MADE_UP_AT - 3600)
    print(
        "seed   far     near    again: far  near    plans tried  runs  seconds   random plans  runs  seconds"
    )
    for seed in range(first, last + 1):
        work = job_of(read, plan, fleet, seed=seed)
        with workers_of(workers) as hands:
            score_all(
                Evaluate(work), [random_candidate(work.space, np.random.default_rng(0))] * 4, [], hands, 3
            )
            begun = time.monotonic()
            found = tune(work, Effort(trials, seconds), hands, look_around=False)
            took = time.monotonic() - begun
            begun = time.monotonic()
            luck = _luck(work, 10 * trials, 10 * seconds, hands, seed)
            lucky = time.monotonic() - begun
            other_job = job_of(read, plan, fleet, seed=OTHER_DRAWS + seed, least=len(fleet.fleet))
            again = [_again(other_job, tried, hands) for tried in (found.tried, luck)]
        both = [[item.score for item in tried] for tried in (found.tried, luck)]
        far, near = areas(*both)
        far_again, near_again = areas(*again)
        runs = [sum(score.runs for score in scores) for scores in both]
        print(
            f"{seed:4}  {far:.4f}  {near:.4f}  {far_again:9.4f}  {near_again:.4f}  {len(found.tried):11}  {runs[0]:4}  "
            f"{took:7.0f}  {len(luck):13}  "
            f"{runs[1]:4}  {lucky:7.0f}",
            flush=True,
        )


def _again(work: Job, tried: Sequence[Tried], hands: Workers) -> list[Score]:
    """Score the front of what was tried with other draws, on the whole fleet."""
    front = [item.candidate for item in front_of(tried, Targets())]
    return score_all(Evaluate(work), front, [], hands, OTHER_RUNS)


def _luck(work: Job, trials: int, seconds: float, hands: Workers, seed: int) -> list[Tried]:
    """Score random plans as the search scores its own, until plans or seconds are used up."""
    rng, end = np.random.default_rng(seed), time.monotonic() + seconds
    draw = partial(random_candidate, work.space, rng)
    tried: list[Tried] = []
    while len(tried) < trials if trials else time.monotonic() < end:
        size = min(8 * BATCH, trials - len(tried) if trials else 8 * BATCH)
        asked = [draw() for _ in range(size)]
        scores = score_all(Evaluate(work), asked, tried, hands, Effort().runs)
        tried += [Tried(len(tried) + at, *pair) for at, pair in enumerate(zip(asked, scores, strict=True))]
    return tried


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("closed", "real"))
    parser.add_argument("--seeds", nargs=2, type=int, default=(200, 211), metavar=("FIRST", "LAST"))
    parser.add_argument(
        "--seconds", type=float, default=0.0, help="of the search; random search has ten times as many"
    )
    parser.add_argument("--trials", type=int, default=0, help="plans of the search, in place of seconds")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--scenario", type=Path, default=DEFAULT)
    options = parser.parse_args()
    if options.what == "closed":
        closed(*options.seeds)
    else:
        seconds = options.seconds or (0.0 if options.trials else 60.0)
        real(options.scenario, *options.seeds, seconds, options.trials, options.workers)


if __name__ == "__main__":
    main()
