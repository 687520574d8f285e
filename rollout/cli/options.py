"""Options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from rollout.arguments import require_plain
from rollout.errors import UsageError

Cluster = Annotated[
    str, typer.Option("--cluster", metavar="ADDRESS", help="Use a Dask scheduler, e.g. tcp://127.0.0.1:8786.")
]

Settings = Annotated[
    Path,
    typer.Option(
        "--settings",
        metavar="FILE",
        help="Settings of real directories: TOML with [directory.NAME] sections, no secrets.",
    ),
]

DEFAULT_DB = "rollout.db"

MAX_CLIENTS = 10_000_000
"""Devices of a generated fleet, as in [fleet]."""
MAX_RUNS = 100_000
MAX_SEED = 2**63 - 1
"""The largest number that the journal's database keeps."""

Db = Annotated[
    str,
    typer.Option(
        "--db", envvar="ROLLOUT_DB", metavar="FILE or URL", help="The journal's database.", show_default=True
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, everything else on stderr.")]
Verbose = Annotated[int, typer.Option("-v", count=True, help="Show more detail; -vv shows tracebacks.")]
Seed = Annotated[int, typer.Option("--seed", min=0, max=MAX_SEED, help="Seed of every random draw.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the files; created if missing.")]


MAX_WORKERS = 1024

Workers = Annotated[
    int | None, typer.Option("--workers", help="Number of processes (default: one per core).")
]


def worker_count(asked: int | None) -> int:
    """Return the number of worker processes: as asked, or one per core. Raise `UsageError` outside 1 to 1,024."""
    if asked is not None and not 1 <= asked <= MAX_WORKERS:
        least = "at least 1" if asked < 1 else f"at most {MAX_WORKERS:,}"
        raise UsageError(f"--workers: expected {least}, found {asked}")
    if asked is not None:
        return asked
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _plain(param: typer.CallbackParam, value: str) -> str:
    return require_plain(param.opts[0], value)


By = Annotated[
    str, typer.Option("--by", metavar="NAME", help="Your name; recorded in the journal.", callback=_plain)
]
Reason = Annotated[
    str,
    typer.Option("--reason", metavar="TEXT", help="The reason; recorded in the journal.", callback=_plain),
]
