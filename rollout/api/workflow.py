"""The steps of the main path, each taking and storing values; the verbs and `demo` call these.

inventory → preflight → plan → simulate → run. Heavy packages are imported where they are used.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rollout.api.file_names import expand_one, is_pattern
from rollout.errors import UsageError
from rollout.values import Finding, Fleet, Inventory, Plan

if TYPE_CHECKING:
    from rollout.policy import Policy
    from rollout.store import Database, StoredPlan
    from sim.model import Model
    from sim.planning import Planned
    from sim.scenario import Scenario, Targets
    from sim.simulation import Forecast

MAX_WORKERS = 1024


def open_db(db: str, *, create: bool = False) -> Database:
    """Open the journal's database; with `create` it is made where there is none.

    Raise `UsageError` if there is none: who only looks leaves no empty file behind.
    """
    from rollout.store import open_database

    if not create and not has_db(db):
        raise UsageError(
            f"expected a rollout's database, found none at {db}: nothing was planned here yet",
            "begin with 'rollout inventory', go to the folder where you did, or name the file with --db",
        )
    return open_database(db)


def has_db(db: str) -> bool:
    """Whether there is a database: a file, or a server that tells when it is asked."""
    return "://" in db or Path(db).exists()


def read_scenario(path: Path | None, clients: int | None = None) -> Scenario:
    """Read a scenario file, None for the built-in default; `clients` overrides the fleet's size."""
    from sim.scenario import load_scenario

    scenario = load_scenario(None if path is None else expand_one(path, "scenario"))
    return scenario if clients is None else scenario.with_clients(clients)


def generate_inventory(scenario: Scenario, seed: int, taken: int) -> Inventory:
    """Make the scenario's fleet up."""
    from sim.fleet.population import generate

    return generate(scenario.fleet, seed, taken)


@dataclass(frozen=True, slots=True)
class Reading:
    """How exports are read. taken : Unix seconds at which they describe the fleet."""

    taken: int
    encoding: str | None = None
    allow_rejected: bool = False
    day_first: bool | None = None


def read_inventory(
    paths: Sequence[Path], reading: Reading, progress: Callable[[int], None] | None
) -> Inventory:
    """Read real exports; all or nothing unless `allow_rejected`."""
    from rollout.exports.reading import read_exports

    return read_exports(
        paths,
        taken=reading.taken,
        encoding=reading.encoding,
        allow_rejected=reading.allow_rejected,
        day_first=reading.day_first,
        progress=progress,
    )


def check_inventory(
    database: Database,
    inventory_id: str | None,
    *,
    stale_days: int | None = None,
    off: Mapping[str, str] | None = None,
) -> tuple[str, Inventory, tuple[Finding, ...]]:
    """Run preflight over a stored inventory, keep its findings, and give its id with them."""
    from rollout.preflight import STALE_DAYS, preflight

    known = database.inventory_id(inventory_id)
    inventory = database.inventory(known)
    findings = preflight(inventory, stale_days=STALE_DAYS if stale_days is None else stale_days, off=off)
    database.add_findings(known, findings)
    return known, inventory, findings


def plan_inventory(
    database: Database, scenario: Scenario, inventory_id: str | None, created: int | None = None
) -> tuple[str, Plan]:
    """Plan the stored inventory under the scenario's policy; give the plan's id with it."""
    from sim.planning import plan_inventory as planned

    known = database.inventory_id(inventory_id)
    moment = int(time.time()) if created is None else created
    made = planned(scenario, database.inventory(known), moment)
    return _keep(database, made, known, scenario), made.plan


def _keep(database: Database, made: Planned, inventory_id: str, scenario: Scenario) -> str:
    """Keep a plan with what was found on the way to it; give its id."""
    database.add_findings(inventory_id, made.findings)
    return database.add_plan(made.plan, inventory_id, scenario.text)


def plan_rest(
    database: Database, rollout: str, path: Path | None, inventory_id: str | None
) -> tuple[str, Plan]:
    """Plan the rest of a rollout anew, over the latest inventory, under its own policy or another one."""
    import numpy as np

    from rollout.planning.change import continue_plan
    from sim.scenario import DEFAULT_TEXT, parse_scenario

    known = database.rollout(rollout)
    stored = database.plan(known.plan_id)
    if path is not None:
        scenario = read_scenario(path)
    else:
        scenario = parse_scenario(stored.scenario or DEFAULT_TEXT, f"the scenario of {stored.id}")
    batches = database.reader(known.id).batches()
    released = np.concatenate([[], *(batch.rows for batch in batches)]).astype(np.int32)
    wish = scenario.policy.preflight
    latest, inventory, findings = check_inventory(
        database, inventory_id, stale_days=wish.stale_days, off=wish.off
    )
    plan = continue_plan(
        stored.plan,
        released,
        inventory,
        findings,
        scenario.policy,
        mature_after_s=stored.plan.mature_after_s,
        created=int(time.time()),
    )
    return database.add_plan(plan, latest, scenario.text), plan


def plan_undo(database: Database, rollout: str, *, in_windows: bool = False) -> tuple[str, Plan]:
    """Plan to take out of the collection what a rollout added; adopted members stay.

    in_windows : keep to the windows and freezes of the plan that is undone.
    """
    from rollout.api.staging import added_rows, check_undo
    from rollout.planning.change import undo_plan

    known = database.rollout(rollout)
    stored = database.plan(known.plan_id)
    ours = added_rows(database, known.id)
    if not len(ours):
        raise _nothing_to_undo(database, known.id)
    check_undo(database, stored.plan, ours)
    plan = undo_plan(stored.plan, ours, created=int(time.time()), in_windows=in_windows)
    return database.add_plan(plan, stored.inventory_id, stored.scenario), plan


def _nothing_to_undo(database: Database, rollout: str) -> UsageError:
    """Say why a rollout has nobody to take out."""
    reader = database.reader(rollout)
    if len(reader.added()):
        return UsageError(f"--undo: no device is left that {rollout} added; all of them were withdrawn")
    there = sum(len(applied.adopted) for _, _, applied in reader.applied())
    return UsageError(
        f"--undo: expected a rollout that added devices, found {rollout} that added none"
        + (f": its {there} devices were members before it" if there else ""),
        "members that others added stay: take them out in the console, if that is meant" if there else "",
    )


@dataclass(frozen=True, slots=True)
class World:
    """A stored plan with what the pretend world needs: its fleet and the scenario's assumptions."""

    stored: StoredPlan
    fleet: Fleet
    model: Model


def world_of_plan(database: Database, key: str | None, scenario: Scenario | None = None) -> World:
    """Give a stored plan with its fleet and model; `scenario` replaces the assumptions it was planned with."""
    from sim.scenario import DEFAULT_TEXT, parse_scenario

    stored = database.plan(key)
    told = scenario or parse_scenario(stored.scenario or DEFAULT_TEXT, f"the scenario of {stored.id}")
    return World(stored, database.inventory(stored.inventory_id).fleet, told.model)


def policy_of(stored: StoredPlan) -> Policy:
    """Give the policy that a stored plan was made under."""
    from sim.scenario import DEFAULT_TEXT, parse_scenario

    return parse_scenario(stored.scenario or DEFAULT_TEXT, f"the scenario of {stored.id}").policy


def simulate_plan(
    database: Database,
    world: World,
    *,
    seed: int,
    runs: int,
    workers: int,
    keep_decisions: bool = False,
    progress: Callable[[int], None] | None = None,
) -> tuple[str, Forecast]:
    """Simulate a stored plan and keep the forecast; give its id with it."""
    from rollout.api.stored_simulation import to_document
    from sim.simulation import simulate

    forecast = simulate(
        world.stored.plan,
        world.fleet,
        world.model,
        seed=seed,
        runs=runs,
        workers=workers,
        keep_decisions=keep_decisions,
        progress=progress,
    )
    return database.add_simulation(world.stored.id, to_document(forecast, world.model)), forecast


def workers_here(asked: int | None) -> int:
    """Give the number of worker processes: as asked, or one a core."""
    import os

    if asked is not None and not 1 <= asked <= MAX_WORKERS:
        least = "at least 1" if asked < 1 else f"at most {MAX_WORKERS:,}"
        raise UsageError(f"--workers: expected {least}, found {asked}")
    if asked is not None:
        return asked
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def plan_scenario(database: Database, scenario: Scenario) -> str:
    """Make the scenario's fleet up, store and plan it; give the plan's id."""
    from sim.planning import plan_scenario as planned

    made = planned(scenario)
    return _keep(database, made, database.add_inventory(made.inventory), scenario)


def targets_of(world: World, scenario: Scenario | None) -> Targets:
    """Give the [targets] of the scenario that a plan came from."""
    from sim.scenario import DEFAULT_TEXT, parse_scenario

    told = scenario or parse_scenario(world.stored.scenario or DEFAULT_TEXT, world.stored.id)
    return told.targets


def resolve_target(
    db: str, target: str | None, clients: int | None, note: Callable[[str], None]
) -> tuple[Database, Scenario | None, str | None]:
    """Give (database, scenario, plan key) of a target that is a TOML file, a plan id or a digest.

    note : prints a line that is no result.

    A scenario is planned here, on a fleet that is made up. None is the latest plan, or the default
    scenario where there is neither plan nor real inventory. Raise `RefusedError` if the latest real inventory
    has no plan: a made-up one does not stand in for it.
    """
    is_file = target is not None and (
        target.endswith(".toml") or is_pattern(target) or Path(target).is_file()
    )
    if target is not None and not is_file:
        return open_db(db), None, target
    if target is None and clients is None and has_db(db):
        database = open_db(db)
        if database.has_plans() or database.latest_real() is not None:
            return database, None, database.latest_plan()
    scenario = read_scenario(Path(target) if target else None, clients)
    database = open_db(db, create=True)
    real = database.latest_real()
    key = plan_scenario(database, scenario)
    if real is not None:
        note(f"{key} is for a made-up fleet: approve and run take it only by name, for {real} is real")
    return database, scenario, key
