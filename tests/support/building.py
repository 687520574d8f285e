"""Builders with defaults: a small plan, and a directory that answers at once and never fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from rollout.errors import OutsideError
from rollout.pacing import linear
from rollout.pacing.calendar import resolve
from rollout.values import (
    DAY_S,
    HOUR_S,
    NOT_RELEASED,
    OUTCOMES,
    Applied,
    Batch,
    Budgets,
    DeviceOutcomes,
    EvidenceGate,
    Facts,
    GatePolicy,
    IntArray,
    LongArray,
    Observation,
    Outcome,
    Phase,
    PhaseEnd,
    Plan,
    Quiet,
    Strata,
    Window,
    texts,
)

MONDAY = 1799625600
"""Monday 11 January 2027 00:00 UTC."""

NOBODY: IntArray = np.empty(0, dtype=np.int32)
GATE = GatePolicy(evidence=EvidenceGate(p_ok=0.02, p_bad=0.2), min_executed=5)


def make_plan(
    sizes: Sequence[int] = (20, 80, 0),
    *,
    hours: Sequence[int] = (2, 8, 1),
    soak_s: int = DAY_S,
    step_s: int = HOUR_S,
    windows: tuple[Window, ...] = (),
    budgets: Budgets | None = None,
    budget_codes: IntArray | None = None,
    gate: GatePolicy = GATE,
    first_end: PhaseEnd = PhaseEnd.GATE,
    strata: int = 2,
    chunk: int = 10,
    straggler_after_s: int = 7 * DAY_S,
    start: int = MONDAY,
) -> Plan:
    """Give a plan of phases with `sizes` devices, each released evenly over its active `hours`."""
    n = sum(sizes)
    ends = np.cumsum(sizes)
    names = ("pilot", "all", "tail", "more")
    phases = tuple(
        Phase(
            name=names[index],
            source=names[index],
            order=np.arange(end - size, end, dtype=np.int32),
            curve=linear(length * HOUR_S),
            step_s=step_s,
            soak_s=soak_s,
            gate=gate,
            end=first_end if index == 0 else PhaseEnd.GATE,
        )
        for index, (size, end, length) in enumerate(zip(sizes, ends, hours, strict=True))
    )
    return Plan(
        name="test",
        action="enroll",
        collection="Intune Auto Enrollment",
        salt="salt",
        inventory_digest="0" * 64,
        ids=texts(f"device-{row:04}" for row in range(n)),
        start=start,
        zone="UTC",
        phases=phases,
        windows=windows,
        calendar=resolve(windows, (), start, start + 400 * DAY_S),
        budgets=budgets or Budgets(),
        budget_codes=np.zeros(n, dtype=np.int32) if budget_codes is None else budget_codes,
        strata=Strata(
            "model", (np.arange(n) % strata).astype(np.int32), tuple(f"M{number}" for number in range(strata))
        ),
        excluded=np.zeros(n, dtype=np.int32),
        exclusion_reasons=(),
        mature_after_s=2 * HOUR_S,
        straggler_after_s=straggler_after_s,
        look_s=300,
        chunk=chunk,
        human_steps=(),
    )


class PromptDirectory:
    """A directory whose devices enroll `latency_s` after their release; `fails(row)` says which fail.

    troubles : exceptions that the next calls of apply raise, in order; None = none. With `lost` the
    devices are added all the same: only the answer is lost.
    """

    def __init__(
        self,
        plan: Plan,
        latency_s: int = 600,
        fails: Callable[[int], bool] = lambda _row: False,
        members: Sequence[int] = (),
    ) -> None:
        self.plan = plan
        self.latency_s = latency_s
        self.fails = fails
        self.is_member = np.zeros(len(plan), dtype=np.bool_)
        self.is_member[list(members)] = True
        self.entered = np.full(len(plan), -1, dtype=np.int64)
        self.batch = np.full(len(plan), -1, dtype=np.int64)
        self.sent: list[tuple[int, tuple[int, ...]]] = []
        self.troubles: list[Exception | None] = []
        self.lost = True
        self.blind = False
        self.now = plan.start

    def prepare(self, plan: Plan) -> None:
        assert plan is self.plan

    def restore(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            self.follow(batch)

    def recall(self, facts: Sequence[Facts]) -> None:
        """Devices here are asked again; nothing of them is forgotten."""

    def answered_at(self) -> LongArray:
        known = self.outcomes().outcome
        return np.where(
            (known == Outcome.ENROLLED) | (known == Outcome.FAILED), self.entered + self.latency_s, -1
        )

    def follow(self, batch: Batch) -> None:
        self.batch[batch.rows] = batch.number
        already = batch.adopted[self.entered[batch.adopted] < 0]
        self.entered[already] = batch.at

    def withdraw(self, batch: int, rows: IntArray, at: int) -> Applied:
        self.is_member[rows] = False
        return Applied(rows, NOBODY, NOBODY)

    def keep_counting(self, rows: IntArray) -> None:
        """What is counted does not hang on membership here."""

    def members(self, rows: IntArray) -> IntArray:
        return np.asarray(rows[self.is_member[rows]], dtype=np.int32)

    def apply(self, batch: int, rows: IntArray, at: int) -> Applied:
        trouble = self.troubles.pop(0) if self.troubles else None
        if trouble is None or self.lost:
            self._enter(batch, rows, at)
        if trouble is not None:
            raise trouble
        return Applied(rows, NOBODY, NOBODY)

    def _enter(self, batch: int, rows: IntArray, at: int) -> None:
        self.sent.append((at, tuple(rows.tolist())))
        fresh = rows[~self.is_member[rows]]
        self.is_member[fresh] = True
        self.entered[fresh] = at
        self.batch[fresh] = batch

    def quiet_until(self, again: int, quiet: Quiet) -> int:
        return again

    def observe(self, at: int) -> Observation:
        if self.blind:
            raise OutsideError("the directory does not answer")
        self.now = at
        counts = np.zeros((int(self.batch.max()) + 1, len(self.plan.strata.names), OUTCOMES), dtype=np.int64)
        rows = np.flatnonzero(self.batch >= 0)
        outcome = self.outcomes().outcome[rows]
        seen = outcome >= 0
        np.add.at(counts, (self.batch[rows][seen], self.plan.strata.codes[rows][seen], outcome[seen]), 1)
        return Observation(at, counts, {})

    def outcomes(self) -> DeviceOutcomes:
        outcome = np.full(len(self.plan), NOT_RELEASED, dtype=np.int8)
        for row in np.flatnonzero((self.batch >= 0) & self.is_member):
            entered = self.entered[row]
            if entered + self.latency_s >= self.now:
                outcome[row] = Outcome.PENDING
            else:
                outcome[row] = Outcome.FAILED if self.fails(int(row)) else Outcome.ENROLLED
        return DeviceOutcomes(outcome, self.entered, np.zeros(len(self.plan), dtype=np.int64))
