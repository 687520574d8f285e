"""A simulation as the database keeps it: its key figures and the bands that reports draw."""

from __future__ import annotations

from typing import Any

from rollout.documents.simulating import Simulation as SimulationDocument
from sim.model import Model
from sim.simulation import Bands, Simulation


def stored_form(simulation: Simulation, document: SimulationDocument, model: Model) -> dict[str, Any]:
    """Give the stored form: the summary of `--json`, and quantiles by hour since the plan's start."""
    typical = simulation.typical
    return {
        "summary": document.model_dump(mode="json"),
        "start": simulation.start // 3600 * 3600,
        "enrolled": _bands(simulation.enrolled_bands()),
        "baseline_enrolled": _bands(simulation.enrolled_bands(baseline=True)),
        "by_phase": [_bands(phase) for phase in simulation.phase_bands()],
        "load": _bands(simulation.load_bands()),
        "baseline_load": _bands(simulation.load_bands(baseline=True)),
        "capacity_per_hour": model.service.capacity_per_minute * 60,
        "failed_codes": {str(code): count for code, count in sorted(typical.failed_codes.items())},
        "state": typical.state.value,
        "reason": typical.reason,
    }


def _bands(bands: Bands) -> dict[str, Any]:
    return {"quantiles": list(bands.quantiles), "values": bands.values.round(1).tolist()}
