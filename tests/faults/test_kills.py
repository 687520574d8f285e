"""Killed anywhere, once and again during recovery: the rollout ends as if nothing had happened."""

from __future__ import annotations

from typing import Any

import pytest

from faults.__main__ import command
from faults.case import Record, answers_of
from faults.cases import SCENARIOS
from faults.chances import Kills
from faults.invariants import complaints

CHECKPOINTS = {
    f"{when} {what}"
    for when in ("before", "after")
    for what in ("prepare", "restore", "observe", "look", "intend", "check", "apply", "confirm")
} | {"yield"}


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


def check(scenario: str, whole: tuple[Any, ...], *places: int) -> list[str]:
    """Kill at `places` and compare; give where it was killed."""
    chances = Kills(*places)
    record = SCENARIOS[scenario](chances).run()
    found = complaints(record)
    again = command(scenario, *places)
    assert found == [], f"{found}\n{again}"
    assert end_of(record) == whole, f"killed at {chances.killed_at}: another end\n{again}"
    return chances.killed_at


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_once_anywhere_it_ends_the_same(scenario: str) -> None:
    """Invariant 7: each checkpoint that a rollout passes is killed once; same members, same decision rows."""
    whole, points = untouched(scenario)
    killed = [at for place in range(len(points)) for at in check(scenario, whole, place)]
    assert killed == points
    print(f"\n{scenario}: {len(killed)} kills at {len(set(killed))} kinds of checkpoints")
    assert set(killed) >= CHECKPOINTS
    if scenario == "aborted":
        assert {"before cancel", "after cancel"} <= set(killed)


def pairs(scenario: str, firsts: int, most: int) -> int:
    """Kill at every `firsts`-th checkpoint, and each time again at up to `most` checkpoints of the recovery."""
    whole, points = untouched(scenario)
    cases = 0
    for first in range(0, len(points), firsts):
        for second in range(most):
            killed = check(scenario, whole, first, second)
            cases += 1
            if len(killed) < 2:
                break  # the recovery is over: nothing was left to be killed
    return cases


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_again_while_it_recovers_it_ends_the_same(scenario: str) -> None:
    """The same with a second kill in the first steps of the recovery, here from every twelfth checkpoint."""
    assert pairs(scenario, 12, 8) > 40


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_pair_of_checkpoints_ends_the_same(scenario: str) -> None:
    """Every checkpoint killed, and after each of them every checkpoint of what then remains."""
    cases = pairs(scenario, 1, 1 << 30)
    print(f"\n{scenario}: {cases} pairs of kills")
    assert cases > 1_000
