"""`rollout schema`: print the JSON Schema of a command's --json output."""

from __future__ import annotations

import difflib
from typing import Annotated

import typer

from rollout.cli.terminal import emit
from rollout.documents.table import DOCUMENTS, schema_of
from rollout.errors import UsageError


def schema(
    verb: Annotated[
        str | None, typer.Argument(metavar="[VERB]", help="The command (default: all commands).")
    ] = None,
) -> None:
    """Print the JSON Schema of a command's --json output.

    It follows draft 2020-12 and includes errors. Times are UTC, durations are hours, counts are devices; each field
    has a description.

    Example: rollout schema status
    """
    if verb is None:
        emit({name: schema_of(name) for name in DOCUMENTS})
        return
    if verb not in DOCUMENTS:
        near = difflib.get_close_matches(verb, DOCUMENTS, n=1)
        hint = f"did you mean 'rollout schema {near[0]}'?" if near else f"commands: {', '.join(DOCUMENTS)}"
        raise UsageError(f"schema: expected a command with --json, found '{verb}'", hint)
    emit(schema_of(verb))
