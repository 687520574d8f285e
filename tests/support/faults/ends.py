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
            (batch.number, batch.phase, batch.at, batch.rows.tolist(), batch.adopted.tolist())
            for batch in journal.batches()
        ],
        [journal.confirmed(batch.number) for batch in journal.batches()],
        ours,
    )


def untouched(scenario: str) -> tuple[tuple[Any, ...], list[str]]:
    """Give the end of a scenario without kills, and all checkpoints that it passes."""
    chances = Kills()
    record = SCENARIOS[scenario](chances).run()
    assert complaints(record) == []
    return end_of(record), chances.points
