"""Real directories as `run`, `doctor` and `withdraw` open them: settings, and what the plan must match."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rollout.api import workflow
from rollout.api.file_names import expand_one
from rollout.directory.registry import BACKENDS
from rollout.errors import RefusedError, UsageError
from rollout.loop.ports import Directory
from rollout.loop.undo import UndoDirectory
from rollout.values import Plan

if TYPE_CHECKING:
    from rollout.directory.port import RealDirectory, Time
    from rollout.store import Database, StoredPlan

EMBEDDED = "embedded"
"""Name of the simulated directory."""
IDENTITY = "identity"
"""Kind of the session row that keeps the site or tenant in which a rollout started."""
DEFAULT_SETTINGS = Path("directory.toml")


def check_name(name: str) -> None:
    """Raise a `UsageError` for a directory that does not exist."""
    if name != EMBEDDED and name not in BACKENDS:
        raise UsageError(f"--directory: expected {', '.join((EMBEDDED, *BACKENDS))}, found '{name}'")


def check_allowed(stored: StoredPlan, name: str, speed: str) -> None:
    """Raise unless this plan may be executed in the real directory `name`."""
    if speed not in ("1", ""):
        raise UsageError(f"--speed is for the simulated directory only, found {speed} with {name}")
    if not stored.approved_by:
        raise RefusedError(
            f"{stored.id} (digest {stored.digest[:12]}) is not approved: {name} is used only after a person approved",
            f'rollout approve {stored.id} --by "Your Name"',
        )


@contextmanager
def opened(
    database: Database,
    setting: workflow.World,
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
    from rollout.directory.opening import open_directory
    from rollout.directory.port import Opening, SystemTime
    from rollout.directory.settings import load_settings
    from rollout.workloads import WORKLOADS

    policy = workflow.policy_of(setting.stored)
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
    """Give the site or tenant in which a rollout started, "" before its first contact."""
    rows = database.reader(rollout_id).sessions() if rollout_id else ()
    return next((text for _, kind, text in rows if kind == IDENTITY), "")


def for_plan(plan: Plan, directory: Directory) -> Directory:
    """Give the directory as the loop uses it: an undo takes out what `apply` would add."""
    return UndoDirectory(plan, directory) if plan.is_undo else directory


def now() -> int:
    """Give the present second."""
    return int(time.time())
