"""PASS, HOLD, HALT from counts: what is known of the released devices says whether more may follow.

Pure: the same counts give the same judgement, nothing is remembered between looks. How the parts of one
look stand to each other, the first that applies wins:

1. Unreadable or impossible counts: HOLD.
2. HALT, by evidence on the whole rollout so far. All released devices that are neither timed out nor
   rejected count, pending ones as successes, so that fast failures before slow successes do no harm.
   alpha is shared: with S strata of their own one half is the cumulative test's and 1/(2 S) each stratum's,
   without strata the cumulative test has it all. By the union bound a rollout whose rates are all at most
   p_ok is halted with a chance of at most alpha, at any look.
3. HALT or HOLD by plain thresholds, on the executed (enrolled or failed) devices of the current phase.
4. HOLD if too many mature devices are silent, or nothing enrolls any more.
5. The phase is not complete: GO, releasing may go on.
6. It is: PASS on mature executed devices if they are enough, the rollout is proven better than p_bad, and
   the phase alone does not contradict p_ok. Else HOLD, with what is lacking: a person decides.

All phases share one policy as a rule; where they differ, each phase's looks obey its own.
Timed-out devices are capacity, not harm: they leave every rate and have their own limit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rollout.gates.counts import counted_of, executed_of, totals_of, what_is_impossible
from rollout.gates.evidence import (
    Boundary,
    boundary_of,
    check_evidence_gate,
    halt_boundary,
    log_halt,
    log_pass,
    pass_boundary,
)
from rollout.gates.groups import Groups, groups_of
from rollout.gates.thresholds import check_threshold, trips
from rollout.values import (
    WHOLE,
    EvidenceGate,
    GatePolicy,
    Judgement,
    LongArray,
    Outcome,
    Verdict,
    parts_of_share,
)

RULES = ("data", "evidence", "threshold", "stragglers", "no-progress", "executed", "go")
"""`Judgement.rule`: which part of a look decided."""

MOST_LOG = 700.0
"""Evidence is given as at most e^MOST_LOG: JSON knows no infinity."""

_PENDING, _FAILED = int(Outcome.PENDING), int(Outcome.FAILED)
_ENROLLED, _REJECTED, _TIMED_OUT = int(Outcome.ENROLLED), int(Outcome.REJECTED), int(Outcome.TIMED_OUT)


def check_policy(policy: GatePolicy) -> None:
    """Raise a `ValueError` that names the first value out of its range."""
    if policy.evidence is not None:
        check_evidence_gate(policy.evidence)
    for rule in policy.thresholds:
        check_threshold(rule)
    if not 0 <= policy.straggler_max <= 1:
        raise ValueError(f"expected 0 <= straggler_max <= 1, found {policy.straggler_max}")
    parts_of_share(policy.straggler_max)
    for name in ("min_executed", "no_progress_s", "strata_min"):
        if getattr(policy, name) < 0:
            raise ValueError(f"expected no negative {name}, found {getattr(policy, name)}")


def boundary(policy: GatePolicy, n: int | LongArray, tests: int = 1) -> Boundary:
    """Give for 0..n devices (or at each of an array) how many failures halt and how many still pass.

    tests : by how much alpha is divided: 1 for a test alone, 2 for the cumulative one beside strata, twice
    the number of strata for each of them. Raise a `ValueError` if the policy has no evidence gate.
    """
    if policy.evidence is None:
        raise ValueError("expected a gate with evidence, found plain thresholds only")
    seen = np.arange(n + 1, dtype=np.int64) if isinstance(n, int) else n
    return boundary_of(policy.evidence, seen, 1 / tests)


def is_approvable(judgement: Judgement) -> bool:
    """Whether a person may decide instead: any HOLD but one for want of readable data."""
    return judgement.verdict is Verdict.HOLD and judgement.rule != "data"


def judge(
    policy: GatePolicy,
    *,
    cumulative: NDArray[np.int64],
    phase: NDArray[np.int64],
    mature: NDArray[np.int64],
    planned: LongArray,
    names: Sequence[str],
    complete: bool,
    readable: bool,
    progress_age_s: int = 0,
    column: str = "",
    failed_classes: Mapping[str, int] | None = None,
) -> Judgement:
    """Judge one look; see the module for the rules.

    cumulative, phase, mature : (strata, OUTCOMES) int64, released devices: of the whole rollout, of the
        current phase, of the current phase's batches older than `mature_after`.
    planned : (strata,) int64, devices of the whole plan. names : one a stratum. column : what they are.
    complete : the phase is fully released and soaked. Only then is the verdict PASS, or HOLD for want of
        proof; before it is GO unless there is an objection.
    readable : False if the counts could not be read.
    progress_age_s : seconds since something enrolled last; asked only if the policy has a deadline.
    failed_classes : failures of the whole rollout by `FailureClass`, for thresholds on some classes; if
        it is not known, such a threshold counts every failure.

    With `policy.dry_run` the verdict is GO or PASS and `dry_run` holds what would have been said, except
    that counts which are unreadable, impossible, stale or empty stay a HOLD.
    """
    problem = "the directory could not be read" if not readable else ""
    problem = problem or what_is_impossible(cumulative, phase, mature, planned, names)
    if policy.no_progress_s and progress_age_s < 0:
        problem = f"the last progress lies {-progress_age_s} s in the future"
    if problem:
        return Judgement(Verdict.HOLD, f"HOLD: {problem}", "data")
    totals = totals_of(cumulative)
    current = totals if phase is cumulative else totals_of(phase)
    groups = groups_of(policy, planned, names)
    fewest = halt_boundary(policy.evidence, groups.whole).fewest(counted_of(totals)) if policy.evidence else 0
    look = _Look(policy, cumulative, mature, totals, current, groups, fewest, column)
    verdict = (
        _halt_by_evidence(look)
        or _by_threshold(look, failed_classes)
        or _stragglers(look, complete=complete)
        or _no_progress(look, progress_age_s)
        or (_completed(look) if complete else _go(look))
    )
    if not policy.dry_run:
        return verdict
    return _no_progress(look, progress_age_s) or _dry(look, verdict, complete=complete)


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """The counts of one look.

    whole, phase : devices by `Outcome`. fewest : failures among all from which on the cumulative test halts.
    """

    policy: GatePolicy
    cumulative: NDArray[np.int64]
    mature_counts: NDArray[np.int64]
    whole: list[int]
    phase: list[int]
    groups: Groups
    fewest: int
    column: str

    @property
    def mature(self) -> list[int]:
        """Mature devices of the phase by `Outcome`; summed only where a rule asks."""
        return totals_of(self.mature_counts)


def _percent(rate: float) -> str:
    return f"{100 * rate:.3g} %"


def _number(log_evidence: float) -> str:
    return (
        f"{math.exp(log_evidence):.3g}"
        if log_evidence < math.log(1e4)
        else f"10^{log_evidence / math.log(10):.0f}"
    )


def _halt_by_evidence(look: _Look) -> Judgement | None:
    """HALT by the test with the most evidence among those that tripped."""
    gate, groups, counts = look.policy.evidence, look.groups, look.cumulative
    if gate is None or not look.whole[_FAILED]:
        return None
    tripped = [-1] if look.whole[_FAILED] >= look.fewest else []
    if groups.names:
        s = groups.sums(counts[:, _FAILED])
        n = groups.sums(counts[:, _PENDING] + counts[:, _ENROLLED] + counts[:, _FAILED])
        over = halt_boundary(gate, groups.apart).halts(s, n)
        if np.count_nonzero(over):
            tripped += np.flatnonzero(over).tolist()
    return _worst(look, gate, tripped) if tripped else None


def _worst(look: _Look, gate: EvidenceGate, tripped: list[int]) -> Judgement:
    """Give the HALT of the group with the most evidence; group -1 is all devices.

    The evidence is taken times the test's share of alpha, so that it always compares with 1/alpha.
    """
    groups = look.groups
    apart = groups.sums(look.cumulative.T)
    rows = [look.whole if group < 0 else apart[:, group].tolist() for group in tripped]
    failed = np.array([row[_FAILED] for row in rows])
    shares = np.where(np.array(tripped) < 0, groups.whole, groups.apart)
    evidence = log_halt(failed, np.array([counted_of(row) for row in rows]), gate) + np.log(shares)
    best = int(np.argmax(evidence))
    stratum = "" if tripped[best] < 0 else groups.names[tripped[best]]
    return _halt(look, gate, rows[best], stratum, float(evidence[best]))


def _halt(look: _Look, gate: EvidenceGate, counts: list[int], stratum: str, evidence: float) -> Judgement:
    failed, executed = counts[_FAILED], executed_of(counts)
    who = f"{look.column or 'stratum'} '{stratum}'" if stratum else "all devices"
    pending = f" ({counts[_PENDING]} more pending)" if counts[_PENDING] else ""
    tests = f", corrected for {len(look.groups.names) + 1} tests" if look.groups.names else ""
    sentence = (
        f"HALT: {who} {failed} of {executed} executed failed{pending}, limit {_percent(gate.p_ok)}, "
        f"evidence {_number(evidence)} >= {1 / gate.alpha:.3g}{tests}"
    )
    value = math.exp(min(evidence, MOST_LOG))
    return Judgement(Verdict.HALT, sentence, "evidence", stratum, executed, failed, value)


def _by_threshold(look: _Look, failed_classes: Mapping[str, int] | None) -> Judgement | None:
    """Give the verdict of the first plain threshold that trips, halting ones before holding ones."""
    for rule in sorted(look.policy.thresholds, key=lambda rule: rule.action != "halt"):
        counts, failed, kind = look.phase, look.phase[_FAILED], ""
        if rule.classes:
            kind = f" ({', '.join(rule.classes)})"
            if failed_classes is not None:
                counts = look.whole
                failed = sum(failed_classes.get(name, 0) for name in rule.classes)
        executed = executed_of(counts)
        if not trips(rule, failed, executed):
            continue
        verdict = Verdict.HALT if rule.action == "halt" else Verdict.HOLD
        rate = _percent(failed / executed)
        sentence = (
            f"{verdict.upper()}: {failed} of {executed} executed failed{kind}, {rate}, "
            f"threshold {rule.percent:g} % and {rule.count} from {rule.min_executed} executed on"
        )
        return Judgement(verdict, sentence, "threshold", "", executed, failed)
    return None


def _stragglers(look: _Look, *, complete: bool) -> Judgement | None:
    """HOLD if too many mature devices are silent; asked once there are enough to say so."""
    if not look.phase[_TIMED_OUT]:
        return None
    mature = look.mature
    silent, total = mature[_TIMED_OUT], sum(mature) - mature[_REJECTED]
    if WHOLE * silent <= parts_of_share(look.policy.straggler_max) * total:
        return None
    if total < look.policy.min_executed and not complete:
        return None
    sentence = (
        f"HOLD: {silent} of {total} mature devices timed out, {_percent(silent / total)}, "
        f"limit {_percent(look.policy.straggler_max)}"
    )
    return Judgement(Verdict.HOLD, sentence, "stragglers", "", executed_of(look.phase), look.phase[_FAILED])


def _no_progress(look: _Look, age_s: int) -> Judgement | None:
    deadline, pending = look.policy.no_progress_s, look.whole[_PENDING]
    if not deadline or not pending or age_s < deadline:
        return None
    sentence = (
        f"HOLD: nothing enrolled for {age_s / 3600:.3g} h although {pending} devices wait, "
        f"deadline {deadline / 3600:.3g} h"
    )
    return Judgement(Verdict.HOLD, sentence, "no-progress", "", executed_of(look.phase), look.phase[_FAILED])


def _go(look: _Look) -> Judgement:
    failed, executed = look.whole[_FAILED], executed_of(look.whole)
    sentence = f"GO: {failed} of {executed} executed failed, {look.whole[_PENDING]} pending"
    if look.policy.evidence is not None:
        sentence += f"; HALT from {look.fewest} failures on"
    return Judgement(Verdict.GO, sentence, "go", "", executed, failed)


def _completed(look: _Look) -> Judgement:
    """PASS, or HOLD with what is lacking."""
    gate, mature = look.policy.evidence, look.mature
    failed, executed = mature[_FAILED], executed_of(mature)
    lacking = _too_few(look, executed)
    if lacking:
        return Judgement(Verdict.HOLD, lacking, "executed", "", executed, failed)
    if gate is None:
        sentence = f"PASS: {failed} of {executed} mature executed failed, no threshold reached"
        return Judgement(Verdict.PASS, sentence, "threshold", "", executed, failed)
    if halt_boundary(gate).halts(failed, executed):
        sentence = (
            f"HOLD: in this phase alone {failed} of {executed} executed failed, limit {_percent(gate.p_ok)}; "
            "a person decides"
        )
        return Judgement(Verdict.HOLD, sentence, "evidence", "", executed, failed)
    return _proven(look, gate)


def _too_few(look: _Look, executed: int) -> str:
    """Say that too few devices are executed and mature, "" if enough are.

    A phase smaller than `min_executed` needs all of its devices that are neither timed out nor rejected.
    """
    released, policy = sum(look.phase), look.policy
    silent, refused = look.phase[_TIMED_OUT], look.phase[_REJECTED]
    needed = policy.min_executed if released >= policy.min_executed else released - silent - refused
    if executed >= max(needed, 1):
        return ""
    return (
        f"HOLD: {executed} of {max(needed, 1)} needed devices are executed and mature ({released} released, "
        f"{look.phase[_PENDING]} pending, {silent} timed out, {refused} rejected); a person decides"
    )


def _proven(look: _Look, gate: EvidenceGate) -> Judgement:
    """PASS if the rollout so far, this phase by its mature devices, is proven better than p_bad."""
    mature = look.mature
    failed = look.whole[_FAILED] - look.phase[_FAILED] + mature[_FAILED]
    executed = executed_of(look.whole) - executed_of(look.phase) + executed_of(mature)
    needed = pass_boundary(gate).needed(failed)
    log_evidence = _log_pass(gate, failed, executed)
    found = f"{failed} of {executed} mature executed failed, evidence {_number(log_evidence)}"
    value = math.exp(min(log_evidence, MOST_LOG))
    if executed >= needed:
        sentence = f"PASS: {found} >= {1 / gate.beta:.3g} that fewer than {_percent(gate.p_bad)} fail"
        return Judgement(Verdict.PASS, sentence, "evidence", "", executed, failed, value)
    sentence = (
        f"HOLD: {found} < {1 / gate.beta:.3g}: to prove that fewer than {_percent(gate.p_bad)} fail takes "
        f"{needed} executed at {failed} failures; a person decides"
    )
    return Judgement(Verdict.HOLD, sentence, "evidence", "", executed, failed, value)


@lru_cache(maxsize=1024)
def _log_pass(gate: EvidenceGate, failed: int, executed: int) -> float:
    return float(log_pass(np.array([failed]), np.array([executed]), gate)[0])


def _dry(look: _Look, judgement: Judgement, *, complete: bool) -> Judgement:
    """Turn what would have been said into a report, unless there is nothing to go by."""
    if complete and not executed_of(look.mature):
        return Judgement(Verdict.HOLD, _too_few(look, 0), "executed")
    if judgement.verdict in (Verdict.GO, Verdict.PASS):
        return judgement
    verdict = Verdict.PASS if complete else Verdict.GO
    sentence = f"{verdict.upper()}: dry run, not decided: {judgement.sentence}"
    return replace(judgement, verdict=verdict, sentence=sentence, dry_run=(judgement.sentence,))
