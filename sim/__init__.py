"""A pretend world that answers like the real one: client life, enrollment service, directory.

For scripts and notebooks: `load_scenario` → `plan_scenario` → `simulate` (see scenarios/example.py).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sim.forecast import Forecast as Forecast
    from sim.forecast import RunResult as RunResult
    from sim.forecast import simulate as simulate
    from sim.model import Model as Model
    from sim.planning import Planned as Planned
    from sim.planning import plan_inventory as plan_inventory
    from sim.planning import plan_scenario as plan_scenario
    from sim.scenario import Scenario as Scenario
    from sim.scenario import load_scenario as load_scenario
    from sim.scenario import parse_scenario as parse_scenario

MADE_UP_AT: Final = 1799625600
"""Monday 11 January 2027 00:00 UTC: when a generated fleet is planned, if the policy names no start."""

_HOME: Final = {
    "Forecast": "sim.forecast",
    "Model": "sim.model",
    "Planned": "sim.planning",
    "RunResult": "sim.forecast",
    "Scenario": "sim.scenario",
    "load_scenario": "sim.scenario",
    "parse_scenario": "sim.scenario",
    "plan_inventory": "sim.planning",
    "plan_scenario": "sim.planning",
    "simulate": "sim.forecast",
}

__all__ = ["MADE_UP_AT", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for: the compiled engine takes its time."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
