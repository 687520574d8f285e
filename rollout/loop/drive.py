"""The one loop: finish what was intended, observe, decide, record the intention, send a chunk, confirm.

`drive` is a generator. After every chunk it yields the instant at which it wants to continue, and receives the
instant at which it does. It owns no clock and no state that the journal does not have: killed between any two lines
and started again, it loses nothing. `pump` drives it: with the wall clock it executes, with the engine's `advance`
it simulates. There is no second loop.
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
from rollout.gates import settled_of
from rollout.gates.silence import EVERY_S, SilenceWatch, next_boundary, rebuilt
from rollout.loop.decide import NOBODY, decide, initial_progress, is_step_due, may_send
from rollout.loop.ports import Directory, Journal, Record
from rollout.loop.undo import withdraw_requested, withdrawn_rows
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
    Fact,
    Facts,
    IntArray,
    LongArray,
    Mark,
    Observation,
    Outcome,
    Plan,
    Progress,
    ProgressPoint,
    Quiet,
    Seen,
    Silence,
    State,
)

Steps = Generator[int, int, Progress]
R = TypeVar("R", bound=Record)


def pump(
    steps: Steps, wait_until: Callable[[int], int], watch: Callable[[int], None] | None = None
) -> Progress:
    """Drive `steps` to their end and return the last progress.

    wait_until : waits until the requested instant, or later, and returns the current one.
    watch : called with each current instant, for progress bars.
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
    """Execute `plan` until its state is final, or until the instant `until`.

    lived_until : instant that earlier sessions reached in a simulated directory, whose time stands still between
        sessions. Observations before it only bring the progress up to date: they decided nothing then, and commands
        given since take effect at that instant, not in the past.
    permit : kept up to date with what is being sent; senders ask it immediately before each request.
    Raise `LeaseError` if another executor has taken over, `RefusedError` if the plan must not be executed in this
    directory. If the directory does not answer, wait and try again.
    """
    directory.prepare(plan)
    session = _Session(plan, journal, directory, permit or Permit(plan))
    session.restore()
    progress = journal.progress() or initial_progress(plan)
    now = yield progress.at
    while until is None or now < until:
        seen = session.observe(progress, now)
        if now >= lived_until:
            session.withdraw(seen.commands, now)
        decision = session.postponed_if_impossible(decide(plan, progress, seen), progress, now)
        if decision.matters and now < lived_until:
            now = yield lived_until
            continue
        if decision.matters:
            session.record(decision, seen)
        else:
            session.note(seen)
        progress = decision.progress
        if progress.state in (State.HALTED, State.ABORTED):
            session.cancel(now, progress.reason)
        if progress.state.is_final:
            return progress
        again = decision.look_again
        if not plan.is_undo:
            again = min(again, next_boundary(plan.start, now))
        if progress.state is State.RUNNING and now >= lived_until:
            now, finished = yield from session.send(now)
            if not finished:
                again = now
            elif session.open_batches:
                again = min(again, session.next_opening(now, again))
            elif decision.quiet is not None and not session.open_batches:
                again = directory.quiet_until(
                    max(again, now), _until(decision.quiet, next_boundary(plan.start, now))
                )
        now = yield max(again, now)
    return progress


def preview_next(plan: Plan, record: Record, directory: Directory, now: int) -> tuple[Decision, IntArray]:
    """Return what the next observation would decide, and the rows it would send. Nothing is written or sent.

    Rows that were intended before and are still unsent come first. Raise what `drive` raises, and `OutsideError`.
    """
    directory.prepare(plan)
    known = _KnownState(plan, record, directory)
    known.restore()
    progress = record.progress() or initial_progress(plan)
    decision = decide(plan, progress, known.seen(progress, now, directory.observe(now), record.commands()))
    if decision.progress.state is not State.RUNNING:
        return decision, NOBODY
    return decision, known.unsent() if known.open_batches else decision.rows


@dataclass(slots=True)
class Permit:
    """Whether the current chunk may still be sent: asked after every wait, immediately before each request.

    A wait for a quota or a throttling server may outlast the change window, or a pause may come during it. Senders
    call `barred`, from any thread; the owner of the journal calls `refresh` from time to time while others send.

    rows : the devices being sent.
    """

    plan: Plan
    rows: IntArray = field(default_factory=lambda: NOBODY)
    stopped: str = ""

    def refresh(self, commands: Commands) -> None:
        """Take the commands in force into account."""
        self.stopped = "it was aborted" if commands.aborted else "it was paused" if commands.paused else ""
        if not self.stopped and commands.excluded and np.isin(self.rows, list(commands.excluded)).any():
            self.stopped = "devices were excluded in the meantime"

    def barred(self, now: int) -> str:
        """Return why nothing may be sent at `now` (Unix seconds), "" if it may be sent."""
        if self.stopped or not len(self.rows):
            return self.stopped
        return "" if may_send(self.plan, self.rows, now) else "the change window is closed"


@dataclass(slots=True)
class _KnownState(Generic[R]):
    """What the journal says about a rollout, kept in step with it: only a cache."""

    plan: Plan
    journal: R
    directory: Directory
    batches: list[Batch] = field(init=False)
    batch_at: list[int] = field(init=False)
    batch_phase: list[int] = field(init=False)
    released: BoolArray = field(init=False)
    open_batches: list[int] = field(init=False)
    watch: SilenceWatch | None = field(init=False, default=None)
    silence: Silence | None = field(init=False, default=None)
    settled: tuple[int, int, LongArray | None] = field(init=False, default=(-1, -1, None))

    def __post_init__(self) -> None:
        self.batches = list(self.journal.batches())
        self.batch_at = [batch.at for batch in self.batches]
        self.batch_phase = [batch.phase for batch in self.batches]
        self.released = np.zeros(len(self.plan), dtype=np.bool_)
        for batch in self.batches:
            self.released[batch.rows] = True
        self.open_batches = [b.number for b in self.batches if self.journal.confirmed(b.number) < len(b)]

    def restore(self) -> None:
        """Tell the directory what earlier sessions did and learned: the evidence is the same after a restart."""
        self.directory.restore(self.batches)
        self.directory.recall(self.journal.facts())
        rows = withdrawn_rows(self.journal)
        if len(rows):
            self.directory.keep_counting(rows)

    def seen(self, progress: Progress, now: int, observation: Observation, commands: Commands) -> Seen:
        """Return the arguments of `decide` for one observation."""
        return Seen(
            now=now,
            observation=observation,
            gone=self._gone(commands),
            batch_at=self.batch_at,
            commands=commands,
            in_flight=self._in_flight(progress, now),
            unsent=len(self.open_batches),
            sent_at=self.journal.sent_at(),
            silence=self._hear(observation),
            settled=self._settled(progress, now),
        )

    def _hear(self, observation: Observation) -> Silence | None:
        """Return what the answers say about silence, evaluated at each boundary; an unreadable answer says nothing."""
        plan, now = self.plan, observation.at
        if plan.is_undo or not observation.readable or not self.batches:
            return self.silence
        if self.watch is not None and now < self.watch.at + EVERY_S:
            return self.silence
        at = np.array(self.batch_at, dtype=np.int64)
        if self.watch is None or now != self.watch.at + EVERY_S:
            known = self.directory.outcomes().outcome
            number = np.full(len(plan), -1, dtype=np.int32)
            for batch in self.batches:
                number[batch.rows] = batch.number
            number[(known == Outcome.REJECTED) | (known == NOT_RELEASED)] = -1
            answered_at = self.directory.answered_at()
            strata = len(plan.strata.names)
            self.watch, self.silence = rebuilt(
                plan.start, strata, now, at, number, plan.strata.codes, answered_at
            )
            return self.silence
        counts = observation.counts[: len(self.batches)]
        answered = counts[:, :, Outcome.ENROLLED] + counts[:, :, Outcome.FAILED]
        if observation.marks is not None:
            answered = answered + observation.marks[: len(self.batches), :, Mark.UNENROLLED]
        released = counts.sum(axis=2) - counts[:, :, Outcome.REJECTED]
        self.silence = self.watch.advance(now, at[: len(counts)], released, answered)
        return self.silence

    def _settled(self, progress: Progress, now: int) -> LongArray | None:
        """Return the devices that answered long ago, by stratum, where the phase may be judged as a whole."""
        plan, phase = self.plan, self.plan.phases[progress.phase]
        if plan.is_undo or self.open_batches or now < progress.last_release + phase.soak_s:
            return None
        if progress.released[progress.phase] < len(phase) and not (
            self.journal.commands().excluded or progress.held
        ):
            return None
        hour = now // HOUR_S
        if self.settled[0] != hour or self.settled[1] != progress.phase:
            rows = np.flatnonzero(self.released)
            answered_at, codes = self.directory.answered_at()[rows], plan.strata.codes[rows]
            # A function of the hour, so it is the same however often it is observed.
            known = settled_of(phase.gate, codes, answered_at, hour * HOUR_S, len(plan.strata.names))
            self.settled = (hour, progress.phase, known)
        return self.settled[2]

    def _gone(self, commands: Commands) -> BoolArray:
        if not commands.excluded:
            return self.released
        gone = self.released.copy()
        gone[list(commands.excluded)] = True
        return gone

    def _in_flight(self, progress: Progress, now: int) -> LongArray | None:
        """Return devices in flight per level of the budget's column, if a step is due that needs them."""
        if not self.plan.budgets.column or not is_step_due(self.plan, progress, now):
            return None
        outcome = self.directory.outcomes().outcome
        in_flight = self.released & ((outcome == NOT_RELEASED) | (outcome == Outcome.PENDING))
        for batch in self.batches:
            if batch.at + self.plan.straggler_after_s >= now:
                break
            # A device that the directory never showed must not fill a budget for ever.
            in_flight[batch.rows[outcome[batch.rows] == NOT_RELEASED]] = False
        levels = int(self.plan.budget_codes.max(initial=0)) + 1
        return np.bincount(self.plan.budget_codes[in_flight], minlength=levels).astype(np.int64)

    def unsent(self) -> IntArray:
        """Return the rows that are intended and not confirmed, in their order."""
        batches = [self.batches[number] for number in self.open_batches]
        return np.concatenate([batch.rows[self.journal.confirmed(batch.number) :] for batch in batches])


@dataclass(slots=True)
class _Session(_KnownState[Journal]):
    """State of one session of the loop.

    adopted : of the rows about to be intended, those that are members already.
    unsure : rows of the next chunk that may have been sent, by a session that died or a call without an answer.
    withdrawn : rows whose withdrawal was requested before the last observation; they are no longer sent.
    blind : why the last observation cannot be true, "" if it can.
    """

    permit: Permit
    adopted: IntArray = field(default_factory=lambda: NOBODY)
    unsure: IntArray = field(default_factory=lambda: NOBODY)
    failures: int = 0
    last_observation: Observation | None = None
    last_point: tuple[int, bytes] = (0, b"")
    closed_at: tuple[int, int] = (-1, -1)
    """Batch and number of confirmed devices at which a closed window was last noted."""
    withdrawn: IntArray = field(default_factory=lambda: NOBODY)
    blind: str = ""

    def __post_init__(self) -> None:
        _KnownState.__post_init__(self)
        if self.open_batches:
            batch = self.batches[self.open_batches[0]]
            upto = self.journal.confirmed(batch.number)
            self.unsure = _without(batch.rows[upto : upto + self.plan.chunk], batch.adopted)
        if points := self.journal.points():
            self.last_point = (points[-1].at, _seal(points[-1]))

    def observe(self, progress: Progress, now: int) -> Seen:
        """Observe the directory. If it cannot be read, use the last counts, marked as unreadable."""
        commands = self.journal.commands()
        return self.seen(progress, now, self._read(now), commands)

    def _read(self, now: int) -> Observation:
        try:
            self.last_observation = self.directory.observe(now)
        except OutsideError as error:
            self.journal.session(now, "unreadable", error.message)
            last = self.last_observation
            counts = last.counts if last else _nothing(len(self.batches), self.plan)
            return Observation(now, counts, last.failed_codes if last else {}, readable=False)
        if self.last_observation.blind and self.last_observation.blind != self.blind:
            self.journal.session(now, "unreadable", self.last_observation.blind)
        self.blind = self.last_observation.blind
        if self.last_observation.facts is not None:
            self.journal.learn(self.last_observation.facts)
        return self.last_observation

    def withdraw(self, commands: Commands, now: int) -> None:
        """Withdraw the requested devices. A directory that does not answer is asked again at the next observation."""
        if not commands.withdrawn:
            return
        self.withdrawn = np.array(commands.withdrawn, dtype=np.int32)
        # Neither a pause nor a closed window, both of which bar additions, keeps a device from being taken out.
        self.permit.rows, self.permit.stopped = NOBODY, ""
        try:
            withdraw_requested(self.plan, self.journal, self.directory, now)
        except OutsideError as error:
            self.journal.session(now, "unanswered", error.message)

    def postponed_if_impossible(self, decision: Decision, progress: Progress, now: int) -> Decision:
        """Postpone a release while the previous batch is unsent or the members cannot be read.

        The progress stays where it was: one step is caught up afterwards, as after any downtime, without a burst.
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
        """Record the decision and, before anything is sent, the batch that it intends."""
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
        """Record the counts of an observation without a decision: once per hour, and only if they changed."""
        if seen.now - self.last_point[0] < HOUR_S:
            return
        point = self._point(seen)
        seal = _seal(point)
        if seal != self.last_point[1]:
            self.journal.observe(point)
        self.last_point = (seen.now, seal)

    def _point(self, seen: Seen) -> ProgressPoint:
        # The batches of a phase are contiguous. A batch that is not sent yet may be missing from the counts.
        bounds = [bisect_left(self.batch_phase, index) for index in range(len(self.plan.phases) + 1)]
        parts = (seen.observation.of(*pair).sum(axis=0).tolist() for pair in pairwise(bounds))
        return ProgressPoint(seen.now, tuple(map(tuple, parts)))

    def send(self, now: int) -> Generator[int, int, tuple[int, bool]]:
        """Send what is intended, chunk by chunk. Return the current instant, and False to observe at once.

        Lease, commands and windows are checked before each chunk. If sending lasts longer than the time between two
        observations, it stops for an observation, so that a gate can act in the middle of a batch.
        """
        started = now
        if self.open_batches:
            now = yield now  # the observation may have taken long
        while self.open_batches:
            batch = self.batches[self.open_batches[0]]
            upto = self.journal.confirmed(batch.number)
            while upto < len(batch):
                rows = batch.rows[upto : upto + self.plan.chunk]
                if not may_send(self.plan, rows, now):
                    self._note_closed(batch, upto, now)
                    return now, True
                if self._is_stopped() or now - started >= self.plan.look_s:
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
        """Note once that the rest of a batch waits for a window."""
        if self.closed_at != (batch.number, upto):
            self.closed_at = (batch.number, upto)
            text = f"{len(batch) - upto} of {len(batch)} devices not sent: the change window is closed"
            self.journal.session(now, "unsent", text)

    def next_opening(self, now: int, again: int) -> int:
        """Return the first instant after `now` at which a window opens for unsent devices; `again` if none does."""
        calendars = self.plan.zone_calendars or (self.plan.calendar,)
        opens = [at for calendar in calendars if (at := next_open(calendar, now)) is not None and at > now]
        return min(opens, default=again)

    def _is_stopped(self) -> bool:
        commands = self.journal.commands()
        self.permit.refresh(commands)
        # A withdrawal comes before further additions: at the observation that follows at once.
        return commands.paused or commands.aborted or len(commands.withdrawn) > len(self.withdrawn)

    def _add(self, batch: Batch, rows: IntArray, now: int) -> Applied | None:
        """Add the rows that are not members yet, and return each row's result; None if sending was stopped.

        Nothing is sent twice. Lease and commands are checked again immediately before the request, because reading
        the members may have taken long.
        """
        present = self.directory.members(rows)
        # A device that was withdrawn before it was sent is not sent any more.
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
        # Members that we may have sent before are ours; the others were added by somebody else.
        adopted = _without(found, self.unsure)
        ours = _without(found, adopted)
        accepted = np.concatenate([ours, answer.accepted]) if len(ours) else answer.accepted
        if not len(excluded):
            return Applied(accepted, adopted, answer.rejected, answer.reasons)
        # They were released, so they would be in flight for ever.
        refused = np.full(len(excluded), Fact.REJECTED, dtype=np.int8)
        facts = Facts(now, excluded, refused, np.zeros(len(excluded), dtype=np.int64))
        self.journal.learn(facts)
        self.directory.recall((facts,))
        rejected = np.concatenate([answer.rejected, excluded])
        return Applied(
            accepted, adopted, rejected, (*answer.reasons, *["excluded before it was sent"] * len(excluded))
        )

    def _apply(self, batch: Batch, missing: IntArray, now: int) -> Applied:
        """Send. After a failed call, the rows that it may have reached are unsure."""
        try:
            return self.directory.apply(batch.number, missing, now)
        except OutsideError as error:
            reached = _without(missing, np.asarray(list(error.never_sent), dtype=np.int32))
            self.unsure = np.concatenate([self.unsure, reached])
            raise

    def _wait(self, now: int, error: OutsideError) -> int:
        """Return when to try again after a lost answer: the wait doubles, up to the time between two observations."""
        self.failures += 1
        self.journal.session(now, "unanswered", error.message)
        wait = error.wait_s or 1 << min(self.failures, 16)
        return now + max(1, min(self.plan.look_s, ceil(wait)))

    def cancel(self, now: int, reason: str) -> None:
        """Cancel what is intended and unsent: after a halt or an abort nothing follows."""
        for number in self.open_batches:
            self.journal.cancel(number, now, reason)
        self.open_batches.clear()


def _until(quiet: Quiet, boundary: int) -> Quiet:
    """Return a quiet period that ends when silence is evaluated, at the latest."""
    return replace(quiet, until=min(quiet.until, boundary))


def _seal(point: ProgressPoint) -> bytes:
    """Return a value that is equal for points with equal counts."""
    return np.asarray(point.by_phase).tobytes()


def _without(rows: IntArray, others: IntArray) -> IntArray:
    """Return `rows` without `others`, in their order. Usually there are no others."""
    return rows[~np.isin(rows, others)] if len(others) else rows


def _nothing(batches: int, plan: Plan) -> NDArray[np.int64]:
    return np.zeros((batches, len(plan.strata.names), OUTCOMES), dtype=np.int64)
