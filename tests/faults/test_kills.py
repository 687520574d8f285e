"""Killed anywhere, once and again during recovery: the rollout ends as if nothing had happened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from faults.__main__ import command
from faults.case import Record
from faults.cases import SCENARIOS
from faults.chances import Kills
from faults.ends import end_of, untouched
from faults.invariants import complaints, signature
from faults.moments import Moment, Remembered

CHECKPOINTS = {
    f"{when} {what}"
    for when in ("before", "after")
    for what in ("prepare", "restore", "observe", "look", "intend", "check", "apply", "confirm")
} | {"yield"}


def check(scenario: str, whole: tuple[Any, ...], *places: int) -> list[str]:
    """Kill at `places` and compare; give where it was killed."""
    chances = Kills(*places)
    record = SCENARIOS[scenario](chances).run()
    check_end(record, whole, f"killed at {chances.killed_at}: {command(scenario, *places)}")
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


def pairs(scenario: str, firsts: int, most: int) -> Iterator[tuple[int, int, Record]]:
    """Kill at every `firsts`-th checkpoint, and each time again at up to `most` checkpoints of the recovery.

    Gives the places of both kills and the record, checked. What the two kills of a pair share with those of the
    next one is played once: the way to the first kill, and the recovery up to the second.
    """
    whole, points = untouched(scenario)
    for first in range(0, len(points), firsts):
        chances = Remembered(first)
        case = SCENARIOS[scenario](chances)
        while not chances.killed_at:
            case._one_session()
        moments: list[Moment] = []
        chances.remember = lambda point, case=case, into=moments: into.append(Moment(case, point))  # type: ignore[misc]
        check_end(case.run(), whole, command(scenario, first))
        chances.remember = None
        for second, moment in enumerate(moments[:most]):
            moment.return_to()
            record = case.run()
            check_end(
                record,
                whole,
                f"killed at {points[first]}, {moment.point}: {command(scenario, first, second)}",
            )
            yield first, second, record


def check_end(record: Record, whole: tuple[Any, ...], again: str) -> None:
    found = complaints(record)
    assert found == [], f"{found}\n{again}"
    assert end_of(record) == whole, f"another end\n{again}"


def test_a_moment_is_what_a_kill_leaves() -> None:
    """Going back to a moment and killing an executor there give the same calls, decisions, ends and members."""
    compared = 0
    for scenario in SCENARIOS:
        for first, second, record in pairs(scenario, 31, 1 << 30):
            if second % 9 == first % 9:
                killed = SCENARIOS[scenario](Kills(first, second)).run()
                assert signature(record) == signature(killed)
                compared += 1
    assert compared > 40


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_again_while_it_recovers_it_ends_the_same(scenario: str) -> None:
    """The same with a second kill in the first steps of the recovery, here from every twelfth checkpoint."""
    assert sum(1 for _ in pairs(scenario, 12, 8)) > 40


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_pair_of_checkpoints_ends_the_same(scenario: str) -> None:
    """Every checkpoint killed, and after each of them every checkpoint of what then remains."""
    cases = sum(1 for _ in pairs(scenario, 1, 1 << 30))
    print(f"\n{scenario}: {cases} pairs of kills")
    assert cases > 1_000
