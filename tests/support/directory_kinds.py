"""The kinds of directories that the contract tests run over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from emulators.people import Engine
from opened import Setting, site, tenant

from rollout.loop.ports import Directory
from rollout.values import Plan
from sim.clients.draws import traits_like
from sim.model import Model
from sim.simulation import world_of

MODEL = Model.model_validate({"clients": {"window": "24h"}})


@dataclass
class Opened:
    """A directory under test. pass_(seconds) lets its world live on; gives the instant."""

    plan: Plan
    directory: Directory
    pass_: Callable[[int], int]
    setting: Setting | None = None


def embedded(plan: Plan, model: Model, seed: int = 1) -> Opened:
    world = world_of(plan, traits_like(len(plan), model), model, seed=seed)
    now = [plan.start]

    def pass_(seconds: int) -> int:
        now[0] += seconds
        return now[0]

    world.prepare(plan)
    return Opened(plan, world, pass_)


def emulated(make: Callable[..., Setting], plan: Plan, model: Model, seed: int = 1) -> Opened:
    def world(plan: Plan, _fleet: Any) -> Engine:
        return Engine(world_of(plan, traits_like(len(plan), model), model, seed=seed).engine, len(plan))

    it = make(len(plan), plan=plan, world=world)

    def pass_(seconds: int) -> int:
        it.now += seconds
        return it.now

    return Opened(plan, it.directory, pass_, it)


KINDS: dict[str, Callable[..., Opened]] = {
    "embedded": embedded,
    "adminservice": lambda *given: emulated(site, *given),
    "graph": lambda *given: emulated(tenant, *given),
}
