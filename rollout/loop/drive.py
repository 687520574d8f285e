"""The one loop: finish what was intended, look, decide, intend, send a chunk, confirm.

`drive` is a generator that yields, after every chunk, the instant at which it wants to go on, and is
sent the instant at which it does. It owns no clock, and no state that the journal does not have:
killed between any two lines and built anew, it loses nothing. `pump` drives it: with the wall clock
it executes, with the engine's `advance` it simulates. There is no second loop.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import ceil
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from rollout.errors import OutsideError
from rollout.loop.decide import NOBODY, begin, decide, is_step_due, may_send
from rollout.loop.ports import Directory, Journal, Record
from rollout.loop.undo import take_out, withdrawn_rows
from rollout.pacing.calendar import next_open
from rollout.values import (
    HOUR_S,
    NOT_RELEASED,
    OUTCOMES,
    Applied,
    Batch,
    BoolArray,
    Commands,
    Decision,
    DecisionRow,
    IntArray,
    LongArray,
    Observation,
    Outcome,
    Plan,
    Progress,
    ProgressPoint,
    Seen,
    State,
)

Steps = Generator[int, int, Progress]
R = TypeVar("R", bound=Record)


def pump(
    steps: Steps, wait_until: Callable[[int], int], watch: Callable[[int], None] | None = None
) -> Progress:
    """Drive `steps` to their end and give the last progress.

    wait_until : returns at the instant asked for, or later, and gives the present one.
    watch : called with each present instant, for progress bars.
    """
    at = next(steps)
    while True:
        now = wait_until(at)
        if watch is not None:
            watch(now)
        try:
            at = steps.send(now)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


def drive(
    plan: Plan,
    journal: Journal,
    directory: Directory,
    until: int | None = None,
    lived_until: int = 0,
    permit: Permit | None = None,
) -> Steps:
    """Carry out `plan` until it is final, or until the instant `until`.

    lived_until : how far earlier sessions came in a simulated directory, whose time stands still between them.
        Looks before it only move the clockwork on: they decided nothing then, and what people have asked for
        since takes effect at that instant, not in the past.
    permit : kept up to date with what is being sent, for whoever asks right before a request.
    Raise `LeaseError` when another executor took over, `RefusedError` when the directory says that the
    plan must not be executed there. A directory that does not answer is waited for.
    """
    directory.prepare(plan)
    work = _Work(plan, journal, directory, permit or Permit(plan))
    directory.restore(work.batches)
    work.count_withdrawn()
    progress = journal.progress() or begin(plan)
    now = yield progress.at
    while until is None or now < until:
        seen = work.look(progress, now)
        if now >= lived_until:
            work.take_out(seen.commands, now)
        decision = work.possible(decide(plan, progress, seen), progress, now)
        if decision.matters and now < lived_until:
            now = yield lived_until
            continue
        if decision.matters:
            work.record(decision, seen)
        else:
            work.note(seen)
        progress = decision.progress
        if progress.state in (State.HALTED, State.ABORTED):
            work.cancel(now, progress.reason)
        if progress.state.is_final:
            return progress
        again = decision.look_again
        if progress.state is State.RUNNING and now >= lived_until:
            now, finished = yield from work.send(now)
            if not finished:
                again = now
            elif work.open_batches:
                again = min(again, work.next_chance(now, again))
            elif decision.quiet is not None and not work.open_batches:
                again = directory.quiet_until(max(again, now), decision.quiet)
        now = yield max(again, now)
    return progress


def foresee(plan: Plan, record: Record, directory: Directory, now: int) -> tuple[Decision, IntArray]:
    """Give what the next look would decide, and whom it would send then. Nothing is written or sent.

    Those who were intended before and are unsent go first. Raise what `drive` raises, and `OutsideError`.
    """
    directory.prepare(plan)
    known = _Known(plan, record, directory)
    directory.restore(known.batches)
    known.count_withdrawn()
    progress = record.progress() or begin(plan)
    decision = decide(plan, progress, known.seen(progress, now, directory.observe(now), record.commands()))
    if decision.progress.state is not State.RUNNING:
        return decision, NOBODY
    return decision, known.unsent() if known.open_batches else decision.rows


@dataclass(slots=True)
class Permit:
    """Whether what the loop is sending may still be sent: asked after every wait, right before each request.

    A wait for a quota or a throttling server may outlast the change window, or a pause. Whoever sends asks
    `barred`, from any thread; who owns the journal calls `refresh` from time to time while others send.

    rows : the devices under way.
    """

    plan: Plan
    rows: IntArray = field(default_factory=lambda: NOBODY)
    stopped: str = ""

    def refresh(self, commands: Commands) -> None:
        """Take note of what people ask for."""
        self.stopped = "it was aborted" if commands.aborted else "it was paused" if commands.paused else ""
        if not self.stopped and commands.excluded and np.isin(self.rows, list(commands.excluded)).any():
            self.stopped = "devices were excluded in the meantime"

    def barred(self, now: int) -> str:
        """Say why nothing may be sent at `now` (Unix seconds); "" if it may."""
        if self.stopped or not len(self.rows):
            return self.stopped
        return "" if may_send(self.plan, self.rows, now) else "the change window is closed"


@dataclass(slots=True)
class _Known(Generic[R]):
    """What the journal says of a rollout, kept in step with it: a cache, nothing more."""

    plan: Plan
    journal: R
    directory: Directory
    batches: list[Batch] = field(init=False)
    batch_at: list[int] = field(init=False)
    batch_phase: list[int] = field(init=False)
    released: BoolArray = field(init=False)
    open_batches: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.batches = list(self.journal.batches())
        self.batch_at = [batch.at for batch in self.batches]
        self.batch_phase = [batch.phase for batch in self.batches]
        self.released = np.zeros(len(self.plan), dtype=np.bool_)
        for batch in self.batches:
            self.released[batch.rows] = True
        self.open_batches = [b.number for b in self.batches if self.journal.confirmed(b.number) < len(b)]

    def count_withdrawn(self) -> None:
        """Tell the directory whom people took out in earlier sessions: their outcomes stay counted."""
        rows = withdrawn_rows(self.journal)
        if len(rows):
            self.directory.keep_counting(rows)

    def seen(self, progress: Progress, now: int, observation: Observation, commands: Commands) -> Seen:
        """Give what `decide` goes by at a look."""
        return Seen(
            now=now,
            observation=observation,
            gone=self._gone(commands),
            batch_at=self.batch_at,
            commands=commands,
            in_flight=self._in_flight(progress, now),
            unsent=len(self.open_batches),
        )

    def _gone(self, commands: Commands) -> BoolArray:
        if not commands.excluded:
            return self.released
        gone = self.released.copy()
        gone[list(commands.excluded)] = True
        return gone

    def _in_flight(self, progress: Progress, now: int) -> LongArray | None:
        """Devices in flight by level of the budget's column, only where a step is due and needs it."""
        if not self.plan.budgets.column or not is_step_due(self.plan, progress, now):
            return None
        outcome = self.directory.outcomes().outcome
        flying = self.released & ((outcome == NOT_RELEASED) | (outcome == Outcome.PENDING))
        levels = int(self.plan.budget_codes.max(initial=0)) + 1
        return np.bincount(self.plan.budget_codes[flying], minlength=levels).astype(np.int64)

    def unsent(self) -> IntArray:
        """Give those who are intended and not confirmed, in their order."""
        batches = [self.batches[number] for number in self.open_batches]
        return np.concatenate([one.rows[self.journal.confirmed(one.number) :] for one in batches])


@dataclass(slots=True)
class _Work(_Known[Journal]):
    """What one session of the loop holds.

    adopted : of the rows about to be intended, those that are members already.
    unsure : those of the next chunk that may have been sent, by a session that died or a call without an answer.
    withdrawn : rows that people had asked to take out by the last look; not sent any more, if they are not yet.
    """

    permit: Permit
    adopted: IntArray = field(default_factory=lambda: NOBODY)
    unsure: IntArray = field(default_factory=lambda: NOBODY)
    failures: int = 0
    last_look: Observation | None = None
    last_point: tuple[int, bytes] = (0, b"")
    shut: tuple[int, int] = (-1, -1)
    """Batch and confirmed devices at which a closed window was noted last."""
    withdrawn: IntArray = field(default_factory=lambda: NOBODY)

    def __post_init__(self) -> None:
        _Known.__post_init__(self)
        if self.open_batches:
            batch = self.batches[self.open_batches[0]]
            upto = self.journal.confirmed(batch.number)
            self.unsure = _without(batch.rows[upto : upto + self.plan.chunk], batch.adopted)
        if points := self.journal.points():
            self.last_point = (points[-1].at, _seal(points[-1]))

    def look(self, progress: Progress, now: int) -> Seen:
        """Observe. A directory that cannot be read gives the last counts, marked unreadable."""
        commands = self.journal.commands()
        return self.seen(progress, now, self._observe(now), commands)

    def _observe(self, now: int) -> Observation:
        try:
            self.last_look = self.directory.observe(now)
        except OutsideError as error:
            self.journal.session(now, "unreadable", error.message)
            last = self.last_look
            counts = last.counts if last else _nothing(len(self.batches), self.plan)
            return Observation(now, counts, last.failed_codes if last else {}, readable=False)
        return self.last_look

    def take_out(self, commands: Commands, now: int) -> None:
        """Take out whom people asked for. A directory that does not answer is asked again at the next look."""
        if not commands.withdrawn:
            return
        self.withdrawn = np.array(commands.withdrawn, dtype=np.int32)
        try:
            take_out(self.plan, self.journal, self.directory, now)
        except OutsideError as error:
            self.journal.session(now, "unanswered", error.message)

    def possible(self, decision: Decision, progress: Progress, now: int) -> Decision:
        """Put a release off while the batch before it is unsent, or nobody can say who is a member already.

        The progress stays where it was: afterwards a step is caught up, as after any downtime, and no burst.
        """
        if not len(decision.rows):
            return decision
        again = decision.look_again
        if not self.open_batches:
            try:
                self.adopted = self.directory.members(decision.rows)
            except OutsideError as error:
                again = self._wait(now, error)
            else:
                return decision
        return replace(decision, progress=progress, rows=NOBODY, look_again=again, matters=False, quiet=None)

    def record(self, decision: Decision, seen: Seen) -> None:
        """Write the decision and, before anything is sent, the batch that it intends."""
        progress = decision.progress
        batch = self._intended(decision, seen.now) if len(decision.rows) else None
        point = self._point(seen)
        row = DecisionRow(
            number=progress.decisions - 1,
            at=seen.now,
            state=progress.state,
            phase=progress.phase,
            batch=batch.number if batch else -1,
            count=len(batch) if batch else 0,
            released=sum(progress.released),
            totals=tuple(map(sum, zip(*point.by_phase, strict=True))),
            verdict=progress.verdict,
            reason=decision.reason,
        )
        self.journal.intend(progress, row, batch, point)
        if batch:
            self.directory.follow(batch)
            self.batches.append(batch)
            self.batch_at.append(batch.at)
            self.batch_phase.append(batch.phase)
            self.open_batches.append(batch.number)
            self.released[batch.rows] = True

    def _intended(self, decision: Decision, now: int) -> Batch:
        number = decision.progress.batches - 1
        return Batch(number, decision.progress.phase, now, decision.rows, self.adopted)

    def note(self, seen: Seen) -> None:
        """Keep the counts of a look without a decision: once an hour, and only if they changed."""
        if seen.now - self.last_point[0] < HOUR_S:
            return
        point = self._point(seen)
        seal = _seal(point)
        if seal != self.last_point[1]:
            self.journal.observe(point)
        self.last_point = (seen.now, seal)

    def _point(self, seen: Seen) -> ProgressPoint:
        # The batches of a phase are neighbours. One of which nothing was sent yet may be missing from the counts.
        bounds = [bisect_left(self.batch_phase, index) for index in range(len(self.plan.phases) + 1)]
        parts = (seen.observation.of(*pair).sum(axis=0).tolist() for pair in pairwise(bounds))
        return ProgressPoint(seen.now, tuple(map(tuple, parts)))

    def send(self, now: int) -> Generator[int, int, tuple[int, bool]]:
        """Send what is intended, chunk by chunk. Give the present instant, and False to look at once.

        Lease, commands and windows are looked at before each chunk; when sending lasts longer than the time
        between two looks, it stops for a look, so that a gate acts in the middle of a batch.
        """
        begun = now
        if self.open_batches:
            now = yield now  # the look may have taken long
        while self.open_batches:
            batch = self.batches[self.open_batches[0]]
            upto = self.journal.confirmed(batch.number)
            while upto < len(batch):
                rows = batch.rows[upto : upto + self.plan.chunk]
                if not may_send(self.plan, rows, now):
                    self._note_closed(batch, upto, now)
                    return now, True
                if self._is_stopped() or now - begun >= self.plan.look_s:
                    return now, False
                try:
                    applied = self._add(batch, rows, now)
                except OutsideError as error:
                    now = yield self._wait(now, error)
                    return now, False
                if applied is None:
                    return now, False
                upto += len(rows)
                self.failures = 0
                self.journal.confirm(batch.number, upto, applied, now)
                self.unsure = NOBODY
                now = yield now
            self.open_batches.pop(0)
        return now, True

    def _note_closed(self, batch: Batch, upto: int, now: int) -> None:
        """Say once that the rest of a batch waits for a window."""
        if self.shut != (batch.number, upto):
            self.shut = (batch.number, upto)
            text = f"{len(batch) - upto} of {len(batch)} devices not sent: the change window is closed"
            self.journal.session(now, "unsent", text)

    def next_chance(self, now: int, again: int) -> int:
        """Give the first instant after `now` at which a window opens for who is unsent; `again` if none does."""
        calendars = self.plan.zone_calendars or (self.plan.calendar,)
        opens = [at for one in calendars if (at := next_open(one, now)) is not None and at > now]
        return min(opens, default=again)

    def _is_stopped(self) -> bool:
        commands = self.journal.commands()
        self.permit.refresh(commands)
        # A device that shall leave does so before anybody else is sent: at the look that follows at once.
        return commands.paused or commands.aborted or len(commands.withdrawn) > len(self.withdrawn)

    def _add(self, batch: Batch, rows: IntArray, now: int) -> Applied | None:
        """Look, add the missing, and say of each row what became of it; None if people stopped it meanwhile.

        Nothing is sent twice. Lease and commands are looked at again right before the bytes go out, since
        looking for members may have taken long.
        """
        present = self.directory.members(rows)
        # Who was withdrawn before it was sent is not sent any more.
        missing = _without(_without(rows, present), self.withdrawn)
        answer = Applied(NOBODY, NOBODY, NOBODY)
        excluded = missing[np.isin(missing, list(self.journal.commands().excluded))]
        missing = _without(missing, excluded)
        if len(missing):
            self.permit.rows = missing
            if self._is_stopped():
                return None
            self.journal.check()
            answer = self._apply(batch, missing, now)
        found = np.concatenate([present, answer.adopted]) if len(answer.adopted) else present
        # Whom we may have sent before is ours; of the others somebody else was faster.
        adopted = _without(found, self.unsure)
        ours = _without(found, adopted)
        accepted = np.concatenate([ours, answer.accepted]) if len(ours) else answer.accepted
        if not len(excluded):
            return Applied(accepted, adopted, answer.rejected, answer.reasons)
        rejected = np.concatenate([answer.rejected, excluded])
        return Applied(
            accepted, adopted, rejected, (*answer.reasons, *["excluded before it was sent"] * len(excluded))
        )

    def _apply(self, batch: Batch, missing: IntArray, now: int) -> Applied:
        """Send; after a call that failed, whom it may have reached is unsure."""
        try:
            return self.directory.apply(batch.number, missing, now)
        except OutsideError as error:
            reached = _without(missing, np.asarray(list(error.never_sent), dtype=np.int32))
            self.unsure = np.concatenate([self.unsure, reached])
            raise

    def _wait(self, now: int, error: OutsideError) -> int:
        """When to try again after a lost answer: doubling, at most one look's distance."""
        self.failures += 1
        self.journal.session(now, "unanswered", error.message)
        wait = error.wait_s or 1 << min(self.failures, 16)
        return now + max(1, min(self.plan.look_s, ceil(wait)))

    def cancel(self, now: int, reason: str) -> None:
        """Give up what is intended and unsent: after HALT and abort nobody follows."""
        for number in self.open_batches:
            self.journal.cancel(number, now, reason)
        self.open_batches.clear()


def _seal(point: ProgressPoint) -> bytes:
    """Give what two points with the same counts have in common."""
    return np.asarray(point.by_phase).tobytes()


def _without(rows: IntArray, others: IntArray) -> IntArray:
    """Give `rows` without `others`, in their order; mostly there are no others."""
    return rows[~np.isin(rows, others)] if len(others) else rows


def _nothing(batches: int, plan: Plan) -> NDArray[np.int64]:
    return np.zeros((batches, len(plan.strata.names), OUTCOMES), dtype=np.int64)
