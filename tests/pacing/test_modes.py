"""A pacing mode is one module and one row: nothing else has to know it."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any, get_args

import pytest
from plan_builders import MONDAY, make_inventory
from pulse_mode import PulsePolicy
from pydantic import ValidationError

import rollout.pacing.modes as modes
from rollout.errors import RefusedError
from rollout.pacing.modes import AnyMode, Mode
from rollout.planning.planner import make_plan
from rollout.planning.schedule import nominal_batches
from rollout.policy.mistakes import usage_error
from rollout.values import HOUR_S, Plan
from sim.fleet.scaling import scaled_policy

FOLDER = Path(modes.__file__).parent
ROOT = FOLDER.parent.parent.parent
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in ("__init__", "base"))

MODULES_OF_MODES = {
    "rollout/planning/change.py": {"auto"},  # the pace of newcomers and of an undo, which no policy states
    "sim/fleet/scaling.py": {"auto"},  # the capacity of the service, a key of the policy itself
    "sim/tuning/candidates.py": {"auto"},  # the share of the capacity that a candidate may use
}
"""File -> the modules of modes that it imports; a new mode adds nothing here."""


@pytest.mark.parametrize("name", NAMES)
def test_a_mode_is_one_module_and_one_row(name: str) -> None:
    """The module is called as the mode is written, and has that mode alone."""
    module = importlib.import_module(f"rollout.pacing.modes.{name}")
    own = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Mode) and value.__module__ == module.__name__
    ]
    assert len(own) == 1
    assert get_args(own[0].model_fields["mode"].annotation) == (name,)
    assert own[0] in get_args(AnyMode)


def test_every_row_has_a_module() -> None:
    """And no two have the same."""
    assert sorted(row.__module__.rpartition(".")[2] for row in get_args(AnyMode)) == NAMES


def test_nothing_else_knows_a_mode() -> None:
    """Only its own module and the table import it; `auto` is the exception, as the pace where none is written."""
    found: dict[str, set[str]] = {}
    for path in [*(ROOT / "rollout").rglob("*.py"), *(ROOT / "sim").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            own = name.removeprefix("rollout.pacing.modes.")
            if path.parent != FOLDER and own in NAMES:
                found.setdefault(path.relative_to(ROOT).as_posix(), set()).add(own)
    assert found == MODULES_OF_MODES


def plan_with(pacing: dict[str, Any], factor: float = 1.0, **document: Any) -> Plan:
    document = {"name": "test", "phases": [{"name": "all", "pacing": pacing}], **document}
    policy = scaled_policy(PulsePolicy.model_validate(document), factor)
    return make_plan(make_inventory(100), [], policy, mature_after_s=None, created=MONDAY - 1800)


def test_a_new_mode_plans() -> None:
    """From its table to its batches, whole and scaled down."""
    table = {"mode": "pulse", "devices": 10, "rest": "5h"}
    plan = plan_with(table)
    assert nominal_batches(plan) == [
        (plan.start + at * HOUR_S, 0, count) for at, count in ((0, 10), (5, 20), (10, 40), (15, 30))
    ]
    assert [count for _, _, count in nominal_batches(plan_with(table, 0.5))] == [5, 10, 20, 40, 25]


def test_a_new_mode_is_kept_to_its_promise() -> None:
    """A budget that cannot bear it is refused with the figure that can; so is a pace beyond two years."""
    with pytest.raises(RefusedError) as caught:
        plan_with({"mode": "pulse", "devices": 10, "rest": "5h"}, budgets={"per_step": 15})
    assert "budgets.per_step = 40" in caught.value.hint
    with pytest.raises(RefusedError) as caught:
        plan_with({"mode": "pulse", "devices": 10, "rest": "400d"})
    assert caught.value.hint == f"A rest of at most {HOUR_S} s works."


def test_a_mistake_in_a_new_mode_is_named() -> None:
    """With the key as it is written, and what was probably meant."""
    document = {
        "name": "x",
        "phases": [{"name": "a", "pacing": {"mode": "pulse", "device": 1, "rest": "1h"}}],
    }
    with pytest.raises(ValidationError) as caught:
        PulsePolicy.model_validate(document)
    error = usage_error(caught.value, PulsePolicy, "x.toml")
    assert str(error.message).startswith(
        "x.toml, key 'rollout.phases[1].pacing.device': expected a known key"
    )
    assert error.hint == "Did you mean 'devices'?"
