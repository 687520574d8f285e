"""The operating characteristic of gates: error rates that are stated must be true."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from gate_courses import steady_course
from matplotlib.figure import Figure

from rollout.gates import GateCounts, groups_of, judge, strata_named
from rollout.gates.evidence import halt_boundary
from rollout.values import (
    OUTCOMES,
    WHOLE,
    Budgets,
    Calendar,
    Curve,
    EvidenceGate,
    GatePolicy,
    LongArray,
    Outcome,
    Phase,
    Plan,
    Strata,
    ThresholdGate,
    Verdict,
    texts,
)
from sim.gate_trials.course import Course, course_of
from sim.gate_trials.gatecheck import PLAIN, GateCheck, _order, simulate_gates, simulate_plan_gates
from sim.gate_trials.trial import _cells, judge_runs, play, trial_of

HOUR, DAY = 3600, 86400
TRAP = steady_course(5000, hours=100, fail_s=HOUR, enroll_s=DAY)
"""5,000 devices, hourly looks, failures after an hour, successes after a day."""


def even(strata: int, devices: int = 5000) -> tuple[LongArray, tuple[str, ...]]:
    """Give equal strata and their names."""
    planned = np.full(strata, devices // strata, dtype=np.int64)
    return planned, tuple(f"X{index}" for index in range(strata))


def check(
    policy: GatePolicy, strata: int, rates: tuple[float, ...], runs: int = 1000, seed: int = 1
) -> GateCheck:
    """Try a policy on the trap."""
    planned, names = even(strata)
    return simulate_gates(
        policy, planned=planned, names=names, rates=rates, course=TRAP, runs=runs, seed=seed
    )


def noise(alpha: float, runs: int) -> float:
    """Three standard errors of a share of runs."""
    return 3 * math.sqrt(alpha * (1 - alpha) / runs)


def test_fast_failures_and_slow_successes_are_no_trap() -> None:
    """1,000 seeds: at most alpha false halts at p_ok; 5 % is caught within 300 devices in the median."""
    good, bad = check(GatePolicy(), 1, (0.01, 0.05)).ours
    assert good.halted <= 0.05
    assert good.passed > 0.9
    assert bad.halted == 1.0
    assert bad.exposed_median <= 300


def test_a_plain_threshold_falls_into_the_trap() -> None:
    """It halts most rollouts whose rate is a third of its own limit: the rate of those who answered first."""
    good = check(GatePolicy(), 1, (0.01,), runs=200).plain[0]
    assert good.halted > 0.9


@pytest.mark.parametrize("strata", [2, 10, 100])
def test_all_tests_together_halt_a_good_rollout_at_most_with_alpha(strata: int) -> None:
    """The cumulative test and every stratum's at once, at p_ok itself, over 1,000 seeds."""
    good = check(GatePolicy(), strata, (0.01,)).ours[0]
    assert good.halted <= 0.05


def test_alpha_holds_where_answers_are_immediate() -> None:
    """No pending devices to lean on, a look after each 5 devices, a large alpha: still at most alpha."""
    planned, names = even(4, 1000)
    course = Course(np.append(np.arange(5, 1001, 5), [1000]), look_s=HOUR, fail_s=1, enroll_s=1)
    policy = GatePolicy(evidence=EvidenceGate(alpha=0.3, p_ok=0.05, p_bad=0.1))
    tried = simulate_gates(
        policy, planned=planned, names=names, rates=(0.05,), course=course, runs=1000
    ).ours[0]
    assert 0.02 < tried.halted <= 0.3 + noise(0.3, 1000)


@pytest.mark.parametrize("devices", [150, 300, 600])
def test_a_bad_rollout_is_hardly_ever_passed(devices: int) -> None:
    """At p_bad itself PASS comes with a chance of at most beta, even if HALT never intervenes."""
    planned, names = even(1, devices)
    course = steady_course(devices, hours=20, fail_s=HOUR, enroll_s=HOUR)
    sleepy = GatePolicy(evidence=EvidenceGate(alpha=1e-12))
    tried = simulate_gates(
        sleepy, planned=planned, names=names, rates=(0.03,), course=course, runs=1000
    ).ours[0]
    assert tried.halted < 0.05
    assert tried.passed <= 0.05 + noise(0.05, 1000)


def test_a_bad_model_is_named_before_a_twentieth_of_the_fleet_is_released() -> None:
    """A tenth of 20,000 devices fails in 40 of 100 cases, the others in 1 of 200; 100 seeds."""
    planned = np.array([9000, 5000, 4000, 2000], dtype=np.int64)
    names = ("A", "B", "C", "X7")
    course = steady_course(20_000, hours=200, fail_s=4 * HOUR, enroll_s=DAY)
    result = simulate_gates(
        GatePolicy(), planned=planned, names=names, rates=(0.4,), course=course, bad="X7", runs=100
    )
    tried = result.ours[0]
    assert tried.halted == 1.0
    assert tried.named > 0.9
    assert tried.exposed_p95 < 0.05 * 20_000
    assert result.bad == "X7"


def test_the_same_seed_gives_the_same_result() -> None:
    """And another seed another one."""
    assert check(GatePolicy(), 4, (0.02,), runs=50) == check(GatePolicy(), 4, (0.02,), runs=50)
    assert (
        check(GatePolicy(), 4, (0.02,), runs=50).ours != check(GatePolicy(), 4, (0.02,), runs=50, seed=2).ours
    )


@pytest.mark.parametrize(
    "policy",
    [
        GatePolicy(),
        GatePolicy(on_stratum="halt"),
        GatePolicy(strata_min=600),
        GatePolicy(figures=(("answered", 0.0), ("success", 98.5))),
        GatePolicy(per_stratum=False),
        GatePolicy(thresholds=(ThresholdGate(8.0, count=5, min_executed=30),)),
        GatePolicy(evidence=None, thresholds=(ThresholdGate(6.0),)),
    ],
)
def test_the_check_decides_as_the_gate_itself(policy: GatePolicy) -> None:
    """Look by look the same as `judge`, with several strata, one of them bad."""
    planned, names = np.array([700, 650, 400, 250], dtype=np.int64), ("a", "b", "c", "d")
    course = steady_course(2000, hours=60, soak_hours=200, fail_s=4 * HOUR, enroll_s=10 * HOUR)
    codes = _order(planned, 1)
    trial = trial_of(policy, codes, names, course, PLAIN, "")
    # The same rollouts seen by stratum, for `judge` to group them itself.
    apart = replace(trial_of(GatePolicy(strata_min=1), codes, names, course, PLAIN, ""), policy=policy)
    stopped = 0
    for seed in range(12):
        chance = np.where(codes == 3, 0.08, 0.012) if seed % 2 else np.full(2000, 0.011)
        failed, enrolled = play(apart, chance, 1, np.random.default_rng(seed))
        grouped = [
            trial.groups.sums(each) if trial.groups.names else each.sum(axis=2, keepdims=True)
            for each in (failed, enrolled)
        ]
        at, passed, _ = judge_runs(trial, *grouped)
        found = _replay(policy, planned, names, codes, failed[0], enrolled[0], course)
        assert found[:2] == (int(at[0]), bool(passed[0]))
        stopped += found[0] < len(course.released) or found[2]
    assert 0 < stopped < 12


def _replay(
    policy: GatePolicy,
    planned: LongArray,
    names: tuple[str, ...],
    codes: np.ndarray,
    failed: LongArray,
    enrolled: LongArray,
    course: Course,
) -> tuple[int, bool, bool]:
    """Ask `judge` at each look, and hold the strata that it condemns."""
    looks, held = len(course.released), np.zeros(4, dtype=bool)
    for look in range(looks):
        before = int(course.released[look - 1]) if look else 0
        released = np.bincount(codes[:before], minlength=4)
        rows = np.zeros((4, OUTCOMES), dtype=np.int64)
        rows[:, Outcome.FAILED], rows[:, Outcome.ENROLLED] = failed[look], enrolled[look]
        rows[:, Outcome.PENDING] = released - rows.sum(axis=1)
        judgement = judge(
            policy,
            GateCounts(
                cumulative=rows,
                phase=rows,
                mature=rows,
                planned=planned,
                names=names,
                complete=look == looks - 1,
                readable=True,
                held=held,
                settled=rows[:, Outcome.ENROLLED] + rows[:, Outcome.FAILED],
            ),
        )
        for hold in judgement.strata:
            held |= strata_named(policy, planned, names, hold.stratum) & (policy.on_stratum == "hold")
        if judgement.verdict is Verdict.HALT:
            return look, False, bool(held.any())
    return looks, judgement.verdict is Verdict.PASS, bool(held.any())


def test_a_look_sees_what_happened_strictly_before_it() -> None:
    """Everybody fails at once, one device a look: HALT at the look at which enough failures are known."""
    planned, names = even(1, 50)
    course = Course(np.append(np.arange(1, 51), [50, 50]), look_s=HOUR, fail_s=1, enroll_s=1)
    tried = simulate_gates(
        GatePolicy(), planned=planned, names=names, rates=(1.0,), course=course, runs=3
    ).ours[0]
    enough = next(n for n in range(1, 50) if halt_boundary(EvidenceGate()).halts(n, n))
    assert (tried.halted, tried.exposed) == (1.0, enough)


def test_a_plan_gives_its_own_course() -> None:
    """Phases one after the other, each along its curve and with its soak, in the plan's order."""
    plan = make_plan(pilot=120, main=1880)
    course, codes = course_of(plan, fail_s=HOUR, enroll_s=4 * HOUR)
    assert course.released[:6].tolist() == [60, 120, 120, 120, 120 + 188, 120 + 357]
    assert course.devices == len(codes) == 2000
    assert (np.bincount(codes) == plan.planned_by_stratum).all()
    assert (codes[:120] == plan.strata.codes[plan.phases[0].order]).all()


def test_the_gate_of_a_plan_is_tried_along_the_plan() -> None:
    """A bad model of the plan halts by its name; impossible names are refused."""
    plan = make_plan(pilot=120, main=1880)
    given = {"fail_s": HOUR, "enroll_s": 4 * HOUR, "runs": 50, "rates": (0.5,)}
    tried = simulate_plan_gates(plan, bad="X7", **given).ours[0]
    assert tried.halted == 1.0
    assert tried.named > 0.9
    assert simulate_plan_gates(plan, **{**given, "rates": (0.002,)}).ours[0].halted == 0
    with pytest.raises(ValueError, match="found 'Y'"):
        simulate_plan_gates(plan, bad="Y", **given)
    with pytest.raises(ValueError, match="devices in the plan"):
        course_of(make_plan(pilot=0, main=0), fail_s=1, enroll_s=1)


def make_plan(pilot: int, main: int) -> Plan:
    """A plan of two phases: the first in two steps with two hours of soak, the second evenly in ten hours."""
    n = pilot + main
    rows = np.random.default_rng(1).permutation(n).astype(np.int32)
    steps = Curve((0, 0, HOUR, HOUR), (0, WHOLE // 2, WHOLE // 2, WHOLE))
    even_curve = Curve((0, 10 * HOUR), (WHOLE // 10, WHOLE))
    phases = (
        Phase("pilot", "P", rows[:pilot], steps, 60, 2 * HOUR, GatePolicy()),
        Phase("main", "M", rows[pilot:], even_curve, 60, HOUR, GatePolicy()),
    )
    return Plan(
        name="test",
        action="enroll",
        collection="C",
        salt="s",
        inventory_digest="",
        ids=texts(str(row) for row in range(n)),
        start=0,
        zone="UTC",
        phases=phases,
        windows=(),
        calendar=Calendar(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)),
        budgets=Budgets(),
        budget_codes=np.zeros(n, dtype=np.int32),
        strata=Strata("model", (np.arange(n) % 4).astype(np.int32), ("A", "B", "C", "X7")),
        excluded=np.zeros(n, dtype=np.int32),
        exclusion_reasons=(),
        mature_after_s=DAY,
        straggler_after_s=3 * DAY,
        look_s=HOUR,
        chunk=100,
        human_steps=(),
    )


def test_pooled_strata_share_a_cell() -> None:
    """Small strata fall into the last group."""
    planned = np.array([60, 10, 70, 5], dtype=np.int64)
    groups = groups_of(GatePolicy(), planned, ("a", "b", "c", "d"))
    cells = _cells(groups, np.array([0, 1, 2, 3], dtype=np.int32))
    assert [groups.names[cell] for cell in cells] == ["a", "other", "c", "other"]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"planned": np.array([0])}, "planned devices"),
        ({"names": ("a", "b")}, "one name each"),
        ({"rates": (1.5,)}, "between 0 and 1"),
        ({"rates": (math.nan,)}, "between 0 and 1"),
        ({"course": Course(np.array([5, 4, 10]))}, "fewer devices than before"),
        ({"course": Course(np.array([], dtype=np.int64))}, "fewer devices than before"),
        ({"course": Course(np.array([5, 9]))}, "rises to 10 devices, found 9"),
        ({"bad": "z"}, "one of the strata, found 'z'"),
        ({"good_rate": -0.1}, "between 0 and 1"),
        ({"course": Course(np.array([5, 10]), look_s=0)}, "positive times"),
        ({"runs": 0}, "at least one run"),
    ],
)
def test_impossible_parameters_are_a_clear_error(given: dict[str, object], text: str) -> None:
    """The first that is wrong is named."""
    arguments = {
        "planned": np.array([10]),
        "names": ("a",),
        "rates": (0.1,),
        "course": Course(np.array([5, 10])),
    }
    with pytest.raises(ValueError, match=text):
        simulate_gates(GatePolicy(), **{**arguments, **given})  # type: ignore[arg-type]


def test_the_pictures_show_both_gates() -> None:
    """Both lines, axes with units, a caption with seed and runs; on given axes or its own."""
    result = check(GatePolicy(), 2, (0.005, 0.01, 0.03), runs=20)
    given = Figure().subplots()
    for axes, unit in ((result.plot(given), "(%)"), (result.plot_exposed(), "devices")):
        labels = [text.get_text() for text in axes.get_legend().get_texts()]
        assert labels == ["this gate", "3 % of at least 20 executed"]
        assert unit in axes.get_ylabel()
        assert "true failure rate of all devices (%)" in axes.get_xlabel()
        assert "20 runs per rate, seed 1" in axes.get_title()
    line = given.get_lines()[0]
    np.testing.assert_allclose(line.get_xdata(), [0.5, 1, 3])
    np.testing.assert_allclose(line.get_ydata(), [100 * our.halted for our in result.ours])
