"""Builders for tests of real directories: a small plan, settings, an emulator, and the directory over it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from building import MONDAY, make_plan
from emulators.adminservice import TARGET, AdminService
from emulators.graph import GROUP, TENANT, TOKEN, Graph
from emulators.people import Prompt, World, make_fleet
from emulators.web import FakeTime, in_process

from rollout.directory.configmgr.opening import open_site
from rollout.directory.configmgr.settings import AdminServiceSettings
from rollout.directory.graph.opening import open_tenant
from rollout.directory.graph.settings import GraphSettings
from rollout.directory.http.network import Network
from rollout.directory.port import Opening
from rollout.values import Fleet, Plan

SITE_URL = "http://127.0.0.1:1"
ROOT = "http://127.0.0.1:1/v1.0"


class Token:
    """A credential that gives the emulator's token, or the next of those it is given."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens) or [TOKEN]
        self.calls = 0
        self.claims: list[Any] = []

    def get_token(self, *_scopes: str, **options: Any) -> Any:
        self.claims.append(options.get("claims"))
        token = self.tokens[min(self.calls, len(self.tokens) - 1)]
        self.calls += 1
        return SimpleNamespace(token=token, expires_on=1 << 40)


def network_of(layer: Any, token: Token | None = None) -> Network:
    """Give what replaces the network: an emulator, a token, and no chance."""
    return Network(token or Token(), layer, lambda: 0.5)


FACTORIES: dict[str, Callable[..., Any]] = {"adminservice": open_site, "graph": open_tenant}


@dataclass
class Setting:
    """What a test needs: move `now` and the devices live on."""

    plan: Plan
    fleet: Fleet
    time: FakeTime
    emulator: Any
    directory: Any
    now: int = MONDAY


def fleet_plan(n: int = 40, **changes: Any) -> tuple[Fleet, Plan]:
    fleet = make_fleet(n)
    sizes = changes.pop("sizes", (n // 4, n - n // 4, 0))
    plan = replace(make_plan(sizes=sizes, **changes), ids=fleet.ids)
    return fleet, plan


def site(
    n: int = 40,
    *,
    plan: Plan | None = None,
    world: Callable[[Plan, Fleet], World] | None = None,
    evaluation_s: float = 0,
    page_max: int = 10_000,
    chunk: int = 10,
    identity: str = "",
    bare: bool = False,
    clock: FakeTime | None = None,
    **keys: Any,
) -> Setting:
    """A site with its directory, prepared unless `bare`. keys : of the settings."""
    fleet, made = fleet_plan(n, chunk=chunk)
    made = plan or made
    it = Setting(made, fleet, clock or FakeTime(), None, None)
    it.emulator = AdminService(
        fleet, world(made, fleet) if world else Prompt(n), lambda: it.now, evaluation_s, page_max
    )
    known = {
        "hosts": (SITE_URL,),
        "auth": "none",
        "site_code": "P01",
        "collection": TARGET,
        "in_flight": 1,
    } | keys
    opening = Opening(made, fleet, {}, identity=identity, clock=it.time)
    it.directory = open_site(AdminServiceSettings(**known), opening, network_of(in_process(it.emulator)))
    if not bare:
        it.directory.prepare(made)
        it.emulator.asked.clear()
    return it


def tenant(
    n: int = 40,
    *,
    plan: Plan | None = None,
    world: Callable[[Plan, Fleet], World] | None = None,
    page: int = 999,
    chunk: int = 10,
    identity: str = "",
    bare: bool = False,
    token: Token | None = None,
    clock: FakeTime | None = None,
    call_s: float = 0,
    **keys: Any,
) -> Setting:
    """A tenant with its directory, prepared unless `bare`. call_s : what each call takes. keys : of the settings."""
    fleet, made = fleet_plan(n, chunk=chunk)
    made = plan or made
    it = Setting(made, fleet, clock or FakeTime(), None, None)
    it.emulator = Graph(fleet, world(made, fleet) if world else Prompt(n), lambda: it.now, page)
    known = {
        "tenant_id": TENANT,
        "root": ROOT,
        "group": GROUP,
        "confirmed_pilot_by": "Kim",
        "in_flight": 1,
    } | keys
    opening = Opening(made, fleet, {}, identity=identity, clock=it.time)
    layer = in_process(it.emulator, lambda: it.time.sleep(call_s) if call_s else None)
    it.directory = open_tenant(GraphSettings(**known), opening, network_of(layer, token))
    if not bare:
        it.directory.prepare(made)
        it.emulator.asked.clear()
    return it


def rows(*numbers: int) -> Any:
    return np.array(numbers, dtype=np.int32)
