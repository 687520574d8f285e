"""Scenarios: from files, and those that stored plans were made with."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from rollout.api.file_names import expand_one
from rollout.policy import Policy
from rollout.store import Database, StoredPlan
from rollout.values import Fleet
from sim.model import Model
from sim.scenario import DEFAULT_TEXT, Scenario, load_scenario, parse_scenario


def read_scenario(path: Path | str | None = None, clients: int | None = None) -> Scenario:
    """Read a scenario file, None for the built-in default; `clients` overrides the size of its generated fleet."""
    scenario = load_scenario(None if path is None else expand_one(path, "scenario"))
    return scenario if clients is None else scenario.with_clients(clients)


def scenario_of(stored: StoredPlan) -> Scenario:
    """Return the scenario that a stored plan was made with."""
    return parse_scenario(stored.scenario or DEFAULT_TEXT, f"the scenario of {stored.id}")


def policy_of(stored: StoredPlan) -> Policy:
    """Return the policy that a stored plan was made under."""
    return scenario_of(stored).policy


def toml_of(document: Mapping[str, Any], about: str, source: str) -> str:
    """Return a scenario as TOML with its first comment. source : its file's name, for messages."""
    comment = "\n".join(f"# {line}" for line in textwrap.wrap(about, 105))
    text = f"{comment}\n\n{tomli_w.dumps(document)}"
    parse_scenario(text, source)  # what is written must be readable again
    return text


@dataclass(frozen=True, slots=True)
class PlanWorld:
    """A stored plan with what its simulated directory needs: the fleet and the scenario's assumptions."""

    stored: StoredPlan
    fleet: Fleet
    model: Model


def world_of_plan(database: Database, key: str | None, scenario: Scenario | None = None) -> PlanWorld:
    """Return a stored plan with its fleet and model; `scenario` replaces the assumptions it was planned with."""
    stored = database.plan(key)
    model = (scenario or scenario_of(stored)).model
    return PlanWorld(stored, database.inventory(stored.inventory_id).fleet, model)
