"""Pilots that were simulated with known assumptions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from rollout.values import Fleet, Outcome
from sim.clients.draws import traits_of
from sim.fleet.population import FleetModel, generate
from sim.forecast.pilot import Pilot, simulate_pilot
from sim.model import ClientModel, FailureCode, Model

START = 1_799_650_800  # a Monday, 07:00 UTC
DAY_S = 86_400
RELEASES = ((0, 10), (6, 90), (24, 400))
"""(hours after the start, devices)."""


@cache
def fleet_of(devices: int) -> Fleet:
    """Return a generated fleet of healthy devices."""
    return generate(FleetModel(clients=devices), 1, START).fleet


def base_model(failure_rate: float) -> Model:
    """Return the default model with one permanent failure code."""
    usual = Model(clients=ClientModel(window=DAY_S))
    transient = tuple(failure for failure in usual.clients.failures if not failure.permanent)
    permanent = FailureCode(code=0x80180018, rate=failure_rate, permanent=True)
    return usual.model_copy(
        update={"clients": usual.clients.model_copy(update={"failures": (permanent, *transient)})}
    )


def planted_pilot(
    model: Model, seed: int, days: int, releases: Sequence[tuple[int, int]] = RELEASES
) -> Pilot:
    """Simulate a pilot with `model` and return what its journal would contain."""
    devices = sum(count for _, count in releases)
    rows = np.random.default_rng(5).permutation(devices).astype(np.int32)
    at = np.repeat([START + hour * 3600 for hour, _ in releases], [count for _, count in releases]).astype(
        np.int64
    )
    nothing = np.zeros(devices, dtype=np.int64)
    traits = traits_of(fleet_of(devices).take(rows), model)
    blank = Pilot(rows, at, nothing - 1, nothing > 0, nothing, START, START + days * DAY_S, traits)
    simulated = simulate_pilot(blank, model, seed=seed, replication=0)
    failed = simulated.outcome == Outcome.FAILED
    ended = failed | (simulated.outcome == Outcome.ENROLLED)
    code = np.where(failed, model.clients.failures[0].code, 0)
    return replace(blank, ended_at=np.where(ended, simulated.at, -1), failed=failed, code=code)
