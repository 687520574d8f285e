"""Real directories as `run` and `doctor` open them: settings, what the plan must match, who it was before."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rollout.api.file_names import expand_one
from rollout.api.scenarios import PlanWorld, policy_of
from rollout.errors import RefusedError, UsageError
from rollout.loop.undo import UndoDirectory

if TYPE_CHECKING:
    from rollout.directory.configmgr.directory import AdminServiceDirectory
    from rollout.directory.graph.directory import GraphDirectory
    from rollout.directory.http.pace import Time
    from rollout.loop.ports import Directory
    from rollout.store import Database, StoredPlan

    Real = AdminServiceDirectory | GraphDirectory

EMBEDDED = "embedded"
NAMES = (EMBEDDED, "adminservice", "graph")
IDENTITY = "identity"
"""Kind of the session row that keeps which site or tenant a rollout was begun in."""
DEFAULT_SETTINGS = Path("directory.toml")


def check_name(name: str) -> None:
    """Raise a `UsageError` for a directory that does not exist."""
    if name not in NAMES:
        raise UsageError(f"--directory: expected {', '.join(NAMES)}, found '{name}'")


def check_allowed(stored: StoredPlan, name: str, speed: str) -> None:
    """Raise unless this plan may be executed in the real directory `name`."""
    if speed not in ("1", ""):
        raise UsageError(f"--speed belongs to the embedded directory, found {speed} with {name}")
    if not stored.approved_by:
        raise RefusedError(
            f"{stored.id} (digest {stored.digest[:12]}) is not approved: a person must say yes before {name} is asked",
            f'rollout approve {stored.id} --by "Your Name"',
        )


@contextmanager
def opened(
    database: Database,
    setting: PlanWorld,
    name: str,
    settings: Path,
    rollout_id: str | None,
    clock: Time | None = None,
    *,
    only_look: bool = False,
) -> Iterator[Real]:
    """Open a real directory for a stored plan; nothing is sent before its `prepare`.

    clock : what it waits with; the machine's by default. only_look : nothing may be changed through it.
    Raise a `RefusedError` if the policy is for another cloud than the settings.
    """
    from rollout.directory.opening import open_directory
    from rollout.directory.settings import load_settings
    from rollout.workloads import WORKLOADS

    loaded = load_settings(expand_one(settings, "--settings"))
    policy = policy_of(setting.stored)
    if name == "graph" and loaded.graph is not None and loaded.graph.cloud != policy.cloud:
        raise RefusedError(
            f"the plan is for cloud '{policy.cloud}', {settings} says '{loaded.graph.cloud}'; nothing was sent",
            "make the policy's cloud and the settings' cloud the same",
        )
    staged = policy.action == "workload"
    directory = open_directory(
        name,
        loaded,
        setting.stored.plan,
        setting.fleet,
        identity=known_identity(database, rollout_id),
        workload_bit=WORKLOADS[policy.workload].bit if staged else 0,
        superset=policy.auto_enrollment if staged else "",
        clock=clock,
    )
    if only_look:
        directory.only_look()
    try:
        yield directory
    finally:
        directory.close()


def known_identity(database: Database, rollout_id: str | None) -> str:
    """Give the site or tenant that a rollout was begun in, "" before its first contact."""
    rows = database.reader(rollout_id).sessions() if rollout_id else ()
    return next((text for _, kind, text in rows if kind == IDENTITY), "")


def seen_as(setting: PlanWorld, directory: Real) -> Directory:
    """Give the directory as the loop meets it: the other way round for an undo."""
    plan = setting.stored.plan
    return UndoDirectory(plan, directory) if plan.is_undo else directory


def now() -> int:
    """Give the present second."""
    return int(time.time())
