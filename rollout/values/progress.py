"""How far a rollout has come, and what was decided about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from rollout.values.fleet import BoolArray, IntArray, LongArray
from rollout.values.outcome import Observation

ON_COURSE = 0.002
"""Share of devices outside the band that still counts as on course: few runs of a large fleet hardly differ."""


class State(StrEnum):
    """State of a rollout. HALTED, ABORTED and FINISHED are final for a digest."""

    RUNNING = "running"
    HELD = "held"  # a gate is inconclusive: releases stop, observations continue
    PAUSED = "paused"  # a person stopped it
    HALTED = "halted"
    ABORTED = "aborted"
    FINISHED = "finished"

    @property
    def is_final(self) -> bool:
        """Return whether the rollout is over for this digest."""
        return self in (State.HALTED, State.ABORTED, State.FINISHED)


@dataclass(frozen=True, slots=True)
class Progress:
    """All that `decide` remembers from one observation to the next; stored in the journal.

    at : Unix seconds of the observation that it describes.
    phase : index of the current phase. active_s : active seconds in this phase so far.
    released : devices released so far, one number per phase. batches : batches intended so far.
    last_release : Unix seconds of the last release in this phase (or of its start), -1 if none.
    next_step : active seconds in this phase at which its next batch is due: steps pause together with
        active time, so a night or a hold neither skips nor crowds a step.
    enrolled, enrolled_at : devices enrolled at the last observation in which that number grew, and its time.
    first_batch : number of the first batch of this phase. holds : how often a gate held this phase.
    decisions : decision rows written so far.
    verdict : the gate's latest verdict. reason : the sentence of the last decision.
    """

    at: int
    state: State
    phase: int
    active_s: int
    released: tuple[int, ...]
    batches: int = 0
    last_release: int = -1
    next_step: int = 0
    enrolled: int = 0
    enrolled_at: int = -1
    first_batch: int = 0
    holds: int = 0
    decisions: int = 0
    verdict: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """The devices released together.

    number : from 0, without gaps over the rollout; the batches of a phase are consecutive.
    rows : fleet rows in release order. adopted : rows that were already members when we intended the
        batch: never ours, an undo does not remove them.
    """

    number: int
    phase: int
    at: int
    rows: IntArray
    adopted: IntArray

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Commands:
    """What people have requested since the rollout began; the current state.

    excluded : fleet rows that a person excluded; those not yet released are never released.
    gate_approved : index of the phase whose inconclusive gate a person approved, -1 if none.
    withdrawn : fleet rows that a person wants removed from the collection again, as far as we added them.
    """

    paused: bool = False
    aborted: bool = False
    reason: str = ""
    by: str = ""
    excluded: tuple[int, ...] = ()
    gate_approved: int = -1
    withdrawn: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Everything that `decide` reads in addition to plan and progress.

    now : Unix seconds. observation : what the directory shows.
    gone : (n,) bool, rows that can no longer be released: already released, or excluded by a person.
    batch_at : Unix seconds at which each batch was released, in order of number.
    in_flight : (levels,) int64 devices in flight by level of the budget's column; None without such a budget.
    unsent : released batches that are not yet completely sent to the directory.
    """

    now: int
    observation: Observation
    gone: BoolArray
    batch_at: Sequence[int] = ()
    commands: Commands = Commands()
    in_flight: LongArray | None = None
    unsent: int = 0


class Verdict(StrEnum):
    """The verdict of a gate."""

    GO = "go"  # nothing speaks against further releases
    PASS = "pass"  # the phase is proven good
    HOLD = "hold"
    HALT = "halt"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A gate's verdict with its sentence, e.g. "HALT: model 'X7': 9 of 41 devices with an outcome failed, …".

    stratum : name of the stratum that decided, "" for all devices together.
    evidence : e-value that decided (0 if none did). executed, failed : the counts that decided.
    """

    verdict: Verdict
    sentence: str
    rule: str = ""
    stratum: str = ""
    executed: int = 0
    failed: int = 0
    evidence: float = 0.0
    dry_run: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Quiet:
    """How long observations would change nothing. A simulated directory, which knows its future, may skip them.

    until : Unix seconds of the next observation that is needed in any case. every : seconds between observations.
    failed : (strata + 1,) int64 devices FAILED at which an observation is needed, by stratum and in total.
    timed_out : devices TIMED_OUT, in the batches from `first_batch` on, at which an observation is needed.
    settled : whether an observation is needed once no device is pending.
    """

    until: int
    every: int
    failed: LongArray
    timed_out: int
    first_batch: int
    settled: bool


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """The result of `decide`: the next progress, the batch to release (or none), the next observation, the reason.

    quiet : how long nothing else will be decided, None if every observation is needed.
    matters : whether it changes anything that must be recorded (a release, a state, a phase, a verdict);
        decisions that change nothing leave no row.
    """

    progress: Progress
    rows: IntArray
    look_again: int
    reason: str
    judgement: Judgement | None = None
    matters: bool = True
    quiet: Quiet | None = None


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """A decision as the journal stores it; the same for every run of a plan with the same seed."""

    number: int
    at: int
    state: State
    phase: int
    batch: int  # number of the batch released now, -1 if none
    count: int  # devices in it
    released: int  # devices released so far, all phases
    totals: tuple[int, ...]  # devices by Outcome, all batches
    verdict: str
    reason: str


@dataclass(frozen=True, slots=True)
class ProgressPoint:
    """Counts at an instant, for charts. by_phase : (phase, outcome) released devices."""

    at: int
    by_phase: tuple[tuple[int, ...], ...]


class Tone(StrEnum):
    """The tone of a headline; shown as a word and a sign, never by color alone."""

    GOOD = "good"
    WATCH = "watch"
    BAD = "bad"
