"""From a scenario to a plan that can be simulated: the fleet generated or given, checked, and planned."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from rollout.planning.checked import plan_checked
from rollout.values import HOUR_S, Finding, Fleet, IntArray, Inventory, Outcome, Plan
from sim.clients.draws import make_draws, traits_of
from sim.engines.engine import make_engine
from sim.fleet import MADE_UP_AT
from sim.fleet.population import generate
from sim.model import Model
from sim.scenario import Scenario

SAMPLE = 2_000
"""Number of devices with which the modelled latency is measured before planning."""


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """A plan with everything that it was made from. model : the scenario's assumptions about clients and service."""

    inventory: Inventory
    findings: tuple[Finding, ...]
    plan: Plan
    model: Model

    @property
    def fleet(self) -> Fleet:
        """The devices, one per row; a plan's rows are its rows."""
        return self.inventory.fleet


def plan_scenario(scenario: Scenario) -> Planned:
    """Generate the scenario's fleet and plan it.

    The fleet's seed is fixed, and the instant is the policy's start or a fixed Monday: equal scenarios
    give equal plans, whatever seed they are simulated with. Raise `RefusedError` if it cannot be planned.
    """
    moment = planned_at(scenario)
    return plan_inventory(scenario, generate(scenario.fleet, 1, moment), moment)


def planned_at(scenario: Scenario) -> int:
    """Return the instant, Unix seconds, at which a scenario is planned if no other is given."""
    start = scenario.policy.start
    return int(start.timestamp()) - HOUR_S if start is not None else MADE_UP_AT


def plan_inventory(scenario: Scenario, inventory: Inventory, created: int) -> Planned:
    """Check an inventory and plan it under the scenario's policy.

    created : Unix seconds, the instant of planning. Raise `RefusedError` if it cannot be planned.
    """
    latency = partial(latency_p95, inventory.fleet, scenario.model, created, scenario.policy.straggler_after)
    findings, plan = plan_checked(inventory, scenario.policy, created=created, latency=latency)
    return Planned(inventory, findings, plan, scenario.model)


def latency_p95(fleet: Fleet, model: Model, start: int, straggler_after_s: int) -> int:
    """Return the modelled 95th percentile from release to outcome, seconds: the default of `mature_after`.

    A sample of the fleet is released at once in a world with the scenario's assumptions. Devices without
    an outcome after `straggler_after_s` do not count: stragglers have their own limit.
    """
    few = fleet.take(np.linspace(0, len(fleet) - 1, min(SAMPLE, len(fleet))).astype(np.int32))
    traits = traits_of(few, model)
    draws = make_draws(model, traits, seed=0, replication=0, start=start, horizon_s=model.horizon)
    rows: IntArray = np.arange(len(few), dtype=np.int32)
    engine = make_engine(
        model,
        traits,
        draws,
        start=start,
        strata=np.zeros_like(rows),
        n_strata=1,
        straggler_after_s=straggler_after_s,
    )
    engine.release(rows, 0, start)
    engine.advance(start + straggler_after_s)
    settled = (engine.outcome == Outcome.ENROLLED) | (engine.outcome == Outcome.FAILED)
    if not settled.any():
        return straggler_after_s
    latency = float(np.quantile(engine.outcome_at[settled] - start, 0.95, method="inverted_cdf"))
    return int(-(-latency // HOUR_S) * HOUR_S)
