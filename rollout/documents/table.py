"""The documents that each command prints, and their JSON Schema."""

from __future__ import annotations

from typing import Any, Union

from pydantic import TypeAdapter

from rollout.documents import comanagement, executing, forecast, planning, reporting, simulating, sizing
from rollout.documents.base import Document, ErrorDocument, PlainSchema

DRAFT = "https://json-schema.org/draft/2020-12/schema"

DOCUMENTS: dict[str, tuple[type[Document], ...]] = {
    "demo": (simulating.Demo,),
    "inventory": (planning.Inventory,),
    "preflight": (planning.Preflight,),
    "plan": (planning.Plan, planning.Explanation),
    "simulate": (simulating.Simulation,),
    "tune": (sizing.Tuning,),
    "capacity": (sizing.Capacity,),
    "calibrate": (simulating.Calibration,),
    "forecast": (forecast.RolloutForecast,),
    "gate": (simulating.GateCheck,),
    "approve": (planning.Approval, executing.Command),
    "run": (executing.StatusDocument, executing.DryRun, executing.DryRunOutside),
    "status": (executing.StatusDocument, executing.DeviceStatus),
    "pause": (executing.Command,),
    "resume": (executing.Command,),
    "abort": (executing.Command,),
    "exclude": (executing.Command,),
    "withdraw": (executing.Withdrawal,),
    "report": (reporting.Report, reporting.Audit),
    "enrollment": (
        comanagement.Enrollment,
        comanagement.Changes,
        comanagement.ChangeCounted,
        comanagement.Unenrolled,
    ),
    "workloads": (comanagement.Workloads, comanagement.DeviceFlags, comanagement.FleetAuthority),
    "client": (comanagement.ClientLog, comanagement.ClientCommand),
    "doctor": (executing.Doctor, executing.LeaseReleased),
}
"""Command -> the documents that it prints, the usual one first."""


def adapter_of(verb: str) -> TypeAdapter[Any]:
    """Return a reader of a command's documents, errors included. Raise `KeyError` for a command without any."""
    forms: Any = Union[(*DOCUMENTS[verb], ErrorDocument)]
    return TypeAdapter(forms)


def schema_of(verb: str) -> dict[str, Any]:
    """Return the JSON Schema of all that `rollout COMMAND --json` prints. Raise `KeyError` for one that prints none."""
    schema = adapter_of(verb).json_schema(schema_generator=PlainSchema)
    return {"$schema": DRAFT, "title": f"rollout {verb} --json", **schema}
