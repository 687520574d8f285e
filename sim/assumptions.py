"""The assumptions about a fleet that are most uncertain, and the model with some of them changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rollout.values import DAY_S
from sim.model import ClientModel, Model, PresenceModel, ServiceModel

ASSUMPTIONS: Final[tuple[tuple[str, str, Mapping[str, Any]], ...]] = (
    ("random window", "24h", {"window": DAY_S}),
    ("random window", "72h", {"window": 3 * DAY_S}),
    ("random window", "5d", {"window": 5 * DAY_S}),
    ("service capacity", "half", {"capacity": 0.5}),
    ("service capacity", "half as much again", {"capacity": 1.5}),
    ("failure rate", "half", {"failures": 0.5}),
    ("failure rate", "three times", {"failures": 3.0}),
    ("time online", "a fifth less", {"online": 0.8}),
    ("time online", "a fifth more", {"online": 1.2}),
)
"""(assumption, its value, changes): each is tried by itself; everything else is as in the scenario."""


def assumed(model: Model, changes: Mapping[str, Any]) -> Model:
    """Return the model with some assumptions changed.

    changes : window in seconds; capacity, failures, online and lag as factors on the service's capacity, on all failure
    rates, on the chance that a device is used on a day, and on the durations of enrollment and report;
    capacity_per_minute as such.
    """
    clients = model.clients.model_dump()
    service = model.service.model_dump()
    presence = model.presence.model_dump()
    if "window" in changes:
        clients["window"] = int(changes["window"])
    if "failures" in changes:
        for failure in (*clients["failures"], *clients["failure"]):
            failure["rate"] = min(1.0, failure["rate"] * changes["failures"])
    if "lag" in changes:
        for name in ("enrollment", "report_lag"):
            length = getattr(model.clients, name)
            scaled = (max(1, round(value * changes["lag"])) for value in (length.median, length.p90))
            clients[name] = dict(zip(("median", "p90"), scaled, strict=True))
    if "capacity" in changes and service["capacity_per_minute"]:
        service["capacity_per_minute"] = max(1, round(service["capacity_per_minute"] * changes["capacity"]))
    if "capacity_per_minute" in changes:
        service["capacity_per_minute"] = max(1, round(changes["capacity_per_minute"]))
    if "online" in changes:
        for name in ("office", "laptop", "rarely_on"):
            for day in ("weekday", "weekend"):
                presence[name][day] = min(1.0, presence[name][day] * changes["online"])
    return model.model_copy(
        update={
            "clients": ClientModel.model_validate(clients),
            "service": ServiceModel.model_validate(service),
            "presence": PresenceModel.model_validate(presence),
        }
    )
