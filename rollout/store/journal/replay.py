"""Replay the journal: fold its rows, each checked against its seal, into the state of the rollout.

State is never stored, only rows are; so a restarted executor finds the same state as any reader.
"""

from __future__ import annotations

import dataclasses
from bisect import insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from rollout.errors import DatabaseError, RefusedError
from rollout.store.connection.database_errors import readable
from rollout.store.journal.entries import Kept, applied_of, decision_of, facts_of, point_of, seal_of
from rollout.values import (
    Applied,
    Batch,
    Commands,
    DecisionRow,
    Fact,
    Facts,
    GateApproval,
    Progress,
    ProgressPoint,
    value_of,
)

COMMANDS = ("pause", "resume", "abort", "exclude", "withdraw", "approve-gate")

Audit = tuple[int, str, str, str]
"""Unix seconds, who, what, why."""


@dataclass(slots=True, eq=False)
class Replay:
    """The state after row `number`. name : the rollout's name in messages. seal : the seal of the last row."""

    name: str
    seal: str
    number: int = 0
    progress: Progress | None = None
    batches: list[Batch] = field(default_factory=list)
    confirmed: list[int] = field(default_factory=list)
    commands: Commands = field(default_factory=Commands)
    decisions: list[DecisionRow] = field(default_factory=list)
    points: list[ProgressPoint] = field(default_factory=list)
    sessions: list[tuple[int, str, str]] = field(default_factory=list)
    applied: list[tuple[int, int, Applied]] = field(default_factory=list)
    facts: list[Facts] = field(default_factory=list)
    sent_at: int = -1
    withdrawals: list[tuple[int, Applied]] = field(default_factory=list)
    audit: list[Audit] = field(default_factory=list)
    holder: str = ""

    def take(self, rows: Iterable[Kept]) -> None:
        """Replay further rows, in order. Raise `DatabaseError` at the first that breaks the chain.

        If that is row 1, raise `RefusedError`: its seal binds the facts that the rollout was started with.
        """
        for row in rows:
            sentence = self.misfit(row)
            if sentence and row.number == 1:
                raise RefusedError(
                    f"{self.name} was changed after it started: its plan, directory, seed, speed or start time, "
                    "or the first row of its journal; nothing was sent",
                    "restore a backup of the database and check it with 'rollout doctor'",
                )
            if sentence:
                raise DatabaseError(
                    f"journal of {self.name}, row {row.number}: {sentence}",
                    "nothing was sent; restore a backup of the database and check it with 'rollout doctor'",
                )
            with readable(f"journal of {self.name}, row {row.number},"):
                _FOLD[row.kind](self, row)
            self.number, self.seal = row.number, row.seal

    def misfit(self, row: Kept) -> str:
        """Return why `row` cannot be the next row, "" if it can."""
        if row.number != self.number + 1:
            return f"expected row {self.number + 1}, found {row.number}"
        try:
            seal = seal_of(self.seal, row)
        except (TypeError, ValueError) as error:
            return f"it cannot be read ({error})"
        if seal != row.seal:
            return "it was changed after it was written: its seal does not match"
        return "" if row.kind in _FOLD else f"its kind '{row.kind}' is unknown"


def _decision(replay: Replay, row: Kept) -> None:
    decision, progress, point, batch = decision_of(row)
    if batch is not None:
        if batch.number != len(replay.batches):
            raise ValueError(f"expected batch {len(replay.batches)}, found {batch.number}")
        replay.batches.append(batch)
        replay.confirmed.append(0)
    replay.progress = progress
    replay.decisions.append(decision)
    _keep(replay, point)
    what = f"released {decision.count}" if decision.count else f"decided: {decision.state.value}"
    replay.audit.append((row.at, replay.holder, what, decision.reason))


def _point(replay: Replay, row: Kept) -> None:
    _keep(replay, point_of(row))


def _keep(replay: Replay, point: ProgressPoint) -> None:
    """Insert counts in order of time: in earlier versions a resumed simulated directory repeated some of it."""
    insort(replay.points, point, key=lambda point: point.at)


def _facts(replay: Replay, row: Kept) -> None:
    facts = facts_of(row)
    replay.facts.append(facts)
    for fact, words in _TOLD.items():
        count = int(np.count_nonzero(facts.facts == fact))
        if count:
            replay.audit.append((row.at, "directory", f"{count} {words}", ""))


_TOLD = {
    Fact.UNENROLLED: "enrolled no more",
    Fact.GONE: "gone from the directory",
    Fact.LEFT: "left the limiting collection",
    Fact.REMOVED: "taken out of the collection by somebody else",
    Fact.RETURNED: "in the collection again",
}


def _confirm(replay: Replay, row: Kept) -> None:
    applied = applied_of(row)
    replay.confirmed[row.batch] = max(replay.confirmed[row.batch], row.content["upto"])
    replay.applied.append((row.at, row.batch, applied))
    replay.sent_at = max(replay.sent_at, row.at)
    if len(applied.rejected):
        text = "; ".join(sorted(set(applied.reasons)))
        what = f"{len(applied.rejected)} of batch {row.batch + 1} rejected"
        replay.audit.append((row.at, "directory", what, text))


def _withdraw(replay: Replay, row: Kept) -> None:
    applied = applied_of(row)
    replay.withdrawals.append((row.at, applied))
    parts = [
        f"{len(applied.accepted)} removed",
        *([f"{len(applied.adopted)} already removed"] if len(applied.adopted) else []),
        *([f"{len(applied.rejected)} refused"] if len(applied.rejected) else []),
    ]
    text = "; ".join(sorted(set(applied.reasons)))
    replay.audit.append((row.at, replay.holder, "withdrawal: " + ", ".join(parts), text))


def _cancel(replay: Replay, row: Kept) -> None:
    sent, whole = replay.confirmed[row.batch], len(replay.batches[row.batch])
    reason = row.content["reason"]
    replay.confirmed[row.batch] = whole
    replay.sessions.append((row.at, "cancelled", f"batch {row.batch + 1}: {reason}"))
    what = f"cancelled {whole - sent} of batch {row.batch + 1}"
    replay.audit.append((row.at, replay.holder, what, reason))


def _session(replay: Replay, row: Kept) -> None:
    kind, text = row.content["kind"], row.content["text"]
    replay.sessions.append((row.at, kind, text))
    replay.audit.append((row.at, replay.holder, kind, text))


def _lease(replay: Replay, row: Kept) -> None:
    content = row.content
    replay.holder = content["holder"] if content["what"] == "lease taken" else ""
    replay.audit.append((row.at, content["holder"], content["what"], content["why"]))


def _command(replay: Replay, row: Kept) -> None:
    command = row.content
    kind, by, reason, rows = (command[key] for key in ("kind", "by", "reason", "rows"))
    answer = value_of(GateApproval, command["answer"]) if command.get("answer") else None
    replay.commands = with_command(replay.commands, kind, by, reason, tuple(rows), answer)
    devices = f" {len(rows)} devices" if rows else ""
    approved = f" of '{answer.hold.stratum or answer.hold.rule}'" if answer is not None else ""
    replay.audit.append((row.at, by, kind + devices + approved, reason))


_FOLD: dict[str, Callable[[Replay, Kept], None]] = {
    "decision": _decision,
    "point": _point,
    "facts": _facts,
    "confirm": _confirm,
    "withdraw": _withdraw,
    "cancel": _cancel,
    "session": _session,
    "lease": _lease,
    "command": _command,
}


def with_command(
    before: Commands, kind: str, by: str, reason: str, rows: tuple[int, ...], answer: GateApproval | None
) -> Commands:
    """Return what people request after another command. An abort is final.

    answer : what an approval of a gate answers; one without it, as earlier versions wrote it, answers nothing.
    """
    if kind == "exclude":
        return dataclasses.replace(before, excluded=tuple(sorted({*before.excluded, *rows})))
    if kind == "withdraw":
        return dataclasses.replace(before, withdrawn=tuple(sorted({*before.withdrawn, *rows})))
    if kind == "approve-gate":
        return (
            before if answer is None else dataclasses.replace(before, approvals=(*before.approvals, answer))
        )
    if before.aborted:
        return before
    paused, aborted = kind == "pause", kind == "abort"
    return dataclasses.replace(before, paused=paused, aborted=aborted, reason=reason, by=by)
