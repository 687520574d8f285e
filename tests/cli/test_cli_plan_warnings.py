"""What a plan warns about stands in `plan`, `simulate` and `approve`."""

from __future__ import annotations

from pathlib import Path

from command_line import Cli

SCENARIO = """
[rollout]
name = "small"
[rollout.gate]
evidence = false
thresholds = [{ percent = 20 }]
[[rollout.phases]]
name = "pilot"
devices = 15
[[rollout.phases]]
name = "all"
[fleet]
clients = 200
[model.clients]
window = "2h"
"""
NOTE = "note: phase 'pilot' has 15 devices: its threshold of 20 % counts from 12 devices in place of 20"
WARNING = "warning: phase 'all': "


def test_warnings_are_shown_wherever_a_person_decides(cli: Cli) -> None:
    """Warnings with their label, notes with theirs; in --json they are a list, or on stderr."""
    Path("small.toml").write_text(SCENARIO, encoding="utf-8")
    cli("inventory", "--from", "scenario", "small.toml")
    plan = cli("plan", "small.toml")
    simulated = cli("simulate", "--runs", "1", "--workers", "1")
    approved = cli("approve", "--by", "Kim")
    for answer in (plan, simulated, approved):
        text = " ".join(answer.out.split())
        assert answer.code == 0
        assert NOTE in text
        assert WARNING in text
        assert "before its first batch can be judged" in text
        assert "warning: note:" not in text
    as_json = cli("approve", "--by", "Kim", "--json").json["warnings"]
    assert NOTE in as_json
    assert NOTE in " ".join(cli("simulate", "--runs", "1", "--workers", "1", "--json").err.split())


def test_a_refused_plan_leaves_nothing_behind(cli: Cli) -> None:
    """One line, exit 4, and no plan that a later command would take."""
    text = SCENARIO.replace("{ percent = 20 }", "{ percent = 20, min_executed = 20 }")
    Path("small.toml").write_text(text, encoding="utf-8")
    cli("inventory", "--from", "scenario", "small.toml")
    refused = cli("plan", "small.toml")
    assert refused.code == 4
    assert "min_executed = 20, but the phase has 15 devices" in " ".join(refused.err.split())
    assert "Traceback" not in refused.err
    assert cli("approve", "--by", "Kim").code != 0
