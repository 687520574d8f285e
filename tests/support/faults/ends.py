"""How a rollout under faults ends."""

from __future__ import annotations

from typing import Any

from faults.case import Record, answers_of
from faults.cases import SCENARIOS
from faults.chances import Kills
from faults.invariants import complaints


def end_of(record: Record) -> tuple[Any, ...]:
    """What must not depend on kills."""
    journal = record.journal
    ours = sorted(row for _, _, applied in answers_of(record) for row in applied.accepted.tolist())
    return (
        record.world.is_member.tolist(),
        record.world.by.tolist(),
        list(journal.decisions()),
        [
            (one.number, one.phase, one.at, one.rows.tolist(), one.adopted.tolist())
            for one in journal.batches()
        ],
        [journal.confirmed(one.number) for one in journal.batches()],
        ours,
    )


def untouched(scenario: str) -> tuple[tuple[Any, ...], list[str]]:
    """Give the end of a scenario without kills, and all checkpoints that it passes."""
    chances = Kills()
    record = SCENARIOS[scenario](chances).run()
    assert complaints(record) == []
    return end_of(record), chances.points
