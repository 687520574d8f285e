"""Whether a running rollout keeps to its plan, by the stored simulation of that plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rollout.store import Database
from rollout.text import span
from rollout.values import HOUR_S, ON_COURSE, Outcome


def on_plan(database: Database, rollout: str) -> str:
    """Say whether a stored rollout keeps to its plan, by the latest simulation of that plan."""
    known = database.rollout(rollout)
    points = database.reader(rollout).points()
    if not points:
        return "nothing was observed yet"
    enrolled = sum(row[Outcome.ENROLLED] for row in points[-1].by_phase)
    return compare_with_plan(database.simulations(known.plan_id), points[-1].at, enrolled)


def compare_with_plan(simulation: Mapping[str, Any] | None, at: int, enrolled: int) -> str:
    """Say whether the enrolled devices lie within the outermost band of the plan's simulation, or nearly so.

    simulation : as it is stored (`start`, `enrolled` with quantiles and values by hour, `summary`), None if there is
    none. at : Unix seconds at which `enrolled` devices were counted.
    """
    if simulation is None:
        return "no simulation of this plan to compare with; 'rollout simulate' makes one"
    bands = simulation["enrolled"]
    levels, values = list(bands["quantiles"]), np.asarray(bands["values"])
    hour = min(max(0, (at - simulation["start"]) // HOUR_S - 1), values.shape[1] - 1)
    low, middle, high = (values[row, hour] for row in (0, levels.index(0.5), -1))
    final = simulation["summary"]["final"]
    slack = ON_COURSE * (sum(final.values()) - final["excluded"])
    band = f"expected {middle:,.0f} ({low:,.0f} … {high:,.0f}), found {enrolled:,}"
    if low - slack <= enrolled <= high + slack:
        return f"on plan: {band} enrolled"
    planned_hour = int(np.searchsorted(values[levels.index(0.5)], enrolled))
    apart = span(float(abs(hour - planned_hour)))
    return f"{'behind' if enrolled < low else 'ahead of'} plan by {apart}: {band} enrolled"
