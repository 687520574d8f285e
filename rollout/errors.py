"""All errors, each with the exit code that a script sees.

RolloutError (1)
├── UsageError (2)        a wrong argument, file or scenario
├── OutsideError (3)      the directory or the network cannot be reached
├── RefusedError (4)      preflight, the digest or a feasibility check refuses
├── TargetMissedError (5) a simulation misses its [targets]
├── HeldError (6)         held, paused or waiting: not at its end, and nothing is released now
├── LeaseError (7)        another executor holds the lease
├── HaltedError (8)       a gate halted the rollout
├── DatabaseError (9)     the database cannot be used
└── LossesError (10)      the rollout is finished, and too many devices were lost on the way

A message says what is wrong and where; ``hint`` says what to do about it.
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
    LOSSES = 10
    INTERRUPTED = 130
    PIPE_CLOSED = 141


def one_line(text: str) -> str:
    """Return a text with line breaks and control characters escaped: quoted text may come from anywhere."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )


def cut(word: str, width: int = 60) -> str:
    """Shorten a key from outside so that it fits on a line."""
    return word if len(word) <= width else word[: width - 3] + "..."


def shown(value: object, width: int = 60) -> str:
    """Return a value as text that fits on a line, however long or deeply nested it is."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits; tables within tables
        return "something too large to show"
    return cut(text, width)


class RolloutError(Exception):
    """Base of all errors; a user sees each as one line.

    Parameters
    ----------
    message : what is wrong, and where.
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

    never_sent : rows of a failed `Directory.apply` or `withdraw` that were certainly not sent.
    wait_s : seconds after which it makes sense to try again; 0 if unknown.
    """

    exit_code = Exit.OUTSIDE
    never_sent: Collection[int] = ()
    wait_s: float = 0.0


class RefusedError(RolloutError):
    """Preflight, the digest or a feasibility check refuses; nothing was sent."""

    exit_code = Exit.REFUSED


class TargetMissedError(RolloutError):
    """A simulation misses the scenario's targets."""

    exit_code = Exit.TARGET_MISSED


class HeldError(RolloutError):
    """The rollout is held or paused until a person decides, or waits for answers."""

    exit_code = Exit.HELD


class LeaseError(RolloutError):
    """Another executor holds the lease; this executor changes nothing."""

    exit_code = Exit.LEASE


class HaltedError(RolloutError):
    """A gate halted the rollout."""

    exit_code = Exit.HALTED


class DatabaseError(RolloutError):
    """The database that holds the journal cannot be used."""

    exit_code = Exit.DATABASE


class LossesError(RolloutError):
    """The rollout is finished, and more of its devices are silent, failed or rejected than its policy accepts."""

    exit_code = Exit.LOSSES
