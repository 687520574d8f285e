"""`rollout client`: explain one client's log, or check the command that installs the client."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from rollout.api.client import ClientLogResult, check_client_command, read_client_log
from rollout.cli.options import Json, Verbose
from rollout.cli.terminal import emit, say, table
from rollout.client import ClientCommand, Story
from rollout.errors import RefusedError
from rollout.text import iso
from rollout.workloads import WORKLOADS, decode


class What(StrEnum):
    """What to examine."""

    LOG = "log"
    COMMAND = "command"


def client(
    what: Annotated[What, typer.Argument(help="log: CoManagementHandler.log; command: CCMSETUPCMD=...")],
    text: Annotated[str, typer.Argument(metavar="FILE|TEXT", help="The log file, or the command.")],
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Explain a client's log, or check the command that installs the client from Intune.

    Exit 4 if the command would not work.

    Example: rollout client log CoManagementHandler.log
    """
    if what is What.LOG:
        result = read_client_log(text)
        if as_json:
            emit(result.document)
        else:
            _show_log(result, verbose)
        return
    checked = check_client_command(text)
    if not as_json:
        _show_command(checked.command)
        return
    emit(checked.document)
    if not checked.command.usable:
        raise typer.Exit(4)


def _show_log(result: ClientLogResult, verbose: int) -> None:
    story = result.story
    rows = [
        [datetime.fromtimestamp(event.at, UTC).strftime("%d %b %Y %H:%M:%S"), event.kind.value, event.text]
        for event in (story.events if verbose else story.last)
    ]
    if rows:
        table(["UTC", "what", "the log says"], rows)
    for line in _sentences(story):
        say(line)
    if result.log.broken:
        say(f"{result.log.broken} lines could not be read")
    say(story.stage.value)
    say(f"next: {story.next_action}")


def _sentences(story: Story) -> list[str]:
    out = []
    if story.auto_enroll is not None:
        out.append(f"policy: automatic enrollment {'on' if story.auto_enroll else 'off'} for this device")
    if story.due:
        out.append(f"timer: set to fire at {story.due} (its local time)")
    if story.tries[1]:
        out.append(f"tries: {story.tries[0]} of {story.tries[1]}")
    if story.failure is not None:
        known = story.failure
        out.append(
            f"last code: {known.hex} {known.name} ({known.kind.value}): {known.meaning}. {known.next_action}"
        )
    if story.enrolled_at is not None:
        out.append(f"enrolled: {iso(story.enrolled_at)}")
    if story.flags is not None:
        from rollout.api.workloads import flag_lines

        found = decode(str(story.flags), story.cap)
        out += flag_lines(found)
        titles = [WORKLOADS[name].title for name in found.at_intune]
        out.append(f"at Intune: {', '.join(titles) or 'no workload'}")
    return out


def _show_command(command: ClientCommand) -> None:
    for problem in command.problems:
        say(f"{'wrong' if problem.stops else 'check'}: {problem.sentence} {problem.next_action}")
    if not command.usable:
        count = sum(problem.stops for problem in command.problems)
        raise RefusedError(f"the command would not work: {count} problems", command.problems[0].next_action)
    names = ", ".join(name for name, _ in (*command.parameters, *command.properties))
    say(f"the command is fine: {command.length} of 1,024 characters; {names}")
    say(
        "next: Intune > Apps > Windows > Line-of-business app ccmsetup.msi with this command, or co-management settings"
    )
