"""What several verbs print: their document of `--json`, and that a command was recorded."""

from __future__ import annotations

from rollout.cli.terminal import emit, say
from rollout.documents.base import Document
from rollout.documents.executing import Command
from rollout.text import number


def emit_document(document: Document) -> None:
    """Print the JSON document of a verb."""
    emit(document.model_dump(mode="json", by_alias=True, exclude_unset=True))


def print_command(command: Command, *, as_json: bool) -> None:
    """Print that a command was recorded."""
    if as_json:
        emit_document(command)
        return
    devices = f" of {number(command.devices)} devices" if command.devices else ""
    say(
        f"rollout {command.rollout}: {command.command}{devices} is recorded, by {command.by}; "
        "it takes effect before the next chunk"
    )
