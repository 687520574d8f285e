"""What a person sees: lines, tables and progress bars; and the one JSON document that a script sees.

Text is never markup here: no tag in brackets, no :emoji: name and no escape sequence in it is interpreted, since names,
reasons, file names and the answers of servers come from outside. A style is given separately, by `styled`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Protocol

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from rollout.text import json_text, number, visible


class Document(Protocol):
    """What `emit` needs of a document (`rollout.documents.base.Document`, which is slow to import)."""

    def model_dump(self, *, mode: str, by_alias: bool, exclude_unset: bool) -> dict[str, Any]:
        """Return the document as a dict."""
        ...


@cache
def out() -> Console:
    """The console for results (stdout). Not a terminal: plain text, never cut at 80 columns."""
    if sys.stdout.isatty():
        return Console(markup=False, emoji=False, highlight=False)
    return Console(markup=False, emoji=False, highlight=False, width=160, no_color=True)


@cache
def err() -> Console:
    """The console for everything else (stderr)."""
    return Console(stderr=True, markup=False, emoji=False, highlight=False)


def say(text: str = "", *, as_json: bool = False) -> None:
    """Print a line of the result; with --json it goes to stderr, which keeps stdout one document."""
    (err() if as_json else out()).print(styled(text), soft_wrap=True)


def say_lines(text: str) -> None:
    """Print several lines of a result that we broke ourselves; see `say`."""
    for line in text.rstrip("\n").split("\n"):
        say(line)


def note(text: str) -> None:
    """Print a line that is not a result."""
    err().print(styled(text), soft_wrap=True)


def styled(text: str, style: str = "") -> Text:
    """Return a text unchanged, in one line and in a style; what could control a terminal is made visible."""
    return Text(visible(text), style=style)


_is_emitted = False
"""Whether this command has printed its document."""


def begin() -> None:
    """Note that a command begins: it has printed no document yet."""
    global _is_emitted
    _is_emitted = False


def emit(document: Document | dict[str, Any]) -> None:
    """Print the JSON document of a command: sorted keys, so that equal results are equal bytes.

    Keys of a document that are not set are left out.
    """
    global _is_emitted
    values = (
        document
        if isinstance(document, dict)
        else document.model_dump(mode="json", by_alias=True, exclude_unset=True)
    )
    sys.stdout.write(json_text(values, indent=2, sort_keys=True, allow_nan=False) + "\n")
    sys.stdout.flush()
    _is_emitted = True


def fail(message: str, hint: str, code: int, *, as_json: bool) -> None:
    """Print an error: one line, and the hint on a second line.

    With --json it is the document, unless the command has printed its own already (a run that was held, a missed
    target): two documents on stdout would be invalid.
    """
    if as_json and not _is_emitted:
        emit({"error": {"code": code, "message": message, "hint": hint}})
        return
    sys.stderr.write(f"rollout: {visible(message)}\n")
    if hint:
        sys.stderr.write(f"  {visible(hint)}\n")


def table(head: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "") -> None:
    """Print a table with right-aligned numbers."""
    heading = styled(title, "bold") if title else None
    drawn = Table(title=heading, box=SIMPLE_HEAD, title_justify="left", pad_edge=False, title_style="bold")
    for index, name in enumerate(head):
        numeric = bool(rows) and all(isinstance(row[index], (int, float)) for row in rows)
        drawn.add_column(styled(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        add_row(drawn, *(number(cell) if isinstance(cell, (int, float)) else str(cell) for cell in row))
    out().print(drawn)


def add_row(table: Table, *cells: str) -> None:
    """Add a row of texts to a table."""
    table.add_row(*(styled(cell) for cell in cells))


@contextmanager
def bar(label: str, total: int, *, quiet: bool = False) -> Iterator[_Bar]:
    """Show a progress bar with ETA on stderr while the block runs; nothing if stderr is not a terminal."""
    if quiet or not sys.stderr.isatty():
        yield _Bar(None)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err(), transient=True) as progress:
        progress.add_task(visible(label), total=total or None)
        yield _Bar(progress)


class _Bar:
    """A handle that moves the bar, or does nothing where there is none."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress

    def to(self, done: float, label: str = "") -> None:
        """Set how much is done."""
        if self._progress is not None:
            task = self._progress.tasks[0]
            self._progress.update(task.id, completed=done, description=visible(label) or task.description)
