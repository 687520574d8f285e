"""A plan's simulation as the database keeps it, and as reports and status read it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rollout.report.facts import Load, PlanSimulation
from rollout.store import Database
from rollout.values import HOUR_S
from rollout.values.bands import AnyCounts, Bands

DONE_MEANS = "every device has an outcome or has been silent past its time-out"


@dataclass(frozen=True, slots=True, eq=False)
class StoredSimulation:
    """A simulation of a plan. failed_codes : devices by failure code in the typical run."""

    plan: PlanSimulation
    load: Load
    failed_codes: Mapping[int, int]


def latest_simulation(database: Database, plan_id: str) -> StoredSimulation | None:
    """Return the latest simulation of a plan, None if it was never simulated."""
    stored = database.simulations(plan_id)
    return None if stored is None else read_stored(stored)


def read_stored(stored: Mapping[str, Any]) -> StoredSimulation:
    """Read what the database keeps; `rollout.api.simulation.stored_form` writes it."""
    summary, start = stored["summary"], stored["start"]
    plan = PlanSimulation(
        enrolled=_bands(stored["enrolled"], start + HOUR_S),
        origin=start,
        eta_hours=or_infinite(summary["eta_hours"]),
        runs=summary["runs"],
        seed=summary["seed"],
        halt_chance=summary["halt_chance"],
        held_chance=summary.get("held_chance", 0.0),
        final=summary["final"],
        by_phase=tuple(_bands(phase, start + HOUR_S) for phase in stored["by_phase"]),
        done_means=DONE_MEANS,
        baseline=_bands(stored["baseline_enrolled"], start + HOUR_S),
        baseline_eta_hours=or_infinite(summary["baseline"]["eta_hours"]),
        # A simulation that was stored by an earlier version does not have it.
        enrolled_90_hours=or_infinite(summary["enrolled_90_hours"])
        if "enrolled_90_hours" in summary
        else None,
    )
    load = load_of(
        _bands(stored["load"], start),
        _bands(stored["baseline_load"], start),
        summary["peak_per_hour"],
        summary["baseline"]["peak_per_hour"],
        float(stored["capacity_per_hour"]),
    )
    codes = {int(code): count for code, count in stored["failed_codes"].items()}
    return StoredSimulation(plan, load, codes)


def load_of(
    plan: Bands,
    baseline: Bands,
    peak: Mapping[str, float | None],
    baseline_peak: Mapping[str, float | None],
    capacity_per_hour: float,
) -> Load:
    """Return the load of a plan and of its baseline, by the hour, for as long as either has any."""
    longer = plan if len(plan.at) >= len(baseline.at) else baseline
    hours = len(longer.at)
    return Load(
        at=longer.at,
        p50=_padded(plan.level(0.5), hours),
        p90=_padded(plan.level(0.9), hours),
        capacity=np.full(hours, capacity_per_hour),
        peak_p50=peak["p50"] or 0.0,
        peak_p90=peak["p90"] or 0.0,
        baseline=_padded(baseline.level(0.5), hours),
        baseline_peak_p50=baseline_peak["p50"] or 0.0,
        baseline_peak_p90=baseline_peak["p90"] or 0.0,
    )


def or_infinite(hours: Mapping[str, float | None]) -> tuple[float, float, float]:
    """Return p10, p50 and p90, infinite where the simulated time ends before."""
    p10, p50, p90 = (
        math.inf if (value := hours[level]) is None else float(value) for level in ("p10", "p50", "p90")
    )
    return p10, p50, p90


def _bands(part: Mapping[str, Any], first: int) -> Bands:
    """Read bands by the hour. first : Unix seconds of the first column."""
    values = np.asarray(part["values"], dtype=np.float64)
    at = np.asarray(first + np.arange(values.shape[1]) * HOUR_S, dtype=np.int64)
    return Bands(at, tuple(part["quantiles"]), values)


def _padded(series: AnyCounts, hours: int) -> Any:
    return np.concatenate([series, np.zeros(hours - len(series))])
