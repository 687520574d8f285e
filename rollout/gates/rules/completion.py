"""PASS of a complete phase, or what is missing: WAIT while answers can still bring it, HOLD if a person must decide.

PASS needs enough mature executed devices, a device that is enrolled, a phase that does not contradict p_ok by itself,
and proof that the rollout so far is better than p_bad. The proof counts what is not known against the rollout. With s
devices that failed, whenever it became known, either of these has to reach 1/beta (see `rollout.gates.evidence`):

    E_pass(s + u, n)   n released devices, the u pending and silent ones counted as failed
    E_pass(s, m)       m devices that were first seen enrolled or failed at least `report_delay` ago

The guarantee: if each next device fails with a conditional probability of at least p_bad, given all that went before
and whenever it tries, and if no failure is reported more than `report_delay` later than a success of the same time
would be, a rollout is ever passed with a chance of at most beta. The first form holds for any delay. Proof: order the
devices by the time at which a success would have been reported. Of those up to `report_delay` ago all failures are
known by now, so s is at least their number, and m at most theirs; devices that are not known to have succeeded lower
E_pass if they are counted as failed. So both forms are at most the value of one and the same e-process, and Ville's
inequality bounds it.

Answers prove something only `report_delay` after they came, so the patience begins that much later here. A phase that
follows a proven one does not wait again: the earlier answers are old enough.

If `GateCounts.settled` is not known, the mature executed devices stand in for it once the phase's last batch is
`report_delay` old; the guarantee then lacks the time that devices take to try.
Rejected devices never tried and are in no rate; `answered` and `success` count them.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from rollout.fields import Part, Positive, Seconds, ShareOfOne
from rollout.gates.counts import executed_of
from rollout.gates.evidence import halt_boundary, log_pass, pass_boundary
from rollout.gates.rules.answered import answers_needed
from rollout.gates.rules.base import (
    ENROLLED,
    FAILED,
    MOST_LOG,
    PENDING,
    REJECTED,
    TIMED_OUT,
    GateRule,
    Reading,
    devices,
    evidence_text,
    figure_of,
    percent,
    require_not_negative,
    require_seconds,
    require_share,
)
from rollout.text import span
from rollout.values import DAY_S, HOUR_S, EvidenceGate, GatePolicy, IntArray, Judgement, LongArray, Verdict


class CompletionKeys(Part):
    """Mature executed devices that a PASS needs; how much later than successes failures are reported at most; and the
    share of lost devices with which a rollout ends `finished with losses`.
    """

    min_executed: Positive = 20
    report_delay: Seconds = 5 * DAY_S
    losses_max: ShareOfOne = 0.1


def _check(policy: GatePolicy) -> None:
    require_not_negative(policy, "min_executed")
    require_seconds(policy, CompletionKeys, "report_delay")
    require_share(policy, CompletionKeys, "losses_max")


def _judge(reading: Reading) -> Judgement | None:
    if not reading.counts.complete:
        return None
    gate, mature = reading.policy.evidence, reading.mature
    lacking = too_few(reading, mature) or _none_enrolled(reading, mature)
    if lacking is not None:
        return lacking
    failed, executed = mature[FAILED], executed_of(mature)
    if gate is None:
        sentence = (
            f"PASS: {failed:,} of {executed:,} mature devices with an outcome failed, no threshold reached"
        )
        return Judgement(Verdict.PASS, sentence, "threshold", "", executed, failed)
    if halt_boundary(gate).halts(failed, executed):
        return reading.hold(
            "evidence",
            f"in this phase alone, {failed:,} of {executed:,} devices with an outcome failed, at most "
            f"{percent(gate.p_ok)} is acceptable; a person must decide",
            failed,
            executed,
        )
    return _proven(reading, gate, mature)


UNPROVEN = "unproven"
"""`Judgement.rule` where nothing is wrong and too little is known: it stops nothing at a rollout's end."""


def too_few(reading: Reading, mature: list[int]) -> Judgement | None:
    """Return the objection if too few devices are executed and mature, None if enough are.

    A phase smaller than `min_executed` needs the share `answered` of its devices; if that rule is off, all of them that
    are neither timed out nor rejected.
    """
    released, policy, executed = reading.released, reading.policy, executed_of(mature)
    silent, refused = reading.phase[TIMED_OUT], reading.phase[REJECTED]
    small = answers_needed(policy, released) or released - silent - refused
    needed = max(
        1, min(policy.min_executed, small) if released < policy.min_executed else policy.min_executed
    )
    if executed >= needed:
        return None
    if not released and reading.left_out is not None:
        return reading.hold("executed", "every stratum of this phase is held; a person must decide")
    sentence = (
        f"{executed:,} of {needed:,} required devices have a mature outcome ({released:,} released, "
        f"{reading.phase[PENDING]:,} pending, {silent:,} silent, {refused:,} rejected)"
    )
    if released - refused < needed:
        return reading.hold("executed", f"{sentence}; a person must decide", released - executed, released)
    return reading.wait("executed", sentence, released - executed, released)


def _none_enrolled(reading: Reading, mature: list[int]) -> Judgement | None:
    """Return a HOLD if nothing has succeeded: whatever the rules tolerate, that is no success."""
    if mature[ENROLLED]:
        return None
    released = reading.released
    sentence = f"none of the {devices(released)} of this phase is enrolled; a person must decide"
    return reading.hold("executed", sentence, released, released)


def _proven(reading: Reading, gate: EvidenceGate, mature: list[int]) -> Judgement:
    """PASS if the rollout so far is proven better than p_bad, with what is not known counted against it."""
    failed, unknown = reading.whole[FAILED], reading.whole[PENDING] + reading.whole[TIMED_OUT]
    every = executed_of(reading.whole) + unknown
    settled = max(failed, _settled(reading, mature))
    sure = max(_log_pass(gate, failed + unknown, every), _log_pass(gate, failed, settled))
    edge = pass_boundary(gate)
    needed, limit = edge.needed(failed), percent(gate.p_bad)
    if settled >= needed or every >= edge.needed(failed + unknown):
        open_ = f" and {unknown:,} have not answered" if unknown else ""
        sentence = (
            f"PASS: {failed:,} of {devices(every)} failed{open_}: strong evidence that fewer than {limit} fail "
            f"({evidence_text(sure, 1 / gate.beta)})"
        )
        value = math.exp(min(sure, MOST_LOG))
        return Judgement(Verdict.PASS, sentence, "evidence", "", every - unknown, failed, value)
    if every < needed:
        return _never_proven(gate, failed, every, unknown)
    delay = figure_of(reading.policy, CompletionKeys, "report_delay")
    return reading.wait(
        UNPROVEN,
        f"{failed:,} of {devices(every)} failed and {unknown:,} have not answered, which does not prove a failure "
        f"rate below {limit} yet: that takes {needed:,} devices that answered at least {span(delay / HOUR_S)} ago, "
        f"{settled:,} did ({evidence_text(sure, 1 / gate.beta)})",
        failed + unknown,
        every,
        longer_s=delay,
    )


def _never_proven(gate: EvidenceGate, failed: int, every: int, unknown: int) -> Judgement:
    """Return the HOLD if there is no proof even if all others enroll."""
    log_evidence = _log_pass(gate, failed, every)
    open_ = f" ({unknown:,} have not answered)" if unknown else ""
    sentence = (
        f"HOLD: {failed:,} of {devices(every)} failed{open_}, which cannot prove a failure rate below "
        f"{percent(gate.p_bad)}: that takes {pass_boundary(gate).needed(failed):,} devices if no more fail "
        f"({evidence_text(log_evidence, 1 / gate.beta)}); a person must decide"
    )
    value = math.exp(min(log_evidence, MOST_LOG))
    executed = every - unknown
    return Judgement(Verdict.HOLD, sentence, UNPROVEN, "", executed, failed, value, harmed=failed, of=every)


def _settled(reading: Reading, mature: list[int]) -> int:
    """Return how many devices answered so long ago that a failure at that time would be known by now."""
    counts = reading.counts
    answered = executed_of(reading.whole) - executed_of(reading.phase) + executed_of(mature)
    if not (delay := figure_of(reading.policy, CompletionKeys, "report_delay")):
        return answered
    if counts.settled is None:
        return answered if counts.waited_s >= delay else 0
    long_ago = counts.settled if counts.mending is None else np.maximum(counts.settled - counts.mending, 0)
    return min(answered, int(reading.without(long_ago).sum()))


def proof_s(policy: GatePolicy, released: int) -> int:
    """Return how long after its last batch the first phase can prove anything, seconds; 0 if that is no question.

    released : devices of the phase. The answers of its devices, most of which come within a day, must be as old as a
    failure may be late.
    """
    delay = int(figure_of(policy, CompletionKeys, "report_delay"))
    if policy.evidence is None or not delay or released < pass_boundary(policy.evidence).needed(0):
        return 0
    return delay + DAY_S


def settled_of(
    policy: GatePolicy, codes: IntArray, answered_at: LongArray, now: int, strata: int
) -> LongArray:
    """Return `GateCounts.settled`, (strata,) int64: released devices whose answer is at least `report_delay` old.

    codes : (n,) stratum of each device. answered_at : (n,) int64 Unix seconds at which each released device was first
    seen enrolled or failed, -1 if never. It costs a pass over all devices and is needed for complete phases only.
    """
    before = now - int(figure_of(policy, CompletionKeys, "report_delay"))
    old = (answered_at >= 0) & (answered_at <= before)
    return np.bincount(codes[old], minlength=strata).astype(np.int64)


@lru_cache(maxsize=1024)
def _log_pass(gate: EvidenceGate, failed: int, executed: int) -> float:
    return float(log_pass(np.array([failed]), np.array([executed]), gate)[0])


COMPLETION = GateRule("executed", _check, _judge, CompletionKeys)
