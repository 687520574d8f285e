"""What gates do not know yet: they wait for it, hold strata apart, and count it against a PASS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from rollout.gates import (
    UNPROVEN,
    GateCounts,
    check_policy,
    failures_to_speak,
    judge,
    losses_exceeded,
    objections,
    settled_of,
    strata_named,
)
from rollout.gates.rules.base import NEVER
from rollout.gates.rules.members import removed_limit
from rollout.policy.section import GateRules
from rollout.values import (
    DAY_S,
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
GOOD = GatePolicy(evidence=EvidenceGate(p_ok=0.02, p_bad=0.05, prior_b=20))
RULELESS = GatePolicy(evidence=None)
SEVERITY = {Verdict.GO: 0, Verdict.PASS: 0, Verdict.WAIT: 1, Verdict.HOLD: 2, Verdict.HALT: 3}
LONG = 30 * DAY_S


def counts(*strata: Sequence[int]) -> Counts:
    """Give one row per stratum from (pending, enrolled, failed[, rejected, silent])."""
    return np.array([[*row, *[0] * (OUTCOMES - len(row))] for row in strata], dtype=np.int64)


def gate_counts(*strata: Sequence[int], **given: Any) -> GateCounts:
    """Give the counts of a complete phase that is the whole rollout and mature; `given` overrides any of them."""
    whole = counts(*strata)
    names = tuple(f"X{index}" for index in range(len(strata)))
    planned = np.full(len(strata), 1000, dtype=np.int64)
    return replace(GateCounts(whole, whole, whole, planned, names, True, True, column="model"), **given)


def look(policy: GatePolicy, *strata: Sequence[int], **given: Any) -> Judgement:
    return judge(policy, gate_counts(*strata, **given))


def figures(**values: float) -> tuple[tuple[str, float], ...]:
    return tuple(sorted(values.items()))


# --- answered


def test_a_phase_waits_until_enough_have_answered_and_then_asks_a_person() -> None:
    """72 of 100 is too few: WAIT for the patience, then HOLD with the same figures; 80 are enough."""
    waiting = look(RULELESS, (20, 70, 2, 0, 8), waited_s=3 * DAY_S)
    assert (waiting.verdict, waiting.rule, waiting.harmed, waiting.of) == (Verdict.WAIT, "answered", 28, 100)
    assert waiting.sentence == (
        "WAIT: 72 of 100 devices have answered (72 %), 80 % are needed (8 are overdue); releases wait, "
        "in 7.0 days a person is asked"
    )
    asking = look(RULELESS, (20, 70, 2, 0, 8), waited_s=10 * DAY_S)
    assert (asking.verdict, asking.rule, asking.harmed, asking.of) == (Verdict.HOLD, "answered", 28, 100)
    assert asking.sentence.endswith("the last batch was sent 10.0 days ago, so a person must decide")
    assert look(RULELESS, (20, 78, 2)).verdict is Verdict.PASS
    assert look(replace(RULELESS, figures=figures(answered=0.72)), (20, 70, 2, 0, 8)).verdict is Verdict.PASS
    assert look(replace(RULELESS, figures=figures(answered=0)), (70, 30, 0)).verdict is Verdict.PASS


def test_nothing_improves_by_falling_silent_or_being_rejected() -> None:
    """366 of 1,000 answered and 600 silent: three failures among the survivors prove nothing."""
    silent = look(replace(GOOD, straggler_max=1.0), (0, 397, 3, 0, 600), waited_s=LONG)
    assert (silent.verdict, silent.rule, silent.harmed) == (Verdict.HOLD, "answered", 600)


def test_rejected_devices_that_make_the_share_unreachable_are_named_at_once() -> None:
    """350 of 500 refused by the directory is no matter of patience."""
    judgement = look(GOOD, (0, 150, 0, 350), waited_s=0)
    assert (judgement.verdict, judgement.rule, judgement.harmed, judgement.of) == (
        Verdict.HOLD,
        "answered",
        350,
        500,
    )
    assert judgement.sentence == (
        "HOLD: 350 of 500 devices were rejected by the directory, so at most 150 can answer (30 %), 80 % are "
        "needed; a person must decide"
    )


def test_the_estimate_of_the_silent_share_is_said() -> None:
    """Where the latest cohort answers less than expected."""
    found = Silence(0, np.zeros(1), answered=88, expected=100.0, cohort=120, since=0)
    judgement = look(GOOD, (50, 50, 0), silence=found)
    assert "about 12 % of the last 120 released are silent" in judgement.sentence


# --- success


def test_a_success_gate_counts_enrolled_devices() -> None:
    """60 %: 2 enrolled, 1 failed, 2 pending of 5 wait; 3 enrolled pass; too many failed ask a person at once."""
    policy = replace(RULELESS, figures=figures(success=60, answered=0.2))
    waiting = look(policy, (2, 2, 1))
    assert (waiting.verdict, waiting.rule, waiting.harmed, waiting.of) == (Verdict.WAIT, "success", 3, 5)
    assert waiting.sentence.startswith(
        "WAIT: 2 of 5 devices are enrolled (40 %), 60 % are needed; releases wait"
    )
    assert look(policy, (2, 2, 1), waited_s=LONG).verdict is Verdict.HOLD
    assert look(policy, (1, 3, 1)).verdict is Verdict.PASS
    lost = look(policy, (0, 2, 2, 1))
    assert (lost.verdict, lost.rule) == (Verdict.HOLD, "success")
    assert "2 failed and 1 were rejected" in lost.sentence


@pytest.mark.parametrize("written", ["95 %", "95%", 95, 95.0])
def test_a_success_gate_is_one_line(written: object) -> None:
    """As a percentage, with or without its sign."""
    assert GateRules(success=written).gate().figures == (("success", 95.0),)
    for wrong in ("95", "195 %", -1, 101, "many"):
        with pytest.raises(ValidationError):
            GateRules(success=wrong)


# --- mending


def test_failures_that_mend_by_themselves_wait_and_do_not_halt() -> None:
    """61 of 410 in an outage: WAIT; the same as lasting failures: HALT; mended: GO."""
    given = {"complete": False}
    waiting = look(GOOD, (71, 337, 2), mending=np.array([61]), **given)
    assert (waiting.verdict, waiting.rule, waiting.harmed, waiting.of) == (Verdict.WAIT, "mending", 61, 410)
    assert (
        "61 of 410 devices failed with errors that clients repeat by themselves (service, network)"
        in waiting.sentence
    )
    assert look(GOOD, (10, 337, 63), **given).verdict is Verdict.HALT
    assert look(GOOD, (10, 398, 2), mending=np.array([0]), **given).verdict is Verdict.GO
    assert look(GOOD, (71, 337, 2), mending=np.array([4]), **given).verdict is Verdict.GO
    assert look(GOOD, (71, 337, 2), mending=np.array([61]), waited_s=LONG, **given).verdict is Verdict.HOLD


def test_failures_that_mend_count_for_strata_and_thresholds_too() -> None:
    """A model or a threshold that would stop the rollout if they lasted."""
    rows = ((60, 2000, 2), (20, 100, 0))
    mending = np.array([0, 16])
    assert look(GOOD, *rows, mending=mending, complete=False).rule == "mending"
    assert (
        look(replace(GOOD, per_stratum=False), *rows, mending=mending, complete=False).verdict is Verdict.GO
    )
    plain = GatePolicy(evidence=None, thresholds=(ThresholdGate(10.0),))
    assert look(plain, (20, 80, 0), mending=np.array([10]), complete=False).rule == "mending"
    assert look(plain, (20, 80, 0), mending=np.array([8]), complete=False).verdict is Verdict.GO


# --- members


@pytest.mark.parametrize(
    ("released", "limit"), [(1, 1), (20, 2), (60, 6), (100, 10), (340, 10), (1000, 20), (100_000, 2000)]
)
def test_a_few_removed_devices_are_daily_life(released: int, limit: int) -> None:
    assert removed_limit(GOOD, released) == limit
    assert removed_limit(replace(GOOD, figures=figures(lost_members_max=0)), released) == 0
    assert removed_limit(replace(GOOD, figures=figures(lost_members_max=1)), released) == released


def test_lost_members_hold_at_any_time() -> None:
    """The sentence says how many, who and what to do."""
    names = tuple("ABCDEFGHIJKLMN")
    for complete in (False, True):
        given = {"removed": 14, "removed_names": names, "complete": complete}
        judgement = look(GOOD, (0, 340, 0), **given)
        assert (judgement.verdict, judgement.rule, judgement.harmed, judgement.of) == (
            Verdict.HOLD,
            "members",
            14,
            340,
        )
        assert judgement.sentence == (
            "HOLD: 14 of 340 released devices are no longer in the collection and our rules for them are gone: "
            "A, B, C, D, E …; at most 10 devices may be missing; put them back, or approve the hold: then they stay out"
        )
    assert look(GOOD, (0, 340, 0), removed=10).verdict is Verdict.PASS


# --- strata


def test_a_condemned_stratum_is_held_and_the_others_go_on() -> None:
    """All offenders are listed with their figures, and the others pass without them."""
    rows = ((0, 500, 2), (0, 500, 1), (0, 30, 12), (0, 80, 20))
    judgement = look(GOOD, *rows)
    assert judgement.verdict is Verdict.PASS
    assert judgement.failed == 3
    assert [(hold.stratum, hold.harmed, hold.of, hold.rule, hold.phase) for hold in judgement.strata] == [
        ("X2", 12, 42, "evidence", -1),
        ("X3", 20, 100, "evidence", -1),
    ]
    assert judgement.strata[0].sentence.startswith(
        "HOLD: model 'X2': 12 of 42 devices with an outcome failed"
    )
    assert judgement.sentence.endswith("; held by themselves: 'X2' (12 of 42), 'X3' (20 of 100)")
    assert look(replace(GOOD, on_stratum="halt"), *rows).verdict is Verdict.HALT


def test_held_strata_count_neither_for_nor_against_the_others() -> None:
    """Their failures do not halt, their successes do not prove, and they are still listed with today's figures."""
    held = np.array([False, False, True, False])
    rows = ((0, 40, 0), (0, 40, 0), (0, 900, 40), (0, 40, 0))
    judgement = look(GOOD, *rows, held=held)
    assert (judgement.verdict, judgement.failed, judgement.of) == (Verdict.PASS, 0, 0)
    assert judgement.executed == 120
    nothing = look(GOOD, (0, 0, 0), (0, 0, 0), (0, 900, 40), (0, 0, 0), held=held)
    assert nothing.verdict is Verdict.HOLD
    assert "every stratum of this phase is held" in nothing.sentence


def test_harm_in_half_of_the_plan_halts_whatever_was_held() -> None:
    """Holding one stratum after the other is no way around the cumulative test."""
    held = np.array([True, True, False, False])
    rows = ((0, 100, 30), (0, 100, 30), (0, 200, 1), (0, 200, 1))
    assert look(GOOD, *rows, held=held, complete=False).verdict is Verdict.HALT
    assert (
        look(GOOD, *rows[1:], rows[2], held=np.array([True, False, False, False]), complete=False).verdict
        is Verdict.GO
    )


def test_a_held_name_leads_back_to_its_strata() -> None:
    """Also the pooled ones."""
    planned = np.array([1000, 20, 20], dtype=np.int64)
    assert strata_named(GOOD, planned, "abc", "a").tolist() == [True, False, False]
    assert strata_named(GOOD, planned, "abc", "other").tolist() == [False, True, True]
    assert strata_named(GOOD, planned, "abc", "z").tolist() == [False, False, False]


def test_the_bounds_leave_held_strata_out() -> None:
    """Failures that a held stratum has do not bring the next observation nearer, and it has no bound of its own."""
    rows = counts((0, 1000, 0), (0, 100, 40), (0, 1000, 0), (0, 1000, 0))
    planned, names = np.full(4, 1000, dtype=np.int64), ("a", "b", "c", "d")
    held = np.array([False, True, False, False])
    bounds = failures_to_speak(GOOD, rows, planned, names, held)
    clean = failures_to_speak(GOOD, np.where(held[:, None], 0, rows), planned, names)
    assert bounds[1] == NEVER
    assert bounds[-1] == clean[-1] + 40
    assert failures_to_speak(GOOD, rows, planned, names)[1] <= 40  # condemned, not held: looked at each time


# --- PASS and what is not known


def test_unknown_devices_are_counted_as_failed_until_answers_are_old_enough() -> None:
    """5 of 425 failed and 75 open: no proof; proof once 276 answers are five days old, or once 12 at most are open."""
    row = (75, 420, 5)
    waiting = look(GOOD, row, settled=np.array([275]))
    assert (waiting.verdict, waiting.rule, waiting.harmed, waiting.of) == (Verdict.WAIT, UNPROVEN, 80, 500)
    assert "that takes 276 devices that answered at least 5.0 days ago, 275 did" in waiting.sentence
    assert look(GOOD, row, settled=np.array([276])).verdict is Verdict.PASS
    assert look(GOOD, (7, 488, 5), settled=np.array([0])).verdict is Verdict.PASS
    assert look(GOOD, (8, 487, 5), settled=np.array([0])).verdict is Verdict.WAIT
    assert look(GOOD, (0, 487, 5, 0, 8), settled=np.array([0])).verdict is Verdict.WAIT


def test_answers_settle_by_stratum_once_they_are_old_enough() -> None:
    """Six days by default; a device that never answered does not."""
    now, codes = 100 * DAY_S, np.array([0, 0, 1, 2, 2], dtype=np.int32)
    answered_at = np.array([-1, now - 5 * DAY_S, now - 5 * DAY_S + 1, 0, now])
    assert settled_of(GOOD, codes, answered_at, now, 4).tolist() == [1, 0, 1, 0]
    quick = replace(GOOD, figures=figures(report_delay=0))
    assert settled_of(quick, codes, answered_at, now, 4).tolist() == [1, 1, 2, 0]


def test_patience_for_proof_begins_when_answers_can_be_old_enough() -> None:
    row, given = (75, 420, 5), {"settled": np.array([100])}
    assert look(GOOD, row, waited_s=15 * DAY_S - 1, **given).verdict is Verdict.WAIT
    assert look(GOOD, row, waited_s=15 * DAY_S, **given).verdict is Verdict.HOLD


def test_a_proof_that_cannot_come_any_more_asks_a_person_at_once() -> None:
    judgement = look(GOOD, (10, 80, 5))
    assert (judgement.verdict, judgement.rule, judgement.harmed, judgement.of) == (
        Verdict.HOLD,
        UNPROVEN,
        5,
        95,
    )


def test_devices_that_are_mending_have_not_answered() -> None:
    """Although they were seen failed long ago."""
    row, settled = (75, 420, 5), np.array([280])
    assert look(GOOD, row, settled=settled, mending=np.array([4])).verdict is Verdict.PASS
    assert look(GOOD, row, settled=settled, mending=np.array([5])).verdict is Verdict.WAIT


def test_a_report_delay_of_nothing_trusts_the_answers_of_today() -> None:
    """For people who know that their failures are reported as fast as their successes."""
    policy = replace(GOOD, figures=figures(report_delay=0))
    assert look(policy, (75, 420, 5), settled=np.array([0])).verdict is Verdict.PASS


def test_without_the_times_of_answers_the_age_of_the_phase_stands_in() -> None:
    assert look(GOOD, (75, 420, 5), waited_s=5 * DAY_S - 1).verdict is Verdict.WAIT
    assert look(GOOD, (75, 420, 5), waited_s=5 * DAY_S).verdict is Verdict.PASS


# --- thresholds and gates without rules


def test_no_phase_passes_above_a_threshold() -> None:
    """A pilot of 15 whose threshold asks for 20 devices: HOLD when it is complete, nothing before."""
    policy = GatePolicy(evidence=None, thresholds=(ThresholdGate(20.0),))
    judgement = look(policy, (0, 10, 5))
    assert (judgement.verdict, judgement.rule, judgement.harmed, judgement.of) == (
        Verdict.HOLD,
        "threshold",
        5,
        15,
    )
    assert judgement.sentence.endswith("and the phase ends with fewer; a person must decide")
    assert look(policy, (0, 10, 5), complete=False).verdict is Verdict.GO
    assert look(policy, (0, 14, 1)).verdict is Verdict.PASS


def test_a_phase_in_which_nothing_enrolled_is_no_success() -> None:
    """Even for a gate without rules."""
    policy = replace(RULELESS, figures=figures(answered=0), straggler_max=1.0)
    for row in ((0, 0, 1921), (0, 0, 15), (0, 0, 1)):
        judgement = look(policy, row)
        assert (judgement.verdict, judgement.rule) == (Verdict.HOLD, "executed")
        assert "is enrolled; a person must decide" in judgement.sentence


def test_losses_at_the_end() -> None:
    """More than a tenth not enrolled, whatever the reason; a recovered device is none."""
    assert not losses_exceeded(GOOD, [0, 90, 4, 3, 3])
    assert losses_exceeded(GOOD, [1, 89, 4, 3, 3])
    assert losses_exceeded(replace(GOOD, figures=figures(losses_max=0.05)), [0, 90, 4, 3, 3])
    assert not losses_exceeded(GOOD, [0, 0, 0, 0, 0])


# --- all rules together


def test_objections_lists_what_an_approval_does_not_answer() -> None:
    """A person who approves the lost members has not said anything about the answers."""
    given = gate_counts((50, 50, 0), removed=20)
    assert [(item.rule, item.verdict) for item in objections(GOOD, given)] == [
        ("members", Verdict.HOLD),
        ("answered", Verdict.WAIT),
        (UNPROVEN, Verdict.WAIT),
    ]
    assert objections(GOOD, gate_counts((0, 500, 0))) == ()
    assert objections(replace(GOOD, dry_run=True), given) == ()
    assert [item.rule for item in objections(GOOD, replace(given, readable=False))] == ["data"]


def test_a_dry_run_reports_the_new_rules() -> None:
    policy = replace(GOOD, dry_run=True)
    judgement = look(policy, (50, 50, 0), removed=20)
    assert (judgement.verdict, judgement.harmed, judgement.strata) == (Verdict.PASS, 0, ())
    assert judgement.dry_run[0].startswith("HOLD: 20 of 100 released devices are no longer")
    judgement = look(policy, (0, 500, 2), (0, 500, 1), (0, 30, 12), complete=False)
    assert (judgement.verdict, judgement.strata) == (Verdict.GO, ())
    assert judgement.dry_run[0].startswith("HOLD: model 'X2'")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("answered", 1.1),
        ("answered", -0.1),
        ("success", 101),
        ("patience", -1),
        ("lost_members_max", 2),
        ("losses_max", -1),
        ("report_delay", float("inf")),
    ],
)
def test_impossible_figures_are_a_clear_error(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        check_policy(GatePolicy(figures=((name, value),)))


def test_other_actions_on_strata_are_a_clear_error() -> None:
    with pytest.raises(ValueError, match="on_stratum hold or halt"):
        check_policy(GatePolicy(on_stratum="stop"))


@pytest.mark.parametrize(
    "given",
    [
        {"mending": np.array([76])},
        {"mending": np.array([-1])},
        {"mending": np.array([1, 1])},
        {"settled": np.array([-1])},
        {"held": np.array([True, False])},
        {"removed": -1},
    ],
)
def test_impossible_new_counts_are_hold(given: dict[str, Any]) -> None:
    judgement = look(GOOD, (75, 420, 5), **given)
    assert (judgement.verdict, judgement.rule) == (Verdict.HOLD, "data")


ROWS = st.tuples(*[st.integers(0, 60)] * 2, st.integers(0, 6), st.integers(0, 20), st.integers(0, 20))
POLICIES = st.sampled_from(
    [
        GOOD,
        replace(GOOD, on_stratum="halt"),
        replace(GOOD, strata_min=5000),
        RULELESS,
        GatePolicy(evidence=None, thresholds=(ThresholdGate(10.0),), figures=figures(success=70)),
        GatePolicy(
            evidence=EvidenceGate(0.1, 0.4, 0.2, 0.2, 1, 1), figures=figures(answered=0.3), min_executed=5
        ),
    ]
)


@settings(derandomize=True, deadline=None, max_examples=400)
@given(
    policy=POLICIES,
    rows=st.lists(ROWS, min_size=1, max_size=3),
    where=st.integers(0, 2),
    to=st.sampled_from([Outcome.FAILED, Outcome.REJECTED, Outcome.TIMED_OUT]),
    complete=st.booleans(),
    waited=st.sampled_from([0, LONG]),
    scale=st.sampled_from([1, 5, 50]),
)
def test_bad_news_never_improves_a_verdict(
    policy: GatePolicy,
    rows: list[tuple[int, ...]],
    where: int,
    to: Outcome,
    complete: bool,
    waited: int,
    scale: int,
) -> None:
    """A success that turns into a failure, a silence or a rejection; and one more silent or rejected device.

    A failure more is an answer more: it may end the wait for answers, and it may condemn its stratum, no more.
    """
    before = counts(*rows) * np.array([scale, scale, 1, scale, scale])
    stratum = where % len(rows)
    settled = before[:, Outcome.ENROLLED] + before[:, Outcome.FAILED]
    given = {"complete": complete, "waited_s": waited, "settled": settled}
    first = look(policy, *before.tolist(), **given)
    after = [before.copy()]
    after[0][stratum, to] += 1
    if before[stratum, Outcome.ENROLLED]:
        after.append(before.copy())
        after[1][stratum, Outcome.ENROLLED] -= 1
        after[1][stratum, to] += 1
    for index, worse in enumerate(after):
        second = look(policy, *worse.tolist(), **given)
        milder = SEVERITY[second.verdict] < SEVERITY[first.verdict]
        held_now = len(second.strata) > len(first.strata)
        answer = index == 0 and to is Outcome.FAILED and first.rule in ("answered", "executed")
        assert not milder or held_now or answer, (first.sentence, second.sentence)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    policy=POLICIES,
    failed=st.lists(st.integers(0, 400), min_size=1, max_size=4),
    others=st.tuples(*[st.integers(0, 400)] * 3),
    held=st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_a_phase_in_which_all_failed_never_passes(
    policy: GatePolicy, failed: list[int], others: tuple[int, ...], held: list[bool]
) -> None:
    """Nor one whose other devices are pending, rejected or silent."""
    pending, refused, silent = others
    rows = [[pending, 0, number, refused, silent] for number in failed]
    for waited in (0, LONG):
        given = {"waited_s": waited, "held": np.array(held[: len(failed)])}
        assert look(policy, *rows, **given).verdict not in (Verdict.PASS, Verdict.GO)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(rows=st.lists(ROWS, min_size=2, max_size=4), held=st.lists(st.booleans(), min_size=4, max_size=4))
def test_below_the_bound_a_gate_with_held_strata_says_go(
    rows: list[tuple[int, ...]], held: list[bool]
) -> None:
    """Whatever becomes of the pending devices; failures that mend count in the tally."""
    before = counts(*rows) * np.array([3, 3, 1, 1, 1])
    mask = np.array(held[: len(rows)])
    planned, names = before.sum(axis=1) + 100, tuple("abcd"[: len(rows)])
    least = before.copy()
    least[:, Outcome.PENDING] = 0
    bounds = failures_to_speak(GOOD, least, planned, names, mask)
    for failing in (1, 3):
        later, mending = before.copy(), before[:, Outcome.PENDING] // failing // 9
        later[:, Outcome.PENDING] -= mending
        later[:, Outcome.FAILED] += mending // 2
        later[:, Outcome.PENDING] += mending - mending // 2
        tally = later[:, Outcome.FAILED] + mending - mending // 2
        if tally.sum() >= bounds[-1] or (tally >= bounds[:-1]).any():
            continue
        given = {"complete": False, "planned": planned, "names": names, "held": mask, "mature": later * 0}
        said = look(GOOD, *later.tolist(), mending=mending - mending // 2, **given)
        assert said.verdict is Verdict.GO, said.sentence
        assert all(mask[names.index(hold.stratum)] for hold in said.strata)
