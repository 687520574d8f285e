"""Whoever writes the outcomes: devices that enroll once a line of members.csv has added them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from emulators.people import World

from rollout.values import Fleet, Outcome

FOLDER = Path("csv")
STATES = {Outcome.ENROLLED: "enrolled", Outcome.FAILED: "failed"}


class CsvFiles:
    """The folder as seen from outside: `advance` lets the devices live on until now."""

    def __init__(self, fleet: Fleet, world: World, now: Callable[[], int], folder: Path = FOLDER) -> None:
        self.folder, self._world, self._now = folder, world, now
        self._ids: list[str] = fleet.ids.tolist()
        self._row_of = {device: row for row, device in enumerate(self._ids)}
        self._read = 0
        self.only: int | None = None
        """How many lines of outcomes.csv are written; None = all."""
        folder.mkdir(exist_ok=True)
        (folder / "name.txt").write_text("north\n", encoding="utf-8")
        for name in ("members.csv", "outcomes.csv"):
            (folder / name).write_text("", encoding="utf-8")

    def writes(self) -> list[list[str]]:
        """Give all lines of members.csv."""
        return list(csv.reader((self.folder / "members.csv").read_text(encoding="utf-8").splitlines()))

    def members(self) -> list[int]:
        """Give the rows of the members, in order."""
        last = {self._row_of[device]: action for device, action, _ in self.writes()}
        return sorted(row for row, action in last.items() if action == "add")

    def add(self, rows: list[int]) -> None:
        """Add members that are not ours."""
        self._append(rows, "add")

    def remove(self, rows: list[int]) -> None:
        """Somebody else takes members out; what is on the devices stays."""
        self._append(rows, "remove")
        self._read = len(self.writes())

    def _append(self, rows: list[int], action: str) -> None:
        with (self.folder / "members.csv").open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows((self._ids[row], action, self._now()) for row in rows)

    def advance(self) -> None:
        """Take in the lines since the last call, and write the outcomes as of now."""
        lines = self.writes()
        for device, action, at in lines[self._read :]:
            if action == "add":
                self._world.enter(self._row_of[device], int(at))
            else:
                self._world.leave(self._row_of[device])
        self._read = len(lines)
        outcome, _, code = self._world.look(self._now())
        lines = [
            (self._ids[row], STATES[Outcome(state)], code[row])
            for row, state in enumerate(outcome.tolist())
            if state in STATES
        ]
        with (self.folder / "outcomes.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(lines[: self.only])
