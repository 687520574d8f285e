"""The public names, as scripts and notebooks use them."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import rollout
import sim
from rollout.cli.app import VERBS

ROOT = Path(__file__).parent.parent.parent
PACKAGES: list[ModuleType] = [rollout, sim]
NAMES = [(one.__name__, name) for one in PACKAGES for name in one.__all__ if name[0] != "_"]


def typed_names(package: ModuleType) -> dict[str, str]:
    """What a type checker sees: name -> module."""
    tree = ast.parse(Path(str(package.__file__)).read_text(encoding="utf-8"))
    block = next(one for one in tree.body if isinstance(one, ast.If))
    found = [one for one in block.body if isinstance(one, ast.ImportFrom)]
    return {alias.asname or alias.name: str(one.module) for one in found for alias in one.names}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda one: one.__name__)
def test_a_type_checker_sees_the_same_names(package: ModuleType) -> None:
    """What is imported on demand is declared, from the same module; `dir` and tab completion show it."""
    assert typed_names(package) == package._HOME
    assert set(package._HOME) <= set(dir(package))
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = package.nonsense


@pytest.mark.parametrize(("package", "name"), NAMES)
def test_a_public_name_is_typed_and_told(package: str, name: str) -> None:
    """It exists, has a docstring of its own, and every argument and the result of a function have types."""
    thing = getattr(importlib.import_module(package), name)
    if not callable(thing):
        assert name == "MADE_UP_AT"
        return
    assert inspect.getdoc(thing)
    assert not str(inspect.getdoc(thing)).startswith(f"{name}("), (
        "the docstring that a dataclass makes itself"
    )
    if inspect.isfunction(thing):
        signature = inspect.signature(thing)
        kinds = [one.annotation for one in signature.parameters.values()] + [signature.return_annotation]
        assert inspect.Signature.empty not in kinds


def test_importing_both_costs_nothing() -> None:
    """No compiler, no plotting and no database come with the names alone."""
    code = "import rollout, sim, sys, json; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout)
    assert not {"numba", "matplotlib", "sqlalchemy", "pydantic", "numpy"} & set(loaded)


def test_the_readmes_lines_draw_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block in the README, with a smaller fleet, from another folder."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = text.split("## As a library", 1)[1].split("```python\n", 1)[1].split("```", 1)[0]
    assert len([line for line in block.splitlines() if line and not line.startswith("import")]) <= 5
    (tmp_path / "scenarios").symlink_to(ROOT / "scenarios")
    monkeypatch.chdir(tmp_path)
    small, times = re.subn(r"with_clients\([\d_]+\)", "with_clients(600)", block)
    assert times == 1
    exec(compile(small, "README.md", "exec"), {})
    assert (tmp_path / "forecast.png").read_bytes().startswith(b"\x89PNG")


def test_the_example_takes_the_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the exports of the README to a report, whose figures are those that were simulated; nothing is guessed."""
    folder = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["example.py", str(ROOT / "scenarios" / "data" / "*.csv"), str(folder)])
    runpy.run_path(str(ROOT / "scenarios" / "example.py"), run_name="__main__")
    printed = capsys.readouterr().out
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    hours = float(re.search(r"hours to the end: \{'p10': ([\d.]+)", printed)[1])  # type: ignore[index]
    assert report["eta_hours"]["p10"] == pytest.approx(hours, abs=0.01)
    assert (report["rollout"], report["state"]) == ("run-1", "finished")
    outcomes = json.loads(re.search(r"devices by outcome: (.*)", printed)[1].replace("'", '"'))  # type: ignore[index]
    assert outcomes["enrolled"] == report["final"]["enrolled"] > 0
    assert sum(outcomes.values()) == report["devices"]
    assert "Enrolled devices over time" in printed
    assert (folder / "forecast.png").read_bytes().startswith(b"\x89PNG")
    assert "<h1" in (folder / "report.html").read_text(encoding="utf-8")


def test_every_command_has_its_functions() -> None:
    """What the command line can do, a script can: every command but `doctor` has public functions."""
    functions = {
        "demo": ["run_demo"],
        "inventory": ["read_inventory", "generate_inventory", "store_inventory"],
        "preflight": ["check_inventory"],
        "plan": ["make_plan", "plan_continuation", "plan_undo", "explain_device"],
        "simulate": ["simulate_plan"],
        "tune": ["tune_scenario"],
        "capacity": ["size_capacity"],
        "calibrate": ["calibrate_rollout"],
        "forecast": ["forecast_rollout"],
        "gate": ["simulate_gate"],
        "approve": ["approve_plan", "approve_gate"],
        "run": ["run_rollout"],
        "status": ["read_status", "read_device_status"],
        "pause": ["pause"],
        "resume": ["resume"],
        "abort": ["abort"],
        "exclude": ["exclude_devices"],
        "withdraw": ["withdraw_devices"],
        "report": ["gather_report", "write_report", "read_audit"],
        "enrollment": ["count_enrollment", "judge_mode_change", "judge_unenrollment"],
        "workloads": ["list_workloads", "read_device_workloads", "read_workload_flags"],
        "client": ["read_client_log", "check_client_command"],
        "schema": ["schema_of"],
    }
    assert set(functions) == set(VERBS) - {"doctor"}
    assert {name for names in functions.values() for name in names} <= set(rollout.__all__)


def test_a_plan_alone_has_facts_too() -> None:
    """Without a simulation there is a funnel and the plan's own curve, and no forecast."""
    facts = rollout.facts_of(sim.plan_scenario(sim.load_scenario().with_clients(300)), created=sim.MADE_UP_AT)
    assert facts.simulation is None
    assert facts.planned.count[-1] == facts.plan.planned
    assert "forecast" not in rollout.pictures_of(facts)


def test_another_plans_simulation_is_refused() -> None:
    """Figures of one plan must not be drawn under the name of another."""
    one, other = (sim.plan_scenario(sim.load_scenario().with_clients(n)) for n in (300, 301))
    simulation = sim.simulate(other.plan, other.fleet, other.model, runs=1)
    with pytest.raises(ValueError, match="expected a simulation of plan"):
        rollout.facts_of(one, simulation)
