"""A simulated world that answers like the real one: clients, enrollment service, directory.

For scripts and notebooks: `load_scenario` → `plan_scenario` → `simulate` (see scenarios/example.py).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sim.fleet import MADE_UP_AT as MADE_UP_AT
    from sim.harms import Clusters as Clusters
    from sim.harms import ExposureResult as ExposureResult
    from sim.harms import Harm as Harm
    from sim.harms import HarmKind as HarmKind
    from sim.harms import exposure as exposure
    from sim.model import Model as Model
    from sim.planning import Planned as Planned
    from sim.planning import plan_inventory as plan_inventory
    from sim.planning import plan_scenario as plan_scenario
    from sim.scenario import Scenario as Scenario
    from sim.scenario import load_scenario as load_scenario
    from sim.scenario import parse_scenario as parse_scenario
    from sim.simulation import KeyFigures as KeyFigures
    from sim.simulation import RunResult as RunResult
    from sim.simulation import Simulation as Simulation
    from sim.simulation import simulate as simulate
    from sim.tuning.tune import Effort as Effort

_HOME: Final = {
    "Clusters": "sim.harms",
    "Effort": "sim.tuning.tune",
    "ExposureResult": "sim.harms",
    "Harm": "sim.harms",
    "HarmKind": "sim.harms",
    "MADE_UP_AT": "sim.fleet",
    "KeyFigures": "sim.simulation",
    "Model": "sim.model",
    "Planned": "sim.planning",
    "RunResult": "sim.simulation",
    "Scenario": "sim.scenario",
    "Simulation": "sim.simulation",
    "exposure": "sim.harms",
    "load_scenario": "sim.scenario",
    "parse_scenario": "sim.scenario",
    "plan_inventory": "sim.planning",
    "plan_scenario": "sim.planning",
    "simulate": "sim.simulation",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the compiled engine takes a moment to load."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
