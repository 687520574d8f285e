"""PASS, HOLD, HALT from counts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rollout.gates import (
    RULES,
    UNPROVEN,
    GateCounts,
    boundary,
    check_policy,
    groups_of,
    is_approvable,
    judge,
)
from rollout.gates.evidence import halt_boundary, pass_boundary
from rollout.values import (
    OUTCOMES,
    EvidenceGate,
    GatePolicy,
    Judgement,
    Outcome,
    Silence,
    ThresholdGate,
    Verdict,
)

Counts = NDArray[np.int64]
PLAIN = GatePolicy(evidence=None, thresholds=(ThresholdGate(5.0, count=2, min_executed=10),))
STRICT = GatePolicy(on_stratum="halt")
SEVERITY = {Verdict.GO: 0, Verdict.PASS: 0, Verdict.WAIT: 1, Verdict.HOLD: 2, Verdict.HALT: 3}


def counts(*strata: Sequence[int]) -> Counts:
    """Give one row a stratum from (pending, enrolled, failed[, rejected, timed out])."""
    return np.array([[*row, *[0] * (OUTCOMES - len(row))] for row in strata], dtype=np.int64)


def look(policy: GatePolicy, *strata: Sequence[int], **given: Any) -> Judgement:
    """Judge a rollout of one phase in which everything is mature; `given` overrides any argument."""
    whole = counts(*strata)
    arguments: dict[str, Any] = {
        "cumulative": whole,
        "phase": whole,
        "mature": whole,
        "planned": np.full(len(strata), 1000, dtype=np.int64),
        "names": tuple(f"X{index}" for index in range(len(strata))),
        "complete": False,
        "readable": True,
        "column": "model",
    }
    return judge(policy, GateCounts(**{**arguments, **given}))


def test_nothing_released_yet_is_no_objection() -> None:
    """The first look of a rollout says GO, and where HALT lies."""
    judgement = look(GatePolicy(), (0, 0, 0))
    assert judgement.verdict is Verdict.GO
    assert judgement.sentence == "GO: 0 of 0 devices with an outcome failed, 0 pending; HALT at 1 failure"


def test_a_bad_stratum_halts_and_is_named() -> None:
    """The sentence has the stratum, the counts, the limit and the evidence, corrected for all tests."""
    judgement = look(STRICT, (0, 400, 2), (0, 32, 9))
    assert judgement.verdict is Verdict.HALT
    assert (judgement.stratum, judgement.executed, judgement.failed) == ("X1", 41, 9)
    assert judgement.rule == "evidence"
    assert judgement.sentence.startswith(
        "HALT: model 'X1': 9 of 41 devices with an outcome failed, at most 1 % is acceptable: "
        "too many to be chance (evidence "
    )
    assert judgement.sentence.endswith(", 20 needed, corrected for 3 tests)")


def test_the_whole_rollout_halts_where_no_stratum_does() -> None:
    """Failures spread over many strata are seen by the cumulative test."""
    judgement = look(GatePolicy(), *[(0, 49, 1)] * 60)
    assert judgement.verdict is Verdict.HALT
    assert judgement.stratum == ""
    assert judgement.sentence.startswith(
        "HALT: 60 of 3,000 devices with an outcome failed, at most 1 % is acceptable"
    )


def test_pending_devices_count_as_successes() -> None:
    """Five fast failures do not halt while a thousand slow successes are under way."""
    assert look(GatePolicy(), (1000, 10, 5)).verdict is Verdict.GO
    assert look(GatePolicy(), (0, 10, 5)).verdict is Verdict.HALT


def test_stragglers_and_rejected_devices_leave_the_rate() -> None:
    """A thousand silent or refused devices do not hide five failures among fifteen that answered."""
    for row in ((0, 10, 5, 1000, 0), (0, 10, 5, 0, 1000)):
        judgement = look(GatePolicy(straggler_max=1.0), row)
        assert judgement.verdict is Verdict.HALT
        assert judgement.executed == 15


def test_a_first_failure_does_not_halt() -> None:
    """The prior leans to bad rates, so that the very first device may fail."""
    assert look(GatePolicy(), (0, 0, 1)).verdict is Verdict.GO


def test_evidence_spans_the_phases() -> None:
    """Failures of earlier phases count; a phase that is good by itself does not hide them."""
    earlier, now = counts((0, 500, 14)), counts((0, 300, 5))
    judgement = look(GatePolicy(), (0, 0, 0), cumulative=earlier + now, phase=now, mature=now)
    assert judgement.verdict is Verdict.HALT
    assert judgement.failed == 19
    assert look(GatePolicy(), (0, 300, 5)).verdict is Verdict.GO


def test_alpha_is_shared_by_union_bound() -> None:
    """One half for the whole, the rest evenly for the strata; without strata it is not split."""
    planned = np.array([100, 49, 50, 30, 0], dtype=np.int64)
    groups = groups_of(GatePolicy(), planned, "abcde")
    assert groups.names == ("a", "c", "other")
    assert groups.whole + len(groups.names) * groups.apart == pytest.approx(1)
    assert groups.sums(np.array([1, 2, 4, 8, 16])).tolist() == [1, 4, 26]
    for alone in (
        groups_of(GatePolicy(), planned[:1], "a"),
        groups_of(GatePolicy(per_stratum=False), planned, "abcde"),
    ):
        assert (alone.names, alone.whole) == ((), 1.0)


def test_small_strata_are_pooled_as_other() -> None:
    """A bad pool of small strata halts under that name."""
    planned = np.array([1000, 20, 20], dtype=np.int64)
    judgement = look(STRICT, (0, 500, 0), (0, 5, 4), (0, 5, 4), planned=planned)
    assert (judgement.verdict, judgement.stratum, judgement.executed) == (Verdict.HALT, "other", 18)


def test_four_hundred_good_strata_are_not_halted() -> None:
    """60 rollouts at the acceptable rate, 400 strata, looked at after each device: uncorrected all are halted."""
    rng, halted, uncorrected = np.random.default_rng(4), 0, 0
    groups = groups_of(GatePolicy(), np.full(400, 250), [f"X{index}" for index in range(400)])
    seen = np.arange(1, 251)
    for _ in range(60):
        failed = (rng.random((400, 250)) < 0.01).cumsum(axis=1)
        whole = halt_boundary(EvidenceGate(), groups.whole).halts(failed.sum(axis=0), 400 * seen)
        halted += bool(halt_boundary(EvidenceGate(), groups.apart).halts(failed, seen).any() or whole.any())
        uncorrected += bool(halt_boundary(EvidenceGate()).halts(failed, seen).any())
    assert uncorrected == 60
    assert halted <= 3


def test_pass_needs_a_complete_phase() -> None:
    """The same counts are GO while releasing and PASS after the soak."""
    assert look(GatePolicy(), (0, 300, 1)).verdict is Verdict.GO
    judgement = look(GatePolicy(), (0, 300, 1), complete=True)
    assert judgement.verdict is Verdict.PASS
    assert judgement.sentence.startswith(
        "PASS: 1 of 301 devices failed: strong evidence that fewer than 3 % fail (evidence "
    )
    assert judgement.sentence.endswith(", 20 needed)")


def test_pass_counts_mature_executed_devices_only() -> None:
    """Neither pending nor fresh devices prove anything: releases wait for them."""
    assert look(GatePolicy(), (300, 100, 0), complete=True).verdict is Verdict.WAIT
    fresh = look(GatePolicy(), (30, 300, 0), mature=counts((0, 100, 0)), complete=True, waited_s=6 * 86400)
    assert (fresh.verdict, fresh.rule) == (Verdict.WAIT, UNPROVEN)
    assert "139 devices that answered at least 5.0 days ago, 100 did" in fresh.sentence


def test_a_pilot_too_small_for_proof_says_what_it_would_take() -> None:
    """HOLD with the number of devices, for the person who decides."""
    judgement = look(GatePolicy(), (0, 98, 2), complete=True)
    assert judgement.verdict is Verdict.HOLD
    assert "that takes 286 devices if no more fail (evidence " in judgement.sentence
    assert judgement.sentence.endswith(", 20 needed); a person must decide")
    assert pass_boundary(EvidenceGate()).needed(2) == 286
    assert look(GatePolicy(), (0, 284, 2), complete=True).verdict is Verdict.PASS
    assert look(GatePolicy(), (0, 283, 2), complete=True).verdict is Verdict.HOLD


def test_a_small_phase_passes_on_the_evidence_so_far() -> None:
    """After a good pilot of 400 a site of 60 needs no proof of its own …"""
    site = counts((0, 60, 0))
    arguments = {"phase": site, "mature": site, "complete": True}
    assert look(GatePolicy(), (0, 459, 1), **arguments).verdict is Verdict.PASS


def test_a_phase_that_stands_out_does_not_pass_on_the_evidence_of_others() -> None:
    """… but five failures there are for a person, though the rollout as a whole is still good."""
    site = counts((0, 55, 5))
    judgement = look(GatePolicy(), (0, 3055, 6), phase=site, mature=site, complete=True)
    assert judgement.verdict is Verdict.HOLD
    assert judgement.sentence.startswith(
        "HOLD: in this phase alone, 5 of 60 devices with an outcome failed, at most 1 %"
    )


def test_pass_is_never_given_below_the_minimum() -> None:
    """Not even if the rollout so far proves the rate; a whole smaller phase is enough."""
    site = counts((5, 15, 0))
    arguments = {"cumulative": counts((5, 2015, 0)), "phase": site, "mature": site, "complete": True}
    judgement = look(GatePolicy(), (0, 0, 0), **arguments)
    assert (judgement.verdict, judgement.rule) == (Verdict.WAIT, "answered")
    judgement = look(GatePolicy(figures=(("answered", 0.5),)), (0, 0, 0), **arguments)
    assert (judgement.verdict, judgement.rule) == (Verdict.WAIT, "executed")
    assert judgement.sentence.startswith(
        "WAIT: 15 of 20 required devices have a mature outcome (20 released, 5 pending"
    )
    small = counts((0, 12, 0, 1, 2))
    arguments |= {"cumulative": counts((0, 2012, 0, 1, 2)), "phase": small, "mature": small}
    assert look(GatePolicy(), (0, 0, 0), **arguments).verdict is Verdict.PASS


@pytest.mark.parametrize(
    "policy", [GatePolicy(), PLAIN, GatePolicy(dry_run=True), replace(PLAIN, min_executed=0)]
)
def test_an_empty_phase_is_never_passed(policy: GatePolicy) -> None:
    """Nothing executed proves nothing, whatever the policy."""
    for row in ((0, 0, 0), (0, 0, 0, 30, 0)):
        assert look(policy, row, complete=True).verdict is Verdict.HOLD
    for row in ((30, 0, 0), (0, 0, 0, 0, 30)):  # these may still answer
        assert look(policy, row, complete=True).verdict in (Verdict.WAIT, Verdict.HOLD)
        assert look(policy, row, complete=True, waited_s=10 * 86400).verdict is Verdict.HOLD


def test_unreadable_is_hold() -> None:
    """Whatever the last counts were: good, bad or none."""
    for row in ((0, 300, 0), (0, 10, 10), (0, 0, 0)):
        for complete in (False, True):
            judgement = look(GatePolicy(), row, readable=False, complete=complete)
            assert judgement.verdict is Verdict.HOLD
            assert judgement.sentence == "HOLD: the directory could not be read"
            assert not is_approvable(judgement)
    assert is_approvable(look(GatePolicy(), (0, 98, 2), complete=True))
    assert not is_approvable(look(GatePolicy(), (0, 10, 10)))


@pytest.mark.parametrize(
    ("given_", "text"),
    [
        ({"cumulative": counts((0, -300, 0))}, "negative"),
        ({"cumulative": counts((0, 10**15, 0))}, "above 20000000"),
        ({"phase": counts((0, 301, 0))}, "more devices of an outcome than the whole rollout"),
        ({"phase": counts((-1, 300, 0))}, "more devices of an outcome than the whole rollout, or a negative"),
        ({"mature": counts((0, 301, 0))}, "are mature than the phase has"),
        ({"mature": counts((0, -1, 0))}, "are mature than the phase has, or a negative number"),
        ({"cumulative": np.full((1, OUTCOMES), np.nan)}, "in int64, found .* in float64"),
        ({"cumulative": np.zeros((2, OUTCOMES), dtype=np.int64)}, "expected counts of shape"),
        ({"planned": np.zeros(2, dtype=np.int64)}, "expected counts of shape"),
        (
            {
                "cumulative": np.zeros((0, OUTCOMES), dtype=np.int64),
                "phase": np.zeros((0, OUTCOMES), dtype=np.int64),
                "mature": np.zeros((0, OUTCOMES), dtype=np.int64),
                "planned": np.zeros(0, dtype=np.int64),
                "names": (),
            },
            "no strata",
        ),
    ],
)
def test_impossible_counts_are_hold(given_: dict[str, Any], text: str) -> None:
    """No exception and never PASS; the sentence says what is wrong."""
    judgement = look(GatePolicy(), (0, 300, 0), **{"complete": True, **given_})
    assert (judgement.verdict, judgement.rule) == (Verdict.HOLD, "data")
    with pytest.raises(pytest.fail.Exception, match=text):
        pytest.fail(judgement.sentence)


def test_a_threshold_needs_percent_and_count_and_minimum() -> None:
    """It trips exactly at its rate, its count and its minimum, on executed devices."""
    assert look(PLAIN, (0, 38, 2)).verdict is Verdict.HALT
    assert look(PLAIN, (0, 39, 2)).verdict is Verdict.GO  # below 5 %
    assert look(PLAIN, (0, 9, 1)).verdict is Verdict.GO  # below the count
    assert look(PLAIN, (100, 7, 2)).verdict is Verdict.GO  # below the minimum
    assert look(PLAIN, (100, 8, 2)).verdict is Verdict.HALT
    assert look(PLAIN, (0, 38, 2)).sentence == (
        "HALT: 2 of 40 devices with an outcome failed, 5 %; the threshold is 5 % and 2 failures, from 10 devices"
    )


def test_a_threshold_judges_the_current_phase() -> None:
    """A good history does not dilute it."""
    now = counts((0, 30, 10))
    assert look(PLAIN, (0, 5030, 10), phase=now, mature=now).verdict is Verdict.HALT


def test_a_halting_threshold_goes_before_a_holding_one() -> None:
    """In whichever order they are written."""
    hold, halt = ThresholdGate(2.0, action="hold"), ThresholdGate(10.0)
    for thresholds in ((hold, halt), (halt, hold)):
        policy = GatePolicy(evidence=None, thresholds=thresholds)
        assert look(policy, (0, 97, 3)).verdict is Verdict.HOLD
        assert look(policy, (0, 80, 20)).verdict is Verdict.HALT


def test_a_threshold_may_count_some_failure_classes_only() -> None:
    """With the classes known those count; unknown, all failures do, to be on the safe side."""
    policy = GatePolicy(evidence=None, thresholds=(ThresholdGate(5.0, classes=("identity", "config")),))
    row = (0, 90, 10)
    assert look(policy, row, failed_classes={"network": 7, "identity": 3}).verdict is Verdict.GO
    judgement = look(policy, row, failed_classes={"network": 5, "identity": 3, "config": 2})
    assert judgement.verdict is Verdict.HALT
    assert "5 of 100 devices with an outcome failed (identity, config)" in judgement.sentence
    assert look(policy, row).verdict is Verdict.HALT


def test_plain_thresholds_alone_pass_a_complete_phase() -> None:
    """Without an evidence gate the thresholds decide, from `min_executed` on."""
    assert look(PLAIN, (0, 29, 1), complete=True).verdict is Verdict.PASS
    assert look(PLAIN, (15, 14, 1), complete=True).verdict is Verdict.WAIT


def test_too_many_stragglers_hold() -> None:
    """The share is among mature devices, and needs enough of them unless the phase is complete."""
    policy = GatePolicy(straggler_max=0.2)
    assert look(policy, (0, 80, 0, 0, 20)).verdict is Verdict.GO
    judgement = look(policy, (0, 79, 0, 0, 21))
    assert (judgement.verdict, judgement.rule) == (Verdict.HOLD, "stragglers")
    assert (
        judgement.sentence == "HOLD: 21 of 100 mature devices are silent (21 %), at most 20 % is acceptable"
    )
    assert look(policy, (0, 4, 0, 0, 2)).verdict is Verdict.GO
    assert look(policy, (0, 4, 0, 0, 2), complete=True).rule == "stragglers"


def test_no_progress_holds_while_devices_wait() -> None:
    """From the deadline on, and only if somebody is waiting."""
    policy = GatePolicy(no_progress_s=7200)
    assert look(policy, (5, 300, 0), progress_age_s=7199).verdict is Verdict.GO
    assert look(policy, (0, 300, 0), progress_age_s=9999).verdict is Verdict.GO
    judgement = look(policy, (5, 300, 0), progress_age_s=7200, complete=True)
    assert (judgement.verdict, judgement.rule) == (Verdict.HOLD, "no-progress")
    assert judgement.sentence == (
        "HOLD: no device enrolled for 2 h although 5 are pending, at most 2 h is acceptable"
    )


def test_progress_in_the_future_is_hold() -> None:
    """A clock that went back says nothing about progress; without a deadline nobody asks."""
    policy = GatePolicy(no_progress_s=7200)
    assert look(policy, (5, 300, 0), progress_age_s=-5, complete=True).rule == "data"
    assert look(GatePolicy(), (0, 300, 0), progress_age_s=-5, complete=True).verdict is Verdict.PASS


def test_a_restart_comes_to_the_same_judgement() -> None:
    """Nothing but the counts matters: with all tables forgotten the same values come out."""
    rows = [(40, 300, 9), (10, 80, 3), (0, 60, 0)]
    before = [look(GatePolicy(), *rows, complete=complete) for complete in (False, True)]
    halt_boundary(EvidenceGate()).halts(5000, 300_000)  # another history of questions
    halt_boundary.cache_clear()
    pass_boundary.cache_clear()
    assert [look(GatePolicy(), *rows, complete=complete) for complete in (False, True)] == before


def test_a_dry_run_reports_and_does_not_decide() -> None:
    """It says what it would have said."""
    policy = GatePolicy(dry_run=True)
    judgement = look(policy, (0, 10, 10))
    assert judgement.verdict is Verdict.GO
    assert judgement.dry_run[0].startswith("HALT: 10 of 20 devices with an outcome failed")
    assert look(policy, (0, 60, 0), complete=True).verdict is Verdict.PASS
    assert look(policy, (0, 300, 0), complete=True).dry_run == ()
    assert look(policy, (0, 300, 0), complete=True, readable=False).verdict is Verdict.HOLD


def test_a_judgement_can_be_written_as_json() -> None:
    """Also overwhelming evidence is a finite number."""
    judgement = look(GatePolicy(), (0, 0, 100_000))
    assert judgement.verdict is Verdict.HALT
    json.dumps(asdict(judgement), allow_nan=False)
    json.dumps(asdict(look(GatePolicy(), (0, 500_000, 0), complete=True)), allow_nan=False)


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (GatePolicy(evidence=EvidenceGate(p_ok=0.5, p_bad=0.4)), "p_bad"),
        (GatePolicy(thresholds=(ThresholdGate(0),)), "percent"),
        (GatePolicy(thresholds=(ThresholdGate(5, action="stop"),)), "halt or hold"),
        (GatePolicy(thresholds=(ThresholdGate(5, count=-1),)), "count"),
        (GatePolicy(straggler_max=1.1), "straggler_max"),
        (GatePolicy(min_executed=-1), "min_executed"),
        (GatePolicy(strata_min=-1), "strata_min"),
    ],
)
def test_impossible_policies_are_a_clear_error(policy: GatePolicy, text: str) -> None:
    """Checked when a plan is made, not at every look."""
    with pytest.raises(ValueError, match=text):
        check_policy(policy)


def test_the_boundary_for_the_picture() -> None:
    """HALT and PASS by number of devices; asking it of plain thresholds is an error."""
    edges = boundary(GatePolicy(), 300)
    assert edges.seen.tolist() == list(range(301))
    assert edges.halt[[0, 10, 50, 100]].tolist() == [1, 3, 4, 5]
    assert edges.passing[[138, 139, 217, 218, 286]].tolist() == [-1, 0, 0, 1, 2]
    assert (boundary(GatePolicy(), 300, tests=50).halt >= edges.halt).all()
    with pytest.raises(ValueError, match="plain thresholds only"):
        boundary(PLAIN, 10)


POLICIES = (
    GatePolicy(),
    PLAIN,
    GatePolicy(dry_run=True),
    GatePolicy(per_stratum=False, min_executed=0, straggler_max=0.0, no_progress_s=3600),
    GatePolicy(
        evidence=EvidenceGate(0.05, 0.2, 0.1, 0.2),
        thresholds=(ThresholdGate(10, action="hold"),),
        strata_min=1,
    ),
    GatePolicy(evidence=EvidenceGate(0.02, 0.5, 0.3, 0.3, 1, 1), no_progress_s=60, strata_min=0),
)


def _generate(rng: np.random.Generator) -> tuple[GatePolicy, dict[str, Any], bool]:
    """Give any policy and counts, sound or not; True if the counts are sound."""
    policy, strata = POLICIES[rng.integers(len(POLICIES))], int(rng.integers(1, 5))
    top = int(rng.choice([1, 3, 30, 1000, 20_000]))
    mature = rng.integers(0, top, (strata, OUTCOMES)) * rng.integers(0, 2, (strata, OUTCOMES))
    if rng.random() < 0.5:
        mature[:, Outcome.FAILED] //= 200
    phase = mature + rng.integers(0, top, (strata, OUTCOMES)) * rng.integers(0, 2)
    given = {
        "cumulative": phase + rng.integers(0, top, (strata, OUTCOMES)) * rng.integers(0, 2),
        "phase": phase,
        "mature": mature,
        "planned": rng.integers(0, 200, strata),
        "names": tuple("abcde"[:strata]),
        "complete": bool(rng.random() < 0.7),
        "waited_s": int(rng.choice([0, 0, 0, 9, 20])) * 86400,
        "readable": bool(rng.random() < 0.9),
        "progress_age_s": int(rng.choice([0, 59, 60, 10**6])),
    }
    if rng.random() < 0.3:
        given["silence"] = Silence(1, rng.normal(0, 5, strata), int(rng.integers(0, 100)), 60.0, 200, 0)
    sound = rng.random() < 0.8
    if not sound:
        name = ("cumulative", "phase", "mature")[rng.integers(3)]
        given[name] = given[name] - rng.integers(1, 5) * 10 ** int(rng.integers(6, 9))
    return policy, given, sound


def _check_generated(number: int, seed: int) -> dict[Verdict, int]:
    rng = np.random.default_rng(seed)
    seen = dict.fromkeys(Verdict, 0)
    for _ in range(number):
        policy, given, sound = _generate(rng)
        judgement = judge(policy, GateCounts(**given))
        seen[judgement.verdict] += 1
        assert judgement.rule in {"data", "go", UNPROVEN, *(rule.name for rule in RULES)}
        assert judgement.sentence.startswith(f"{judgement.verdict.upper()}: ")
        assert judgement.verdict is not Verdict.PASS or given["complete"]
        assert judgement.verdict is not Verdict.GO or not given["complete"]
        assert judgement.verdict is not Verdict.WAIT or given["complete"] or "silence" in given
        if not sound or not given["readable"]:
            assert (judgement.verdict, judgement.rule) == (Verdict.HOLD, "data")
            continue
        mature, waiting = given["mature"], given["cumulative"][:, Outcome.PENDING].sum()
        stale = policy.no_progress_s and given["progress_age_s"] >= policy.no_progress_s and waiting
        # Pending devices of strata that are left out wait for nothing.
        if (stale and not judgement.strata) or not mature[:, [Outcome.ENROLLED, Outcome.FAILED]].sum():
            assert judgement.verdict is not Verdict.PASS
        _check_monotone(policy, given, judgement, rng)
    return seen


def _check_monotone(
    policy: GatePolicy, given: dict[str, Any], first: Judgement, rng: np.random.Generator
) -> None:
    """Turning mature successes of one stratum into failures never makes the verdict milder.

    Unless the stratum is condemned for them: then it is held by itself, and the verdict is on the others.
    """
    stratum = int(rng.integers(len(given["mature"])))
    moved = int(rng.integers(0, given["mature"][stratum, Outcome.ENROLLED] + 1))
    worse = dict(given)
    for name in ("cumulative", "phase", "mature"):
        worse[name] = given[name].copy()
        worse[name][stratum, Outcome.ENROLLED] -= moved
        worse[name][stratum, Outcome.FAILED] += moved
    second = judge(policy, GateCounts(**worse))
    assert SEVERITY[second.verdict] >= SEVERITY[first.verdict] or len(second.strata) > len(first.strata)


def test_generated_inputs_never_raise_and_never_pass_blindly() -> None:
    """2,500 generated inputs: no exception, no PASS from unreadable, stale or empty data, monotone in s."""
    assert min(_check_generated(2_500, 1).values()) > 50


@pytest.mark.slow
def test_a_hundred_thousand_generated_inputs() -> None:
    """The same over 100,000."""
    assert min(_check_generated(100_000, 2).values()) > 2_500


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    released=st.integers(1, 500),
    failed=st.integers(0, 500),
    late=st.integers(0, 500),
)
def test_an_answer_of_a_pending_device_never_undoes_a_halt(released: int, failed: int, late: int) -> None:
    """A HALT on what is known stands whatever the pending devices will say."""
    failed = min(failed, released)
    late = min(late, released - failed)
    now = look(GatePolicy(), (released - failed, 0, failed))
    later = look(GatePolicy(), (0, released - failed - late, failed + late))
    if now.verdict is Verdict.HALT:
        assert later.verdict is Verdict.HALT
