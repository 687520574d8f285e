"""report.html in a real browser: offline, live, at every width, in both themes, for everybody."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

from report_facts import make_facts, make_forecast, make_tuning, nasty_facts

from rollout.report import ReportFacts, json_report, write_report

pytestmark = pytest.mark.slow

VIEWS = ("light", "dark", "phone", "wide", "bare")


def browser_path() -> str:
    """Find Chromium, or skip."""
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        path = shutil.which(name)
        if path:
            return path
    pytest.skip("no Chromium found: install the package `chromium` to run the browser tests")


@pytest.fixture(name="modules", scope="module")
def _modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install puppeteer-core and axe-core into a temporary folder, or skip."""
    browser_path()
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("no node and npm found: install them to run the browser tests")
    given = os.environ.get("ROLLOUT_TEST_NODE_MODULES")
    if given:
        return Path(given)
    folder = tmp_path_factory.mktemp("node")
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder)]
    done = subprocess.run(
        [*command, "puppeteer-core@24", "axe-core@4"],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"npm could not install puppeteer-core and axe-core: {done.stderr.strip()[-200:]}")
    return folder


FACTS: dict[str, ReportFacts] = {
    "running": make_facts(tuning=make_tuning()),
    "planned": make_facts("planned"),
    "nasty": nasty_facts(),
    "forecast anew": replace(make_facts(), forecast=make_forecast()),
}


@pytest.fixture(name="seen", scope="module")
def _seen(modules: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Open all pages once and give what the browser saw."""
    out = Path(os.environ.get("ROLLOUT_TEST_SHOTS") or tmp_path_factory.mktemp("shots"))
    pages = []
    for name, facts in FACTS.items():
        (page,) = write_report(facts, out / name, formats=("html",))
        pages.append(f"{name}={page}")
    script = Path(__file__).with_name("look.mjs")
    done = subprocess.run(
        ["node", str(script), str(modules), browser_path(), str(out), *pages],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


@pytest.mark.parametrize("name", FACTS)
def test_page_loads_offline_without_errors(seen: dict[str, Any], name: str) -> None:
    """The page asks for nothing but itself and logs no error, in every view."""
    for view in VIEWS:
        state = seen[name]["views"][view]
        assert state["errors"] == []
        assert set(state["requests"]) <= {"file", "data"}


@pytest.mark.parametrize("name", FACTS)
def test_key_figures_equal_the_json(seen: dict[str, Any], name: str) -> None:
    """Each tile shows the number of the JSON document."""
    figures = json_report(FACTS[name])
    wanted = {"devices": figures["devices"], **figures["final"]}
    assert {key: value for key, (value, _) in seen[name]["tiles"].items()} == wanted
    assert {key: int(text.replace(",", "")) for key, (_, text) in seen[name]["tiles"].items()} == wanted
    assert seen[name]["eta"] == figures["standing"]["done_hours"]


@pytest.mark.parametrize("name", FACTS)
def test_no_serious_accessibility_violations(seen: dict[str, Any], name: str) -> None:
    """axe-core finds nothing serious or critical in light, dark, on a phone and on a wide screen."""
    for view in VIEWS[:-1]:
        found = [v for v in seen[name]["views"][view]["axe"] if v["impact"] in ("serious", "critical")]
        assert found == [], view


@pytest.mark.parametrize("name", FACTS)
def test_no_page_scrolls_sideways(seen: dict[str, Any], name: str) -> None:
    """At 360 px and at 1,920 px the page fits its width."""
    assert {view: seen[name]["views"][view]["sideways"] for view in VIEWS} == dict.fromkeys(VIEWS, 0)


def test_first_screen_holds_the_three_answers(seen: dict[str, Any]) -> None:
    """The three answers end above the fold of a 1280 x 900 window."""
    assert seen["running"]["first_screen"] < 500


def test_hover_shows_values(seen: dict[str, Any]) -> None:
    """Hovering over the forecast names the instant and a value for each series."""
    hover = seen["running"]["live"]["hover"]
    assert "Nov" in hover["readout"]
    assert all(any(c.isdigit() for c in value) for value in hover["values"])


def test_a_touch_shows_values_too(seen: dict[str, Any]) -> None:
    """A tap on a phone does what hovering does elsewhere."""
    touched = seen["running"]["touched"]
    assert "Nov" in touched["readout"]
    assert all(any(c.isdigit() for c in value) for value in touched["values"])


def test_series_can_be_switched_off(seen: dict[str, Any]) -> None:
    """A press on a key takes the series out of the picture and says so."""
    live = seen["running"]["live"]
    assert live["toggled"] == "false"
    assert live["changed"]


def test_time_can_be_zoomed_by_mouse_and_keys(seen: dict[str, Any]) -> None:
    """Dragging zooms, Escape shows all, plus zooms, arrows move the cursor by one instant."""
    live = seen["running"]["live"]
    assert live["zoomed"] < 0.5 * live["whole"]
    assert live["back"] == live["whole"]
    assert live["plus"] < live["whole"]
    assert live["home"] != live["right"]


def test_page_works_without_scripts(seen: dict[str, Any]) -> None:
    """With scripts off the still pictures stand where the live charts would, and the text is there."""
    bare, light = seen["running"]["views"]["bare"], seen["running"]["views"]["light"]
    assert bare["canvases"] == 0
    assert bare["stills"] == light["stills"] + light["canvases"] >= 5
    assert bare["text"] > 1500


def test_page_prints(seen: dict[str, Any]) -> None:
    """Printing gives a PDF with pictures in it."""
    assert seen["running"]["pdf"] > 30_000


def test_names_from_outside_cannot_run(seen: dict[str, Any]) -> None:
    """Script elements in device, phase and person names are shown, not run."""
    assert not seen["nasty"]["hijacked"]
