"""What outlives an executor, kept at one moment and put back: a kill without playing again what led to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from faults.case import Case
from faults.chances import Kills


class Moment:
    """The world, the journal and the record of a case as they are now. What is in their lists never changes."""

    def __init__(self, case: Case, point: str) -> None:
        self.point = point
        self._case = case
        owners = (case, case.record, case.world, case.world.time, case.shelf.memory)
        self._kept = [
            (owner, {name: _copy(value) for name, value in vars(owner).items()}) for owner in owners
        ]

    def return_to(self) -> None:
        """Let everything be as it was, and the executor be dead."""
        for owner, values in self._kept:
            vars(owner).update({name: _copy(value) for name, value in values.items()})
        self._case.current = None
        self._case.record.ends.append("killed")


def _copy(value: Any) -> Any:
    return value.copy() if isinstance(value, list | set | dict | np.ndarray) else value


class Remembered(Kills):
    """Kills at given places; then `remember` is told of each checkpoint that is passed."""

    remember: Callable[[str], None] | None = None

    def at(self, point: str) -> str:
        happens = super().at(point)
        if self.remember is not None and not happens:
            self.remember(point)
        return happens
