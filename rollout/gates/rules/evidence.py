"""HALT by evidence on the whole rollout, and a hold of each stratum that is condemned by its own test.

All released devices that are neither timed out nor rejected count, pending ones as successes, so that fast failures
before slow successes do no harm. alpha is shared: with S strata of their own one half is the cumulative test's and
1/(2 S) each stratum's; without strata the cumulative test has it all.

The guarantee: if each next device fails with a conditional probability of at most p_ok, given all that went before, the
rollout is halted or a stratum held with a chance of at most alpha, at any observation (union bound). Independent
failures at p_ok obey that, and so do dependent ones as long as no history makes the next failure likelier than p_ok.
Failures in clusters (a site's outage, an image) do not: after the first failures of a cluster the next one is likelier.

With `on_stratum = "hold"` the strata that are condemned, or held before, leave the cumulative test: what is wrong with
one model must not stop all others. They are counted again as soon as they are half of the plan or more.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from rollout.fields import Part, Positive
from rollout.gates.counts import counted_of, executed_of, totals_of
from rollout.gates.evidence import (
    CHANCE_MIN,
    PRIOR_MAX,
    PRIOR_MIN,
    RATE_MIN,
    check_evidence_gate,
    halt_boundary,
    log_halt,
)
from rollout.gates.groups import Groups
from rollout.gates.rules.base import (
    ENROLLED,
    FAILED,
    MOST_LOG,
    PENDING,
    GateRule,
    Reading,
    condemned_of,
    evidence_text,
    of_all,
    percent,
    require_not_negative,
)
from rollout.values import EvidenceGate, GatePolicy, Hold, Judgement, LongArray, Verdict

ACTIONS = ("hold", "halt")
_DEFAULT = EvidenceGate()

Probability = Annotated[float, Field(ge=RATE_MIN, le=1 - RATE_MIN, allow_inf_nan=False)]
"""A failure rate that is neither impossible nor certain."""
Chance = Annotated[float, Field(ge=CHANCE_MIN, lt=1, allow_inf_nan=False)]
"""An accepted chance of being wrong."""
Prior = Annotated[float, Field(ge=PRIOR_MIN, le=PRIOR_MAX, allow_inf_nan=False)]


class EvidencePolicy(Part):
    """See `rollout.values.EvidenceGate`."""

    p_ok: Probability = _DEFAULT.p_ok
    p_bad: Probability = _DEFAULT.p_bad
    alpha: Chance = _DEFAULT.alpha
    beta: Chance = _DEFAULT.beta
    prior_a: Prior = _DEFAULT.prior_a
    prior_b: Prior = _DEFAULT.prior_b

    @model_validator(mode="after")
    def _apart(self) -> EvidencePolicy:
        if self.p_ok >= self.p_bad:
            raise ValueError("'p_ok' below 'p_bad'")
        return self


class EvidenceKeys(Part):
    """The evidence gate, False for none, and the strata that it judges separately."""

    evidence: EvidencePolicy | Literal[False] = EvidencePolicy()
    strata_min: Positive = 50
    per_stratum: bool = True
    on_stratum: Literal["hold", "halt"] = "hold"


def _check(policy: GatePolicy) -> None:
    if policy.evidence is not None:
        check_evidence_gate(policy.evidence)
    require_not_negative(policy, "strata_min")
    if policy.on_stratum not in ACTIONS:
        raise ValueError(f"expected on_stratum hold or halt, found {policy.on_stratum!r}")


def _judge(reading: Reading) -> Judgement | None:
    """HALT if all devices together fail too often, or by a stratum if that is to stop all."""
    gate, tested = reading.policy.evidence, reading.tested[FAILED]
    if gate is None:
        return None
    tripped = [-1] if tested and tested >= reading.fewest else []
    if reading.policy.on_stratum == "halt":
        tripped += reading.condemned
    return _worst(reading, gate, tripped) if tripped else None


def _apart(reading: Reading) -> tuple[Hold, ...]:
    """Return every condemned stratum, also those that are held already; none where one of them stops all."""
    gate = reading.policy.evidence
    if gate is None or not reading.condemned or reading.policy.on_stratum == "halt":
        return ()
    sums = reading.groups.sums(reading.counts.cumulative.T)
    out = []
    for group in reading.condemned:
        counts, name = sums[:, group].tolist(), reading.groups.names[group]
        log_evidence = log_halt(np.array([counts[FAILED]]), np.array([counted_of(counts)]), gate)
        found = _found(reading, gate, counts, name, float(log_evidence[0]) + math.log(reading.groups.apart))
        out.append(Hold(-1, "evidence", name, counts[FAILED], executed_of(counts), f"HOLD: {found}"))
    return tuple(out)


def _worst(reading: Reading, gate: EvidenceGate, tripped: list[int]) -> Judgement:
    """Return the HALT of the group with the most evidence; group -1 is all devices.

    The evidence is taken times the test's share of alpha, so that it always compares with 1/alpha.
    """
    groups = reading.groups
    apart = groups.sums(reading.counts.cumulative.T)
    rows = [reading.tested if group < 0 else apart[:, group].tolist() for group in tripped]
    failed = np.array([row[FAILED] for row in rows])
    shares = np.where(np.array(tripped) < 0, groups.whole, groups.apart)
    evidence = log_halt(failed, np.array([counted_of(row) for row in rows]), gate) + np.log(shares)
    best = int(np.argmax(evidence))
    stratum = "" if tripped[best] < 0 else groups.names[tripped[best]]
    return _halt(reading, gate, rows[best], stratum, float(evidence[best]))


def _halt(
    reading: Reading, gate: EvidenceGate, counts: list[int], stratum: str, evidence: float
) -> Judgement:
    failed, executed = counts[FAILED], executed_of(counts)
    sentence = f"HALT: {_found(reading, gate, counts, stratum, evidence)}"
    value = math.exp(min(evidence, MOST_LOG))
    return Judgement(
        Verdict.HALT, sentence, "evidence", stratum, executed, failed, value, harmed=failed, of=executed
    )


def _found(reading: Reading, gate: EvidenceGate, counts: list[int], stratum: str, evidence: float) -> str:
    """Write what was found for people; evidence : its logarithm."""
    group = f"{reading.counts.column or 'stratum'} '{stratum}': " if stratum else ""
    pending = f" ({counts[PENDING]:,} more pending)" if counts[PENDING] else ""
    names = reading.groups.names
    tests = f", corrected for {len(names) + 1} tests" if names else ""
    return (
        f"{group}{counts[FAILED]:,} of {executed_of(counts):,} devices with an outcome failed{pending}, "
        f"at most {percent(gate.p_ok)} is acceptable: too many to be chance "
        f"({evidence_text(evidence, 1 / gate.alpha)}{tests})"
    )


def _failures_to_speak(policy: GatePolicy, cumulative: NDArray[np.int64], groups: Groups) -> LongArray | None:
    """Each stratum has its own boundary; those pooled as "other" speak at the next failure of any of them.

    Strata that are condemned leave the cumulative test, which then halts at fewer failures.
    """
    gate = policy.evidence
    if gate is None:
        return None
    condemned = condemned_of(policy, cumulative, groups) if policy.on_stratum == "hold" else ()
    rest = cumulative[~groups.strata(condemned, len(cumulative))] if condemned else cumulative
    out = of_all(halt_boundary(gate, groups.whole).fewest(counted_of(totals_of(rest))), cumulative)
    if groups.names:
        counted = cumulative[:, PENDING] + cumulative[:, ENROLLED] + cumulative[:, FAILED]
        out[:-1] = cumulative[:, FAILED] + 1
        out[groups.own] = halt_boundary(gate, groups.apart).critical(counted)[groups.own]
    return out


EVIDENCE = GateRule("evidence", _check, _judge, EvidenceKeys, _failures_to_speak, _apart)
