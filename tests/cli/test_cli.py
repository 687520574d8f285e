"""The command line as a person and as a script meet it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from command_line import QUICK, Cli

from rollout.cli.app import VERBS, function_of

ROOT = Path(__file__).parent.parent.parent
EXPORTS = [
    str(ROOT / "scenarios" / "data" / f"{name}-devices.csv") for name in ("intune", "entra", "configmgr")
]


def test_the_whole_path_runs_and_each_step_finds_the_one_before(cli: Cli) -> None:
    """inventory, preflight, plan, simulate, approve, run, status, report: exit 0 each, no id typed."""
    assert cli("inventory", "--from", "scenario", "quick.toml", "--json").json["id"] == "inv-1"
    assert cli("preflight", "--json").json["inventory"] == "inv-1"
    plan = cli("plan", "quick.toml", "--json").json
    assert plan["plan"] == "plan-1"
    forecast = cli("simulate", "--runs", "3", "--workers", "1", "--json").json
    assert forecast["digest"] == plan["digest"]
    assert cli("approve", "--by", "Kim").code == 0
    run = cli("run", "--speed", "max", "--json").json
    assert run["state"] == "finished"
    assert run["digest"] == plan["digest"]
    assert sum(run["final"].values()) == 600
    assert cli("status", "--json").json["decisions"] == run["decisions"]
    report = cli("report", "--out", "there", "--json")
    assert report.code == 0
    assert (Path("there") / "report.html").stat().st_size > 10_000


def test_the_three_example_exports_join_and_run(cli: Cli) -> None:
    """The README's walk: real export shapes in three dialects give a plan that runs."""
    taken = cli("inventory", "--from", *EXPORTS, "--taken", "2026-11-24", "--json").json
    assert taken["rejected"] == 0
    assert len(taken["files"]) == 3
    counts = cli("preflight", "--json").json["counts"]
    assert {"E2", "E3", "E4", "E6", "E7"} <= {rule.split("-")[0] for rule in counts}
    plan = cli("plan", "--json").json
    assert plan["devices"] + sum(plan["excluded"].values()) == taken["accepted"]
    assert cli("simulate", "--runs", "1", "--workers", "1").code == 0
    assert cli("run", "--speed", "max").code in (0, 6)


def test_simulate_is_byte_equal_with_one_and_two_workers(cli: Cli) -> None:
    """Same seed, same bytes, whatever the number of workers; another seed differs."""
    arguments = ("simulate", "quick.toml", "--runs", "4", "--seed", "7", "--json")
    one = cli(*arguments, "--workers", "1").out
    assert cli(*arguments, "--workers", "2").out == one
    assert cli(*arguments[:5], "8", "--json", "--workers", "1").out != one


def test_simulate_gives_an_interval_for_nine_of_ten(cli: Cli) -> None:
    """Its middle is the median that is told beside it, and each run lies where its own curve crosses 90 %."""
    told = cli("simulate", "quick.toml", "--runs", "5", "--workers", "1", "--json").json
    low, middle, high = (told["enrolled_90_hours"][name] for name in ("p10", "p50", "p90"))
    assert 0 < low <= middle <= high <= told["eta_hours"]["p90"]
    assert middle == told["enrolled_hours"]["p90"]
    assert told["baseline"]["enrolled_90_hours"]["p50"] < middle


def test_run_decides_what_simulate_decided(cli: Cli) -> None:
    """The decision rows of a run on the embedded world equal those of the simulation with its seed."""
    assert cli("simulate", "quick.toml", "--runs", "2", "--seed", "5", "--decisions", "simulated").code == 0
    assert cli("run", "--speed", "max", "--seed", "5").code == 0
    assert cli("status", "--decisions", "executed").code == 0
    simulated, executed = Path("simulated").read_text(), Path("executed").read_text()
    assert simulated.count("\n") > 5
    assert simulated == executed


def test_run_again_after_the_end_changes_nothing(cli: Cli) -> None:
    """A finished rollout stays as it is: the same command says so again."""
    cli("simulate", "quick.toml", "--runs", "1", "--workers", "1")
    first = cli("run", "--speed", "max", "--json").json
    assert cli("run", "--speed", "max", "--json").json == first


def test_once_stops_after_a_decision(cli: Cli) -> None:
    """--once goes up to the next decision and stops; the next run goes on."""
    cli("simulate", "quick.toml", "--runs", "1", "--workers", "1")
    assert cli("run", "--speed", "max", "--once").code == 0
    once = cli("status", "--json").json
    assert once["state"] == "running"
    assert cli("run", "--speed", "max", "--json").json["state"] == "finished"


def test_dry_run_sends_nothing(cli: Cli) -> None:
    """--dry-run says what it would do and leaves no rollout behind."""
    cli("simulate", "quick.toml", "--runs", "1", "--workers", "1")
    assert cli("run", "--dry-run").code == 0
    assert cli("status").code == 2


def test_pause_holds_and_resume_goes_on(cli: Cli) -> None:
    """A paused rollout releases nobody (exit 6); after a resume it finishes."""
    cli("simulate", "quick.toml", "--runs", "1", "--workers", "1")
    cli("run", "--speed", "max", "--once")
    before = cli("status", "--json").json["released"]
    assert cli("pause", "--by", "Kim", "--reason", "help desk is full").code == 0
    assert cli("run", "--speed", "max").code == 6
    assert cli("status", "--json").json["released"] == before
    assert cli("resume").code == 0
    assert cli("run", "--speed", "max", "--json").json["state"] == "finished"


def test_abort_is_for_good(cli: Cli) -> None:
    """An aborted rollout takes no further command, and running it releases nobody."""
    cli("simulate", "quick.toml", "--runs", "1", "--workers", "1")
    cli("run", "--speed", "max", "--once")
    cli("abort", "--by", "Kim")
    assert cli("run", "--speed", "max").code == 6
    assert cli("resume").code == 4
    assert cli("status", "--json").json["state"] == "aborted"


def test_an_undo_takes_out_what_was_put_in(cli: Cli) -> None:
    """The way back is a plan of its own that runs through the same loop."""
    cli("simulate", "quick.toml", "--runs", "1", "--workers", "1")
    put_in = cli("run", "--speed", "max", "--json").json["released"]
    plan = cli("plan", "--undo", "run-1", "--json").json
    assert plan["devices"] == put_in
    taken_out = cli("run", "--speed", "max", "--json").json
    assert taken_out["rollout"] == "run-2"
    assert taken_out["state"] == "finished"
    assert taken_out["final"]["enrolled"] == put_in
    assert "have left" in taken_out["reason"]


def test_the_rest_is_planned_anew_after_an_abort(cli: Cli) -> None:
    """--continue leaves out who was released and keeps the others."""
    cli("simulate", "quick.toml", "--runs", "1", "--workers", "1")
    cli("run", "--speed", "max", "--once")
    cli("abort")
    cli("run", "--speed", "max")
    before = cli("status", "--json").json["released"]
    whole = cli("plan", "quick.toml", "--json").json["devices"]
    rest = cli("plan", "--continue", "run-1", "--json").json
    assert 0 < before < whole
    assert rest["devices"] == whole - before


def test_a_device_is_explained_and_the_windows_go_into_a_calendar(cli: Cli) -> None:
    """--explain says phase, place and batch; --ics writes change windows."""
    cli("inventory", "--from", "scenario", "quick.toml")
    assert cli("plan", "quick.toml", "--ics", "windows.ics").code == 0
    text = Path("windows.ics").read_bytes()
    assert text.startswith(b"BEGIN:VCALENDAR\r\n")
    assert b"BEGIN:VEVENT" in text
    from rollout.store import open_database

    plan = open_database("rollout.db").plan().plan
    answer = cli("plan", "--explain", str(plan.ids[plan.phases[0].order[0]]))
    assert "number 1 of 100 in phase 'pilot'" in answer.out


def test_the_gate_is_tried_beside_a_plain_threshold(cli: Cli) -> None:
    """`rollout gate simulate` gives the chance to halt by true rate, and draws it."""
    answer = cli("gate", "simulate", "quick.toml", "--runs", "20", "--rates", "1,30", "--out", "g", "--json")
    assert answer.code == 0
    low, high = answer.json["ours"]
    assert low["halted"] < 0.2 < 0.9 < high["halted"]
    assert len(list(Path("g").glob("*.png"))) == 2


def test_an_excluded_device_stays_out(cli: Cli) -> None:
    """A device that a person takes out before its turn is never released."""
    cli("simulate", "quick.toml", "--runs", "1", "--workers", "1")
    cli("run", "--speed", "max", "--once")
    from rollout.store import open_database

    plan = open_database("rollout.db").plan().plan
    device = str(plan.ids[plan.phases[1].order[-1]])
    assert cli("exclude", device, "--reason", "board member").code == 0
    assert cli("run", "--speed", "max").code == 0
    shown = cli("status", "--device", device, "--json").json
    assert "released" not in shown


def test_a_bad_model_halts_with_its_name(cli: Cli) -> None:
    """Half of a model fails: exit 8, and the sentence names the failing rate."""
    text = QUICK + '[model.clients.failure]\ncolumn = "os"\nlevel = "Windows"\nrate = 0.6\n'
    Path("bad.toml").write_text(text)
    cli("simulate", "bad.toml", "--runs", "1", "--workers", "1")
    answer = cli("run", "--speed", "max")
    assert answer.code == 8
    assert "HALT" in answer.err
    assert cli("status", "--json").json["released"] < 300


def test_missed_targets_exit_5(cli: Cli) -> None:
    """A simulation that misses the scenario's targets names them."""
    Path("late.toml").write_text(QUICK + "[targets]\nfinish_within_h = 1\n")
    answer = cli("simulate", "late.toml", "--runs", "1", "--workers", "1")
    assert answer.code == 5
    assert "done within 1.0 h" in answer.err
    assert "only 'rollout tune'" not in answer.err


def test_targets_that_are_not_compared_are_named(cli: Cli) -> None:
    """Exit 0 of simulate says nothing about the targets that only tune compares."""
    Path("exposed.toml").write_text(QUICK + "[targets]\nexposed = 1\ntickets_per_hour = 0.001\n")
    answer = cli("simulate", "exposed.toml", "--runs", "1", "--workers", "1")
    assert answer.code == 0
    assert "targets that only 'rollout tune' compares: tickets_per_hour, exposed" in answer.err


def test_demo_accounts_for_every_client(cli: Cli) -> None:
    """The demo chains it all; its numbers sum to the clients."""
    answer = cli("demo", "--clients", "700", "--runs", "2", "--json")
    assert answer.code == 0
    assert sum(answer.json["final"].values()) == answer.json["clients"] == 700
    assert Path(answer.json["report"]).is_file()


def test_who_is_left_out_is_said_in_words(cli: Cli) -> None:
    """plan and demo give each reason with what it means, not a rule's number alone; the counts add up."""
    cli("inventory", "--from", "scenario", "--clients", "3000")
    made = cli("plan").out
    lines = [line for line in made.splitlines() if line.startswith("not in the plan: ")]
    counts = [int(line.split()[4].replace(",", "")) for line in lines]
    excluded = cli("plan", "--json").json["excluded"]
    assert counts == sorted((n for n in excluded.values() if n), reverse=True)
    assert all(len(line.split(", ", 1)[1]) > 20 and line.endswith(".") for line in lines), lines
    demo = cli("demo", "--clients", "3000", "--runs", "1").out
    assert f"{sum(counts)} are not in the plan" in demo
    assert lines[0].split(", ", 1)[1].split(",")[0].split(":")[0] in demo


WRONG = {
    "no verb": (["fly"], 2, "unknown command 'fly'"),
    "near verb": (["simulat"], 2, "unknown command"),
    "unknown option": (["plan", "--speed", "3"], 2, "--speed"),
    "no source": (["inventory"], 2, "--from"),
    "missing file": (["inventory", "--from", "nowhere.csv"], 2, "nowhere.csv"),
    "a folder": (["inventory", "--from", "."], 2, "."),
    "missing scenario": (["simulate", "nowhere.toml"], 2, "nowhere.toml"),
    "no inventory yet": (["plan"], 2, "rollout inventory"),
    "no rollout yet": (["status"], 2, "no rollout database at rollout.db"),
    "nothing to watch": (["status", "--watch"], 2, "rollout.db"),
    "nothing to report": (["report"], 2, "rollout inventory"),
    "nothing to stop": (["pause"], 2, "rollout.db"),
    "nothing to approve": (["approve", "--by", "Kim"], 2, "--db"),
    "nothing to undo": (["plan", "--undo", "run-1"], 2, "rollout.db"),
    "nothing to exclude from": (["exclude", "PC-1"], 2, "rollout.db"),
    "nothing to calibrate": (["calibrate", "run-1"], 2, "rollout.db"),
    "nothing to forecast": (["forecast"], 2, "rollout.db"),
    "nothing to look over": (["preflight"], 2, "rollout.db"),
    "no plan to simulate": (["simulate", "plan-1"], 2, "rollout.db"),
    "no time to fail": (["gate", "simulate", "quick.toml", "--fail-hours", "0"], 2, "--fail-hours"),
    "no plan for a gate": (["gate", "simulate", "plan-1"], 2, "rollout.db"),
    "no site to ask": (["doctor", "--directory", "graph"], 2, "rollout.db"),
    "wrong date": (["inventory", "--from", "quick.toml", "--taken", "soon"], 2, "--taken"),
    "bad speed": (["run", "--speed", "fast"], 2, "--speed"),
    "bad runs": (["simulate", "--runs", "0"], 2, "runs"),
    "bad workers": (["simulate", "quick.toml", "--workers", "0"], 2, "--workers"),
    "no name": (["approve"], 2, "--by"),
    "no plan to run": (["run", "plan-9"], 2, "rollout.db"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_input_is_one_clear_line(cli: Cli, case: str) -> None:
    """Exit code, one line with what was found, no traceback, nothing on stdout."""
    arguments, code, needle = WRONG[case]
    answer = cli(*arguments)
    assert answer.code == code
    assert [path.name for path in Path.cwd().iterdir()] == ["quick.toml"], "something was left behind"
    assert needle in answer.err
    assert answer.err.startswith("rollout: ")
    assert len(answer.err.splitlines()) <= 2
    assert "Traceback" not in answer.err + answer.out
    assert answer.out == ""


def test_an_error_with_json_is_one_document(cli: Cli) -> None:
    """With --json an error is {error: {code, message, hint}} on stdout, and the same exit code."""
    answer = cli("plan", "--json")
    assert answer.code == 2
    assert answer.json["error"]["code"] == 2
    assert set(answer.json["error"]) == {"code", "message", "hint"}


BAD_TOML = {
    "misspelt key": (QUICK.replace("look_every", "look_evry"), "look_every"),
    "wrong zone": (QUICK.replace('name = "quick"', 'name = "quick"\nzone = "Europe/Berln"'), "Europe/Berln"),
    "negative duration": (QUICK.replace('"8h"', '"-8h"'), "-8h"),
    "wrong unit": (QUICK.replace('"8h"', '"8 parsecs"'), "8 parsecs"),
    "no window": (QUICK.replace('window = "immediate"', ""), "model.clients.window"),
    "unknown section": (QUICK + "[fleat]\n", "fleet"),
    "not toml": (QUICK + "][", "TOML"),
}


@pytest.mark.parametrize("case", BAD_TOML)
def test_a_bad_scenario_names_file_key_and_value(cli: Cli, case: str) -> None:
    """A wrong scenario is exit 2 with file and key, and stores nothing."""
    text, needle = BAD_TOML[case]
    Path("bad.toml").write_text(text)
    answer = cli("simulate", "bad.toml", "--runs", "1")
    assert answer.code == 2
    assert "bad.toml" in answer.err
    assert needle in answer.err
    assert len(answer.err.splitlines()) <= 2
    assert not Path("rollout.db").exists()


def test_a_refused_import_leaves_the_database_as_it_was(cli: Cli) -> None:
    """All or nothing: after a broken file the database's content is the same, byte for byte."""
    cli("inventory", "--from", "scenario", "quick.toml")
    with sqlite3.connect("rollout.db") as connection:
        before = "\n".join(connection.iterdump())
    connection.close()
    Path("bad.csv").write_bytes(b"PK\x03\x04" + b"\x00" * 100)
    assert cli("inventory", "--from", "bad.csv").code == 2
    with sqlite3.connect("rollout.db") as connection:
        after = "\n".join(connection.iterdump())
    connection.close()
    assert before == after


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example_and_stands_in_the_readme(cli: Cli, verb: str) -> None:
    """The docstring is the help; the README names each verb."""
    answer = cli(verb, "--help")
    assert answer.code == 0
    assert f"rollout {verb}" in answer.out.split("Example:", 1)[1] if "Example:" in answer.out else False
    assert f"`{verb}`" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("verb", VERBS)
def test_the_overview_and_the_help_of_a_command_begin_alike(verb: str) -> None:
    """The table of commands is written by hand so that the overview imports no command."""
    first, _, _ = (function_of(verb).__doc__ or "").partition("\n\n")
    assert " ".join(first.split()) == VERBS[verb][1]
