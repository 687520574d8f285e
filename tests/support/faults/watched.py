"""A journal as one session meets it: with checkpoints, a fence, and a database that may fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from faults.chances import Chances
from faults.outside import Door
from rollout.errors import DatabaseError
from rollout.loop.ports import Journal
from rollout.values import (
    Applied,
    Batch,
    Commands,
    DecisionRow,
    DeviceOutcomes,
    Facts,
    IntArray,
    LongArray,
    Observation,
    Plan,
    Progress,
    ProgressPoint,
    Quiet,
)


@dataclass(frozen=True)
class Hooks:
    """What a session is watched with.

    point : called at each checkpoint; may raise `Killed`. fence : raises `LeaseError` if the lease is another's.
    commands : what people ask for now. wrote : told of each write and whether the writer held the lease.
    """

    chances: Chances
    point: Callable[[str], None]
    fence: Callable[[], None]
    commands: Callable[[Commands], Commands]
    wrote: Callable[[str], None]


class WatchedJournal:
    """A `rollout.loop.ports.Journal` around another one."""

    def __init__(self, inner: Journal, hooks: Hooks, door: Door) -> None:
        self._inner, self._hooks, self._door = inner, hooks, door

    def progress(self) -> Progress | None:
        return self._inner.progress()

    def batches(self) -> Sequence[Batch]:
        return self._inner.batches()

    def confirmed(self, batch: int) -> int:
        return self._inner.confirmed(batch)

    def decisions(self) -> Sequence[DecisionRow]:
        return self._inner.decisions()

    def points(self) -> Sequence[ProgressPoint]:
        return self._inner.points()

    def facts(self) -> Sequence[Facts]:
        return self._inner.facts()

    def sent_at(self) -> int:
        return self._inner.sent_at()

    def learn(self, facts: Facts) -> None:
        self._write("facts", self._inner.learn, facts)

    def added(self) -> IntArray:
        return self._inner.added()

    def withdrawals(self) -> Sequence[tuple[int, Applied]]:
        return self._inner.withdrawals()

    def commands(self) -> Commands:
        self._hooks.fence()
        self._door.mark()
        return self._hooks.commands(self._inner.commands())

    def check(self) -> None:
        self._hooks.point("before check")
        self._hooks.fence()
        self._inner.check()
        self._hooks.point("after check")

    def intend(self, progress: Progress, row: DecisionRow, batch: Batch | None, point: ProgressPoint) -> None:
        self._write("intend", self._inner.intend, progress, row, batch, point)

    def observe(self, point: ProgressPoint) -> None:
        self._write("point", self._inner.observe, point)

    def confirm(self, batch: int, upto: int, applied: Applied, at: int) -> None:
        self._write("confirm", self._inner.confirm, batch, upto, applied, at)

    def confirm_withdrawal(self, applied: Applied, at: int) -> None:
        self._write("withdraw", self._inner.confirm_withdrawal, applied, at)

    def cancel(self, batch: int, at: int, reason: str) -> None:
        self._write("cancel", self._inner.cancel, batch, at, reason)

    def session(self, at: int, kind: str, text: str) -> None:
        self._write("session", self._inner.session, at, kind, text)

    def _write(self, name: str, write: Callable[..., None], *values: Any) -> None:
        self._hooks.point(f"before {name}")
        self._hooks.fence()
        trouble = self._hooks.chances.database(name)
        if trouble in ("locked", "full"):
            raise DatabaseError(f"the database is {trouble}")
        write(*values)
        self._hooks.wrote(name)
        if trouble:
            raise DatabaseError("the server closed the connection in the middle of a commit")
        self._hooks.point(f"after {name}")


class WatchedDirectory:
    """A `rollout.loop.ports.Directory` with checkpoints around what matters."""

    def __init__(self, door: Door, point: Callable[[str], None]) -> None:
        self._door, self._point = door, point

    def prepare(self, plan: Plan) -> None:
        self._around("prepare", self._door.prepare, plan)

    def restore(self, batches: Sequence[Batch]) -> None:
        self._around("restore", self._door.restore, batches)

    def recall(self, facts: Sequence[Facts]) -> None:
        self._around("recall", self._door.recall, facts)

    def answered_at(self) -> LongArray:
        return self._door.answered_at()

    def follow(self, batch: Batch) -> None:
        self._door.follow(batch)

    def members(self, rows: IntArray) -> IntArray:
        return self._around("look", self._door.members, rows)  # type: ignore[no-any-return]

    def apply(self, batch: int, rows: IntArray, at: int) -> Applied:
        return self._around("apply", self._door.apply, batch, rows, at)  # type: ignore[no-any-return]

    def withdraw(self, batch: int, rows: IntArray, at: int) -> Applied:
        return self._door.withdraw(batch, rows, at)

    def keep_counting(self, rows: IntArray) -> None:
        self._door.keep_counting(rows)

    def observe(self, at: int) -> Observation:
        return self._around("observe", self._door.observe, at)  # type: ignore[no-any-return]

    def quiet_until(self, again: int, quiet: Quiet) -> int:
        return again

    def outcomes(self) -> DeviceOutcomes:
        return self._door.outcomes()

    def _around(self, name: str, call: Callable[..., Any], *values: Any) -> Any:
        self._point(f"before {name}")
        answer = call(*values)
        self._point(f"after {name}")
        return answer
