"""The directory: members.csv has a line (device id, add or remove, Unix seconds) per change, outcomes.csv a line
(device id, enrolled or failed, HRESULT) per device with an outcome.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from csv_directory.settings import CsvSettings
from rollout.directory.outcome_counts import OutcomeCounts, Reading
from rollout.directory.port import Check, Opening, RealDirectory
from rollout.directory.short_lists import ShortListError, is_short
from rollout.errors import OutsideError, RefusedError
from rollout.values import (
    Applied,
    Batch,
    BoolArray,
    DeviceOutcomes,
    Fact,
    Facts,
    IntArray,
    LongArray,
    Observation,
    Plan,
    Quiet,
)

NO_ROWS: IntArray = np.empty(0, dtype=np.int32)


def open_csv(settings: CsvSettings, opening: Opening) -> RealDirectory:
    """Open the folder; nothing is read yet."""
    return CsvDirectory(settings.folder, opening)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of members.csv."""

    device: str
    action: str

    def document(self) -> dict[str, object]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.action} {self.device}"


class CsvDirectory:
    """A `RealDirectory` over CSV files."""

    def __init__(self, folder: Path, opening: Opening) -> None:
        self.notes: list[str] = []
        self._folder, self._opening, self._plan = folder, opening, opening.plan
        self._row_of = {device: row for row, device in enumerate(opening.fleet.ids.tolist())}
        self._counts = OutcomeCounts(opening.plan)
        self._is_read_only = False

    def prepare(self, plan: Plan) -> None:
        if plan.digest != self._plan.digest or plan.ids.tolist() != list(self._row_of):
            raise RefusedError("the plan and the fleet differ")
        if self._opening.identity not in ("", self.identity()):
            raise RefusedError(f"expected folder {self._opening.identity}, found {self.identity()}")
        self.notes.append(f"{int(self._inside().sum())} devices are members")

    def restore(self, batches: Sequence[Batch]) -> None:
        self._counts.restore(batches)

    def recall(self, facts: Sequence[Facts]) -> None:
        self._counts.recall(facts)

    def follow(self, batch: Batch) -> None:
        self._counts.enter(batch.rows, batch.number, batch.at)

    def members(self, rows: IntArray) -> IntArray:
        return rows[self._inside()[rows]]

    def apply(self, batch: int, rows: IntArray, at: int) -> Applied:
        self._counts.enter(rows, batch, at)
        return self._change(rows, "add", at)

    def withdraw(self, batch: int, rows: IntArray, at: int) -> Applied:
        return self._change(rows, "remove", at)

    def keep_counting(self, rows: IntArray) -> None:
        self._counts.withdrawn[rows] = True

    def observe(self, at: int) -> Observation:
        enrolled, failed = (np.zeros(len(self._plan), dtype=np.bool_) for _ in range(2))
        code = np.zeros(len(self._plan), dtype=np.int64)
        for device, state, number in self._lines("outcomes.csv"):
            row = self._row_of[device]
            enrolled[row], failed[row], code[row] = state == "enrolled", state == "failed", int(number)
        inside, before = self._inside(), self._counts.enrolled
        missing, known = before & ~enrolled & ~failed, int(before.sum())
        if is_short(int(missing.sum()), known):
            why = ShortListError("outcomes.csv", int(missing.sum()), known, "enrolled", self._counts.good_at)
            return self._counts.blind(at, why.sentence)
        # Only somebody else's line takes a device out: there is no other way out of a file.
        out = np.where(self._counts.members & ~inside, int(Fact.REMOVED), 0).astype(np.int8)
        return self._counts.observe(
            at, Reading(inside, enrolled, failed, code, unenrolled=missing & inside, out=out)
        )

    def quiet_until(self, again: int, quiet: Quiet) -> int:
        return again

    def outcomes(self) -> DeviceOutcomes:
        return self._counts.outcomes()

    def answered_at(self) -> LongArray:
        return self._counts.answered_at()

    def identity(self) -> str:
        return self._text("name.txt").strip()

    def checks(self) -> list[Check]:
        return [
            Check.ask("folder", lambda: f"folder {self.identity()} answers"),
            Check.ask("members", lambda: f"{int(self._inside().sum())} devices are members"),
        ]

    def plan_requests(self, rows: IntArray) -> list[Line]:
        action = "remove" if self._plan.is_undo else "add"
        return [Line(str(self._plan.ids[row]), action) for row in self._to_change(rows, action)]

    def sending_s(self, devices: int) -> float:
        return devices / 1000

    def server_now(self) -> float | None:
        return None

    def set_read_only(self) -> None:
        self._is_read_only = True

    def close(self) -> None:
        """Files are open only while they are read or written."""

    def _to_change(self, rows: IntArray, action: str) -> list[int]:
        changed: list[int] = rows[self._inside()[rows] != (action == "add")].tolist()
        return changed

    def _change(self, rows: IntArray, action: str, at: int) -> Applied:
        if self._is_read_only:
            raise RefusedError("not sent: this directory is read-only")
        todo = self._to_change(rows, action)
        if why := self._opening.clock.barred():
            error = OutsideError(f"not sent: {why}")
            error.never_sent = todo
            raise error
        with (self._folder / "members.csv").open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows((self._plan.ids[row], action, at) for row in todo)
            file.flush()
            os.fsync(file.fileno())
        return Applied(rows, NO_ROWS, NO_ROWS)

    def _inside(self) -> BoolArray:
        """(n,) bool: members now."""
        inside = np.zeros(len(self._plan), dtype=np.bool_)
        for device, action, _ in self._lines("members.csv"):
            if device in self._row_of:
                inside[self._row_of[device]] = action == "add"
        return inside

    def _lines(self, name: str) -> list[list[str]]:
        lines = list(csv.reader(self._text(name).splitlines()))
        if any(len(line) != 3 for line in lines):
            raise OutsideError(f"{name}: expected three values per line, found another number")
        return lines

    def _text(self, name: str) -> str:
        try:
            return (self._folder / name).read_text(encoding="utf-8")
        except OSError as error:
            raise OutsideError(f"{name}: {error.strerror}", "check the folder in the settings") from error
