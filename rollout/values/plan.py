"""The plan: which devices, in what order, how fast, when, and how they are judged. Frozen, sealed by a digest."""

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
"""Prefix of the action of a plan that undoes another plan."""


@dataclass(frozen=True, slots=True)
class Curve:
    """How many devices by now: active seconds -> fraction of the phase released.

    active_s : non-decreasing active seconds since the phase began, first 0. Two equal neighbours are a jump.
    parts : non-decreasing fractions in parts of WHOLE; the last value holds after the last point.
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

    A window with ``to_min <= from_min`` runs past midnight and belongs to the day on which it opens.
    lasts_s : seconds that a wave lasts, whatever the clocks do in the meantime; 0 for a window that ends at `to_min`.
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
    """Return minutes since midnight as a time of day: 07:30."""
    return f"{minutes // 60:02}:{minutes % 60:02}"


@dataclass(frozen=True, slots=True, eq=False)
class Calendar:
    """The windows minus the freezes, resolved to instants.

    opens, closes : (k,) int64 Unix seconds, sorted, disjoint; releases are allowed in [opens, closes).
    wave_s : 0 if active time is open time. Otherwise each interval is a wave that counts as this many active seconds,
        all of them when it closes. So a wave has one step, wherever in it a phase begins or continues.
    """

    opens: LongArray
    closes: LongArray
    wave_s: int = field(default=0, metadata=LATER)


@dataclass(frozen=True, slots=True)
class EvidenceGate:
    """Beta-binomial e-process on the failure rate (see `rollout.gates` for the formulas).

    p_ok : an acceptable rate; p_bad : an unacceptable rate. alpha : probability of ever halting a good rollout;
    beta : probability of passing a bad one. prior_a, prior_b : Beta prior that favors bad rates.
    """

    p_ok: float = 0.01
    p_bad: float = 0.03
    alpha: float = 0.05
    beta: float = 0.05
    prior_a: float = 1.0
    prior_b: float = 30.0


@dataclass(frozen=True, slots=True)
class ThresholdGate:
    """A simple rule that trips when rate ≥ percent AND failures ≥ count AND executed ≥ min_executed.

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

    min_executed : PASS needs at least this many mature executed devices (or the whole phase).
    straggler_max : highest share of timed-out devices among mature devices before HOLD.
    no_progress_s : HOLD if no device enrolls for this long although devices are waiting; 0 = off.
    strata_min : strata with fewer planned devices are pooled as "other".
    dry_run : report only, never decide.
    resume : "auto": a hold ends by itself once the gate has no objection; "person": only an approval ends it.
    on_stratum : "hold": a stratum that is condemned by itself is held and the others go on; "halt": all stop.
    figures : (key, value) of the rules without a field here, sorted by key; values that equal the default are left out.
    """

    evidence: EvidenceGate | None = EvidenceGate()
    thresholds: tuple[ThresholdGate, ...] = ()
    min_executed: int = 20
    straggler_max: float = 0.5
    no_progress_s: int = 0
    strata_min: int = 50
    per_stratum: bool = True
    dry_run: bool = False
    resume: str = field(default="auto", metadata=LATER)
    on_stratum: str = field(default="hold", metadata=LATER)
    figures: tuple[tuple[str, float], ...] = field(default=(), metadata=LATER)


class PhaseEnd(StrEnum):
    """How a phase ends."""

    GATE = "gate"  # soak, then PASS opens the next phase
    NEVER = "never"  # a permanent pilot


@dataclass(frozen=True, slots=True, eq=False)
class Phase:
    """A source collection that feeds the target.

    order : (k,) int32 fleet rows, in release order, frozen.
    step_s : shortest time between two batches.
    by : Unix seconds at which the curve must be complete to keep a date, -1 if there is none. A phase that is late
        runs through its curve faster, see `rollout.pacing.advance`.
    rung : successes needed to reach the rate of the next piece of the curve (pacing "ramp"), 0 = no ramp.
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
    """The column whose values gates judge separately.

    codes : (n,) int32 by fleet row. names : the name of each code.
    """

    column: str
    codes: IntArray
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Budgets:
    """Limits on devices in flight (released, no outcome yet), in total and per level of a column; 0 = no limit."""

    in_flight: int = 0
    per_step: int = 0
    column: str = ""
    per_level: int = 0


@dataclass(frozen=True, slots=True)
class HumanStep:
    """A step that a person must do because there is no documented way for a program to do it."""

    when: str  # before | after phase NAME | after
    title: str
    where: str  # console path or cmdlet
    why: str


@dataclass(frozen=True, eq=False)
class Plan:
    """A complete rollout: the same value is simulated, approved and executed.

    ids : (n,) text, the fleet's IDs; every row number in the plan refers to them.
    start : Unix seconds; no release before it.
    excluded : (n,) int32: 0 planned, else 1 + index into `exclusion_reasons`.
    budget_codes : (n,) int32 levels of the budget column (zeros if there is none).
    chunk : devices sent per request; a halt takes effect between chunks.
    freezes : one line per freeze, for people; they are already subtracted from `calendar`.
    strata_columns : the columns by which the order is interleaved, see `rollout.planning.order`.
    zone_names, zone_calendars : one per zone, only if a window is in the device's own time. `calendar` is then
        their union, and a device is released only while the calendar of its zone is open.
    zone_codes : (n,) int32, index into `zone_names`; shape (0,) if no window is in the device's time.
    continues : digest of the plan that this plan continues or undoes, "" if none.
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
        """Return whether it removes devices from the collection, that is, undoes another plan."""
        return self.action.startswith(UNDO)

    @property
    def action_undone(self) -> str:
        """The action that it undoes, "" for a plan that adds devices."""
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
