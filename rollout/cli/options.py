"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rollout.errors import UsageError
from rollout.plain import ALLOWED, is_plain

DEFAULT_DB = "rollout.db"

Db = Annotated[
    str,
    typer.Option(
        "--db", envvar="ROLLOUT_DB", metavar="FILE or URL", help="The journal's database.", show_default=True
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, everything else on stderr.")]
Verbose = Annotated[int, typer.Option("-v", count=True, help="Show more detail; -vv shows tracebacks.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of every random draw.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the files; made if missing.")]


def plain(option: str, text: str) -> str:
    """Give a text that is kept. Raise `UsageError` if it would steer a terminal or show itself in another order."""
    if not is_plain(text):
        raise UsageError(f"{option}: expected {ALLOWED}, found {text[:60]!r}", "write it in one plain line")
    return text


def _plain(param: typer.CallbackParam, value: str) -> str:
    return plain(param.opts[0], value)


By = Annotated[
    str, typer.Option("--by", metavar="NAME", help="Who says so; kept in the journal.", callback=_plain)
]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the journal.", callback=_plain)
]
