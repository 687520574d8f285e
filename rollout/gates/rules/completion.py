"""PASS of a complete phase, or HOLD with what is missing: a person must decide.

PASS on mature executed devices if they are enough, the rollout is proven better than p_bad, and the phase alone does
not contradict p_ok.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from rollout.fields import Part, Positive
from rollout.gates.counts import executed_of
from rollout.gates.evidence import halt_boundary, log_pass, pass_boundary
from rollout.gates.rules.base import (
    FAILED,
    MOST_LOG,
    PENDING,
    REJECTED,
    TIMED_OUT,
    GateRule,
    Reading,
    evidence_text,
    percent,
    require_not_negative,
)
from rollout.values import EvidenceGate, GatePolicy, Judgement, Verdict


class CompletionKeys(Part):
    """Mature executed devices that a PASS needs."""

    min_executed: Positive = 20


def _check(policy: GatePolicy) -> None:
    require_not_negative(policy, "min_executed")


def _judge(reading: Reading) -> Judgement | None:
    if not reading.counts.complete:
        return None
    gate, mature = reading.policy.evidence, reading.mature
    failed, executed = mature[FAILED], executed_of(mature)
    lacking = too_few(reading, executed)
    if lacking:
        return Judgement(Verdict.HOLD, lacking, "executed", "", executed, failed)
    if gate is None:
        sentence = (
            f"PASS: {failed:,} of {executed:,} mature devices with an outcome failed, no threshold reached"
        )
        return Judgement(Verdict.PASS, sentence, "threshold", "", executed, failed)
    if halt_boundary(gate).halts(failed, executed):
        sentence = (
            f"HOLD: in this phase alone, {failed:,} of {executed:,} devices with an outcome failed, at most "
            f"{percent(gate.p_ok)} is acceptable; a person must decide"
        )
        return Judgement(Verdict.HOLD, sentence, "evidence", "", executed, failed)
    return _proven(reading, gate, mature)


def too_few(reading: Reading, executed: int) -> str:
    """Return the HOLD sentence if too few devices are executed and mature, "" if enough are.

    A phase smaller than `min_executed` needs all of its devices that are neither timed out nor rejected.
    """
    released, policy = sum(reading.phase), reading.policy
    silent, refused = reading.phase[TIMED_OUT], reading.phase[REJECTED]
    needed = policy.min_executed if released >= policy.min_executed else released - silent - refused
    if executed >= max(needed, 1):
        return ""
    return (
        f"HOLD: {executed:,} of {max(needed, 1):,} required devices have a mature outcome ({released:,} released, "
        f"{reading.phase[PENDING]:,} pending, {silent:,} silent, {refused:,} rejected); a person must decide"
    )


def _proven(reading: Reading, gate: EvidenceGate, mature: list[int]) -> Judgement:
    """PASS if the rollout so far, counting only mature devices of this phase, is proven better than p_bad."""
    failed = reading.whole[FAILED] - reading.phase[FAILED] + mature[FAILED]
    executed = executed_of(reading.whole) - executed_of(reading.phase) + executed_of(mature)
    needed = pass_boundary(gate).needed(failed)
    log_evidence = _log_pass(gate, failed, executed)
    found = f"{failed:,} of {executed:,} mature devices with an outcome failed"
    evidence, limit = evidence_text(log_evidence, 1 / gate.beta), percent(gate.p_bad)
    value = math.exp(min(log_evidence, MOST_LOG))
    if executed >= needed:
        sentence = f"PASS: {found}: strong evidence that fewer than {limit} fail ({evidence})"
        return Judgement(Verdict.PASS, sentence, "evidence", "", executed, failed, value)
    sentence = (
        f"HOLD: {found}, which does not prove a failure rate below {limit}: that takes {needed:,} devices if "
        f"no more fail ({evidence}); a person must decide"
    )
    return Judgement(Verdict.HOLD, sentence, "evidence", "", executed, failed, value)


@lru_cache(maxsize=1024)
def _log_pass(gate: EvidenceGate, failed: int, executed: int) -> float:
    return float(log_pass(np.array([failed]), np.array([executed]), gate)[0])


COMPLETION = GateRule("executed", _check, _judge, CompletionKeys)
