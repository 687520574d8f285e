"""Move a fleet of Windows clients into co-management: plan it, simulate that plan, execute it.

For scripts and notebooks the public names are here and in `sim` (see scenarios/example.py); everything
else may change.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rollout.api.simulation import facts_of as facts_of
    from rollout.exports.reading import read_exports as read_exports
    from rollout.planning.planner import make_plan as make_plan
    from rollout.policy import Policy as Policy
    from rollout.report import ReportFacts as ReportFacts
    from rollout.report.pictures.displays import pictures_of as pictures_of
    from rollout.report.writing import write_report as write_report
    from rollout.store import open_database as open_database
    from rollout.values import Finding as Finding
    from rollout.values import Fleet as Fleet
    from rollout.values import Inventory as Inventory
    from rollout.values import Outcome as Outcome
    from rollout.values import Plan as Plan
    from rollout.values import State as State

__version__ = "0.1.0"

_HOME: Final = {
    "Finding": "rollout.values",
    "Fleet": "rollout.values",
    "Inventory": "rollout.values",
    "Outcome": "rollout.values",
    "Plan": "rollout.values",
    "Policy": "rollout.policy",
    "ReportFacts": "rollout.report",
    "State": "rollout.values",
    "facts_of": "rollout.api.simulation",
    "make_plan": "rollout.planning.planner",
    "open_database": "rollout.store",
    "pictures_of": "rollout.report.pictures.displays",
    "read_exports": "rollout.exports.reading",
    "write_report": "rollout.report.writing",
}

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for: nobody waits for what he does not use."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
