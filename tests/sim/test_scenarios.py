"""Every scenario runs as it stands, made smaller, and explains itself in its first comment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import confirmed

from rollout.cli import main
from rollout.errors import UsageError
from sim.scenario import DEFAULT_TEXT, load_scenario, parse_scenario

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
"""A scenario of each kind for the default test run; the slow run takes all."""


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
    _, single = simulated(path, capsys, "--workers", "1")
    assert simulated(path, capsys, "--workers", "2") == (0, single)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_explains_itself(path: Path) -> None:
    """Its first comment is more than a title."""
    assert len(load_scenario(path).about) > 80


def test_the_built_in_default_is_the_default_scenario() -> None:
    """The demo needs no file, so both texts must be equal."""
    assert (FOLDER / "default.toml").read_text(encoding="utf-8") == DEFAULT_TEXT


MISTAKES = {
    "[model.clients]\nwidow = 3\n": ("'model.clients.widow': expected a known key", "Did you mean 'window'?"),
    "[model]\n": ("'model.clients': expected a value, found none", "Write this key."),
    '[model.clients]\nwindow = "2 parsecs"\n': ("'model.clients.window': expected a duration such as", ""),
    "[model.clients]\nwindow = 0\nattempts = 2.5\n": ("expected a valid integer, found 2.5", ""),
    "[fleet]\nsites = 3\n": ("'fleet.sites': expected a list, found 3", ""),
    '[fleet]\nsites = [{ name = "A", zone = "Mars/Base" }]\n': (
        "'fleet.sites[1].zone': expected an IANA zone",
        "",
    ),
    '[fleet]\nbuilds = [{ version = "22H2" }]\n': ("expected a Windows version such as", ""),
    "[targets]\nexposed = -1\n": ("'targets.exposed': expected greater than or equal to 0, found -1", ""),
    "[fleat]\n": ("unknown section 'fleat'", "Did you mean 'fleet'?"),
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_in_any_section_is_described_as_in_the_policy(text: str) -> None:
    """The error names file, key, what was expected and what was found, and the hint a likely correction."""
    message, hint = MISTAKES[text]
    model = "" if "[model" in text else '[model.clients]\nwindow = "2h"\n'
    with pytest.raises(UsageError) as caught:
        parse_scenario('[rollout]\nname = "x"\n' + model + text, "bad.toml")
    assert caught.value.message.startswith("bad.toml")
    assert message in caught.value.message
    assert caught.value.hint == hint


def test_each_scenario_shows_what_it_is_about(capsys: pytest.CaptureFixture[str]) -> None:
    """A pilot without end has none; a throttled service has a longer queue than the default one."""
    _, text = simulated(FOLDER / "pilot-only.toml", capsys, "--workers", "1")
    never = json.loads(text)
    assert never["eta_hours"]["p50"] is None
    assert never["final"]["pending"] > 500
