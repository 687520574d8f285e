"""`rollout withdraw` and `exclude`, as a person gives them: single devices out again, or never in."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from command_line import Cli
from emulated_site import write_plan
from emulators.adminservice import TARGET, AdminService
from emulators.people import Prompt, make_fleet
from emulators.web import on_loopback

from rollout.cli import main
from rollout.store import SqlJournal, open_database

MAKE = ("simulate", "quick.toml", "--runs", "1", "--workers", "1")
RUN = ("run", "--speed", "max")


def released(*places: int) -> list[str]:
    """Give devices of the first batch."""
    with open_database("rollout.db") as database:
        batch, plan = database.reader("run-1").batches()[0], database.plan().plan
        return [str(plan.ids[batch.rows[place]]) for place in places]


def waiting() -> str:
    """Give the device that goes last."""
    with open_database("rollout.db") as database:
        plan = database.plan().plan
        return str(plan.ids[next(phase for phase in reversed(plan.phases) if len(phase)).order[-1]])


def taken_out() -> list[int]:
    """Give how many devices each entry of the embedded directory's log took out."""
    with open_database("rollout.db") as database:
        return [len(rows) for _, batch, rows in database.membership_log("run-1").load() if batch < 0]


def test_exclude_says_that_it_comes_too_late(cli: Cli) -> None:
    """A released device stays a member; the sentence names the verb that takes it out."""
    cli(*MAKE)
    cli(*RUN, "--once")
    (one,) = released(0)
    refused = cli("exclude", one)
    assert refused.code == 4
    assert f"{one} was released at " in refused.err
    assert f"stays a member\n  to take them out again: rollout withdraw {one}" in refused.err
    both = cli("exclude", one, waiting())
    assert both.code == 0
    assert "exclude of 1 devices is recorded" in both.out
    assert f"to take it out: rollout withdraw {one}" in both.out
    told = cli("exclude", one, waiting(), "--json").json
    assert (told["devices"], told["released"]) == (1, [one])


def test_withdraw_without_an_executor_takes_out_at_once(cli: Cli) -> None:
    """Done by the command itself, once; status, audit, doctor and the way back know of it."""
    cli(*MAKE)
    cli(*RUN, "--once")
    one, two = released(0, 1)
    first = cli("withdraw", one, two, "--by", "Kim", "--reason", "board", "--json").json
    assert [told["result"] for told in first["devices"]] == ["withdrawn", "withdrawn"]
    assert (first["by"], first["executor"]) == ("Kim", None)
    again = cli("withdraw", one, "--json")
    assert (again.code, again.json["devices"][0]["result"]) == (0, "withdrawn")
    assert taken_out() == [2], "nothing is sent twice"
    told = cli("status", "--device", one, "--json").json
    assert told["withdrawal"] == "done"
    assert told["withdrawn_at"] >= told["released_at"]
    audit = cli("report", "--audit").out
    assert "Kim  withdraw 2 devices: board" in audit
    assert "withdrawal: 2 removed" in audit
    assert audit.count("withdraw 2 devices") == 1
    whole = cli(*RUN, "--json").json
    assert whole["state"] == "finished"
    assert sum(whole["final"].values()) == 600
    assert taken_out() == [2], "a new session neither releases nor withdraws them again"
    undo = cli("plan", "--undo", "run-1", "--json").json
    assert undo["devices"] == whole["released"] - 2
    assert cli(*RUN, "--json").json["state"] == "finished"
    assert cli("doctor").code == 0


def test_a_rollout_that_is_over_lets_devices_go_too(cli: Cli) -> None:
    """Whatever its state; where every device has left, nothing is left to undo."""
    cli(*MAKE)
    cli(*RUN, "--once")
    cli("abort", "--by", "Kim")
    cli(*RUN)
    with open_database("rollout.db") as database:
        count = len(database.reader("run-1").batches()[0])
    everybody = released(*range(count))
    assert cli("withdraw", *everybody).code == 0
    assert taken_out() == [count]
    none = cli("plan", "--undo", "run-1")
    assert (none.code, "every device that run-1 added has been withdrawn" in none.err) == (2, True)


def test_an_executor_that_runs_takes_them_out(cli: Cli) -> None:
    """The command is noted, the lease stays where it is, and the next session does it before anything else."""
    cli(*MAKE)
    cli(*RUN, "--once")
    (one,) = released(0)
    with open_database("rollout.db") as database, database.journal("run-1", owner="other:7"):
        noted = cli("withdraw", one, "--json").json
        assert noted["executor"] == "other:7"
        assert noted["devices"][0]["result"] == "noted"
        assert cli("status", "--device", one, "--json").json["withdrawal"] == "asked"
        assert taken_out() == []
    assert cli(*RUN, "--once").code == 0
    assert taken_out() == [1]


def test_killed_between_intention_and_answer(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory has taken it out, the journal does not know: the same command looks, and sends nothing."""
    cli(*MAKE)
    cli(*RUN, "--once")
    (one,) = released(0)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(SqlJournal, "confirm_withdrawal", die)
        assert cli("withdraw", one).code == 130
    assert cli("status", "--device", one, "--json").json["withdrawal"] == "asked"
    assert cli("withdraw", one, "--json").json["devices"][0]["result"] == "withdrawn"
    assert taken_out() == [1]
    assert cli("report", "--audit").out.count("withdraw 1 devices") == 1


def test_who_cannot_be_withdrawn_stays_and_why(cli: Cli) -> None:
    """Not released yet, unknown, or of an undo: one line, exit code, nothing noted."""
    cli(*MAKE)
    cli(*RUN, "--once")
    last = waiting()
    refused = cli("withdraw", last)
    assert (
        refused.code,
        f"{last} is not released; 'rollout exclude {last}' keeps it out" in refused.err,
    ) == (4, True)
    assert cli("withdraw", "no-such-device").code == 2
    mixed = cli("withdraw", last, *released(0), "--json")
    assert [json["result"] for json in mixed.json["devices"]] == ["not_released", "withdrawn"]
    cli("abort")
    cli(*RUN)
    cli("plan", "--undo", "run-1")
    cli(*RUN)
    assert cli("withdraw", last, "--rollout", "run-2").code == 4


@pytest.mark.slow
def test_a_device_of_a_site_is_withdrawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One rule is deleted, one evaluation asked for; what others added stays; a silent site leaves it noted."""
    monkeypatch.chdir(tmp_path)
    emulator = AdminService(make_fleet(40), Prompt(40), now=lambda: int(time.time()))
    write_plan(int(time.time()) - 60)
    with on_loopback(emulator) as origin:
        settings = f'[directory.adminservice]\nhosts = ["{origin}"]\nauth = "none"\nsite_code = "P01"\n'
        Path("directory.toml").write_text(f'{settings}collection = "{TARGET}"\n', encoding="utf-8")
        assert main(["approve", "--by", "Kim"]) == 0
        assert main(["run", "--directory", "adminservice", "--once"]) == 0
        rules = emulator.collections[TARGET].rules
        assert len(rules) == 10
        emulator.asked.clear()
        one, two = released(0, 1)
        assert main(["withdraw", one, "--by", "Kim"]) == 0
        assert len(rules) == 9
        sent = [asked.path for asked in emulator.asked if asked.method != "GET"]
        assert [path.rsplit(".", 1)[-1] for path in sent] == ["DeleteMembershipRule", "RequestRefresh"]
        assert main(["withdraw", one]) == 0
        assert len(rules) == 9
        assert "outcome stays counted" in capsys.readouterr().out
    assert main(["withdraw", two]) == 3
    assert "the withdrawal is recorded" in capsys.readouterr().err
