"""What the gates cost: python tests/benchmarks/bench_gates.py

Prints microseconds a look (400 strata) while nothing is wrong, milliseconds for a run's 336 looks, the
one-time cost of the boundaries, and seconds for an operating characteristic.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
from gate_courses import steady_course

from rollout.gates import GateCounts, judge
from rollout.gates.evidence import HaltBoundary, PassBoundary
from rollout.loop import decide
from rollout.planning import make_plan
from rollout.preflight import preflight
from rollout.values import DAY_S, OUTCOMES, EvidenceGate, GatePolicy, Outcome
from sim.clients.draws import traits_of
from sim.fleet.population import generate
from sim.gate_trials.gatecheck import simulate_gates
from sim.scenario import load_scenario
from sim.simulation import simulate_once

MONDAY = 1_767_596_400
STRATA, DEVICES, LOOKS = 400, 100_000, 336


def seconds(work: Callable[[], object], rounds: int = 5) -> float:
    """Give the best processor time of some rounds: other work on the machine does not count."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def run_of_looks() -> Callable[[], None]:
    """Give 336 looks at 400 strata, along a rollout of 100,000 devices at 0.5 % failures."""
    rng = np.random.default_rng(1)
    planned = np.full(STRATA, DEVICES // STRATA, dtype=np.int64)
    names = tuple(f"model {index}" for index in range(STRATA))
    looks = []
    for look in range(LOOKS):
        released = planned * look // LOOKS
        known = rng.binomial(released, 0.8)
        counts = np.zeros((STRATA, OUTCOMES), dtype=np.int64)
        counts[:, Outcome.FAILED] = rng.binomial(known, 0.005)
        counts[:, Outcome.ENROLLED] = known - counts[:, Outcome.FAILED]
        counts[:, Outcome.PENDING] = released - known
        looks.append((counts, counts // 2))
    policy = GatePolicy()

    def work() -> None:
        for counts, mature in looks:
            judge(
                policy,
                GateCounts(
                    cumulative=counts,
                    phase=counts,
                    mature=mature,
                    planned=planned,
                    names=names,
                    complete=False,
                    readable=True,
                    column="model",
                ),
            )

    return work


def share_of_a_run() -> tuple[float, float, int]:
    """Give milliseconds in the gates, milliseconds of the whole simulated run, and its looks, at 400 strata."""
    scenario = load_scenario(None)
    inventory = generate(scenario.fleet, 1, MONDAY)
    made = make_plan(inventory, preflight(inventory), scenario.policy, mature_after_s=DAY_S, created=MONDAY)
    codes = (np.arange(len(made)) % STRATA).astype(np.int32)
    strata = replace(made.strata, codes=codes, names=tuple(f"model {index}" for index in range(STRATA)))
    plan = replace(made, strata=strata, chunk=len(made) + 1)
    traits = traits_of(inventory.fleet, scenario.model)
    spent: list[float] = []

    def timed(*args: Any, **named: Any) -> Any:
        start = time.thread_time()
        verdict = judge(*args, **named)
        spent.append(time.thread_time() - start)
        return verdict

    def once() -> None:
        spent.clear()
        simulate_once(plan, traits, scenario.model, seed=1, replication=0)

    with patch.object(decide, "judge", timed):
        whole = seconds(once)
    return 1000 * sum(spent), 1000 * whole, len(spent)


def characteristic() -> object:
    """Give a table of six rates, 200 runs each, of 20,000 devices in 20 strata."""
    planned = np.full(20, 1000, dtype=np.int64)
    return simulate_gates(
        GatePolicy(),
        planned=planned,
        names=[str(index) for index in range(20)],
        rates=(0.005, 0.01, 0.02, 0.03, 0.05, 0.1),
        course=steady_course(20_000, hours=168, fail_s=3600, enroll_s=86400),
    )


def main() -> None:
    """Print the table."""
    whole = seconds(lambda: HaltBoundary(EvidenceGate()).critical([DEVICES]))
    part = seconds(lambda: HaltBoundary(EvidenceGate(), 0.5 / STRATA).critical([DEVICES // STRATA]))
    proof = seconds(lambda: PassBoundary(EvidenceGate()).needed(1000))
    run = seconds(run_of_looks())
    print(f"boundary of all devices, once a process     {1000 * whole:8.1f} ms")
    print(f"boundary of a stratum, once a process       {1000 * part:8.1f} ms")
    print(f"boundary of PASS, once a process            {1000 * proof:8.1f} ms")
    print(f"one look at {STRATA} strata                     {1e6 * run / LOOKS:8.1f} us")
    print(f"a run of {LOOKS} looks                         {1000 * run:8.1f} ms")
    gates, simulated, looks = share_of_a_run()
    share = f"gates {gates:.1f} of {simulated:.0f} ms, {gates / simulated:.1%}"
    print(f"in a simulated run of 100,000 ({looks} looks)   {share}")
    print(f"operating characteristic, 6 x 200 x 20,000  {seconds(characteristic, 1):8.1f} s")


if __name__ == "__main__":
    main()
