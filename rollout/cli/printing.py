"""Output of the commands that change a rollout."""

from __future__ import annotations

from rollout.cli.terminal import emit, say
from rollout.documents.executing import Command
from rollout.text import number


def print_command(command: Command, *, as_json: bool) -> None:
    """Print that a command was recorded."""
    if as_json:
        emit(command)
        return
    devices = f" of {number(command.devices)} devices" if command.devices else ""
    say(
        f"rollout {command.rollout}: {command.command}{devices} is recorded, by {command.by}; "
        "it takes effect before the next chunk"
    )
