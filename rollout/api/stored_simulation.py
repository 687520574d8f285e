"""A simulation as it is stored: its key figures and the bands that reports draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.model import Model
    from sim.simulation import Bands, Forecast


def to_document(forecast: Forecast, model: Model) -> dict[str, Any]:
    """Give the stored form: the summary of `--json`, and quantiles by hour since the plan's start."""
    typical = forecast.typical
    return {
        "summary": forecast.summary(),
        "start": forecast.start // 3600 * 3600,
        "enrolled": _bands(forecast.enrolled_bands()),
        "baseline_enrolled": _bands(forecast.enrolled_bands(baseline=True)),
        "by_phase": [_bands(one) for one in forecast.phase_bands()],
        "load": _bands(forecast.load_bands()),
        "baseline_load": _bands(forecast.load_bands(baseline=True)),
        "capacity_per_hour": model.service.capacity_per_minute * 60,
        "failed_codes": {str(code): count for code, count in sorted(typical.failed_codes.items())},
        "state": typical.state.value,
        "reason": typical.reason,
    }


def _bands(bands: Bands) -> dict[str, Any]:
    return {"quantiles": list(bands.quantiles), "values": bands.values.round(1).tolist()}
