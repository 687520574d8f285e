"""A gate rule is one module and one row: judging, checking and skipping observations follow."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import rollout.gates.rules as rules
from rollout.gates import RULES, GateCounts, GateRule, check_policy, failures_to_speak, judge, quiet, verdicts
from rollout.gates.groups import Groups
from rollout.gates.rules.base import REJECTED, Reading, of_all
from rollout.values import OUTCOMES, GatePolicy, Judgement, LongArray, Outcome, Verdict

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


def _check(policy: GatePolicy) -> None:
    if policy.min_executed == 13:
        raise ValueError("expected no unlucky min_executed, found 13")


def _judge(reading: Reading) -> Judgement | None:
    if reading.whole[REJECTED] <= 2:
        return None
    return reading.hold("rejected", f"{reading.whole[REJECTED]} devices were rejected, limit 2")


def _failures_to_speak(_policy: GatePolicy, cumulative: NDArray[np.int64], _groups: Groups) -> LongArray:
    return of_all(3, cumulative)


REJECTIONS = GateRule("rejected", _check, _judge, _failures_to_speak)
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
        check_policy(GatePolicy(min_executed=13))
    counts = counts_of(0)
    bounds = failures_to_speak(GatePolicy(evidence=None), counts.cumulative, counts.planned, ("A", "B"))
    assert bounds[-1] == 3
