"""The kinds of directories that the contract tests run over."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from csv_directory.directory import open_csv
from csv_directory.outside import CsvFiles
from csv_directory.settings import CsvSettings
from emulators.people import Engine, make_fleet
from emulators.web import Fault, in_process
from opened import FACTORIES, Setting, network_of, site, tenant

from rollout.directory.port import Opening
from rollout.loop.ports import Directory
from rollout.values import Plan
from sim.clients.draws import traits_like
from sim.model import Model
from sim.simulation import world_of

MODEL = Model.model_validate({"clients": {"window": "24h"}})


@dataclass
class Opened:
    """A directory under test. pass_(seconds) lets its world live on; gives the instant.

    outside : None for the embedded directory, which nobody else can change. setting : of an emulated directory.
    """

    plan: Plan
    directory: Directory
    pass_: Callable[[int], int]
    outside: Outside | None = None
    setting: Setting | None = None


@dataclass(frozen=True)
class Outside:
    """What happens to a real directory. again : opens it for another session, not yet prepared.

    add, remove : somebody else adds members, or takes them out. cut : from now on nothing can be read.
    only : how many outcomes the directory shows from now on, with success; None = all of them again.
    """

    again: Callable[[], Any]
    add: Callable[[list[int]], None]
    cut: Callable[[], None]
    remove: Callable[[list[int]], None]
    only: Callable[[int | None], None]


def embedded(plan: Plan, model: Model, seed: int = 1) -> Opened:
    world = world_of(plan, traits_like(len(plan), model), model, seed=seed)
    now = [plan.start]

    def pass_(seconds: int) -> int:
        now[0] += seconds
        return now[0]

    world.prepare(plan)
    return Opened(plan, world, pass_)


def emulated(kind: str, plan: Plan, model: Model, seed: int = 1, **keys: Any) -> Opened:
    """A site or a tenant over its emulator. keys : of the settings."""

    def world(plan: Plan, _fleet: Any) -> Engine:
        return Engine(world_of(plan, traits_like(len(plan), model), model, seed=seed).engine, len(plan))

    make = {"adminservice": site, "graph": tenant}[kind]
    it = make(len(plan), plan=plan, world=world, **keys)

    def pass_(seconds: int) -> int:
        it.now += seconds
        return it.now

    def again() -> Any:
        opening = Opening(it.plan, it.fleet, {}, clock=it.time)
        return FACTORIES[kind](it.directory.settings, opening, network_of(in_process(it.emulator)))

    def cut() -> None:
        it.emulator.faults.append(Fault("Membership|Co[Mm]anagement|batch|members", times=10_000, drop=True))

    def only(shown: int | None) -> None:
        name = {"adminservice": "SMS_Client_ComanagementState", "graph": "managedDevices"}[kind]
        it.emulator.only = {} if shown is None else {name: shown}

    outside = Outside(again, it.emulator.add, cut, it.emulator.remove, only)
    return Opened(plan, it.directory, pass_, outside, it)


def csv_files(plan: Plan, model: Model, seed: int = 1) -> Opened:
    now = [plan.start]
    engine = world_of(plan, traits_like(len(plan), model), model, seed=seed).engine
    fleet, folder = make_fleet(len(plan)), Path(tempfile.mkdtemp())
    outside = CsvFiles(fleet, Engine(engine, len(plan)), lambda: now[0], folder)

    def pass_(seconds: int) -> int:
        now[0] += seconds
        outside.advance()
        return now[0]

    def again() -> Any:
        return open_csv(CsvSettings(folder=folder), Opening(plan, fleet, {}))

    def cut() -> None:
        (folder / "members.csv").write_text("?", encoding="utf-8")

    def only(shown: int | None) -> None:
        outside.only = shown

    directory = again()
    directory.prepare(plan)
    return Opened(plan, directory, pass_, Outside(again, outside.add, cut, outside.remove, only))


KINDS: dict[str, Callable[..., Opened]] = {
    "embedded": embedded,
    "adminservice": lambda *given: emulated("adminservice", *given),
    "graph": lambda *given: emulated("graph", *given),
    "csv": csv_files,
}
REAL = [kind for kind in KINDS if kind != "embedded"]
"""Those that are opened through the registry."""
