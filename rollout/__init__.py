"""Move a fleet of Windows clients into co-management: plan it, simulate that plan, execute it.

The public names for scripts and notebooks are here and in `sim`; scenarios/example.py uses them. What a command does,
a function here does: it takes typed arguments and returns the command's document, or a result that has it as its
property `document`. Everything else may change.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rollout.api.calibration import CalibrationResult as CalibrationResult
    from rollout.api.calibration import calibrate_rollout as calibrate_rollout
    from rollout.api.capacity import CapacityResult as CapacityResult
    from rollout.api.capacity import size_capacity as size_capacity
    from rollout.api.client import ClientCommandResult as ClientCommandResult
    from rollout.api.client import ClientLogResult as ClientLogResult
    from rollout.api.client import check_client_command as check_client_command
    from rollout.api.client import read_client_log as read_client_log
    from rollout.api.control import ExclusionResult as ExclusionResult
    from rollout.api.control import abort as abort
    from rollout.api.control import approve_gate as approve_gate
    from rollout.api.control import approve_plan as approve_plan
    from rollout.api.control import exclude_devices as exclude_devices
    from rollout.api.control import pause as pause
    from rollout.api.control import resume as resume
    from rollout.api.decisions import write_decisions as write_decisions
    from rollout.api.device_status import read_device_status as read_device_status
    from rollout.api.enrollment import ModeChange as ModeChange
    from rollout.api.enrollment import count_enrollment as count_enrollment
    from rollout.api.enrollment import count_exported_enrollment as count_exported_enrollment
    from rollout.api.enrollment import judge_mode_change as judge_mode_change
    from rollout.api.enrollment import judge_unenrollment as judge_unenrollment
    from rollout.api.enrollment import list_mode_changes as list_mode_changes
    from rollout.api.forecast import ForecastResult as ForecastResult
    from rollout.api.forecast import forecast_rollout as forecast_rollout
    from rollout.api.gates import GateResult as GateResult
    from rollout.api.gates import simulate_gate as simulate_gate
    from rollout.api.inventory import InventoryResult as InventoryResult
    from rollout.api.inventory import generate_inventory as generate_inventory
    from rollout.api.inventory import read_inventory as read_inventory
    from rollout.api.inventory import store_inventory as store_inventory
    from rollout.api.planning import PlanResult as PlanResult
    from rollout.api.planning import explain_device as explain_device
    from rollout.api.planning import make_plan as make_plan
    from rollout.api.planning import plan_continuation as plan_continuation
    from rollout.api.planning import plan_undo as plan_undo
    from rollout.api.preflight import PreflightResult as PreflightResult
    from rollout.api.preflight import check_inventory as check_inventory
    from rollout.api.report_facts import gather_report as gather_report
    from rollout.api.report_facts import read_audit as read_audit
    from rollout.api.scenarios import read_scenario as read_scenario
    from rollout.api.simulation import SimulationResult as SimulationResult
    from rollout.api.simulation import facts_of as facts_of
    from rollout.api.simulation import simulate_plan as simulate_plan
    from rollout.api.status import Status as Status
    from rollout.api.status import StatusReader as StatusReader
    from rollout.api.status import read_status as read_status
    from rollout.api.tuning import TuningResult as TuningResult
    from rollout.api.tuning import tune_scenario as tune_scenario
    from rollout.api.workloads import ManagedWorkloads as ManagedWorkloads
    from rollout.api.workloads import count_authorities as count_authorities
    from rollout.api.workloads import list_workloads as list_workloads
    from rollout.api.workloads import read_device_workloads as read_device_workloads
    from rollout.api.workloads import read_exported_workloads as read_exported_workloads
    from rollout.api.workloads import read_workload_flags as read_workload_flags
    from rollout.documents.table import schema_of as schema_of
    from rollout.executor.demo import run_demo as run_demo
    from rollout.executor.running import RunResult as RunResult
    from rollout.executor.running import run_rollout as run_rollout
    from rollout.executor.session import RunOptions as RunOptions
    from rollout.executor.withdrawal import withdraw_devices as withdraw_devices
    from rollout.policy import Policy as Policy
    from rollout.report import ReportFacts as ReportFacts
    from rollout.report import report_document as report_document
    from rollout.report.pictures.displays import pictures_of as pictures_of
    from rollout.report.writing import write_report as write_report
    from rollout.store import open_database as open_database
    from rollout.values import Finding as Finding
    from rollout.values import Fleet as Fleet
    from rollout.values import Inventory as Inventory
    from rollout.values import Outcome as Outcome
    from rollout.values import Plan as Plan
    from rollout.values import State as State
    from rollout.values.forecast import Forecast as Forecast

__version__ = "0.1.0"

_HOME: Final = {
    "CalibrationResult": "rollout.api.calibration",
    "CapacityResult": "rollout.api.capacity",
    "ClientCommandResult": "rollout.api.client",
    "ClientLogResult": "rollout.api.client",
    "ExclusionResult": "rollout.api.control",
    "Finding": "rollout.values",
    "Fleet": "rollout.values",
    "Forecast": "rollout.values.forecast",
    "ForecastResult": "rollout.api.forecast",
    "GateResult": "rollout.api.gates",
    "Inventory": "rollout.values",
    "InventoryResult": "rollout.api.inventory",
    "ManagedWorkloads": "rollout.api.workloads",
    "ModeChange": "rollout.api.enrollment",
    "Outcome": "rollout.values",
    "Plan": "rollout.values",
    "PlanResult": "rollout.api.planning",
    "Policy": "rollout.policy",
    "PreflightResult": "rollout.api.preflight",
    "ReportFacts": "rollout.report",
    "RunResult": "rollout.executor.running",
    "SimulationResult": "rollout.api.simulation",
    "State": "rollout.values",
    "Status": "rollout.api.status",
    "StatusReader": "rollout.api.status",
    "TuningResult": "rollout.api.tuning",
    "RunOptions": "rollout.executor.session",
    "abort": "rollout.api.control",
    "approve_gate": "rollout.api.control",
    "approve_plan": "rollout.api.control",
    "calibrate_rollout": "rollout.api.calibration",
    "check_client_command": "rollout.api.client",
    "check_inventory": "rollout.api.preflight",
    "count_authorities": "rollout.api.workloads",
    "count_enrollment": "rollout.api.enrollment",
    "count_exported_enrollment": "rollout.api.enrollment",
    "exclude_devices": "rollout.api.control",
    "explain_device": "rollout.api.planning",
    "facts_of": "rollout.api.simulation",
    "forecast_rollout": "rollout.api.forecast",
    "gather_report": "rollout.api.report_facts",
    "generate_inventory": "rollout.api.inventory",
    "judge_mode_change": "rollout.api.enrollment",
    "judge_unenrollment": "rollout.api.enrollment",
    "list_mode_changes": "rollout.api.enrollment",
    "list_workloads": "rollout.api.workloads",
    "make_plan": "rollout.api.planning",
    "open_database": "rollout.store",
    "pause": "rollout.api.control",
    "pictures_of": "rollout.report.pictures.displays",
    "plan_continuation": "rollout.api.planning",
    "plan_undo": "rollout.api.planning",
    "read_audit": "rollout.api.report_facts",
    "read_client_log": "rollout.api.client",
    "read_device_status": "rollout.api.device_status",
    "read_device_workloads": "rollout.api.workloads",
    "read_exported_workloads": "rollout.api.workloads",
    "read_inventory": "rollout.api.inventory",
    "read_scenario": "rollout.api.scenarios",
    "read_status": "rollout.api.status",
    "read_workload_flags": "rollout.api.workloads",
    "report_document": "rollout.report",
    "resume": "rollout.api.control",
    "run_demo": "rollout.executor.demo",
    "run_rollout": "rollout.executor.running",
    "schema_of": "rollout.documents.table",
    "simulate_gate": "rollout.api.gates",
    "simulate_plan": "rollout.api.simulation",
    "size_capacity": "rollout.api.capacity",
    "store_inventory": "rollout.api.inventory",
    "tune_scenario": "rollout.api.tuning",
    "withdraw_devices": "rollout.executor.withdrawal",
    "write_decisions": "rollout.api.decisions",
    "write_report": "rollout.report.writing",
}
"""Public name -> the module that has it. Type checkers read the imports above; a test holds that both are the same."""

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that a script waits only for what it needs."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
