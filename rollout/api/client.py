"""One client: the history in its log, and the command that installs it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rollout.api.file_names import expand_one
from rollout.client import ClientCommand, Story, TraceLog, check_command, read_log, read_story
from rollout.documents import comanagement as documents
from rollout.text import iso


@dataclass(frozen=True, slots=True)
class ClientLogResult:
    """A client's log with its story."""

    log: TraceLog
    story: Story

    @property
    def document(self) -> documents.ClientLog:
        """What `rollout client log --json` prints."""
        story, failure = self.story, self.story.failure
        return documents.ClientLog.build(
            story,
            encoding=self.log.encoding,
            lines=len(self.log.entries),
            broken=self.log.broken,
            stand=story.stage.name.lower(),
            sentence=story.stage.value,
            timer=story.due or None,
            tries=story.tries,
            enrolled_at=iso(story.enrolled_at) if story.enrolled_at is not None else None,
            code=failure and documents.LogCode.build(failure, code=failure.hex),
            events=tuple(
                documents.LogEvent(at=iso(event.at), kind=event.kind.value, text=event.text)
                for event in story.events
            ),
        )


@dataclass(frozen=True, slots=True)
class ClientCommandResult:
    """An install command, checked."""

    command: ClientCommand

    @property
    def document(self) -> documents.ClientCommand:
        """What `rollout client command --json` prints."""
        return documents.ClientCommand.build(
            self.command,
            properties=dict(self.command.properties),
            parameters=dict(self.command.parameters),
            problems=tuple(documents.Problem.build(problem) for problem in self.command.problems),
        )


def read_client_log(name: str | Path) -> ClientLogResult:
    """Read a client's CoManagementHandler.log and interpret it. Raise `UsageError` if it is not such a log."""
    log = read_log(expand_one(name, "FILE"))
    return ClientLogResult(log, read_story(log.entries))


def check_client_command(text: str) -> ClientCommandResult:
    """Check the command that installs the client from Intune, such as CCMSETUPCMD="…"."""
    return ClientCommandResult(check_command(text))
