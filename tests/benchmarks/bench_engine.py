"""How fast the engine is, as ratios measured in one process: `python tests/benchmarks/bench_engine.py`.

Runs are interleaved in random order; medians are of CPU time of the thread, so that other work on the machine
disturbs little. Nothing here asserts a time.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from rollout.loop.drive import drive, pump
from rollout.planning import make_plan
from rollout.preflight import preflight
from rollout.values import DAY_S
from sim.clients.draws import make_draws, traits_like, traits_of
from sim.engines.engine import Engine
from sim.engines.oracle import Oracle
from sim.engines.port import EngineRun
from sim.fleet.population import generate
from sim.model import Model
from sim.scenario import load_scenario
from sim.simulation import world_of
from sim.world.directory import SimClock
from sim.world.journal import MemoryJournal

START = 1_767_596_400
DAYS = 14
WORDS = 21
"""64-bit random words that the default model draws a device and run (counted once: 10 for days, 9 for life)."""


def model_of(n: int) -> Model:
    """Give the default model with a capacity that grows with the fleet."""
    service = {"capacity_per_minute": n // 800 + 1}
    return Model.model_validate({"clients": {"window": "24h"}, "service": service, "horizon": f"{DAYS}d"})


def simulate(
    n: int, replication: int, kind: Any = Engine, strata: int = 1, every: int = DAYS * DAY_S
) -> EngineRun:
    """Draw and run `n` devices, all released at the start; look at all counts every so many seconds."""
    model = model_of(n)
    traits = traits_like(n, model)
    draws = make_draws(model, traits, 1, replication, START)
    engine: EngineRun = kind(
        model,
        traits,
        draws,
        start=START,
        strata=(np.arange(n) % strata).astype(np.int32),
        n_strata=strata,
        straggler_after_s=7 * DAY_S,
    )
    engine.release(np.arange(n, dtype=np.int32), 0, START)
    for second in range(START + every, START + DAYS * DAY_S + 1, every):
        engine.advance(second)
        engine.counts.sum(axis=0)
    return engine


def transitions(engine: EngineRun) -> int:
    """Count the instants that a run has worked out: each step of the funnel, evaluation, attempt, its end, report."""
    funnel, load = engine.funnel(), engine.load()
    attempts = int(load.attempts.sum())
    steps = sum(int(part.sum()) for part in (funnel.eligible, funnel.scheduled, funnel.initiated))
    return steps + 2 * int(load.polls.sum()) + 2 * attempts + int(load.completions.sum())


def floor(n: int, events: int) -> None:
    """Draw the same number of random numbers and sort as many event times."""
    rng = np.random.Generator(np.random.SFC64(1))
    rng.random(n * WORDS)
    np.sort(rng.integers(0, DAYS * DAY_S, events))


def interleaved(
    jobs: dict[str, Callable[[], Any]], runs: int, clock: Callable[[], float]
) -> dict[str, float]:
    """Give the median time of each job, all run `runs` times in random order after one warm-up."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    order = np.random.default_rng(0)
    for job in jobs.values():
        job()
    for _ in range(runs):
        for name in order.permutation(list(jobs)):
            begin = clock()
            jobs[name]()
            times[name].append(clock() - begin)
    return {name: statistics.median(taken) for name, taken in times.items()}


def row(name: str, value: float, target: str, note: str = "") -> None:
    """Print a line of the table."""
    print(f"{name:<58} {value:>9.2f}   {target:<8} {note}")


def bench_floor(n: int, runs: int) -> None:
    """The engine against the floor."""
    engine = simulate(n, 0)
    events = transitions(engine)
    queued = 2 * int(engine.load().attempts.sum())
    times = np.random.default_rng(1).integers(0, DAYS * DAY_S, events)
    few = times[:queued].copy()
    taken = interleaved(
        {
            "all": lambda: simulate(n, 1),
            "floor": lambda: floor(n, events),
            "floor of queued": lambda: floor(n, queued),
            "sort": lambda: np.sort(times),
            "sort of queued": lambda: np.sort(few),
            "stepped": lambda: simulate(n, 1, every=300),
            "stepped, 400 strata": lambda: simulate(n, 1, every=300, strata=400),
        },
        runs,
        time.thread_time,
    )
    ms = 1000 * taken["all"]
    print(f"{n} clients x {DAYS} days: {ms:.0f} ms, {events} transitions, {queued} events in the queue")
    row("(draw + engine) / floor, all transitions", taken["all"] / taken["floor"], "<= 1.6")
    row("(draw + engine) / floor, queued events only", taken["all"] / taken["floor of queued"], "<= 1.6")
    row("(draw + engine) / sort, all transitions", taken["all"] / taken["sort"], "-")
    row("(draw + engine) / sort, queued events only", taken["all"] / taken["sort of queued"], "-")
    row("looked at every 5 minutes / in one go", taken["stepped"] / taken["all"], "<= 1.3")
    row("the same with 400 strata", taken["stepped, 400 strata"] / taken["all"], "<= 1.3")


def bench_closed(n: int, runs: int) -> None:
    """The whole closed loop of the default scenario against the engine alone with the same releases."""
    scenario = load_scenario(None)
    inventory = generate(scenario.fleet.model_copy(update={"clients": n}), 1, START)
    made = make_plan(inventory, preflight(inventory), scenario.policy, mature_after_s=DAY_S, created=START)
    plan = dataclasses.replace(made, chunk=n + 1)
    traits, model = traits_of(inventory.fleet, scenario.model), scenario.model

    def closed() -> tuple[MemoryJournal, int]:
        world = world_of(plan, traits, model, seed=1, skip_s=model.horizon)
        journal = MemoryJournal()
        steps = drive(plan, journal, world, plan.start + model.horizon)
        return journal, pump(steps, SimClock(plan.start).wait_until).at

    journal, end = closed()

    def alone() -> None:
        engine = world_of(plan, traits, model, seed=1).engine
        for batch in journal.batches():
            engine.release(batch.rows, batch.number, batch.at)
        engine.advance(end)

    taken = interleaved({"alone": alone, "closed": closed}, runs, time.thread_time)
    name = f"closed loop / engine alone, {len(plan.strata.names)} strata"
    row(name, taken["closed"] / taken["alone"], "<= 1.3", f"{len(journal.batches())} batches")


def bench_oracle(n: int, runs: int) -> None:
    """The oracle against the engine."""
    taken = interleaved(
        {"engine": lambda: simulate(n, 1), "oracle": lambda: simulate(n, 1, Oracle)}, runs, time.thread_time
    )
    row(f"SimPy oracle / engine, {n} clients", taken["oracle"] / taken["engine"], ">= 80", f"{runs} runs")


def bench_blocks(n: int, runs: int) -> None:
    """What a numpy version in blocks would take at the very least.

    Each attempt depends on those before it in (second, device) through the capacity of its minute and the back-off
    of the refused, so a block can be no longer than a second. Here each second with a report costs one gather, one
    sort, one comparison and one scatter, as does each second with an attempt (taken to be as many); nothing of the
    model is worked out: the true version is slower still.
    """
    engine = simulate(n, 1)
    at = engine.outcome_at[engine.outcome_at > START]
    order = np.argsort(at, kind="stable")
    bounds = np.flatnonzero(np.diff(at[order], prepend=-1, append=np.iinfo(np.int64).max)).tolist()
    state = np.zeros(n, dtype=np.int64)

    def blocks() -> None:
        for _ in ("attempts", "reports"):
            for first, last in pairwise(bounds):
                due = np.sort(order[first:last])
                accepted = due[state[due] < n]
                state[accepted] += 1

    taken = interleaved({"engine": lambda: simulate(n, 1), "blocks": blocks}, runs, time.thread_time)
    row("numpy blocks of a second, at the least / engine", taken["blocks"] / taken["engine"], ">= 8")


def bench_size(runs: int) -> None:
    """A million clients against a hundred thousand, and the memory of a million (in a process of its own)."""
    taken = interleaved(
        {"100k": lambda: simulate(100_000, 1), "1M": lambda: simulate(1_000_000, 1)}, runs, time.thread_time
    )
    row(
        "time per client, 1,000,000 / 100,000",
        taken["1M"] / taken["100k"] / 10,
        "<= 2.0",
        f"{taken['1M']:.2f} s",
    )
    code = (
        "import resource; from bench_engine import simulate; simulate(1_000_000, 1);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    row("peak memory at 1,000,000 clients (GB)", int(_python(code)) / 2**20, "< 1")


def bench_workers(n: int, runs: int) -> None:
    """Two threads against one, by wall clock: the kernel frees the GIL."""

    def with_workers(workers: int) -> None:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(lambda replication: simulate(n, replication), range(8)))

    taken = interleaved({"1": lambda: with_workers(1), "2": lambda: with_workers(2)}, runs, time.perf_counter)
    row("two workers, speed-up (wall clock)", taken["1"] / taken["2"], ">= 1.7")


def bench_start() -> None:
    """The start of a process with a warm compile cache against a cold one."""
    code = "import time; from bench_engine import simulate; simulate(10, 1); print(time.process_time())"
    with tempfile.TemporaryDirectory() as folder:
        cold, warm = (float(_python(code, NUMBA_CACHE_DIR=folder)) for _ in range(2))
    row("process start, warm / cold cache (CPU)", warm / cold, "<= 0.35", f"{warm:.1f} s / {cold:.1f} s")


def _python(code: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
        env={**os.environ, **env},
    )
    return done.stdout


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--clients", type=int, default=100_000)
    given = parser.parse_args()
    print(f"{'ratio':<58} {'measured':>9}   target")
    bench_floor(given.clients, given.runs)
    bench_closed(given.clients, given.runs)
    bench_oracle(min(given.clients, 10_000), max(1, given.runs // 3))
    bench_blocks(given.clients, given.runs)
    bench_size(max(1, given.runs // 3))
    bench_workers(given.clients, given.runs)
    bench_start()


if __name__ == "__main__":
    main()
