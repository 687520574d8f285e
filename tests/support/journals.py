"""Databases with a rollout in them, and the small facts that a journal is fed with."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from building import make_plan
from plan_builders import make_inventory

from rollout.errors import DatabaseError
from rollout.store import Database, open_database
from rollout.values import (
    Applied,
    Batch,
    DecisionRow,
    IntArray,
    Inventory,
    Plan,
    Progress,
    ProgressPoint,
    State,
)

AT = 1_799_625_600
NOBODY: IntArray = np.empty(0, dtype=np.int32)


class Wall:
    """A wall clock that a test sets."""

    def __init__(self, at: float = AT) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def filled(url_or_path: str | Path) -> Database:
    """Give a database with an inventory of 100 devices, a plan of it, and run-1."""
    database = open_database(str(url_or_path))
    inventory = make_inventory(100)
    plan = plan_for(inventory)
    database.add_inventory(inventory)
    database.add_plan(plan, "inv-1", "[rollout]\n")
    database.start_rollout("plan-1", "embedded", 1, "max", AT)
    return database


@contextlib.contextmanager
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a plain connection, to do harm with."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        yield connection


def refused(place: str | Path, **options: bool) -> DatabaseError:
    """Open what must not be opened; give the error, of one line."""
    with pytest.raises(DatabaseError) as caught:
        open_database(str(place), **options)
    assert "\n" not in caught.value.message
    return caught.value


def plan_for(inventory: Inventory, name: str = "test") -> Plan:
    """Give a small plan that belongs to `inventory`."""
    return replace(make_plan(), name=name, inventory_digest=inventory.fleet.digest)


def progress(number: int, batches: int = 0, state: State = State.RUNNING) -> Progress:
    """Give the progress after decision `number`."""
    return Progress(
        at=AT + 60 * number,
        state=state,
        phase=1,
        active_s=60 * number,
        released=(20, number, 0),
        batches=batches,
        decisions=number + 1,
        reason=f"decision {number}: »ä« 'quoted'",
    )


def row(number: int, batch: Batch | None = None) -> DecisionRow:
    """Give the row of decision `number`."""
    return DecisionRow(
        number=number,
        at=AT + 60 * number,
        state=State.RUNNING,
        phase=1,
        batch=batch.number if batch else -1,
        count=len(batch) if batch else 0,
        released=number,
        totals=(number, 0, 0, 0, 0),
        verdict="go",
        reason=f"decision {number}",
    )


def point(number: int) -> ProgressPoint:
    """Give counts at decision `number`."""
    return ProgressPoint(AT + 60 * number, ((number, 1, 0, 0, 0), (0, number, 2, 0, 0)))


def rows_of(*numbers: int) -> IntArray:
    """Give fleet rows as an array."""
    return np.array(numbers, dtype=np.int32)


def batch(number: int, rows: Sequence[int] = (5, 3, 9, 1), adopted: Sequence[int] = (3,)) -> Batch:
    """Give a batch of some rows."""
    return Batch(number, 1, AT + number, rows_of(*rows), rows_of(*adopted))


def accepted(rows: IntArray) -> Applied:
    """Give the answer of a directory that takes everybody."""
    return Applied(rows, NOBODY, NOBODY)


def child(code: str, *args: str) -> subprocess.Popen[str]:
    """Start a Python process in which `code` runs; it says "ready" when it is where the test wants it."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
    )


def wait_for(process: subprocess.Popen[str], word: str, within_s: float = 60) -> None:
    """Wait until the process prints `word` on a line of its own."""
    assert process.stdout is not None
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        line = process.stdout.readline()
        if line.strip() == word:
            return
        if not line:
            break
    process.kill()
    raise AssertionError(f"never said {word!r}: {process.communicate()[1]}")
