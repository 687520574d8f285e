"""One client: the command that installs it from Intune, and the log in which it says how enrollment goes.

`command` checks the saved command line, `tracelog` reads CMTrace lines, `story` says what they mean.
"""

from rollout.client.command import LENGTH_MAX, ClientCommand, Problem, check_command
from rollout.client.story import Event, Kind, Story, tell
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
    "tell",
]
