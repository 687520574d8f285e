"""No phase passes with every device failed: gates are fitted to their phase, or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from plan_builders import make_inventory, make_policy, plan_of

from rollout.errors import RefusedError, RolloutError, UsageError
from rollout.gates import GateCounts, judge, pass_boundary
from rollout.planning.explanation import explain
from rollout.planning.phase_gates import fitted_gate, is_ungated
from rollout.values import OUTCOMES, FailureClass, GatePolicy, Outcome, Plan, Verdict, dumps, loads

PLAIN = {"evidence": False, "thresholds": [{"percent": 20}]}


def phases(*sizes: int) -> list[dict[str, Any]]:
    """Phases of these sizes, then all others."""
    first = [{"name": f"p{number}", "devices": size, "soak": "2d"} for number, size in enumerate(sizes)]
    return [*first, {"name": "all"}]


def verdict(
    gate: GatePolicy, before: int, kind: FailureClass = FailureClass.CONFIG, **outcomes: int
) -> Verdict:
    """The verdict on a complete phase after `before` enrolled devices; outcomes by lower-case name."""
    phase = np.zeros((1, OUTCOMES), dtype=np.int64)
    for name, count in outcomes.items():
        phase[0, Outcome[name.upper()]] = count
    whole = phase.copy()
    whole[0, Outcome.ENROLLED] += before
    planned = np.array([whole.sum()])
    classes = {kind.value: outcomes.get("failed", 0)}
    counts = GateCounts(
        whole, phase, phase, planned, ("all",), complete=True, readable=True, failed_classes=classes
    )
    return judge(gate, counts).verdict


def refused(inventory_size: int = 2000, **document: Any) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        plan_of(make_inventory(inventory_size), **document)
    return caught.value


def test_a_default_min_executed_is_lowered_to_a_small_phase() -> None:
    """`small-pilot-all-fail.toml`: 20 % from 20 devices never tripped in a pilot of 15, which passed with 14 of 14."""
    plan = plan_of(make_inventory(2000), gate=PLAIN, phases=phases(15))
    gate = plan.phases[0].gate
    assert (gate.thresholds[0].min_executed, gate.min_executed) == (12, 12)
    assert plan.phases[1].gate.thresholds[0].min_executed == 20
    assert verdict(gate, 0, failed=15) is Verdict.HALT
    assert verdict(gate, 0, failed=14, timed_out=1) is Verdict.HALT
    assert verdict(gate, 0, failed=9, timed_out=6) is Verdict.HOLD
    assert verdict(gate, 0, enrolled=14, failed=1) is Verdict.PASS
    line = "phase 'p0' has 15 devices: its threshold of 20 % counts from 12 devices in place of 20"
    assert f"note: {line}" in plan.warnings
    text = explain(plan, str(plan.ids[plan.phases[0].order[0]]))
    assert "Phase" + line[5:] in text
    assert "halt at 20 % and 1 failures, from 12 devices" in text


@pytest.mark.parametrize("key", ["min_executed", "count"])
def test_a_written_figure_that_no_phase_can_reach_is_refused_with_the_one_that_works(key: str) -> None:
    """The figure of the hint plans; so does a phase of the other."""
    threshold = {"percent": 20, key: 20}
    error = refused(gate={"evidence": False, "thresholds": [threshold]}, phases=phases(15))
    assert f"phase 'p0': its threshold of 20 % has {key} = 20, but the phase has 15 devices" in error.message
    works = int(error.hint.split(f"Write {key} = ")[1].split(" ")[0])
    gate = {"evidence": False, "thresholds": [{"percent": 20, key: works}]}
    plan = plan_of(make_inventory(2000), gate=gate, phases=phases(15))
    assert verdict(plan.phases[0].gate, 0, failed=15) is Verdict.HALT
    assert plan_of(
        make_inventory(2000), gate={"evidence": False, "thresholds": [threshold]}, phases=phases(20)
    )


@pytest.mark.parametrize("key", ["min_executed", "count"])
def test_where_evidence_judges_too_a_mute_threshold_is_told(key: str) -> None:
    """The phase has a gate that hears; the threshold stays as written and demands no more outcomes."""
    gate = {"thresholds": [{"percent": 20, key: 500}]}
    plan = plan_of(make_inventory(2000), gate=gate, phases=phases(100))
    line = f"phase 'p0': its threshold of 20 % has {key} = 500, but the phase has 100 devices: it can never stop it"
    assert any(warning.startswith(line[:-2] + "the phase") for warning in plan.warnings)
    assert plan.phases[0].gate == make_policy(gate=gate).gate.gate()
    assert verdict(plan.phases[0].gate, 0, failed=20, pending=80) is Verdict.HALT


def test_pass_waits_until_a_threshold_could_have_spoken() -> None:
    """A threshold from 150 devices, 30 of 200 executed, all failed: that is no PASS."""
    gate = {"evidence": False, "thresholds": [{"percent": 20, "min_executed": 150}]}
    plan = plan_of(make_inventory(2000), gate=gate, phases=phases(200))
    assert verdict(plan.phases[0].gate, 0, failed=30, pending=170) is Verdict.HOLD
    assert verdict(plan.phases[0].gate, 0, enrolled=170, pending=30) is Verdict.PASS
    assert any("its gate passes with 150 outcomes or more" in line for line in plan.warnings)


def test_a_gate_without_rules_is_refused_unless_it_is_named_so() -> None:
    """`gate-without-rules.toml` passed with 92 of 92 failed."""
    error = refused(gate={"evidence": False}, phases=phases(100))
    assert error.message.startswith("phase 'p0': its gate has no rule on failures")
    assert "ignore_failures = true" in error.hint
    plan = plan_of(make_inventory(2000), gate={"ignore_failures": True}, phases=phases(100))
    assert "phase 'p0' is not gated: no number of failures stops it (ignore_failures = true)" in plan.warnings
    assert plan.phases[0].gate.evidence is None
    assert is_ungated(loads(Plan, dumps(plan)).phases[0].gate)
    assert loads(Plan, dumps(plan)).digest == plan.digest
    assert "Its phase is not gated" in explain(plan, str(plan.ids[plan.phases[0].order[0]]))


def test_one_phase_alone_may_be_named_so() -> None:
    """The others keep their gate."""
    some = phases(100)
    some[0]["gate"] = {"ignore_failures": True}
    plan = plan_of(make_inventory(2000), phases=some)
    assert [is_ungated(phase.gate) for phase in plan.phases] == [True, False, False]


@pytest.mark.parametrize("rule", [{"evidence": {"p_ok": 0.02}}, {"thresholds": [{"percent": 5}]}])
def test_a_gate_cannot_have_rules_and_ignore_them(rule: dict[str, Any]) -> None:
    """One line that names the rule."""
    with pytest.raises(UsageError, match=f"'ignore_failures = true' without '{next(iter(rule))}'"):
        make_policy(gate={"ignore_failures": True, **rule})


def test_a_gate_that_hears_only_some_classes_is_refused() -> None:
    """Else all devices could fail with another class."""
    error = refused(gate={"evidence": False, "thresholds": [{"percent": 5, "classes": ["config"]}]})
    assert "no rule on failures of the class" in error.message
    assert "identity" in error.message
    assert "config" not in error.message


def test_a_dry_run_is_told() -> None:
    """It reports only, so it is no gate."""
    plan = plan_of(make_inventory(2000), gate={"dry_run": True}, phases=phases(100))
    assert "phase 'p0' is not gated: no number of failures stops it (dry_run = true)" in plan.warnings


def test_a_small_phase_after_a_large_one_holds_if_all_of_it_fails() -> None:
    """Beside 600 good devices, 1 of 1 or 2 of 2 failures prove nothing bad; a phase without a success is none."""
    plan = plan_of(make_inventory(2000), phases=phases(600, 1))
    assert verdict(plan.phases[1].gate, 600, failed=1) is Verdict.HOLD
    assert verdict(plan.phases[1].gate, 600, enrolled=1) is Verdict.PASS


def test_a_gate_that_cannot_pass_is_told_with_the_figure_that_works() -> None:
    """That many more devices in the pilot, and the sentence is gone."""
    plan = plan_of(make_inventory(2000), phases=phases(50))
    (line,) = [line for line in plan.warnings if "cannot pass" in line]
    needed = pass_boundary(plan.phases[0].gate.evidence).needed(0)
    assert f"'p0' (50 devices by its end) even if no device fails: {needed:,} outcomes" in line
    more = int(line.split("write ")[1].split(" devices more")[0].replace(",", ""))
    assert not [
        line
        for line in plan_of(make_inventory(2000), phases=phases(50 + more)).warnings
        if "cannot pass" in line
    ]
    assert [
        line
        for line in plan_of(make_inventory(2000), phases=phases(49 + more)).warnings
        if "cannot pass" in line
    ]


def test_the_gate_of_a_success_share_is_a_rule() -> None:
    """`success` is a figure of the policy; planning reads it by name."""

    class Rules:
        """Stands for a gate section with the key `success`."""

        thresholds = ()

        def gate(self) -> GatePolicy:
            return GatePolicy(evidence=None, figures=(("success", 0.95),))

    fitted = fitted_gate(Rules(), "pilot", 15, 0)  # type: ignore[arg-type]
    assert fitted.policy.evidence is None
    assert fitted.notes == ()


def some_rules() -> st.SearchStrategy[dict[str, Any]]:
    """Gates that a person may write."""
    threshold = st.fixed_dictionaries(
        {"percent": st.sampled_from([0.001, 1.1, 20, 99, 100])},
        optional={
            "count": st.integers(0, 40),
            "min_executed": st.integers(0, 60),
            "action": st.sampled_from(["halt", "hold"]),
            "classes": st.lists(st.sampled_from([kind.value for kind in FailureClass]), unique=True),
        },
    )
    rates = st.sampled_from([(0.01, 0.03), (0.02, 0.2), (0.5, 0.9), (0.9, 0.99)])
    evidence = rates.map(lambda pair: {"p_ok": pair[0], "p_bad": pair[1]})
    return st.fixed_dictionaries(
        {},
        optional={
            "evidence": st.one_of(st.just(False), evidence),
            "thresholds": st.lists(threshold, max_size=3),
            "min_executed": st.integers(1, 60),
            "straggler_max": st.sampled_from([0.0, 0.5, 1.0]),
            "per_stratum": st.booleans(),
        },
    )


@settings(derandomize=True, max_examples=300, deadline=None)
@given(
    rules=some_rules(),
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=3),
    n=st.integers(2, 400),
    kind=st.sampled_from(list(FailureClass)),
)
def test_no_plan_has_a_gate_that_passes_a_phase_whose_devices_all_failed(
    rules: dict[str, Any], sizes: list[int], n: int, kind: FailureClass
) -> None:
    """Whatever a person writes: it is refused, or no phase passes with all of its devices failed.

    Every phase before it was faultless, which is the best that evidence can say for it.
    """
    try:
        plan = plan_of(make_inventory(n), gate=rules, phases=phases(*sizes), strata=[], stratum="")
    except RolloutError:
        reject()
    before = 0
    for phase in plan.phases:
        size = len(phase)
        assert not is_ungated(phase.gate)
        if size:
            assert verdict(phase.gate, before, kind, failed=size) in (Verdict.HOLD, Verdict.HALT)
        if size and phase.gate.min_executed <= size:  # nor with as few outcomes as the gate accepts
            least = max(1, phase.gate.min_executed)
            some = verdict(phase.gate, before, kind, failed=least, pending=size - least)
            assert some in (Verdict.HOLD, Verdict.HALT)
        before += size
