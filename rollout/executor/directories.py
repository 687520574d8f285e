"""The directories that `run`, `doctor` and `withdraw` open: the simulated one, and real ones by their name."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from rollout.api.file_names import expand_one
from rollout.api.scenarios import PlanWorld, policy_of
from rollout.directory.opening import open_directory
from rollout.directory.port import Opening, RealDirectory, SystemTime, Time
from rollout.directory.registry import BACKENDS
from rollout.directory.settings import load_settings
from rollout.errors import RefusedError, UsageError
from rollout.loop.decide import initial_progress
from rollout.loop.ports import Clock, Directory, MembershipLog
from rollout.loop.undo import UndoDirectory
from rollout.store import Database, StoredPlan
from rollout.store.journal.reader import ReplayedJournal
from rollout.values import HOUR_S, Plan
from rollout.workloads import WORKLOADS
from sim.clients.draws import traits_of
from sim.simulation import world_of
from sim.world.directory import Collection, SimClock

EMBEDDED = "embedded"
"""Name of the simulated directory."""
IDENTITY = "identity"
"""Kind of the session row that keeps the site or tenant in which a rollout started."""
INTERRUPTED = "interrupted"
"""Kind of the session row that says how far a session came before a signal ended it."""
DEFAULT_SETTINGS = Path("directory.toml")


def check_name(name: str) -> None:
    """Raise a `UsageError` for a directory that does not exist."""
    if name != EMBEDDED and name not in BACKENDS:
        raise UsageError(f"--directory: expected {', '.join((EMBEDDED, *BACKENDS))}, found '{name}'")


def check_allowed(stored: StoredPlan, name: str, speed: float | None) -> None:
    """Raise unless this plan may be executed in the real directory `name`. speed : None = max."""
    if speed != 1.0:
        raise UsageError(
            f"--speed is for the simulated directory only, found {speed_text(speed)} with {name}"
        )
    if not stored.approved_by:
        raise RefusedError(
            f"{stored.id} (digest {stored.digest[:12]}) is not approved: {name} is used only after a person approved",
            f'rollout approve {stored.id} --by "Your Name"',
        )


def speed_text(speed: float | None) -> str:
    """Write the speed of the simulated directory's clock as --speed takes it."""
    return "max" if speed is None else f"{speed:.10g}"


@contextmanager
def opened(
    database: Database,
    setting: PlanWorld,
    name: str,
    settings: Path,
    rollout_id: str | None,
    clock: Time | None = None,
    *,
    read_only: bool = False,
) -> Iterator[RealDirectory]:
    """Open a real directory for a stored plan; nothing is sent before its `prepare`.

    clock : what it waits with; the machine's by default. read_only : nothing may be changed through it.
    Raise a `RefusedError` if the policy does not fit the settings.
    """
    policy = policy_of(setting.stored)
    moves_workload = policy.action == "workload"
    opening = Opening(
        setting.stored.plan,
        setting.fleet,
        load_settings(expand_one(settings, "--settings")),
        identity=known_identity(database, rollout_id),
        cloud=policy.cloud,
        workload_bit=WORKLOADS[policy.workload].bit if moves_workload else 0,
        superset=policy.auto_enrollment if moves_workload else "",
        clock=clock or SystemTime(),
    )
    directory = open_directory(name, opening)
    try:
        if read_only:
            directory.set_read_only()
        yield directory
    finally:
        directory.close()


def known_identity(database: Database, rollout_id: str | None) -> str:
    """Return the site or tenant in which a rollout started, "" before its first contact."""
    rows = database.reader(rollout_id).sessions() if rollout_id else ()
    return next((text for _, kind, text in rows if kind == IDENTITY), "")


def for_plan(plan: Plan, directory: Directory) -> Directory:
    """Return the directory as the loop uses it: an undo takes out what `apply` would add."""
    return UndoDirectory(plan, directory) if plan.is_undo else directory


def simulated(
    setting: PlanWorld, seed: int, log: MembershipLog | None, speed: float | None = 1.0
) -> Directory:
    """Return the simulated directory of a plan; for an undo its full collection.

    At maximum speed it may skip an hour of observations that decide nothing; at a speed people may command
    between any two observations, so none is skipped.
    """
    plan = setting.stored.plan
    if plan.is_undo:
        members = np.concatenate([phase.order for phase in plan.phases])
        return UndoDirectory(plan, Collection(members, len(plan), log))
    traits = traits_of(setting.fleet, setting.model)
    skip_s = HOUR_S if speed is None else 0
    return world_of(plan, traits, setting.model, seed=seed, log=log, skip_s=skip_s)


def simulated_clock(start: int, speed: float | None, lived: int, sleep: Callable[[float], None]) -> Clock:
    """Return the clock of the simulated directory; up to `lived` (Unix seconds) its time passes at once."""
    return SimClock(start, speed, lived, sleep=sleep)


def lived_until(record: ReplayedJournal) -> int:
    """Return the last instant that a simulated directory is known to have reached, 0 before its first observation.

    Its time stands still while nobody executes it, and never runs backwards.
    """
    observed = (point.at for point in record.points()[-1:])
    ended = (at for at, kind, _ in record.sessions() if kind == INTERRUPTED)
    return max((*observed, *ended), default=0)


def simulated_now(plan: Plan, record: ReplayedJournal) -> int:
    """Return the instant at which a simulated directory continues: the last decision, or a later observation."""
    return max((record.progress() or initial_progress(plan)).at, lived_until(record))


def now() -> int:
    """Return the current second."""
    return int(time.time())
