"""What the directories over HTTP share: outcomes counted in this process, and no knowledge of the future."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from rollout.directory.outcome_counts import OutcomeCounts
from rollout.directory.port import Opening
from rollout.directory.short_lists import may_be_missing
from rollout.errors import RefusedError
from rollout.values import Applied, Batch, DeviceOutcomes, Facts, IntArray, LongArray, Plan, Quiet

NO_ROWS: IntArray = np.empty(0, dtype=np.int32)


class CountedDirectory(ABC):
    """Base of a `RealDirectory` that counts the outcomes of its devices by `OutcomeCounts`."""

    def __init__(self, opening: Opening) -> None:
        self.notes: list[str] = []
        self._plan, self._fleet = opening.plan, opening.fleet
        self._expected = opening.identity
        self._undoes = opening.plan.is_undo
        self._counts = OutcomeCounts(opening.plan)
        self._accepted = np.zeros(len(opening.plan), dtype=np.bool_)
        """Devices whose addition the directory accepted in this session."""

    def check_plan(self, plan: Plan) -> None:
        """Raise `RefusedError` if this is not the plan, or not the fleet, that the directory was opened with."""
        if plan.digest != self._plan.digest or plan.ids.tolist() != self._fleet.ids.tolist():
            raise RefusedError(
                "the plan and the fleet differ", "open the directory with the plan's own inventory"
            )

    def _check_unknown(self, unknown: Sequence[str], planned: int, where: str, allowed: int) -> None:
        """Refuse if more planned devices are unknown than allowed. where : such as "the site".

        Devices leave a directory every day: once the rollout has started, some may have gone since.
        """
        may_leave = may_be_missing(planned) if self._expected else 0
        if len(unknown) > max(allowed, may_leave):
            raise RefusedError(
                f"{len(unknown)} of {planned} planned devices are unknown to {where}: {'; '.join(unknown[:3])}",
                f"take a fresh inventory and plan again, or set unknown_max = {len(unknown)} to leave them out",
            )
        if len(unknown) > allowed:
            self.notes.append(
                f"{len(unknown)} planned devices have left {where} since the rollout started: {'; '.join(unknown[:3])}"
            )

    def restore(self, batches: Sequence[Batch]) -> None:
        """Restore earlier batches; devices that cannot become members count as rejected again."""
        self._counts.restore(batches)
        unfit = self._unfit()
        self._counts.reject(unfit[self._counts.released[unfit]])

    def recall(self, facts: Sequence[Facts]) -> None:
        """Adopt what earlier sessions learned of single devices."""
        self._counts.recall(facts)

    def follow(self, batch: Batch) -> None:
        """Count the devices of a batch from now on, as soon as they are seen as members."""
        self._counts.enter(batch.rows, batch.number, batch.at)

    def apply(self, batch: int, rows: IntArray, at: int) -> Applied:
        """Add `rows`, some concurrently. Raise `OutsideError` if a second read leaves it unclear what happened."""
        self._counts.enter(rows, batch, at)
        answer = self._change(rows, inside=True)
        self._counts.reject(answer.rejected)
        self._accepted[answer.accepted] = True
        return answer

    def withdraw(self, batch: int, rows: IntArray, at: int) -> Applied:
        """Take `rows` out, as `apply` adds them."""
        del batch, at
        return self._change(rows, inside=False)

    def keep_counting(self, rows: IntArray) -> None:
        """Keep counting `rows` although they are no longer members."""
        self._counts.withdrawn[rows] = True

    def quiet_until(self, again: int, quiet: Quiet) -> int:
        """Return `again`: a real directory cannot know its future."""
        del quiet
        return again

    def outcomes(self) -> DeviceOutcomes:
        """Return the state of each device at the last observation."""
        return self._counts.outcomes()

    def answered_at(self) -> LongArray:
        """Return when each device was first seen enrolled or failed, -1 if never."""
        return self._counts.answered_at()

    @abstractmethod
    def _unfit(self) -> IntArray:
        """Return the rows of devices that the directory does not know or does not take."""

    @abstractmethod
    def _change(self, rows: IntArray, *, inside: bool) -> Applied:
        """Make `rows` members, or no members any more."""
