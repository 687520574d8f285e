"""What a gate rule is, and what it reads."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rollout.fields import Part, Seconds
from rollout.gates.counts import GateCounts, counted_of, executed_of, totals_of
from rollout.gates.evidence import halt_boundary
from rollout.gates.groups import Groups, groups_of
from rollout.text import span
from rollout.values import DAY_S, HOUR_S, BoolArray, GatePolicy, Hold, Judgement, LongArray, Outcome, Verdict

PENDING, ENROLLED, FAILED = int(Outcome.PENDING), int(Outcome.ENROLLED), int(Outcome.FAILED)
REJECTED, TIMED_OUT = int(Outcome.REJECTED), int(Outcome.TIMED_OUT)

MOST_LOG = 700.0
"""Evidence is given as at most e^MOST_LOG: JSON knows no infinity."""

NEVER = 2**62
"""A number of failures that never occurs."""


class PatienceKeys(Part):
    """How long a gate waits for answers after the last batch of the phase, before it asks a person."""

    patience: Seconds = 10 * DAY_S


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """Counts under a policy, as rules read them.

    whole, phase : devices by `Outcome`, without the strata that are left out. tested : what the cumulative test counts.
    fewest : failures among `tested` from which on that test halts; 0 without evidence.
    condemned : groups whose own test tripped. left_out : (strata,) bool, strata that are held or condemned: they count
        neither for nor against the others; None if there are none.

    Leaving strata out is conservative: what they have proven no longer helps the others to PASS, their failures have
    had their own answer already, and the others have to prove themselves. It cannot hide harm that is everywhere: if
    the strata left out are at least half of the plan, the cumulative test counts them again.
    """

    policy: GatePolicy
    counts: GateCounts
    whole: list[int]
    phase: list[int]
    tested: list[int]
    groups: Groups
    fewest: int
    condemned: tuple[int, ...] = ()
    left_out: BoolArray | None = None

    @property
    def mature(self) -> list[int]:
        """Mature devices of the phase by `Outcome`; summed only where a rule asks."""
        return totals_of(self.without(self.counts.mature))

    @property
    def released(self) -> int:
        """Devices of the phase that are judged, whatever has become of them."""
        return sum(self.phase)

    def without(self, per_stratum: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows of the strata that are not left out."""
        return per_stratum if self.left_out is None else per_stratum[~self.left_out]

    def hold(self, rule: str, sentence: str, harmed: int = 0, of: int = 0) -> Judgement:
        """Return a HOLD on the figures of the phase, about `harmed` of `of` devices."""
        return self._objection(Verdict.HOLD, rule, f"HOLD: {sentence}", harmed, of)

    def wait(self, rule: str, sentence: str, harmed: int, of: int, longer_s: float = 0.0) -> Judgement:
        """Return a WAIT, which ends by itself, or once the patience is over a HOLD with the same figures.

        longer_s : seconds that the patience lasts longer for this question.
        """
        waited = self.counts.waited_s
        patience = figure_of(self.policy, PatienceKeys, "patience") + longer_s
        if waited < patience:
            left = span((patience - waited) / HOUR_S)
            text = f"WAIT: {sentence}; releases wait, in {left} a person is asked"
            return self._objection(Verdict.WAIT, rule, text, harmed, of)
        text = (
            f"HOLD: {sentence}; the last batch was sent {span(waited / HOUR_S)} ago, so a person must decide"
        )
        return self._objection(Verdict.HOLD, rule, text, harmed, of)

    def _objection(self, verdict: Verdict, rule: str, sentence: str, harmed: int, of: int) -> Judgement:
        executed, failed = executed_of(self.phase), self.phase[FAILED]
        return Judgement(verdict, sentence, rule, "", executed, failed, harmed=harmed, of=of)


def reading_of(policy: GatePolicy, counts: GateCounts) -> Reading:
    """Sum the counts, and find the strata that are judged apart and those that are left out."""
    groups = groups_of(policy, counts.planned, counts.names)
    condemned = condemned_of(policy, counts.cumulative, groups)
    left_out = left_out_of(policy, counts, groups, condemned)
    every = totals_of(counts.cumulative)
    whole = every if left_out is None else totals_of(counts.cumulative[~left_out])
    phase = whole if counts.phase is counts.cumulative else _totals(counts.phase, left_out)
    tested = every if left_out is not None and is_most(counts.planned, left_out) else whole
    fewest = halt_boundary(policy.evidence, groups.whole).fewest(counted_of(tested)) if policy.evidence else 0
    return Reading(policy, counts, whole, phase, tested, groups, fewest, condemned, left_out)


def _totals(counts: NDArray[np.int64], left_out: BoolArray | None) -> list[int]:
    return totals_of(counts if left_out is None else counts[~left_out])


def condemned_of(policy: GatePolicy, cumulative: NDArray[np.int64], groups: Groups) -> tuple[int, ...]:
    """Return the groups whose own evidence test trips."""
    if policy.evidence is None or not groups.names:
        return ()
    failed = groups.sums(cumulative[:, FAILED])
    counted = groups.sums(cumulative[:, PENDING] + cumulative[:, ENROLLED] + cumulative[:, FAILED])
    over = halt_boundary(policy.evidence, groups.apart).halts(failed, counted)
    return tuple(np.flatnonzero(over).tolist()) if np.count_nonzero(over) else ()


def left_out_of(
    policy: GatePolicy, counts: GateCounts, groups: Groups, condemned: tuple[int, ...]
) -> BoolArray | None:
    """Return the strata that are held already or condemned now, None if there are none."""
    held = counts.held if counts.held is not None and counts.held.any() else None
    if not condemned or policy.on_stratum != "hold":
        return held
    now = groups.strata(condemned, len(counts.planned))
    return now if held is None else now | held


def is_most(planned: LongArray, left_out: BoolArray) -> bool:
    """Return whether the strata left out have at least half of the planned devices."""
    return bool(2 * planned[left_out].sum() >= planned.sum())


def _no_bound(policy: GatePolicy, cumulative: NDArray[np.int64], groups: Groups) -> None:
    """Return None: failures alone never make the rule speak."""


def _nobody(_reading: Reading) -> tuple[Hold, ...]:
    """Condemn no stratum."""
    return ()


class NoKeys(Part):
    """The keys of a rule without any."""


@dataclass(frozen=True, slots=True)
class GateRule:
    """One rule of a gate; its row in `rollout.gates.rules` says when it is asked.

    name : `Judgement.rule`. check : raise a `ValueError` that names the first value of a policy out of its range.
    judge : the verdict, None if the rule has no objection.
    keys : the rule's keys in a scenario, each with a default; a key that is no field of `GatePolicy` becomes one of its
        `figures`, see `figure_of`.
    failures_to_speak : failures (strata + 1,), by stratum and of all, from which on it may have an objection while
        no device is released, times out or is rejected; None if failures alone never give it one.
    condemned : strata to be held while the others go on, each with its figures of today; asked at each observation,
        whichever rule decides.
    """

    name: str
    check: Callable[[GatePolicy], None]
    judge: Callable[[Reading], Judgement | None]
    keys: type[Part] = NoKeys
    failures_to_speak: Callable[[GatePolicy, NDArray[np.int64], Groups], LongArray | None] = _no_bound
    condemned: Callable[[Reading], tuple[Hold, ...]] = _nobody


def figure_of(policy: GatePolicy, keys: type[Part], name: str) -> float:
    """Return a figure of a rule under a policy: as the policy states it, else the default of its key."""
    return float(dict(policy.figures).get(name, keys.model_fields[name].default))


def require_share(policy: GatePolicy, keys: type[Part], name: str, most: float = 1.0) -> None:
    """Raise a `ValueError` that names a figure which is not from 0 to `most`."""
    value = figure_of(policy, keys, name)
    if not 0 <= value <= most:
        raise ValueError(f"expected 0 <= {name} <= {most:g}, found {value}")


def require_seconds(policy: GatePolicy, keys: type[Part], name: str) -> None:
    """Raise a `ValueError` that names a figure which is no number of seconds."""
    value = figure_of(policy, keys, name)
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"expected {name} of at least 0 seconds, found {value}")


def of_all(failures: int, cumulative: NDArray[np.int64]) -> LongArray:
    """Return a bound on the failures of all devices alone, shape (strata + 1,)."""
    out = np.full(len(cumulative) + 1, NEVER, dtype=np.int64)
    out[-1] = failures
    return out


def require_not_negative(policy: GatePolicy, name: str) -> None:
    """Raise a `ValueError` that names a negative figure."""
    if getattr(policy, name) < 0:
        raise ValueError(f"expected no negative {name}, found {getattr(policy, name)}")


def percent(rate: float) -> str:
    """Write a rate for people."""
    return f"{100 * rate:.3g} %"


def devices(count: int) -> str:
    """Write a number of devices for people."""
    return "1 device" if count == 1 else f"{count:,} devices"


def are(count: int) -> str:
    """Return the verb that agrees with a number of devices."""
    return "is" if count == 1 else "are"


def figure_text(value: float) -> str:
    """Write a positive figure for people."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def evidence_text(log_evidence: float, least: float) -> str:
    """Write evidence for people, given its logarithm, with the evidence that a verdict needs."""
    found = figure_text(math.exp(log_evidence)) if log_evidence < math.log(1e4) else "over 10,000"
    return (
        f"evidence {found if log_evidence > math.log(1e-3) else 'under 0.001'}, {figure_text(least)} needed"
    )
