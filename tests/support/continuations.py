"""Rollouts with a known end, to evaluate forecasts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from rollout.loop.drive import drive
from rollout.planning.planner import make_plan
from rollout.policy import load_policy
from rollout.values import Commands, Fleet, Outcome, Plan, ceil_of
from sim.assumptions import assumed
from sim.clients.draws import traits_of
from sim.fleet.population import FleetModel, generate
from sim.forecast.continuation import SHARE, JournalSnapshot
from sim.model import ClientModel, Model
from sim.simulation import world_of
from sim.world.directory import SimClock
from sim.world.journal import MemoryJournal

START = 1_799_650_800
MODEL = Model(clients=ClientModel(window=86_400), horizon=40 * 86_400)
POLICY = {
    "name": "eta",
    "look_every": "1h",
    "mature_after": "1d",
    "straggler_after": "4d",
    "stratum": "",
    "gate": {"evidence": {"p_ok": 0.05, "p_bad": 0.2}},
    "phases": [
        {"name": "pilot", "devices": 60, "pacing": {"mode": "duration", "duration": "4h"}, "soak": "1d"},
        {"name": "all", "pacing": {"mode": "duration", "duration": "72h"}},
    ],
}


@dataclass(frozen=True)
class Truth:
    """The real course of a rollout: its journal at each share, its end, and its failures."""

    snapshots: dict[float, JournalSnapshot]
    done: int
    through: int
    failed: int


@cache
def plan_and_fleet(devices: int = 600) -> tuple[Plan, Fleet]:
    inventory = generate(FleetModel(clients=devices), 1, START)
    return make_plan(
        inventory, (), load_policy(POLICY, "eta"), mature_after_s=None, created=START
    ), inventory.fleet


@cache
def truth_of(
    window_s: int = 86_400, seed: int = 3, devices: int = 600, online: float = 1.0, lag: float = 1.0
) -> Truth:
    """Run a rollout with its own assumptions, and keep snapshots of its journal on the way."""
    plan, fleet = plan_and_fleet(devices)
    model = assumed(MODEL, {"window": window_s, "online": online, "lag": lag})
    world = world_of(plan, traits_of(fleet, model), model, seed=seed, replication=7)
    journal, clock = MemoryJournal(), SimClock(plan.start)
    steps = drive(plan, journal, world, plan.start + model.horizon)
    wanted, snapshots = [0.1, 0.25, 0.5], {}
    at = next(steps)
    while True:
        now = clock.wait_until(at)
        share = (world.engine.outcome == Outcome.ENROLLED).mean()
        while wanted and share >= wanted[0]:
            snapshots[wanted.pop(0)] = snapshot_of(journal, world.outcomes(), now)
        try:
            at = steps.send(now)
        except StopIteration as end:
            done = end.value.at
            break
    world.engine.advance(plan.start + model.horizon)
    outcome = world.engine.outcome
    enrolled = np.sort(world.engine.outcome_at[outcome == Outcome.ENROLLED])
    needed = ceil_of(plan.planned, SHARE)
    return Truth(snapshots, done, int(enrolled[needed - 1]), int((outcome == Outcome.FAILED).sum()))


def snapshot_of(journal: MemoryJournal, outcomes: object, now: int) -> JournalSnapshot:
    progress = journal.progress()
    assert progress is not None
    batches = tuple(journal.batches())
    return JournalSnapshot(
        progress=replace(progress, at=now),
        batches=batches,
        confirmed=tuple(journal.confirmed(batch.number) for batch in batches),
        commands=Commands(),
        outcomes=outcomes,  # type: ignore[arg-type]
        known_until=now,
        applied=tuple((at, batch, told.accepted) for at, batch, told in journal.applied),
    )
