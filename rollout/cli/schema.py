"""`rollout schema`: what the documents of `--json` look like, as JSON Schema."""

from __future__ import annotations

import difflib
from typing import Annotated

import typer

from rollout.cli.terminal import emit
from rollout.errors import UsageError


def schema(
    verb: Annotated[
        str | None, typer.Argument(metavar="[VERB]", help="Whose document; without it all, by verb.")
    ] = None,
) -> None:
    """Print the JSON Schema (draft 2020-12) of what a verb prints with --json, its errors with it.

    Times are UTC, durations hours, counts devices; each field says what it is.

    Example: rollout schema status
    """
    from rollout.documents import FORMS, schema_of

    if verb is None:
        emit({one: schema_of(one) for one in FORMS})
        return
    if verb not in FORMS:
        near = difflib.get_close_matches(verb, FORMS, n=1)
        hint = f"did you mean 'rollout schema {near[0]}'?" if near else f"verbs: {', '.join(FORMS)}"
        raise UsageError(f"schema: expected a verb with --json, found '{verb}'", hint)
    emit(schema_of(verb))
