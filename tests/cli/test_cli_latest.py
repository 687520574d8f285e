"""Which inventory and which plan are meant where nobody names one: never a made-up one beside real ones."""

from __future__ import annotations

from pathlib import Path

from command_line import QUICK, Cli

DATA = Path(__file__).parent.parent.parent / "scenarios" / "data"
EXPORTS = [str(DATA / f"{name}-devices.csv") for name in ("intune", "entra", "configmgr")]
TAKE = ("inventory", "--from", *EXPORTS, "--taken", "2026-11-24")
MAKE_UP = ("simulate", "quick.toml", "--runs", "1", "--workers", "1")
SIMULATE = ("simulate", "--runs", "1", "--workers", "1")
BAD = '[rollout]\nname = "bad"\n[[rollout.phases]]\nname = "pilot"\nwhere = {nowhere = "x"}\n'


def test_after_a_plan_that_failed_nothing_is_made_up(cli: Cli) -> None:
    """No fleet of 100,000 is generated in the place of the inventory that could not be planned."""
    assert cli(*TAKE).code == 0
    Path("bad.toml").write_text(BAD, encoding="utf-8")
    assert cli("plan", "bad.toml").code != 0
    for words in (
        SIMULATE,
        ("approve", "--by", "Kim"),
        ("run", "--speed", "max"),
        ("gate", "simulate"),
        ("report",),
    ):
        answer = cli(*words)
        assert answer.code == 4, words
        assert "inv-1 has no plan" in answer.err
        assert "rollout plan" in answer.err
    assert cli("inventory", "--from", "scenario", "quick.toml", "--json").json["id"] == "inv-2", (
        "nothing stored"
    )


def test_a_newer_inventory_needs_a_plan_of_its_own(cli: Cli) -> None:
    """The plan of last month's inventory is not taken for this month's."""
    cli(*TAKE)
    assert cli("plan").code == 0
    assert cli("approve", "--by", "Kim").code == 0
    cli(*TAKE)
    refused = cli("approve", "--by", "Kim")
    assert (refused.code, "inv-2 has no plan" in refused.err) == (4, True)
    assert cli("approve", "plan-1", "--by", "Kim").code == 0, "named, it is meant"


def test_a_made_up_plan_is_never_the_default_beside_a_real_inventory(cli: Cli) -> None:
    """It is simulated where it is asked for, named as made up, and taken by its name only."""
    cli(*TAKE)
    assert cli("plan", "--json").json["plan"] == "plan-1"
    made_up = cli(*MAKE_UP)
    assert made_up.code == 0
    assert "plan-2 is for a generated fleet" in made_up.err
    assert cli("approve", "--by", "Kim", "--json").json["plan"] == "plan-1"
    named = cli("approve", "plan-2", "--by", "Kim", "--json").json
    assert (named["plan"], named["warnings"][-1]) == ("plan-2", "the fleet of this plan is generated")
    assert cli("preflight", "--json").json["inventory"] == "inv-1"
    assert "inv-3 is generated" in cli("inventory", "--from", "scenario", "quick.toml").err
    assert cli("plan", "--json").json["plan"] == "plan-1", "the same plan of the same inventory"


def test_made_up_fleets_alone_are_the_default(cli: Cli) -> None:
    """Where nothing is real, the latest made-up plan is meant, as ever."""
    assert cli(*MAKE_UP).code == 0
    assert cli("approve", "--by", "Kim", "--json").json["plan"] == "plan-1"


def test_an_undo_is_the_latest_plan_whatever_was_imported_since(cli: Cli) -> None:
    """It belongs to the inventory of the rollout that it undoes."""
    cli(*TAKE)
    cli("plan")
    cli("run", "--speed", "max", "--once")
    cli(*TAKE)
    assert cli("plan", "--undo", "run-1", "--json").json["plan"] == "plan-2"
    assert cli("approve", "--by", "Kim", "--json").json["plan"] == "plan-2"


def test_a_start_in_the_past_is_said_at_planning_and_at_the_approval(cli: Cli) -> None:
    """Whoever approves learns that releases begin at once."""
    text = QUICK.replace("[rollout]\n", "[rollout]\nstart = 2024-11-25T08:00:00+01:00\n")
    Path("late.toml").write_text(text, encoding="utf-8")
    cli(*TAKE)
    (planned,) = [
        json for json in cli("plan", "late.toml", "--json").json["warnings"] if "in the past" in json
    ]
    warnings = cli("approve", "--by", "Kim", "--json").json["warnings"]
    (approved,) = [sentence for sentence in warnings if "the start lies" in sentence]
    assert "the start lies" in planned
    assert "days in the past: releases begin as soon as" in approved
    assert "warning: the start lies" in cli("approve", "--by", "Kim").out
