"""Hold a stratum that stays silent; WAIT if the latest releases answer much less than the earlier ones did.

The figures are `GateCounts.silence`, see `rollout.gates.silence`. A WAIT ends by itself once the answers have come; if
they have not within the patience, a person must decide.
"""

from __future__ import annotations

import math

import numpy as np

from rollout.gates.rules.base import (
    ENROLLED,
    FAILED,
    MOST_LOG,
    REJECTED,
    GateRule,
    Reading,
)
from rollout.gates.silence import is_short
from rollout.values import (
    DAY_S,
    HOUR_S,
    EvidenceGate,
    GatePolicy,
    Hold,
    Judgement,
    LongArray,
    Silence,
    Verdict,
)

RULE = "silence"

PATIENCE_S = 10 * DAY_S
"""How long releases wait, if the policy has no `patience` of its own."""


def _check(policy: GatePolicy) -> None:
    """Accept every policy: the rule has no keys of its own."""


def _alpha(policy: GatePolicy) -> float:
    return (policy.evidence or EvidenceGate()).alpha


def log_limit(policy: GatePolicy, strata: int) -> float:
    """Return the ln evidence from which on one of so many strata is condemned: half of alpha is shared among them."""
    return math.log(2 * strata / _alpha(policy))


def _condemned(reading: Reading) -> tuple[Hold, ...]:
    """Return the strata that are silent, without those that are held already; the most evidence first."""
    silence, names, held = reading.counts.silence, reading.counts.names, reading.counts.held
    if silence is None or not reading.policy.per_stratum or len(names) < 2:
        return ()
    over = silence.log_evidence >= log_limit(reading.policy, len(names))
    if not over.any():
        return ()
    if held is not None:
        over &= ~held
    codes = np.flatnonzero(over)
    ranked = codes[np.argsort(-silence.log_evidence[codes], kind="stable")]
    return tuple(_hold(reading, int(code), ~over if held is None else ~(over | held)) for code in ranked)


def _hold(reading: Reading, code: int, others: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Hold:
    """Return the question about one stratum; others : (strata,) bool, those that it is compared with."""
    counts = reading.counts
    answered, released = _answered_of(counts.cumulative)
    share = int(answered[others].sum()) / max(int(released[others].sum()), 1)
    of, known = int(released[code]), int(answered[code])
    name = f"{counts.column or 'stratum'} '{counts.names[code]}'"
    sentence = (
        f"{name}: {known:,} of {of:,} devices have answered where the others lead to expect about "
        f"{max(round(share * of), known):,}"
    )
    # The phase is not known here: the loop enters the one in which it asks.
    return Hold(-1, RULE, counts.names[code], of - known, of, sentence)


def _answered_of(counts: LongArray) -> tuple[LongArray, LongArray]:
    """Return the devices with an outcome and those that may have one, (strata,) each; rejected ones never do."""
    return counts[:, ENROLLED] + counts[:, FAILED], counts.sum(axis=1) - counts[:, REJECTED]


def _judge(reading: Reading) -> Judgement | None:
    silence = reading.counts.silence
    if silence is None:
        return None
    if reading.policy.on_stratum == "halt" and (strata := _condemned(reading)):
        return _hold_all(silence, strata, reading)
    return _wait(silence, reading) if is_short(silence) else None


def _hold_all(silence: Silence, strata: tuple[Hold, ...], reading: Reading) -> Judgement:
    """HOLD everything for the strata that are silent."""
    worst = strata[0]
    evidence = math.exp(min(float(silence.log_evidence[reading.counts.names.index(worst.stratum)]), MOST_LOG))
    more = f", and {len(strata) - 1:,} more" if len(strata) > 1 else ""
    return Judgement(
        Verdict.HOLD,
        f"HOLD: {worst.sentence}{more}; a person must decide",
        RULE,
        worst.stratum,
        evidence=evidence,
        harmed=sum(hold.harmed for hold in strata),
        of=sum(hold.of for hold in strata),
    )


def _wait(silence: Silence, reading: Reading) -> Judgement:
    hours = max(round((silence.at - silence.since) / HOUR_S), 1)
    found = (
        f"of {silence.cohort:,} devices released in the last {hours:,} hours, {silence.answered:,} have answered; "
        f"those released earlier lead to expect {round(silence.expected):,} by now"
    )
    verdict, ends = Verdict.WAIT, "releases wait for more answers"
    patience_s = int(dict(reading.policy.figures).get("patience", PATIENCE_S))
    if reading.counts.waited_s >= patience_s:
        verdict = Verdict.HOLD
        ends = f"releases waited for {patience_s / DAY_S:.3g} days; a person must decide"
    return Judgement(
        verdict,
        f"{verdict.upper()}: {found}: {ends}",
        RULE,
        executed=silence.answered,
        harmed=max(round(silence.expected) - silence.answered, 0),
        of=silence.cohort,
    )


def _apart(reading: Reading) -> tuple[Hold, ...]:
    """Return the strata that are held while the others go on: none where one of them stops all."""
    return () if reading.policy.on_stratum == "halt" else _condemned(reading)


SILENCE = GateRule(RULE, _check, _judge, condemned=_apart)
