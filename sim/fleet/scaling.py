"""A smaller fleet in place of a large fleet, so that hundreds of plans can be tried in a minute.

Phases with a fixed number of devices keep it, because a gate counts devices. All other phases shrink by a common
factor, and so do all figures in devices: the service's capacity, budgets, rates. Times do not change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from rollout.pacing.modes.auto import SERVICE_PER_HOUR
from rollout.pacing.modes.base import shrunk
from rollout.policy import PhasePolicy, Policy
from rollout.values import Inventory, Plan
from sim.model import Model, ServiceModel

SMALL: Final = 5_000
"""Devices of a scaled-down fleet, unless a phase or the capacity requires more."""
LEAST_CAPACITY: Final = 4
"""Least enrollments per minute of a scaled-down service: fewer would be too coarse."""


@dataclass(frozen=True, slots=True, eq=False)
class Small:
    """A scaled-down fleet. factor : its devices per device of the whole fleet, outside phases of fixed size."""

    inventory: Inventory
    factor: float


def scale_down(plan: Plan, inventory: Inventory, policy: Policy, model: Model, least: int = SMALL) -> Small:
    """Return a sample of the planned devices, spread evenly over the inventory.

    plan : the plan of the whole inventory; devices that it excludes are not sampled.
    """
    planned = np.flatnonzero(plan.phase_of >= 0).astype(np.int32)
    fixed = fixed_devices(policy)
    capacity = model.service.capacity_per_minute
    wanted = max(least, 5 * fixed, LEAST_CAPACITY * len(planned) // capacity if capacity else 0)
    size = min(len(planned), wanted)
    rows = planned[np.linspace(0, len(planned) - 1, size).round().astype(np.int64)] if size else planned
    rest = max(1, len(planned) - fixed)
    return Small(Inventory(inventory.fleet.take(rows), inventory.taken, ()), max(1, size - fixed) / rest)


def fixed_devices(policy: Policy) -> int:
    """Return the number of devices in phases of fixed size."""
    return sum(phase.devices or 0 for phase in policy.phases)


def scaled_model(model: Model, factor: float) -> Model:
    """Return the model with its figures in devices scaled; 0 (no limit) stays 0."""
    service = model.service
    smaller: dict[str, Any] = {
        name: max(1, round(value * factor)) if value else 0
        for name, value in (
            ("capacity_per_minute", service.capacity_per_minute),
            ("cmg_clients", service.cmg_clients),
        )
    }
    return model.model_copy(update={"service": ServiceModel.model_validate(service.model_dump() | smaller)})


def scaled_policy(policy: Policy, factor: float) -> Policy:
    """Return the policy with its figures in devices scaled, except in phases of fixed size."""
    if factor >= 1:
        return policy
    budgets = policy.budgets
    return policy.model_copy(
        update={
            "budgets": budgets.model_copy(
                update={
                    name: shrunk(getattr(budgets, name), factor)
                    for name in ("in_flight", "per_step", "per_level")
                }
            ),
            "service_per_hour": (policy.service_per_hour or SERVICE_PER_HOUR) * factor,
            "phases": tuple(_phase(phase, factor) for phase in policy.phases),
        }
    )


def _phase(phase: PhasePolicy, factor: float) -> PhasePolicy:
    if phase.devices is not None:
        return phase
    return phase.model_copy(update={"pacing": phase.pacing.scaled(factor)})
