"""A rollout watched: the view, its lines, the forecast kept in the journal, and the background tasks of the loop."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from command_line import Cli

from rollout.api import stored_forecast
from rollout.api.status import read_status
from rollout.cli.watching import line, view
from rollout.executor import background_tasks
from rollout.executor.background import BackgroundProcess, BackgroundTask
from rollout.loop.decide import NOBODY
from rollout.store import JournalReader, open_database
from rollout.store.journal.reader import ReplayedJournal
from rollout.text import instant
from rollout.values import Applied

TOLD: dict[str, Any] = {
    "as_of": "2027-01-21T09:00:00Z",
    "runs": 20,
    "done": {"p10": "2027-02-03T17:00:00Z", "p50": "2027-02-03T17:00:00Z", "p90": None},
    "enrolled_90": {
        "p10": "2027-01-29T16:00:00Z",
        "p50": "2027-01-29T18:00:00Z",
        "p90": "2027-01-30T01:00:00Z",
    },
    "failed": {"p10": 5, "p50": 7, "p90": 9},
    "failed_surely": [1, 20],
    "halt_chance": 0.0,
    "matched": 0.99,
    "calibrated": True,
}


def begun(cli: Cli) -> None:
    """A small rollout after its first decision."""
    assert cli("simulate", "quick.toml", "--runs", "2", "--workers", "1").code == 0
    assert cli("run", "--speed", "max", "--once").code == 0


def test_a_kept_forecast_reads_as_it_was_written() -> None:
    """What `run` keeps in the journal is read back; what is no forecast is none."""
    found = stored_forecast.of_text(json.dumps(TOLD))
    assert found is not None
    assert json.loads(stored_forecast.text_of(found)) == TOLD
    assert stored_forecast.of_text(stored_forecast.text_of(found)) == found
    assert stored_forecast.of_text("{}") is None
    assert stored_forecast.of_text("no JSON") is None


def test_status_and_report_show_the_kept_forecast_and_the_audit_does_not(cli: Cli) -> None:
    """The interval is in status and report with the look that it was made from; it is no decision."""
    begun(cli)
    with (
        open_database("rollout.db") as database,
        database.journal("run-1", owner="test:1", now=time.time) as journal,
    ):
        journal.session(1, stored_forecast.KIND, json.dumps(TOLD))
    status = cli("status", "--json").json
    assert status["eta"]["of"] == "forecast"
    assert status["forecast"]["enrolled_90"] == TOLD["enrolled_90"]
    assert status["on_plan"]
    assert "forecast made" in cli("status").out
    report = cli("report", "--out", "there", "--json").json
    assert report["expected"]["failed"] == TOLD["failed"]
    assert "forecast" not in [row["what"] for row in cli("report", "--audit", "--json").json["audit"]]


def test_the_view_fits_80_columns(cli: Cli) -> None:
    """No line of the view is wider than the terminal, and it says goal, actual, gate and decisions."""
    from rich.console import Console

    begun(cli)
    with open_database("rollout.db") as database:
        console = Console(width=80, record=True, file=Path("sink").open("w", encoding="utf-8"))  # noqa: SIM115
        console.print(view(read_status(database, "run-1")))
        console.file.close()
    text = console.export_text()
    assert max(len(item) for item in text.splitlines()) <= 80
    for word in ("goal by now", "actual", "per hour", "last decisions", "on plan?"):
        assert word in text


def test_watching_without_a_terminal_is_lines_and_ends_with_the_rollout(cli: Cli) -> None:
    """A finished rollout is one plain line and exit 0."""
    begun(cli)
    cli("run", "--speed", "max")
    answer = cli("status", "--watch")
    assert answer.code == 0
    assert len(answer.out.splitlines()) == 1
    assert "finished" in answer.out
    assert "\x1b" not in answer.out


def test_ctrl_c_ends_the_watching_only(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 130, one line that says so."""
    from rollout.cli import watching

    def stop(_seconds: float) -> None:
        raise KeyboardInterrupt

    begun(cli)
    monkeypatch.setattr(watching.watch_status, "__defaults__", (stop,))
    answer = cli("status", "--watch")
    assert answer.code == 130
    assert "the rollout continues" in answer.err


def test_watch_with_json_is_refused(cli: Cli) -> None:
    """--json is one document."""
    begun(cli)
    assert cli("status", "--watch", "--json").code == 2


def test_a_line_names_goal_and_actual(cli: Cli) -> None:
    """One line holds state, released with its goal, enrolled, rate and reason."""
    begun(cli)
    with open_database("rollout.db") as database:
        text = line(read_status(database, "run-1"))
    assert "released" in text
    assert "(goal " in text


def test_a_report_is_kept_up_to_date_and_written_at_the_end(cli: Cli) -> None:
    """--report leaves the report of the end."""
    cli("simulate", "quick.toml", "--runs", "1", "--workers", "1")
    assert cli("run", "--speed", "max", "--report", "live", "--json").json["state"] == "finished"
    assert json.loads(Path("live/report.json").read_text())["state"] == "finished"


def test_a_folder_that_cannot_be_is_refused_before_anything_begins(cli: Cli) -> None:
    """A file where the folder should be: exit 2, no rollout."""
    cli("simulate", "quick.toml", "--runs", "1", "--workers", "1")
    Path("live").write_text("")
    assert cli("run", "--speed", "max", "--report", "live").code == 2
    assert cli("status").code == 2


def test_a_disk_that_takes_no_last_report_stops_nothing(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """One warning; the rollout is finished, exit 0."""
    from rollout.executor import running

    def refuse(*_any: object) -> None:
        raise OSError(28, "No space left on device")

    cli("simulate", "quick.toml", "--runs", "1", "--workers", "1")
    monkeypatch.setattr(running, "write_report", refuse)
    answer = cli("run", "--speed", "max", "--report", "live")
    assert answer.code == 0
    assert answer.err.count("the last report was not written") == 1


def work_off(process: BackgroundProcess, position: object, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process._running is None:
        process.update(lambda: position)  # type: ignore[arg-type, return-value]
    while time.monotonic() < end and process._running is not None:
        process.update(lambda: position)  # type: ignore[arg-type, return-value]
        time.sleep(0.02)


def test_a_task_runs_once_a_position_and_hands_over_what_it_printed(tmp_path: Path) -> None:
    """What it printed arrives; the same journal position is not worked on again."""
    got: list[str] = []
    process = BackgroundProcess(
        BackgroundTask("x", ("--version",), 0.0, take=got.append), str(tmp_path / "a.db")
    )
    work_off(process, 1)
    assert got[0].startswith("rollout ")
    process._due = 0.0
    process.update(lambda: 1)
    assert process._running is None


def test_a_task_that_fails_is_one_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line says why; a second failure says nothing more."""
    from rollout.executor import background as module

    said: list[str] = []
    monkeypatch.setattr(module, "log_event", lambda text, **_: said.append(text))
    process = BackgroundProcess(
        BackgroundTask("the report was not refreshed", ("fly",), 0.0), str(tmp_path / "a.db")
    )
    for position in (1, 2):
        process._due = 0.0
        work_off(process, position)
    assert len(said) == 1
    assert "unknown command 'fly'" in said[0]


def test_a_run_keeps_its_forecast(cli: Cli) -> None:
    """A forecast that was made beside the loop is in the journal and in the log."""
    from rollout.executor.reporter import Channels
    from rollout.store import Database

    begun(cli)
    with open_database("rollout.db") as database:
        assert isinstance(database, Database)
        with database.journal("run-1", owner="test:1", now=time.time) as journal:
            plan = database.plan().plan
            some: Any = None
            made = background_tasks.BackgroundTasks(plan, "run-1", journal, some, Channels(quiet=True))
            made._keep_forecast(json.dumps({"rollout": "run-1", "eta": TOLD, "on_plan": "on plan"}))
        assert stored_forecast.latest(database.reader("run-1")) is not None


def test_a_finished_rollout_has_no_gate_that_holds(cli: Cli) -> None:
    """The pilot was the whole fleet: its gate was never needed, and HOLD would call for a person."""
    text = Path("quick.toml").read_text().replace("devices = 100", "devices = 600")
    Path("whole.toml").write_text(text)
    cli("simulate", "whole.toml", "--runs", "1", "--workers", "1")
    assert cli("run", "--speed", "max").code == 0
    said = cli("status").out
    assert "is finished" in said
    assert "HOLD" not in said
    with open_database("rollout.db") as database:
        assert "gate" not in line(read_status(database, "run-1"))


class Reports(threading.Thread):
    """Reads a report again and again while it is drawn anew: each form of it that was seen, whole or not."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.path, self.over = path, threading.Event()
        self.seen: list[dict[str, Any]] = []
        self.broken = 0

    def run(self) -> None:
        before = ""
        while not self.over.wait(0.05):
            text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
            if text == before:
                continue
            before = text
            try:
                self.seen.append(json.loads(text))
            except ValueError:
                self.broken += 1


@pytest.mark.slow
def test_report_and_forecast_are_made_anew_while_it_runs(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real processes beside a real run of a minute: several reports, each whole, and several forecasts,
    which the later reports show. None of them changes a decision."""
    monkeypatch.setattr(background_tasks, "REPORT_S", 1.0)
    monkeypatch.setattr(background_tasks, "FORECAST_S", 1.0)
    monkeypatch.setattr(background_tasks, "FORECAST_FIRST_S", 0.0)
    monkeypatch.setattr("rollout.executor.background.PAUSE_FACTOR", 0.2)
    cli("simulate", "quick.toml", "--runs", "2", "--workers", "1", "--decisions", "simulated.jsonl")
    reports = Reports(Path("live/report.json"))
    reports.start()
    answer = cli("run", "--speed", "8000", "--report", "live")
    reports.over.set()
    reports.join()
    assert answer.code == 0
    with open_database("rollout.db") as database:
        reader = database.reader("run-1")
        kept = [text for _, kind, text in reader.sessions() if kind == stored_forecast.KIND]
        decisions = [json.loads(json.dumps(asdict(row))) for row in reader.decisions()]
    assert len(kept) >= 2
    assert "forecast: 90 % enrolled" in answer.err
    assert reports.broken == 0
    looks = [seen["as_of"] for seen in reports.seen]
    assert len(set(looks)) >= 3
    assert looks == sorted(looks)
    assert any(seen["expected"] for seen in reports.seen)
    assert reports.seen[-1]["state"] == "finished"
    assert decisions == [json.loads(line) for line in Path("simulated.jsonl").read_text().splitlines()]


def test_devices_that_are_not_sent_are_told_with_the_reason(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Released and unsent: how many, the last reason, and since when; nothing of that once all are sent."""
    begun(cli)
    with open_database("rollout.db") as database:
        reader = database.reader("run-1")
        count = sum(len(batch) for batch in reader.batches())
        sent = max(at for at, _, _ in reader.applied())
        rows = [
            (sent - 9, "unanswered", "old"),
            (sent + 60, "unanswered", "answered 429"),
            (sent + 90, "begin", "x"),
        ]
        monkeypatch.setattr(JournalReader, "applied", lambda _: [(sent, 0, Applied(*[NOBODY] * 3))])
        monkeypatch.setattr(
            ReplayedJournal, "sessions", lambda _: [*rows, (sent + 120, "unanswered", "still 429")]
        )
        now = read_status(database, "run-1")
        assert now.unsent == count > 0
        assert now.unsent_because == f"still 429; since {instant(sent + 60, now.plan.zone)}"
        monkeypatch.undo()
        now = read_status(database, "run-1")
        assert (now.unsent, now.unsent_because) == (0, "")
