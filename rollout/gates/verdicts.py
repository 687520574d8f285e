"""PASS, HOLD, HALT from counts: whether more devices may follow, from what is known of those released.

Pure: the same counts give the same judgement, nothing is remembered between observations. Unreadable or impossible
counts are a HOLD. Then the rules are asked in the order of `rollout.gates.rules`, and the first that applies wins: HALT
by evidence, HALT or HOLD by plain thresholds, HOLD for silent devices or for lack of progress, and once the phase is
complete PASS or HOLD. If none applies, it is GO: releasing may continue.

All phases share one policy as a rule; where they differ, each phase's observations obey its own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rollout.gates.counts import GateCounts, executed_of
from rollout.gates.evidence import Boundary, boundary_of
from rollout.gates.rules import RULES
from rollout.gates.rules.base import FAILED, PENDING, Reading, reading_of
from rollout.gates.rules.completion import too_few
from rollout.gates.rules.no_progress import NO_PROGRESS
from rollout.values import GatePolicy, Judgement, LongArray, Verdict


def check_policy(policy: GatePolicy) -> None:
    """Raise a `ValueError` that names the first value out of its range."""
    for rule in RULES:
        rule.check(policy)


def boundary(policy: GatePolicy, n: int | LongArray, tests: int = 1) -> Boundary:
    """Return for 0..n devices (or at each of an array) how many failures halt and how many still pass.

    tests : by how much alpha is divided: 1 for a test alone, 2 for the cumulative one where strata are tested too,
    twice the number of strata for each of them. Raise a `ValueError` if the policy has no evidence gate.
    """
    if policy.evidence is None:
        raise ValueError("expected a gate with evidence, found plain thresholds only")
    seen = np.arange(n + 1, dtype=np.int64) if isinstance(n, int) else n
    return boundary_of(policy.evidence, seen, 1 / tests)


def is_approvable(judgement: Judgement) -> bool:
    """Return whether a person may decide instead: any HOLD except for lack of readable data."""
    return judgement.verdict is Verdict.HOLD and judgement.rule != "data"


def judge(policy: GatePolicy, counts: GateCounts) -> Judgement:
    """Judge the counts of one observation; see the module for the order.

    With `policy.dry_run` the verdict is GO or PASS and `dry_run` holds the verdict's sentence, except
    that counts which are unreadable, impossible, stale or empty stay a HOLD.
    """
    problem = counts.problem()
    if policy.no_progress_s and counts.progress_age_s < 0:
        problem = f"the last progress lies {-counts.progress_age_s} s in the future"
    if problem:
        return Judgement(Verdict.HOLD, f"HOLD: {problem}", "data")
    reading = reading_of(policy, counts)
    verdicts = (rule.judge(reading) for rule in RULES)
    verdict = next((verdict for verdict in verdicts if verdict is not None), None) or _go(reading)
    strata = tuple(hold for rule in RULES for hold in rule.condemned(reading))
    if policy.dry_run:
        dry = _dry(reading, verdict)
        return replace(dry, dry_run=(*dry.dry_run, *(hold.sentence for hold in strata))) if strata else dry
    return replace(verdict, strata=verdict.strata + strata) if strata else verdict


def _go(reading: Reading) -> Judgement:
    failed, executed = reading.whole[FAILED], executed_of(reading.whole)
    sentence = (
        f"GO: {failed:,} of {executed:,} devices with an outcome failed, {reading.whole[PENDING]:,} pending"
    )
    if reading.policy.evidence is not None:
        sentence += f"; HALT at {reading.fewest:,} failure{'s' if reading.fewest != 1 else ''}"
    return Judgement(Verdict.GO, sentence, "go", "", executed, failed)


def _dry(reading: Reading, judgement: Judgement) -> Judgement:
    """Turn the verdict into a report, unless there is no basis for one."""
    stale = NO_PROGRESS.judge(reading)
    if stale is not None:
        return stale
    complete = reading.counts.complete
    if complete and not executed_of(reading.mature):
        return Judgement(Verdict.HOLD, too_few(reading, 0), "executed")
    if judgement.verdict in (Verdict.GO, Verdict.PASS):
        return judgement
    verdict = Verdict.PASS if complete else Verdict.GO
    sentence = f"{verdict.upper()}: dry run, not decided: {judgement.sentence}"
    return replace(judgement, verdict=verdict, sentence=sentence, dry_run=(judgement.sentence,))
