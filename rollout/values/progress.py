"""How far a rollout is, and what was decided about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from rollout.values.fleet import BoolArray, IntArray, LongArray
from rollout.values.outcome import Observation

ON_COURSE = 0.002
"""A few simulated runs of a large fleet hardly differ: so much of its devices outside the band is on course."""


class State(StrEnum):
    """State of a rollout. HALTED, ABORTED and FINISHED are final for a digest."""

    RUNNING = "running"
    HELD = "held"  # a gate is inconclusive: releases stop, looks go on
    PAUSED = "paused"  # a person stopped it
    HALTED = "halted"
    ABORTED = "aborted"
    FINISHED = "finished"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows under this digest."""
        return self in (State.HALTED, State.ABORTED, State.FINISHED)


@dataclass(frozen=True, slots=True)
class Progress:
    """All that `decide` remembers from one look to the next; kept in the journal.

    at : Unix seconds of the look it describes.
    phase : index of the current phase. active_s : active seconds in this phase so far.
    released : devices released so far, one number a phase. batches : batches intended so far.
    last_release : Unix seconds of the last release in this phase (or of its begin), -1 none.
    next_step : active seconds in this phase at which its next batch is due: steps stand still with
        active time, so a night or a hold neither skips nor crowds one.
    enrolled, enrolled_at : devices enrolled at the last look at which that number grew, and when.
    first_batch : number of the first batch of this phase. holds : how often a gate held this phase.
    decisions : decision rows written so far.
    verdict : what the gate said last. reason : the sentence of the last decision.
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
    """The devices released together at one instant.

    number : from 0, dense over the rollout; the batches of a phase are neighbours.
    rows : fleet rows in release order. adopted : those of them that were members before we intended
        the batch: never ours, an undo leaves them.
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
    """What people asked for since the rollout began, as it stands now.

    excluded : fleet rows that a person took out; not yet released ones are never released.
    gate_approved : index of the phase whose inconclusive gate a person approved, -1 none.
    withdrawn : fleet rows that a person wants out of the collection again, as far as we added them.
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
    """All that `decide` looks at, besides plan and progress.

    now : Unix seconds. observation : what the directory shows.
    gone : (n,) bool, rows that may not be released any more: released, or taken out by a person.
    batch_at : Unix seconds of release of each batch, in order of number.
    in_flight : (levels,) int64 devices in flight by level of the budget's column; None if no such budget.
    unsent : batches that were released and wait for their directory, in part or whole.
    """

    now: int
    observation: Observation
    gone: BoolArray
    batch_at: Sequence[int] = ()
    commands: Commands = Commands()
    in_flight: LongArray | None = None
    unsent: int = 0


class Verdict(StrEnum):
    """What a gate says."""

    GO = "go"  # nothing speaks against releasing on
    PASS = "pass"  # the phase is proven good
    HOLD = "hold"
    HALT = "halt"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A gate's verdict with its sentence, e.g. "HALT: model 'X7' 9 of 41 executed failed, …".

    stratum : name of the stratum that decided, "" for all devices together.
    evidence : e-value that decided (0 where none). executed, failed : the counts that decided.
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
    """How long looks would decide nothing. Whoever can tell the future, a pretend world, may skip them.

    until : Unix seconds of the next look that must happen anyway. every : seconds between looks.
    failed : (strata + 1,) int64 devices FAILED from which on a look is needed, by stratum and in all.
    timed_out : devices TIMED_OUT in the batches from `first_batch` on from which a look is needed.
    settled : whether a look is needed once nobody is pending.
    """

    until: int
    every: int
    failed: LongArray
    timed_out: int
    first_batch: int
    settled: bool


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """What `decide` says: the next progress, the batch to release (or none), when to look again, why.

    quiet : how long nothing else will be decided, None if each look is needed.
    matters : whether this look changes anything that must be remembered (a release, a state, a phase,
        a verdict); looks that change nothing leave no row.
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
    """A decision as the journal keeps it: compared across runs of the same plan and seed."""

    number: int
    at: int
    state: State
    phase: int
    batch: int  # number of the batch released now, -1 none
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
    """How a headline is meant; shown as a word and a sign, never by colour alone."""

    GOOD = "good"
    WATCH = "watch"
    BAD = "bad"
