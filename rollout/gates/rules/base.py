"""What a gate rule is, and what it reads."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rollout.fields import Part
from rollout.gates.counts import GateCounts, counted_of, executed_of, totals_of
from rollout.gates.evidence import halt_boundary
from rollout.gates.groups import Groups, groups_of
from rollout.values import GatePolicy, Hold, Judgement, LongArray, Outcome, Verdict

PENDING, ENROLLED, FAILED = int(Outcome.PENDING), int(Outcome.ENROLLED), int(Outcome.FAILED)
REJECTED, TIMED_OUT = int(Outcome.REJECTED), int(Outcome.TIMED_OUT)

MOST_LOG = 700.0
"""Evidence is given as at most e^MOST_LOG: JSON knows no infinity."""

NEVER = 2**62
"""A number of failures that never occurs."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """Counts under a policy, as rules read them.

    whole, phase : devices by `Outcome`. fewest : failures among all from which on the cumulative test halts.
    """

    policy: GatePolicy
    counts: GateCounts
    whole: list[int]
    phase: list[int]
    groups: Groups
    fewest: int

    @property
    def mature(self) -> list[int]:
        """Mature devices of the phase by `Outcome`; summed only where a rule asks."""
        return totals_of(self.counts.mature)

    def hold(self, rule: str, sentence: str) -> Judgement:
        """Return a HOLD on the figures of the phase."""
        executed, failed = executed_of(self.phase), self.phase[FAILED]
        return Judgement(Verdict.HOLD, f"HOLD: {sentence}", rule, "", executed, failed)


def reading_of(policy: GatePolicy, counts: GateCounts) -> Reading:
    """Sum the counts and find the strata that are judged apart."""
    whole = totals_of(counts.cumulative)
    phase = whole if counts.phase is counts.cumulative else totals_of(counts.phase)
    groups = groups_of(policy, counts.planned, counts.names)
    fewest = halt_boundary(policy.evidence, groups.whole).fewest(counted_of(whole)) if policy.evidence else 0
    return Reading(policy, counts, whole, phase, groups, fewest)


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
    condemned : strata to be held while the others go on, without those that are held already; asked at each
        observation, whichever rule decides.
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


def figure_text(value: float) -> str:
    """Write a positive figure for people."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def evidence_text(log_evidence: float, least: float) -> str:
    """Write evidence for people, given its logarithm, with the evidence that a verdict needs."""
    found = figure_text(math.exp(log_evidence)) if log_evidence < math.log(1e4) else "over 10,000"
    return (
        f"evidence {found if log_evidence > math.log(1e-3) else 'under 0.001'}, {figure_text(least)} needed"
    )
