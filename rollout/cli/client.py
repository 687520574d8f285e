"""`rollout client`: one client's log as a story; the command that installs the client, checked."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rollout.api.file_names import expand_one
from rollout.cli.options import Json, Verbose
from rollout.cli.terminal import emit, say, table
from rollout.errors import RefusedError
from rollout.text import iso

if TYPE_CHECKING:
    from rollout.client import ClientCommand, Story, TraceLog


class What(StrEnum):
    """What of a client is looked at."""

    LOG = "log"
    COMMAND = "command"


def client(
    what: Annotated[What, typer.Argument(help="log: CoManagementHandler.log; command: CCMSETUPCMD=...")],
    text: Annotated[str, typer.Argument(metavar="FILE|TEXT", help="The log file, or the command.")],
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Tell one client's story from its log, or check the command that installs the client from Intune.

    Exit 4 if the command would not work.

    Example: rollout client log CoManagementHandler.log
    """
    if what is What.LOG:
        _log(expand_one(text, "FILE"), verbose, as_json=as_json)
    else:
        _command(text, as_json=as_json)


def _log(path: Path, verbose: int, *, as_json: bool) -> None:
    from rollout.client import read_log, tell

    log = read_log(path)
    story = tell(log.entries)
    if as_json:
        emit(_story_document(log, story))
        return
    rows = [
        [datetime.fromtimestamp(one.at, UTC).strftime("%d %b %Y %H:%M:%S"), one.kind.value, one.text]
        for one in (story.events if verbose else story.last)
    ]
    if rows:
        table(["UTC", "what", "the log says"], rows)
    for line in _sentences(story):
        say(line)
    if log.broken:
        say(f"{log.broken} lines could not be read")
    say(story.stand.value)
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
        from rollout.workloads import WORKLOADS, decode

        found = decode(str(story.flags), story.cap)
        out += flag_lines(found)
        titles = [WORKLOADS[name].title for name in found.at_intune]
        out.append(f"at Intune: {', '.join(titles) or 'no workload'}")
    return out


def _story_document(log: TraceLog, story: Story) -> dict[str, Any]:
    known = story.failure
    return {
        "encoding": log.encoding,
        "lines": len(log.entries),
        "broken": log.broken,
        "stand": story.stand.name.lower(),
        "sentence": story.stand.value,
        "next_action": story.next_action,
        "auto_enroll": story.auto_enroll,
        "timer": story.due or None,
        "tries": list(story.tries),
        "enrolled_at": iso(story.enrolled_at) if story.enrolled_at is not None else None,
        "flags": story.flags,
        "cap": story.cap,
        "code": known
        and {"code": known.hex, "name": known.name, "class": known.kind.value, "meaning": known.meaning},
        "events": [{"at": iso(one.at), "kind": one.kind.value, "text": one.text} for one in story.events],
    }


def _command(text: str, *, as_json: bool) -> None:
    from rollout.client import check_command

    checked = check_command(text)
    if as_json:
        emit(_command_document(checked))
        if not checked.usable:
            raise typer.Exit(4)
        return
    for problem in checked.problems:
        say(f"{'wrong' if problem.stops else 'look'}: {problem.sentence} {problem.next_action}")
    if not checked.usable:
        count = sum(one.stops for one in checked.problems)
        raise RefusedError(f"the command would not work: {count} problems", checked.problems[0].next_action)
    names = ", ".join(name for name, _ in (*checked.parameters, *checked.properties))
    say(f"the command is fine: {checked.length} of 1,024 characters; {names}")
    say(
        "next: Intune > Apps > Windows > Line-of-business app ccmsetup.msi with this command, or co-management settings"
    )


def _command_document(checked: ClientCommand) -> dict[str, Any]:
    return {
        "usable": checked.usable,
        "length": checked.length,
        "properties": dict(checked.properties),
        "parameters": dict(checked.parameters),
        "problems": [
            {"stops": one.stops, "sentence": one.sentence, "next_action": one.next_action}
            for one in checked.problems
        ],
    }
