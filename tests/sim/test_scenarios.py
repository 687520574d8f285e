"""Every scenario runs as it stands, made smaller, and explains itself in its first comment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import confirmed

from rollout.cli import main
from sim.scenario import DEFAULT_TEXT, load_scenario

FOLDER = Path(__file__).parent.parent.parent / "scenarios"
SCENARIOS = sorted(FOLDER.glob("*.toml"))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def simulated(path: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    capsys.readouterr()
    copy = Path(path.name)
    copy.write_text(confirmed(path.read_text(encoding="utf-8")), encoding="utf-8")
    code = main(["simulate", str(copy), "--clients", "1500", "--runs", "2", "--seed", "3", "--json", *more])
    return code, capsys.readouterr().out


QUICK = ("default", "bad-model", "workload-compliance")
"""Those of each kind that the default run takes; the slow run takes all."""


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(scenario, id=scenario.stem, marks=[] if scenario.stem in QUICK else [pytest.mark.slow])
        for scenario in SCENARIOS
    ],
)
def test_a_scenario_runs_and_repeats_byte_by_byte(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0, all devices accounted for, and equal bytes for equal seeds."""
    code, first = simulated(path, capsys, "--workers", "1")
    assert code == 0
    summary = json.loads(first)
    assert sum(summary["final"].values()) == summary["devices"] == 1500
    assert simulated(path, capsys, "--workers", "1") == (0, first)


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """One process or two: the same bytes (the default scenario stands for all)."""
    path = FOLDER / "throttled.toml"
    _, one = simulated(path, capsys, "--workers", "1")
    assert simulated(path, capsys, "--workers", "2") == (0, one)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_explains_itself(path: Path) -> None:
    """Its first comment is more than a title."""
    assert len(load_scenario(path).about) > 80


def test_the_built_in_default_is_the_default_scenario() -> None:
    """The demo runs where no file lies beside it; both must say the same."""
    assert (FOLDER / "default.toml").read_text(encoding="utf-8") == DEFAULT_TEXT


def test_each_scenario_shows_what_it_is_about(capsys: pytest.CaptureFixture[str]) -> None:
    """A pilot without end has none; a throttled service has a longer queue than the default one."""
    _, text = simulated(FOLDER / "pilot-only.toml", capsys, "--workers", "1")
    never = json.loads(text)
    assert never["eta_hours"]["p50"] is None
    assert never["final"]["pending"] > 500
