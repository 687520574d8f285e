"""The plan: who, in which order, how fast, when not, judged how. Frozen, and sealed by a digest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

import numpy as np

from rollout.values.canonical import LATER, digest_of
from rollout.values.fleet import IntArray, LongArray, TextArray

HOUR_S = 3600
DAY_S = 86400

UNDO = "undo:"
"""How the action of a plan begins that takes another one back."""


@dataclass(frozen=True, slots=True)
class Curve:
    """How many by now: active seconds -> fraction of the phase released.

    active_s : non-decreasing active seconds since the phase began, first 0. Two equal neighbours are a jump.
    parts : non-decreasing fractions in parts of WHOLE; after the last point the last value holds.
    """

    active_s: tuple[int, ...]
    parts: tuple[int, ...]

    @property
    def length_s(self) -> int:
        """Active seconds until the last point."""
        return self.active_s[-1]


@dataclass(frozen=True, slots=True)
class Window:
    """When releases are allowed: weekdays (0 = Monday), minutes of the local day, IANA zone.

    A window with ``to_min <= from_min`` runs over midnight and belongs to the day on which it opens.
    lasts_s : seconds that a wave lasts, whatever the clock does in the meantime; 0 for a window that ends at `to_min`.
    """

    days: tuple[int, ...]
    from_min: int
    to_min: int
    zone: str
    lasts_s: int = field(default=0, metadata=LATER)

    def __str__(self) -> str:
        names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
        days = " ".join(names[day] for day in self.days)
        begin = time_of_day(self.from_min)
        if self.lasts_s:
            return f"{days} at {begin} for {self.lasts_s / 60:g} min {self.zone}"
        return f"{days} {begin}-{time_of_day(self.to_min or 1440)} {self.zone}"


def time_of_day(minutes: int) -> str:
    """Write minutes since midnight as a clock shows them: 07:30."""
    return f"{minutes // 60:02}:{minutes % 60:02}"


@dataclass(frozen=True, slots=True, eq=False)
class Calendar:
    """The windows minus the freezes, resolved to instants.

    opens, closes : (k,) int64 Unix seconds, sorted, disjoint; releases are allowed in [opens, closes).
    wave_s : 0, and active time is open time; or each interval is a wave, which counts as so many active seconds,
        all of them when it closes. So a wave has one step, wherever in it a phase begins or goes on.
    """

    opens: LongArray
    closes: LongArray
    wave_s: int = field(default=0, metadata=LATER)


@dataclass(frozen=True, slots=True)
class EvidenceGate:
    """Beta-binomial e-process on the failure rate (see `rollout.gates` for the formulas).

    p_ok : a rate that is acceptable; p_bad : one that is not. alpha : chance to halt a good rollout,
    at any time; beta : chance to pass a bad one. prior_a, prior_b : Beta prior leaning to bad rates.
    """

    p_ok: float = 0.01
    p_bad: float = 0.03
    alpha: float = 0.05
    beta: float = 0.05
    prior_a: float = 1.0
    prior_b: float = 30.0


@dataclass(frozen=True, slots=True)
class ThresholdGate:
    """A plain rule: trips when rate ≥ percent AND failures ≥ count AND executed ≥ min_executed.

    action : "halt" or "hold". classes : count only failures of these classes; empty = all.
    """

    percent: float
    count: int = 1
    min_executed: int = 20
    action: str = "halt"
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """All rules that judge a phase.

    min_executed : PASS is never given below so many mature executed devices (or the whole phase).
    straggler_max : highest share of timed-out devices among mature ones before HOLD.
    no_progress_s : HOLD if nothing enrolled for so long although devices wait; 0 = off.
    strata_min : strata with fewer planned devices are pooled as "other".
    dry_run : report only, never decide.
    """

    evidence: EvidenceGate | None = EvidenceGate()
    thresholds: tuple[ThresholdGate, ...] = ()
    min_executed: int = 20
    straggler_max: float = 0.5
    no_progress_s: int = 0
    strata_min: int = 50
    per_stratum: bool = True
    dry_run: bool = False


class PhaseEnd(StrEnum):
    """How a phase ends."""

    GATE = "gate"  # soak, then PASS opens the next phase
    NEVER = "never"  # a pilot without end


@dataclass(frozen=True, slots=True, eq=False)
class Phase:
    """One source collection that feeds the target.

    order : (k,) int32 fleet rows, in release order, frozen.
    step_s : a batch is released at most so often. look_s is the plan's.
    by : Unix seconds at which the curve is to be through so that a date is kept, -1 none. A phase that is late
        runs through its curve faster, see `rollout.pacing.advance`.
    rung : successes that earn the rate of the next piece of the curve (pacing "ramp"), 0 = no ramp.
    """

    name: str
    source: str
    order: IntArray
    curve: Curve
    step_s: int
    soak_s: int
    gate: GatePolicy
    end: PhaseEnd = PhaseEnd.GATE
    by: int = -1
    rung: int = 0

    def __len__(self) -> int:
        return len(self.order)


@dataclass(frozen=True, slots=True, eq=False)
class Strata:
    """The column by which gates judge apart.

    codes : (n,) int32 by fleet row. names : one a code.
    """

    column: str
    codes: IntArray
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Budgets:
    """The most devices in flight (released, no outcome yet), in all and per level of a column; 0: none."""

    in_flight: int = 0
    per_step: int = 0
    column: str = ""
    per_level: int = 0


@dataclass(frozen=True, slots=True)
class HumanStep:
    """What a person must do, since nothing documented lets a program do it."""

    when: str  # before | after phase NAME | after
    title: str
    where: str  # console path or cmdlet
    why: str


@dataclass(frozen=True, eq=False)
class Plan:
    """A rollout, complete: the same value is simulated, approved and executed.

    ids : (n,) text, the fleet's ids; every row number in the plan points here.
    start : Unix seconds; no release before it.
    excluded : (n,) int32: 0 planned, else 1 + index into `exclusion_reasons`.
    budget_codes : (n,) int32 levels of the budget column (zeros if none).
    chunk : devices sent at once; a halt takes effect between chunks.
    freezes : one line a freeze, for people; `calendar` has them subtracted already.
    strata_columns : the columns by which the order is interleaved, see `rollout.planning.order`.
    zone_names, zone_calendars : only if a window is in the device's own time: one a zone. `calendar` is then
        their union, and a device may go only while the calendar of its zone is open.
    zone_codes : (n,) int32, index into `zone_names`; shape (0,) if no window is in the device's time.
    continues : digest of the plan that this one goes on with or undoes, "" none.
    """

    name: str
    action: str
    collection: str
    salt: str
    inventory_digest: str
    ids: TextArray
    start: int
    zone: str
    phases: tuple[Phase, ...]
    windows: tuple[Window, ...]
    calendar: Calendar
    budgets: Budgets
    budget_codes: IntArray
    strata: Strata
    excluded: IntArray
    exclusion_reasons: tuple[str, ...]
    mature_after_s: int
    straggler_after_s: int
    look_s: int
    chunk: int
    human_steps: tuple[HumanStep, ...]
    warnings: tuple[str, ...] = ()
    freezes: tuple[str, ...] = ()
    strata_columns: tuple[str, ...] = ()
    zone_names: tuple[str, ...] = ()
    zone_calendars: tuple[Calendar, ...] = ()
    zone_codes: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    continues: str = ""

    @property
    def is_undo(self) -> bool:
        """Whether it takes devices out of its collection: the way back of another plan."""
        return self.action.startswith(UNDO)

    @property
    def action_undone(self) -> str:
        """The action that it is the way back of, "" for a plan that puts devices in."""
        return self.action.removeprefix(UNDO) if self.is_undo else ""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def planned(self) -> int:
        """Devices in a phase."""
        return sum(len(phase) for phase in self.phases)

    @cached_property
    def phase_of(self) -> IntArray:
        """(n,) int32: index of the device's phase, -1 for those excluded."""
        out = np.full(len(self), -1, dtype=np.int32)
        for index, phase in enumerate(self.phases):
            out[phase.order] = index
        return out

    def excluded_by_reason(self) -> Mapping[str, int]:
        """Count the devices that are not in the plan, by reason."""
        counts = np.bincount(self.excluded, minlength=len(self.exclusion_reasons) + 1)
        return {reason: int(counts[index + 1]) for index, reason in enumerate(self.exclusion_reasons)}

    @cached_property
    def planned_by_stratum(self) -> LongArray:
        """(strata,) int64: devices in a phase, by stratum code."""
        codes = self.strata.codes[self.phase_of >= 0]
        return np.bincount(codes, minlength=len(self.strata.names)).astype(np.int64)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical form (`rollout.values.canonical`)."""
        return digest_of(self)
