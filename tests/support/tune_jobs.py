"""A small tuning whose answer is known, for tests and the benchmark."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from rollout.planning.planner import make_plan
from rollout.preflight import preflight
from rollout.values import Inventory, Plan
from sim.fleet.population import generate
from sim.scenario import Scenario, Targets, parse_scenario
from sim.tuning.evaluation import Job
from sim.tuning.tune import job_of

TEXT = """\
[rollout]
name = "small"
look_every = "1h"
straggler_after = "3d"
mature_after = "1d"
[rollout.gate]
report_delay = "0s"
answered = 0.5
[rollout.gate.evidence]
p_ok = 0.05
p_bad = 0.2
[[rollout.phases]]
name = "pilot"
devices = 60
pacing = { mode = "duration", duration = "2h" }
soak = "1d"
[[rollout.phases]]
name = "all"
pacing = { mode = "duration", duration = "8h" }
[fleet]
clients = 1200
[model]
horizon = "30d"
[model.clients]
window = "immediate"
[model.service]
capacity_per_minute = 40
"""
START = 1_799_625_600


@cache
def world(text: str = TEXT) -> tuple[Scenario, Inventory, Plan]:
    scenario = parse_scenario(text, "small")
    inventory = generate(scenario.fleet, 1, START)
    plan = make_plan(inventory, preflight(inventory), scenario.policy, mature_after_s=None, created=START)
    return scenario, inventory, plan


def job(targets: Targets | None = None, least: int = 400, seed: int = 1) -> Job:
    scenario, inventory, plan = world()
    return job_of(replace(scenario, targets=targets or Targets()), plan, inventory, seed=seed, least=least)
