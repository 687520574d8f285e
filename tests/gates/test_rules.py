"""A gate rule is one module and one row: judging, checking and skipping observations follow."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

import rollout.gates.rules as rules
from rollout.fields import Count, Part
from rollout.gates import RULES, GateCounts, GateRule, check_policy, failures_to_speak, judge, quiet, verdicts
from rollout.gates.groups import Groups
from rollout.gates.rules.base import REJECTED, Reading, figure_of, of_all
from rollout.policy.section import GateRules, keys_of
from rollout.values import OUTCOMES, GatePolicy, Judgement, LongArray, Outcome, Verdict, canonical

MODULES = sorted(
    path.stem for path in Path(rules.__file__).parent.glob("*.py") if path.stem not in ("__init__", "base")
)


def test_a_rule_is_one_module_and_one_row() -> None:
    """Each module has one rule, and each row its module."""
    found = {}
    for name in MODULES:
        module = importlib.import_module(f"rollout.gates.rules.{name}")
        own = [value for value in vars(module).values() if isinstance(value, GateRule)]
        assert len(own) == 1, name
        found[own[0].name] = own[0]
    assert set(found.values()) == set(RULES)
    assert len(found) == len(RULES) == len(MODULES)


class RejectionKeys(Part):
    """The most rejected devices."""

    rejected_max: Count = 2


def _limit(policy: GatePolicy) -> int:
    return int(figure_of(policy, RejectionKeys, "rejected_max"))


def _check(policy: GatePolicy) -> None:
    if _limit(policy) == 13:
        raise ValueError("expected no unlucky rejected_max, found 13")


def _judge(reading: Reading) -> Judgement | None:
    limit = _limit(reading.policy)
    if reading.whole[REJECTED] <= limit:
        return None
    return reading.hold("rejected", f"{reading.whole[REJECTED]} devices were rejected, limit {limit}")


def _failures_to_speak(_policy: GatePolicy, cumulative: NDArray[np.int64], _groups: Groups) -> LongArray:
    return of_all(3, cumulative)


REJECTIONS = GateRule("rejected", _check, _judge, RejectionKeys, _failures_to_speak)
"""A rule that the product does not have: HOLD from the third rejected device on."""


@pytest.fixture
def one_more_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add a row to the table, in the place before the last."""
    table = (*RULES[:-1], REJECTIONS, RULES[-1])
    for module in (verdicts, quiet):
        monkeypatch.setattr(module, "RULES", table)


def counts_of(rejected: int, failed: int = 0) -> GateCounts:
    whole = np.zeros((2, OUTCOMES), dtype=np.int64)
    whole[0, Outcome.ENROLLED], whole[1, Outcome.REJECTED], whole[0, Outcome.FAILED] = 900, rejected, failed
    return GateCounts(whole, whole, whole, np.full(2, 500, dtype=np.int64), ("A", "B"), True, True)


@pytest.mark.usefixtures("one_more_row")
def test_a_new_rule_judges_in_its_place() -> None:
    """After evidence, before PASS; a dry run reports it."""
    policy = GatePolicy()
    assert judge(policy, counts_of(2)).verdict is Verdict.PASS
    held = judge(policy, counts_of(3))
    assert (held.verdict, held.rule) == (Verdict.HOLD, "rejected")
    assert held.sentence == "HOLD: 3 devices were rejected, limit 2"
    assert judge(policy, counts_of(3, failed=500)).rule == "evidence"
    dry = judge(GatePolicy(dry_run=True), counts_of(3))
    assert (dry.verdict, dry.dry_run) == (Verdict.PASS, (held.sentence,))


@pytest.mark.usefixtures("one_more_row")
def test_a_new_rule_is_checked_and_bounds_what_may_be_skipped() -> None:
    """Its figures are checked, and the loop looks again when it may speak."""
    with pytest.raises(ValueError, match="unlucky"):
        check_policy(GatePolicy(figures=(("rejected_max", 13),)))
    counts = counts_of(0)
    bounds = failures_to_speak(GatePolicy(evidence=None), counts.cumulative, counts.planned, ("A", "B"))
    assert bounds[-1] == 3


@pytest.mark.usefixtures("one_more_row")
def test_the_keys_of_a_new_rule_are_keys_of_the_gate() -> None:
    """They are read and checked with those of the other rules; at their default no digest changes."""
    extended = type("Extended", (keys_of((REJECTIONS,)), GateRules), {})
    gate = extended(rejected_max=5, straggler_max=0.2).gate()
    assert (gate.figures, gate.straggler_max) == ((("rejected_max", 5),), 0.2)
    assert judge(gate, counts_of(5)).verdict is Verdict.PASS
    assert "limit 5" in judge(gate, counts_of(6)).sentence
    assert canonical.loads(GatePolicy, canonical.dumps(gate)) == gate
    assert canonical.digest_of(extended().gate()) == canonical.digest_of(GateRules().gate())
    assert canonical.digest_of(gate) != canonical.digest_of(GatePolicy(straggler_max=0.2))
    with pytest.raises(ValidationError, match="rejected_max"):
        extended(rejected_max=-1)
