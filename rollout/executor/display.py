"""How a session shows its progress, given by the caller: a command has a terminal, a script has none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rollout.text import visible


class Bar(Protocol):
    """A progress bar that is open."""

    def to(self, done: float, label: str = "") -> None:
        """Set how much is done."""
        ...


class OpenBar(Protocol):
    """Opens a progress bar for as long as its block runs."""

    def __call__(self, label: str, total: int, *, quiet: bool = False) -> AbstractContextManager[Bar]:
        """Return the bar. quiet : show nothing."""
        ...


class NoBar:
    """A bar that shows nothing; opens itself."""

    def to(self, done: float, label: str = "") -> None:
        """Show nothing."""

    @contextmanager
    def __call__(self, label: str, total: int, *, quiet: bool = False) -> Iterator[Bar]:
        """Return the bar itself."""
        yield self


def to_stderr(line: str) -> None:
    """Print a line on stderr, with control characters made visible."""
    sys.stderr.write(f"{visible(line)}\n")
