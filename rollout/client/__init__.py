"""One client: the command that installs it from Intune, and the log of its enrollment.

`command` checks the command line, `tracelog` reads CMTrace lines, `story` interprets them.
"""

from rollout.client.command import LENGTH_MAX, ClientCommand, Problem, check_command
from rollout.client.story import Event, Kind, Story, read_story
from rollout.client.tracelog import Entry, TraceLog, parse_log, read_log

__all__ = [
    "LENGTH_MAX",
    "ClientCommand",
    "Entry",
    "Event",
    "Kind",
    "Problem",
    "Story",
    "TraceLog",
    "check_command",
    "parse_log",
    "read_log",
    "read_story",
]
