"""Every picture and page of rollouts that ended, stopped or were interrupted in unusual places."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from command_line import QUICK, Cli
from journals import filled, point
from report_facts import START, grid, make_bands, make_facts, make_plan, make_simulation, make_tuning

from rollout.api.report_facts import gather_report
from rollout.report import LEVELS, Bands, ExcludedRow, Funnel, GateTrack, Track
from rollout.report.page.html import html_report
from rollout.report.pictures.displays import draw, pictures_of
from rollout.report.pictures.gates import GateTimeline
from rollout.report.pictures.style import Stamp
from rollout.report.pictures.tuning import TuningFront
from rollout.report.writing import USUAL, write_report
from rollout.store import open_database
from rollout.values import HOUR_S
from sim.world.directory import SimClock

FAILING = '[model.clients.failure]\ncolumn = "os"\nlevel = "Windows"\nrate = {rate}\n'
MAKE = ("simulate", "quick.toml", "--runs", "1", "--workers", "1")
RUN = ("run", "--speed", "max")
BEFORE = {"forecast", "funnel", "phases", "load", "versus"}
"""Pictures of a plan that was simulated; a gate and failures need a run."""

Interrupt = Callable[[float], None]


@pytest.fixture(name="interrupt_after")
def _interrupt_after(monkeypatch: pytest.MonkeyPatch) -> Interrupt:
    """Give what makes runs end as by Ctrl-C, so many simulated hours after the plan's start; inf: never."""
    wait_until = SimClock.wait_until
    end = [float("inf")]

    def interrupted(clock: SimClock, at: int) -> int:
        if at > end[0]:
            raise KeyboardInterrupt
        return wait_until(clock, at)

    def after(hours: float) -> None:
        with open_database("rollout.db") as database:
            end[0] = database.plan().plan.start + hours * HOUR_S

    monkeypatch.setattr(SimClock, "wait_until", interrupted)
    return after


def shown(cli: Cli) -> datetime:
    """Give as of when status and report show the rollout: both say the same."""
    status = cli("status", "--json").json["at"]
    assert cli("report", "--out", "shown", "--json").json["as_of"] == status
    return datetime.fromisoformat(status)


def drawn(out: str) -> set[str]:
    """Write the latest rollout's report, its page with live charts; give the names of its pictures."""
    with open_database("rollout.db") as database:
        known = database.rollout()
        facts = gather_report(database, known.id, 1_800_000_000)
    paths = write_report(facts, Path(out), formats=USUAL)
    assert all(path.stat().st_size for path in paths)
    return {path.stem for path in paths if path.suffix == ".png" and not path.stem.endswith("-dark")}


def test_interrupted_before_anything_was_released(cli: Cli, interrupt_after: Interrupt) -> None:
    """A run that ends before its first decision has the pictures of its plan."""
    cli(*MAKE)
    interrupt_after(-1)
    assert cli(*RUN).code == 130
    assert drawn("out") == BEFORE


def test_one_look(cli: Cli) -> None:
    """One decision, then the end of the session."""
    cli(*MAKE)
    assert cli(*RUN, "--once").code == 0
    assert drawn("out") >= BEFORE


@pytest.mark.parametrize("hours", [*(pytest.param(hours, marks=pytest.mark.slow) for hours in (1, 2.5)), 20])
def test_interrupted_aborted_and_run_again(cli: Cli, interrupt_after: Interrupt, hours: float) -> None:
    """The time that is shown never runs back, and everything can be drawn in between and at the end."""
    cli(*MAKE)
    interrupt_after(hours)
    assert cli(*RUN).code == 130
    times = [shown(cli)]
    assert cli("abort", "--by", "Kim", "--reason", "wrong collection").code == 0
    interrupt_after(float("inf"))
    assert cli(*RUN).code == 6
    times.append(shown(cli))
    assert times == sorted(times)
    assert BEFORE | {"gates"} <= drawn("aborted")
    with open_database("rollout.db") as database:
        reader = database.reader()
        points = [point.at for point in reader.points()]
        decided = [row.at for row in reader.decisions()]
    assert points == sorted(points)
    assert decided == sorted(decided)


@pytest.mark.parametrize(
    ("state", "scenario"),
    [
        ("halted", QUICK + FAILING.format(rate=0.5)),
        pytest.param(
            "held",
            QUICK.replace("p_ok = 0.05\np_bad = 0.2", "p_ok = 0.001\np_bad = 0.003"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_stopped_by_a_gate(cli: Cli, state: str, scenario: str) -> None:
    """A rollout that a gate stops for good, or until a person decides."""
    Path("quick.toml").write_text(scenario, encoding="utf-8")
    cli(*MAKE)
    cli(*RUN)
    assert cli("status", "--json").json["state"] == state
    assert BEFORE | {"gates"} <= drawn("out")


@pytest.mark.slow
def test_paused_at_once_and_undone(cli: Cli) -> None:
    """Nobody was released when it was paused; later what it released is taken out again, in part, then wholly."""
    cli(*MAKE)
    cli("run", "--speed", "max", "--dry-run")
    cli(*RUN, "--once")
    cli("pause", "--by", "Kim")
    assert cli(*RUN).code == 6
    assert drawn("paused") >= BEFORE
    cli("abort", "--by", "Kim")
    cli(*RUN)
    assert cli("plan", "--undo", "run-1").code == 0
    assert cli(*RUN, "--once").code == 0
    assert drawn("undoing") == {"funnel", "phases"}
    assert cli(*RUN).code == 0
    assert {"funnel", "phases"} <= drawn("undone")


def test_an_older_journal_that_lived_an_hour_twice(tmp_path: Path) -> None:
    """Counts are told in order of time, whatever order an earlier version wrote them in."""
    with filled(tmp_path / "old.db") as database:
        for number in (3, 1, 2):
            with database.journal("run-1", owner="test:1") as journal:
                journal.observe(point(number))
        assert list(database.reader().points()) == [point(1), point(2), point(3)]


@pytest.mark.parametrize("instants", [[0], [0, 0], [0, 60], [0, HOUR_S]])
def test_gates_of_few_looks(instants: list[int]) -> None:
    """One look is an instant: the axis has some length all the same, and the labels find their heights."""
    at = START + np.array(instants, dtype=np.int64)
    counts = np.full(len(at), 40, dtype=np.int64)
    track = GateTrack("all devices", at, counts, counts // 10, counts // 5, 0.01)
    facts = make_facts(gates=(track,), points=make_facts().points[:1])
    for display in pictures_of(facts).values():
        assert draw(display, "png").startswith(b"\x89PNG")
    left, right = GateTimeline(facts.gates, Stamp("UTC", "")).plot().get_xlim()
    assert right - left >= HOUR_S


def test_nobody_to_enroll(tmp_path: Path) -> None:
    """A plan without a device has a report, too."""
    facts = make_facts(
        "planned",
        plan=make_plan(sizes=(0, 0, 0)),
        funnel=Funnel(0, 0, 0, 0),
        planned=Track(grid()[:1], np.zeros(1)),
        simulation=replace(make_simulation(), enrolled=flat(), baseline=flat(), by_phase=(flat(),) * 3),
    )
    assert set(pictures_of(facts)) == {"forecast", "funnel", "load", "versus"}
    write_report(facts, tmp_path / "out", formats=USUAL)


def flat() -> Bands:
    """Give bands in which nobody is ever enrolled."""
    return replace(make_bands(0, 0, 1.0), values=np.zeros((len(LEVELS), len(grid()))))


def test_a_rule_has_its_two_numbers_explained_on_the_page() -> None:
    """A device is left out under one reason only: what a rule hits and what is left out for it may differ."""
    facts = make_facts(
        excluded=(ExcludedRow("E2", 1_600, "Not joined."), ExcludedRow("E7", 1_200, "Managed elsewhere."))
    )
    page = html_report(facts, pictures={})
    assert "Each device is counted once here, under the first reason that applies" in page
    hit = page[page.index('id="finding-E2"') :].split("</tr>")[0]
    assert "2,000" in hit
    assert "1,600 are left out for it, the others for another reason" in hit
    alike = page[page.index('id="finding-E7"') :].split("</tr>")[0]
    assert "left out for it" not in alike


def test_the_tuning_front_says_what_it_draws() -> None:
    """Its axis is 90 % enrolled, and the plans that never reach that are counted with the others."""
    front = TuningFront(replace(make_tuning(), without_end=4), Stamp("UTC", "ab", ""))
    assert front.plot().get_xlabel() == "days until 90 % are enrolled (median)"
    assert front.sentence().startswith(
        "44 plans tried, 4 that do not reach 90 % not shown, by days until 90 %"
    )
    facts = make_facts(tuning=replace(make_tuning(), without_end=4))
    assert "44 plans tried" in TuningFront.of(facts).stamp.source  # type: ignore[union-attr]


def test_one_numbering_of_batches_for_people(cli: Cli) -> None:
    """What plan --explain calls batch 1 is batch 1 in status, page, table and audit."""
    cli(*MAKE)
    cli(*RUN, "--once")
    cli("abort", "--by", "Kim")
    with open_database("rollout.db") as database:
        batch = database.reader().batches()[0]
        device = str(database.plan().plan.ids[batch.rows[0]])
    assert "It is in batch 1," in cli("plan", "--explain", device, "--json").json["explanation"]
    assert cli("status", "--device", device, "--json").json["batch"] == 1
    cli("report", "--out", "out")
    assert Path("out/batches.csv").read_text(encoding="utf-8-sig").splitlines()[1].startswith("1,")
    assert '<td class="n">1</td>' in Path("out/report.html").read_text(encoding="utf-8")
