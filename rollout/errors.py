"""Everything that can go wrong, each with the exit code that a script sees.

RolloutError (1)
├── UsageError (2)        a wrong argument, file or scenario
├── OutsideError (3)      the directory or the network cannot be reached
├── RefusedError (4)      preflight, digest or feasibility says no
├── TargetMissedError (5) a simulation misses its [targets]
├── HeldError (6)         held or paused: a person decides
├── LeaseError (7)        another executor holds the lease
├── HaltedError (8)       a gate said HALT
└── DatabaseError (9)     the journal's file cannot be used

A message says what was expected, what was found and where; ``hint`` says what to do.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of the command line."""

    DONE = 0
    USAGE = 2
    OUTSIDE = 3
    REFUSED = 4
    TARGET_MISSED = 5
    HELD = 6
    LEASE = 7
    HALTED = 8
    DATABASE = 9
    INTERRUPTED = 130
    PIPE_CLOSED = 141


def one_line(text: str) -> str:
    """Write the line breaks and control characters of a text as escapes: what is quoted may come from anywhere."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )


def cut(word: str, width: int = 60) -> str:
    """Shorten a key that somebody made up, so that it fits into a line."""
    return word if len(word) <= width else word[: width - 3] + "..."


def shown(value: object, width: int = 60) -> str:
    """Write a value that was found so that it fits into a line, however long or deep it is."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits; tables within tables
        return "something too large to show"
    return cut(text, width)


class RolloutError(Exception):
    """Base of all errors that a user sees as one line.

    Parameters
    ----------
    message : what was expected, what was found, where.
    hint : what to do about it; may be empty.
    """

    exit_code: int = 1

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = one_line(message)
        super().__init__(self.message)
        self.hint = hint


class UsageError(RolloutError):
    """A wrong argument, file or scenario."""

    exit_code = Exit.USAGE


class OutsideError(RolloutError):
    """The directory or the network cannot be reached.

    never_sent : of the rows of a `Directory.apply` or `withdraw` that failed, those that surely did not go out.
    wait_s : seconds after which it makes sense to try again, where that is known; 0 = unknown.
    """

    exit_code = Exit.OUTSIDE
    never_sent: Collection[int] = ()
    wait_s: float = 0.0


class RefusedError(RolloutError):
    """Preflight, digest or feasibility says no; nothing was sent."""

    exit_code = Exit.REFUSED


class TargetMissedError(RolloutError):
    """A simulation misses the scenario's targets."""

    exit_code = Exit.TARGET_MISSED


class HeldError(RolloutError):
    """The rollout is held or paused and waits for a person."""

    exit_code = Exit.HELD


class LeaseError(RolloutError):
    """Another executor holds the lease; this one changes nothing."""

    exit_code = Exit.LEASE


class HaltedError(RolloutError):
    """A gate said HALT."""

    exit_code = Exit.HALTED


class DatabaseError(RolloutError):
    """The journal's database cannot be used."""

    exit_code = Exit.DATABASE
