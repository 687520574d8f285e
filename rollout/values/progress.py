"""How far a rollout has come, and what was decided about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from rollout.values.canonical import LATER
from rollout.values.fleet import BoolArray, IntArray, LongArray
from rollout.values.outcome import Observation

ON_COURSE = 0.002
"""Share of devices outside the band that still counts as on course: few runs of a large fleet hardly differ."""


class State(StrEnum):
    """State of a rollout. HALTED, ABORTED, FINISHED and LOSSES are final for a digest."""

    RUNNING = "running"
    WAITING = "waiting"  # too few devices have answered: releases wait for them and resume by themselves
    HELD = "held"  # a gate is inconclusive: releases stop, observations continue
    PAUSED = "paused"  # a person stopped it
    HALTED = "halted"
    ABORTED = "aborted"
    FINISHED = "finished"
    LOSSES = "finished with losses"  # more devices are silent, failed or rejected than the policy accepts

    @property
    def is_final(self) -> bool:
        """Return whether the rollout is over for this digest."""
        return self in (State.HALTED, State.ABORTED, State.FINISHED, State.LOSSES)

    @property
    def is_finished(self) -> bool:
        """Return whether the rollout reached its end, with losses or without."""
        return self in (State.FINISHED, State.LOSSES)


@dataclass(frozen=True, slots=True)
class Hold:
    """What a gate objected to, and with how many devices: the question that an approval answers.

    phase : index of the phase in which it arose. rule : `Judgement.rule`. stratum : its name, "" for all devices.
    harmed, of : devices that the objection is about, such as failed or silent ones, among how many.
    sentence : for people.
    """

    phase: int
    rule: str
    stratum: str = ""
    harmed: int = 0
    of: int = 0
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class GateApproval:
    """A person's answer to one hold: releases go on although it stands, until it worsens.

    at : Unix seconds, in the rollout's time, of the decision that asked.
    """

    hold: Hold
    by: str = ""
    at: int = 0


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
    recorded_at : Unix seconds of the last decision row, -1 before the first.
    hold : what the gate objects to while the rollout is HELD or WAITING, else None.
    held : the strata that are held while the others go on.
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
    recorded_at: int = field(default=-1, metadata=LATER)
    hold: Hold | None = field(default=None, metadata=LATER)
    held: tuple[Hold, ...] = field(default=(), metadata=LATER)


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
    approvals : the holds that a person approved, in order.
    withdrawn : fleet rows that a person wants removed from the collection again, as far as we added them.
    """

    paused: bool = False
    aborted: bool = False
    reason: str = ""
    by: str = ""
    excluded: tuple[int, ...] = ()
    approvals: tuple[GateApproval, ...] = ()
    withdrawn: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Silence:
    """What the answers so far say about silent devices: the result of `rollout.gates.silence`.

    at : Unix seconds of the evaluation. log_evidence : (strata,) ln of the evidence that the devices of a stratum
        answer so much more rarely than the others that they must be silent.
    answered, expected : answers of the latest cohort after the pilot, and what the older ones lead to expect (float).
    cohort : devices of that cohort, 0 if there is none to compare. since : Unix seconds of its first release.
    """

    at: int
    log_evidence: NDArray[np.float64]
    answered: int = 0
    expected: float = 0.0
    cohort: int = 0
    since: int = -1


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Everything that `decide` reads in addition to plan and progress.

    now : Unix seconds. observation : what the directory shows.
    gone : (n,) bool, rows that can no longer be released: already released, or excluded by a person.
    batch_at : Unix seconds at which each batch was released, in order of number.
    in_flight : (levels,) int64 devices in flight by level of the budget's column; None without such a budget.
    unsent : intended batches that are not yet completely sent to the directory.
    sent_at : Unix seconds at which the directory last answered a chunk, -1 if none.
    silence : what the answers say about silence, None before the first evaluation.
    settled : (strata,) int64 devices that answered long ago, see `GateCounts.settled`; None if it is not needed.
    """

    now: int
    observation: Observation
    gone: BoolArray
    batch_at: Sequence[int] = ()
    commands: Commands = Commands()
    in_flight: LongArray | None = None
    unsent: int = 0
    sent_at: int = -1
    silence: Silence | None = None
    settled: LongArray | None = None


class Verdict(StrEnum):
    """The verdict of a gate."""

    GO = "go"  # nothing speaks against further releases
    WAIT = "wait"  # too little is known yet; resumes by itself
    PASS = "pass"  # the phase is proven good
    HOLD = "hold"
    HALT = "halt"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A gate's verdict with its sentence, e.g. "HALT: model 'X7': 9 of 41 devices with an outcome failed, …".

    stratum : name of the stratum that decided, "" for all devices together.
    evidence : e-value that decided (0 if none did). executed, failed : the counts that decided.
    harmed, of : devices that a HOLD or WAIT is about (failed, silent, unanswered, removed …), among how many.
    strata : the strata that the gate condemns by themselves, all of them, while the others may go on.
    """

    verdict: Verdict
    sentence: str
    rule: str = ""
    stratum: str = ""
    executed: int = 0
    failed: int = 0
    evidence: float = 0.0
    dry_run: tuple[str, ...] = ()
    harmed: int = 0
    of: int = 0
    strata: tuple[Hold, ...] = ()


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
