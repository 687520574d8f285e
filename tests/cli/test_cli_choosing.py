"""Which plan, rollout or device is meant; and one rollout at a time in a collection."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from building import make_plan
from command_line import QUICK, Answer, Cli
from emulators.people import make_fleet

from rollout.store import open_database
from rollout.values import Inventory, texts

SECOND = QUICK.replace('name = "quick"', 'name = "second"\ncollection = "Another"')


@pytest.fixture(name="one_runs")
def _one_runs(cli: Cli) -> Cli:
    """A rollout has released its first batch."""
    cli("inventory", "--from", "scenario", "quick.toml")
    cli("plan", "quick.toml")
    assert cli("run", "--speed", "max", "--once").code == 0
    return cli


@pytest.fixture(name="two_run")
def _two_run(one_runs: Cli) -> Cli:
    """Beside it another one has, into another collection."""
    Path("second.toml").write_text(SECOND)
    one_runs("plan", "second.toml")
    assert one_runs("run", "--speed", "max", "--once").code == 0
    return one_runs


def is_refused(answer: Answer, code: int, *needles: str) -> bool:
    return (
        answer.code == code
        and all(one in answer.err for one in needles)
        and len(answer.err.splitlines()) == 2
        and not answer.out
    )


@pytest.mark.parametrize(
    "words",
    [
        ["pause"],
        ["resume"],
        ["abort"],
        ["exclude", "BER-0000001"],
        ["approve", "--by", "K", "--gate", "pilot"],
    ],
)
def test_a_command_for_one_of_two_rollouts_names_it(two_run: Cli, words: list[str]) -> None:
    """Nobody stops the wrong one: both are named, nothing is noted."""
    answer = two_run(*words)
    assert is_refused(
        answer, 2, "2 rollouts are under way: run-1 (quick), run-2 (second)", "rollout pause run-2"
    )
    assert "by " not in two_run("report", "run-2", "--audit").out


def test_a_named_one_is_stopped(two_run: Cli) -> None:
    """The other one goes on; afterwards one is left, which need not be named."""
    assert two_run("abort", "run-1").code == 0
    answer = two_run("pause")
    assert "run-2" in answer.out
    assert two_run("status", "--json").json["rollout"] == "run-2"


def test_the_one_under_way_is_meant_though_another_is_later(two_run: Cli) -> None:
    """The latest is done: a command is for the one that still runs."""
    assert two_run("run", "--speed", "max").code == 0
    assert "run-1" in two_run("pause").out


def test_a_second_plan_waits_for_the_first(one_runs: Cli) -> None:
    """Into the same collection: exit 4, nothing begins, and the words say how to go on with either."""
    Path("slower.toml").write_text(QUICK.replace('"8h"', '"9h"'))
    one_runs("plan", "slower.toml")
    answer = one_runs("run", "--speed", "max", "--once")
    assert is_refused(answer, 4, "run-1 of plan-1 is under way", "rollout run plan-1", "rollout abort run-1")
    assert one_runs("status", "run-2").code == 2
    assert one_runs("run", "plan-1", "--speed", "max", "--once").code == 0
    one_runs("abort", "run-1")
    assert one_runs("run", "--speed", "max", "--once").code == 0
    assert one_runs("status", "--json").json["plan"] == "plan-2"


def test_an_undo_waits_too(one_runs: Cli) -> None:
    """Nobody takes out while another one puts in."""
    one_runs("plan", "--undo", "run-1")
    assert is_refused(one_runs("run", "--speed", "max"), 4, "run-1 of plan-1 is under way")


def test_an_unknown_id_names_those_that_are(one_runs: Cli) -> None:
    """Plan, rollout and too short a digest."""
    digest = one_runs("status", "--json").json["digest"]
    for words, line in (
        (("run", "plan-9"), "there is no plan 'plan-9': expected one of plan-1"),
        (("status", "run-9"), "there is no rollout 'run-9': expected one of run-1"),
        (("run", digest[:3]), f"expected at least 4 digits of a plan digest, found '{digest[:3]}'"),
    ):
        answer = one_runs(*words)
        assert (answer.code, answer.out, answer.err) == (2, "", f"rollout: {line}\n")


def test_a_name_that_two_devices_have_is_refused(cli: Cli) -> None:
    """By name it is not clear who is meant; by id it is. Nothing is noted."""
    fleet = make_fleet(40)
    fleet = replace(fleet, names=texts([*fleet.names[:-2], "PC-1", "PC-1"]))
    with open_database("rollout.db") as database:
        known = database.add_inventory(Inventory(fleet, 0, ()))
        plan = replace(make_plan(sizes=(10, 30, 0)), ids=fleet.ids, inventory_digest=fleet.digest)
        database.add_plan(plan, known)
    assert cli("run", "--speed", "max", "--once").code == 0
    answer = cli("exclude", "PC-1", "--by", "Kim")
    assert is_refused(answer, 2, "2 devices are named 'PC-1'", "give the device id")
    assert "Kim" not in cli("report", "--audit").out
    assert cli("exclude", str(fleet.ids[-1]), "--by", "Kim").code == 0, "of a device that waits"
