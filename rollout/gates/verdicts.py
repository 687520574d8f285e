"""GO, WAIT, PASS, HOLD, HALT from counts: whether more devices may follow, from what is known of those released.

Pure: the same counts give the same judgement, nothing is remembered between observations. Unreadable or impossible
counts are a HOLD. Then all rules are asked in the order of `rollout.gates.rules`, and the most severe objection wins,
among equals the first: HALT, then HOLD, then WAIT, which resumes by itself. PASS needs a complete phase and no
objection. If no rule applies, it is GO: releasing may continue. Strata that are condemned by themselves are listed with
any verdict, so that the loop holds them while the others go on.

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
from rollout.values import GatePolicy, Hold, Judgement, LongArray, Verdict


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
    problem = _problem(policy, counts)
    if problem:
        return Judgement(Verdict.HOLD, f"HOLD: {problem}", "data")
    reading = reading_of(policy, counts)
    found = _asked(reading)
    verdict = (_worst(found) if found else None) or _go(reading)
    if strata := tuple(hold for rule in RULES for hold in rule.condemned(reading)):
        verdict = replace(verdict, strata=strata, sentence=verdict.sentence + _apart(verdict, strata))
    return _dry(reading, verdict) if policy.dry_run else verdict


def _problem(policy: GatePolicy, counts: GateCounts) -> str:
    if policy.no_progress_s and counts.progress_age_s < 0:
        return f"the last progress lies {-counts.progress_age_s} s in the future"
    return counts.problem()


def objections(policy: GatePolicy, counts: GateCounts) -> tuple[Judgement, ...]:
    """Return every HALT, HOLD and WAIT in the order of the rules, () if there is none.

    An approval answers one of them: the others still stand. A dry run objects to nothing but unusable data.
    """
    if policy.dry_run or _problem(policy, counts):
        judgement = judge(policy, counts)
        return (judgement,) if judgement.verdict in _SEVERITY else ()
    found = _asked(reading_of(policy, counts))
    return tuple(judgement for judgement in found if judgement.verdict in _SEVERITY)


_SEVERITY = {Verdict.HALT: 3, Verdict.HOLD: 2, Verdict.WAIT: 1}


def _asked(reading: Reading) -> list[Judgement]:
    """Return what the rules say that say something."""
    return [judgement for rule in RULES if (judgement := rule.judge(reading)) is not None]


def _worst(found: list[Judgement]) -> Judgement | None:
    """Return the most severe objection, the first among equals; else the PASS, if any."""
    return max(found, key=lambda judgement: _SEVERITY.get(judgement.verdict, 0), default=None)


def _apart(judgement: Judgement, strata: tuple[Hold, ...]) -> str:
    """Return the addition to a sentence that names strata which are condemned by themselves."""
    if judgement.verdict is Verdict.HALT:
        return ""
    names = ", ".join(f"'{hold.stratum}' ({hold.harmed:,} of {hold.of:,})" for hold in strata[:_NAMED])
    more = f" and {len(strata) - _NAMED:,} more" if len(strata) > _NAMED else ""
    return f"; held by themselves: {names}{more}"


_NAMED = 5
"""Strata that a sentence names."""


def _go(reading: Reading) -> Judgement:
    failed, executed = reading.tested[FAILED], executed_of(reading.tested)
    sentence = (
        f"GO: {failed:,} of {executed:,} devices with an outcome failed, {reading.tested[PENDING]:,} pending"
    )
    if reading.policy.evidence is not None:
        sentence += f"; HALT at {reading.fewest:,} failure{'s' if reading.fewest != 1 else ''}"
    return Judgement(Verdict.GO, sentence, "go", "", executed, failed)


def _dry(reading: Reading, judgement: Judgement) -> Judgement:
    """Turn the verdict and the holds of strata into a report, unless there is no basis for one."""
    stale = NO_PROGRESS.judge(reading)
    if stale is not None:
        return stale
    complete, mature = reading.counts.complete, reading.mature
    lacking = too_few(reading, mature) if complete and not executed_of(mature) else None
    if lacking is not None:
        return lacking
    said = [judgement.sentence] if judgement.verdict in _SEVERITY else []
    said += [hold.sentence for hold in judgement.strata]
    if not said:
        return judgement
    verdict = Verdict.PASS if complete else Verdict.GO
    sentence = f"{verdict.upper()}: dry run, not decided: {said[0]}"
    return replace(
        judgement, verdict=verdict, sentence=sentence, dry_run=tuple(said), strata=(), harmed=0, of=0
    )
