"""Co-management on the command line: workloads, enrollment, one client, the worklist; what is refused and why."""

from __future__ import annotations

import csv
import json
import re
import shlex
from pathlib import Path

import pytest
from command_line import Answer, Cli, confirmed

from sim.fleet.population import Problems

ROOT = Path(__file__).parent.parent.parent
DATA = ROOT / "scenarios" / "data"
LOG, STATES = DATA / "CoManagementHandler.log", DATA / "comanagement-states.txt"
EXPORTS = [str(DATA / f"{name}-devices.csv") for name in ("intune", "entra", "configmgr")]

PROBLEMS = tuple(Problems.model_fields)

BASE = """\
name = "test"
look_every = "1h"
straggler_after = "3d"
mature_after = "1d"
gate = { losses_max = 0.2 }
[[rollout.phases]]
name = "all"
pacing = { mode = "duration", duration = "4h" }
soak = "1d"
"""
MODEL = """\
[model]
horizon = "20d"
[model.clients]
window = "immediate"
"""
ENROLL = "[rollout]\n@more@\n" + BASE + "[fleet]\nclients = 300\n" + MODEL
MOVE = (
    '[rollout]\naction = "workload"\nworkload = "@workload@"\ncollection = "Staging"\n@more@\n'
    + BASE
    + "@counterparts@\n[fleet]\nclients = 300\ncomanaged = 0.8\n"
    + MODEL
)
SEEN = '[rollout.counterparts.{}]\npolicy = "Baseline"\nby = "Kim"\non = 2025-11-03\n'


def move(workload: str = "compliance", more: str = "", confirmed: tuple[str, ...] = ("compliance",)) -> str:
    counterparts = "".join(SEEN.format(item) for item in confirmed)
    return (
        MOVE.replace("@workload@", workload).replace("@more@", more).replace("@counterparts@", counterparts)
    )


def enroll(more: str = "") -> str:
    return ENROLL.replace("@more@", more)


def planned(cli: Cli, text: str) -> Answer:
    """Plan a scenario on its own made-up fleet."""
    Path("it.toml").write_text(text, encoding="utf-8")
    cli("inventory", "--from", "scenario", "it.toml")
    return cli("plan", "it.toml", "--json")


def has_plan(cli: Cli) -> bool:
    return cli("run", "--dry-run").code == 0


# Refused with nothing stored or sent.

REFUSED = {
    "no counterpart": (move(confirmed=()), "confirmed by a person"),
    "one of three": (
        move("device-configuration", confirmed=("device-configuration",)),
        "Resource access policies (certificate, Wi-Fi and VPN profiles), Endpoint Protection",
    ),
    "seen tomorrow": (move().replace("2025-11-03", "2199-01-01"), "must not be in the future"),
    "slider at Intune": (move(more='slider = "intune"'), "every co-managed device moves at once"),
    "slider at Configuration Manager": (move(more='slider = "configmgr"'), "no device moves"),
    "staging is auto-enrollment": (move().replace('"Staging"', '"INTUNE Auto Enrollment"'), "that collection itself"),
    "forced workload": (
        move("resource-access", "site_version = 2403", ("resource-access",)),
        "forced to Intune since site version 2403",
    ),
    "mode All": (enroll('automatic_enrollment = "all"'), "found All"),
    "mode None": (enroll('automatic_enrollment = "none"'), "No more devices enroll"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_plan_that_harms_is_refused_and_not_stored(cli: Cli, case: str) -> None:
    """Exit 4 with what was expected and found, and no plan in the database."""
    text, needle = REFUSED[case]
    answer = planned(cli, text)
    assert answer.code == 4
    assert needle in answer.json["error"]["message"]
    assert answer.json["error"]["hint"]
    assert not has_plan(cli)


WRONG = {
    "unknown cloud": (enroll('cloud = "mars"'), "cloud"),
    "unknown workload": (move().replace("counterparts.compliance", "counterparts.complience"), "counterparts"),
    "no name": (move().replace('by = "Kim"', 'by = ""'), "by"),
    "too few stale days": (enroll("preflight = { stale_days = 20 }"), "preflight.stale_days"),
    "no reason": (enroll('preflight = { off = { E6 = "" } }'), "preflight.off"),
    "counterpart of an enrollment": (
        enroll().replace("[fleet]", SEEN.format("office") + "[fleet]"),
        "counterparts",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_key_is_one_line(cli: Cli, case: str) -> None:
    """Exit 2 with the key."""
    text, needle = WRONG[case]
    Path("it.toml").write_text(text, encoding="utf-8")
    answer = cli("simulate", "it.toml", "--runs", "1")
    assert answer.code == 2
    assert needle in answer.err


# A workload, end to end.


def test_a_workload_moves_from_plan_to_report(cli: Cli) -> None:
    """Only enrolled devices are staged; the confirmation is in the plan; the run finishes; undo says what stays."""
    plan = planned(cli, move())
    assert plan.code == 0
    assert 0 < plan.json["excluded"]["not enrolled yet"] < 150
    assert "'Baseline', confirmed by Kim on 2025-11-03" in plan.json["human_steps"][0]["why"]
    assert cli("simulate", "--runs", "1", "--workers", "1").code == 0
    assert cli("run", "--speed", "max", "--json").json["state"] == "finished"
    funnel = cli("enrollment", "--json").json
    assert funnel["funnel"]["Eligible"] == plan.json["devices"] == funnel["devices"]
    assert sum(item["devices"] for item in funnel["status"]) == funnel["devices"]
    undo = cli("plan", "--undo", "run-1", "--json").json
    assert undo["devices"] == funnel["funnel"]["Scheduled"]
    assert any("What stays" in item for item in undo["warnings"])
    assert any("Configuration Manager can manage" in item["title"] for item in undo["human_steps"])


def test_the_scenario_in_the_repository_plans(cli: Cli) -> None:
    """scenarios/workload-compliance.toml is refused as it ships, and runs once a person confirmed it (smaller here)."""
    text = (ROOT / "scenarios" / "workload-compliance.toml").read_text(encoding="utf-8")
    text = text.replace("20_000", "2_000")
    refused = planned(cli, text)
    assert refused.code == 4
    assert "confirmed by a person" in refused.err + refused.out
    assert "[rollout.counterparts.compliance] with policy, by and on" in refused.err + refused.out
    blank = planned(cli, confirmed(text).replace('"Kim"', '"  "'))
    assert blank.code == 2
    assert "counterparts.compliance.by" in blank.err + blank.out
    answer = planned(cli, confirmed(text))
    assert answer.code == 0
    assert answer.json["excluded"]["not enrolled yet"] < 400
    assert cli("simulate", "--runs", "1", "--workers", "1").code == 0


def test_enrollment_is_not_undone_under_a_staged_workload(cli: Cli) -> None:
    """The superset rule on the way back: first the workload, then enrollment; nothing is stored in between."""
    fleet = enroll().replace("clients = 300", "clients = 300\ncomanaged = 0.5")
    Path("enroll.toml").write_text(fleet, encoding="utf-8")
    cli("inventory", "--from", "scenario", "enroll.toml")
    assert cli("plan", "enroll.toml").code == 0
    assert cli("run", "--speed", "max").code == 0
    # A newer inventory in which everybody is enrolled, so that the workload stages the same devices.
    from dataclasses import replace

    import numpy as np

    from rollout.store import open_database

    database = open_database("rollout.db")
    old = database.inventory(None)
    flags = {**old.fleet.flags, "comanaged": np.ones(300, dtype=np.int8)}
    database.add_inventory(replace(old, fleet=replace(old.fleet, flags=flags)))
    database.close()
    Path("move.toml").write_text(move(), encoding="utf-8")
    assert cli("plan", "move.toml").code == 0
    assert cli("run", "--speed", "max").code == 0
    refused = cli("plan", "--undo", "run-1", "--json")
    assert refused.code == 4
    assert "of run-2" in refused.json["error"]["message"]
    assert "rollout plan --undo run-2" in refused.json["error"]["hint"]
    with open_database("rollout.db") as database:
        staged = str(database.plan("plan-2").plan.ids[database.reader("run-2").batches()[0].rows[0]])
    alone = cli("withdraw", staged, "--rollout", "run-1")
    assert (alone.code, "still staged for a workload" in alone.err) == (4, True)
    assert cli("withdraw", staged, "--rollout", "run-2").code == 0
    assert cli("withdraw", staged, "--rollout", "run-1").code == 0, "first the workload, then enrollment"
    assert cli("plan", "--undo", "run-2").code == 0
    assert cli("plan", "--undo", "run-1").code == 4  # planned, not yet carried out
    assert cli("run", "--speed", "max").code == 0
    assert cli("plan", "--undo", "run-1", "--json").code == 0


@pytest.mark.parametrize(
    ("cloud", "portal", "needles"),
    [
        (
            "usgov",
            "intune.microsoft.us",
            ("tenant attach is not available", "*.manage.microsoft.us", "arrive later"),
        ),
        ("dod", "intune.microsoft.us", ("tenant attach is not available",)),
        (
            "china",
            "intune.microsoftonline.cn",
            ("tenant attach is not available", "endpoint analytics is not available"),
        ),
    ],
)
def test_the_plan_says_what_differs_in_a_cloud(
    cli: Cli, cloud: str, portal: str, needles: tuple[str, ...]
) -> None:
    """Warnings, the portal's address, the wizard's environment; the public cloud has none of it."""
    made = planned(cli, enroll(f'cloud = "{cloud}"')).json
    told = " ".join(made["warnings"])
    assert all(needle in told for needle in needles)
    steps = json.dumps(made["human_steps"])
    assert portal in steps
    assert "choose the environment Azure" in steps
    public = planned(cli, enroll('cloud = "public"')).json
    assert not any("tenant attach" in item or "clients must reach" in item for item in public["warnings"])
    assert "environment" not in json.dumps(public["human_steps"])


def test_the_gov_scenario_is_one(cli: Cli) -> None:
    """scenarios/gov.toml names its cloud."""
    text = (ROOT / "scenarios" / "gov.toml").read_text(encoding="utf-8")
    made = planned(cli, text.replace("40_000", "1_000")).json
    assert any("tenant attach is not available" in item for item in made["warnings"])


# Who manages what.


@pytest.mark.parametrize("flags", ["8193", "12543", "67", "4128", "8197", "NULL", "text", "1056769"])
def test_flags_are_read_on_the_command_line(cli: Cli, flags: str) -> None:
    """The same answer as a table and as a document; unknown is said."""
    told = cli("workloads", "--flags", flags, "--json").json
    shown = cli("workloads", "--flags", flags)
    assert shown.code == 0
    if flags in ("NULL", "text"):
        assert set(told["authority"].values()) == {"unknown"}
        assert "flags unknown" in shown.out
    else:
        assert told["flags"] == int(flags)
        assert f"flags {flags} = " in shown.out
    assert told["unknown_bits"] == ([1 << 20] if flags == "1056769" else [])


def test_a_cap_cuts_flags(cli: Cli) -> None:
    """What lies above the client's own capabilities is named."""
    told = cli("workloads", "--flags", "12543", "--cap", "4095", "--json").json
    assert told["above_cap"] == [8192, 4096][::-1]


def test_workloads_are_shown_with_what_they_need(cli: Cli) -> None:
    """The table for people, the document for scripts."""
    shown = cli("workloads").out
    assert "update rings" in shown
    assert "tattooed" in shown
    assert [item["bit"] for item in cli("workloads", "--json").json["workloads"]] == [
        2,
        4,
        8,
        16,
        32,
        64,
        128,
    ]


def test_the_sites_export_tells_authority_and_funnel(cli: Cli) -> None:
    """Of the fleet, and of one device by name or ResourceID."""
    told = cli("workloads", STATES, "--json").json
    assert told["authority"]["compliance"] == {"Configuration Manager": 22, "Intune": 6, "unknown": 3}
    assert cli("workloads", STATES).code == 0
    one = cli("workloads", STATES, "--device", "bos-0010", "--json").json
    assert one["authority"]["compliance"] == "Intune"
    assert cli("workloads", STATES, "--device", "16777310", "--json").json["flags"] == one["flags"] == 8195
    assert cli("workloads", STATES, "--device", "nobody").code == 2
    funnel = cli("enrollment", STATES, "--json").json
    assert funnel["funnel"] == {"Eligible": 31, "Scheduled": 28, "Enrollment initiated": 25, "Enrolled": 20}
    assert {item["name"] for item in funnel["failures"]} == {
        "USERLICENSE", "MDM_NOT_CONFIGURED", "PLATFORM_NOT_SUPPORTED"}  # fmt: skip
    assert "Pending user sign in" in cli("enrollment", STATES).out


def test_status_of_a_device_tells_who_manages_it(cli: Cli) -> None:
    """Not enrolled: Configuration Manager in all seven; enrolled without flags in the inventory: unknown."""
    assert planned(cli, move()).code == 0
    cli("run", "--speed", "max", "--once")
    from rollout.store import open_database

    database = open_database("rollout.db")
    fleet = database.inventory(None).fleet
    database.close()
    for comanaged, who in ((1, "unknown"), (0, "Configuration Manager")):
        row = int((fleet.flags["comanaged"] == comanaged).argmax())
        told = cli("status", "--device", str(fleet.ids[row]), "--json").json
        assert set(told["workloads"]["authority"].values()) == {who}
        assert who in cli("status", "--device", str(fleet.ids[row])).out


def test_a_device_that_moved_is_at_intune_by_the_journal(cli: Cli) -> None:
    """What the directory reported of this workload counts more than the inventory; the others stay unknown, but for
    the one that is forced to Intune since 2403."""
    assert planned(cli, move(more="site_version = 2403")).code == 0
    cli("run", "--speed", "max")
    from rollout.store import open_database

    database = open_database("rollout.db")
    ids, outcome = database.inventory(None).fleet.ids, database.reader("run-1").outcomes().outcome
    database.close()
    moved = cli("status", "--device", str(ids[(outcome == 1).argmax()]), "--json").json["workloads"][
        "authority"
    ]
    assert moved.pop("compliance") == moved.pop("resource-access") == "Intune"
    assert set(moved.values()) == {"unknown"}
    waiting = cli("status", "--device", str(ids[(outcome == 2).argmax()]), "--json").json["workloads"]
    assert waiting["authority"]["compliance"] == "unknown"


def test_a_device_that_enrolled_is_comanaged_by_the_journal(cli: Cli) -> None:
    """Its flags are not reported yet: unknown, no longer Configuration Manager's for certain."""
    assert planned(cli, enroll()).code == 0
    cli("run", "--speed", "max")
    from rollout.store import open_database

    database = open_database("rollout.db")
    ids, outcome = database.inventory(None).fleet.ids, database.reader("run-1").outcomes().outcome
    database.close()
    told = cli("status", "--device", str(ids[(outcome == 1).argmax()]), "--json").json["workloads"]
    assert told["comanaged"] is True
    assert set(told["authority"].values()) == {"unknown"}


def test_an_export_with_flags_brings_authority_and_leaves_out_who_moved(cli: Cli) -> None:
    """MDMWorkloads beside Get-CMDevice: shown per device, and a device that moved already is not planned."""
    ids = [f"{number:08x}-1111-4222-8333-444455556666" for number in range(4)]
    flags = ["8193", "8195", "NULL", "1056769"]
    rows = [
        ["ResourceID", "Name", "IsClient", "IsObsolete", "ClientActiveStatus", "CoManaged", "DeviceOS",
         "DeviceOSBuild", "AADDeviceID", "MDMWorkloads"],
        *([str(16777300 + at), f"PC-{at}", "True", "False", "1", "True", "Microsoft Windows NT Workstation 10.0",
           "10.0.22631.4602", ids[at], flags[at]] for at in range(4)),
    ]  # fmt: skip
    with Path("cm.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows(rows)
    assert cli("inventory", "--from", "cm.csv").code == 0
    assert cli("workloads", "--device", "PC-1", "--json").json["authority"]["compliance"] == "Intune"
    assert cli("workloads", "--device", "PC-2", "--json").json["authority"]["compliance"] == "unknown"
    assert cli("workloads", "--device", "PC-3", "--json").json["unknown_bits"] == [1 << 20]
    Path("it.toml").write_text(move(), encoding="utf-8")
    made = cli("plan", "it.toml", "--json").json
    assert made["excluded"] == {"the workload is at Intune already": 1}


# Automatic enrollment.


def test_the_wizards_default_is_counted(cli: Cli) -> None:
    """None to All: everybody, also those that preflight holds back; exit 4. Pilot to Pilot hits nobody."""
    stale = "[fleet.problems]\nstale = 0.2\nserver = 0.1\n"
    assert planned(cli, enroll().replace("[model]", stale + "[model]")).code == 0
    told = cli("enrollment", "--from", "none", "--to", "all", "--json")
    assert told.code == 4
    assert 200 < told.json["begin_to_enroll"] < 280  # no servers, and none that is enrolled
    assert 40 < told.json["of_them_held_back"] < 80  # the stale ones: Configuration Manager would take them
    shown = cli("enrollment", "--from", "none", "--to", "all")
    assert shown.code == 4
    assert "devices start enrolling" in shown.out
    assert cli("enrollment", "--from", "pilot", "--to", "pilot").code == 0
    assert cli("enrollment", "--from", "pilot").code == 2


def test_all_is_fine_once_the_last_device_is_in(cli: Cli) -> None:
    """After the rollout only failed members are left, and All enrolls nobody new; after its undo it would."""
    healthy = "[fleet.problems]\n" + "".join(f"{problem} = 0.0\n" for problem in PROBLEMS)
    assert planned(cli, enroll().replace("[model]", healthy + "[model]")).code == 0
    assert cli("enrollment", "--from", "pilot", "--to", "all", "--json").code == 4
    assert cli("run", "--speed", "max").code == 0
    told = cli("enrollment", "--from", "pilot", "--to", "all", "--json")
    assert (told.code, told.json["begin_to_enroll"], told.json["allowed"]) == (0, 0, True)
    assert cli("plan", "--undo", "run-1").code == 0
    assert cli("run", "--speed", "max").code == 0
    assert cli("enrollment", "--json").json["of"] == "rollout run-1 (enroll)"
    left = cli("enrollment", "--from", "pilot", "--to", "all", "--json").json
    assert left["begin_to_enroll"] > 0  # the failed ones are members no longer


def test_without_a_rollout_the_table_of_changes_is_shown(cli: Cli) -> None:
    """All nine."""
    assert len(cli("enrollment", "--json").json["changes"]) == 9
    assert "Pilot with an empty collection" in cli("enrollment").out


@pytest.mark.parametrize(("steps", "code"), [("scope,policy,retire", 0), ("retire,scope", 4), ("jump", 2)])
def test_the_order_of_leaving_is_judged(cli: Cli, steps: str, code: int) -> None:
    """The wrong order says that the device enrolls again."""
    answer = cli("enrollment", "--unenroll", steps)
    assert answer.code == code
    assert ("enrolls again" in answer.out) is (code == 4)
    assert cli("enrollment", "--unenroll", steps, "--json").code == code


# One client.


def test_a_log_is_told_as_a_story(cli: Cli, tmp_path: Path) -> None:
    """In UTF-8 and UTF-16, for people and for scripts."""
    shown = cli("client", "log", LOG)
    assert shown.code == 0
    for needle in (
        "timer: set to fire at 11/18/2026",
        "tries: 2 of 3",
        "0x80192EE2 TIMEOUT",
        "The device is co-managed.",
    ):
        assert needle in shown.out
    wide = tmp_path / "wide.log"
    wide.write_bytes(LOG.read_bytes().decode().encode("utf-16"))
    one, other = cli("client", "log", LOG, "--json").json, cli("client", "log", wide, "--json").json
    assert {**one, "encoding": ""} == {**other, "encoding": ""}
    assert one["enrolled_at"] == "2026-11-18T06:29:05Z"
    assert cli("client", "log", "nowhere.log").code == 2


def test_a_command_is_checked(cli: Cli) -> None:
    """Exit 0 for the console's own, 4 for one that would not work, with every problem on a line."""
    good = 'CCMSETUPCMD="CCMHOSTNAME=cmg.example.com/CCM_Proxy_MutualAuth/1 SMSSITECODE=P01"'
    assert cli("client", "command", good).code == 0
    bad = cli("client", "command", good.replace("P01", "AUTO"))
    assert bad.code == 4
    assert "finds no site" in bad.out
    told = cli("client", "command", good.replace("P01", "AUTO"), "--json")
    assert (told.code, told.json["usable"]) == (4, False)


# Preflight.


def test_preflight_writes_the_worklist_and_fails_on_request(cli: Cli) -> None:
    """What to keep, disable, delete, in order; exit 4 with --fail-on; tenant's checks never fail it."""
    cli("inventory", "--from", *EXPORTS, "--taken", "2026-11-24")
    answer = cli("preflight", "--worklist", "work.csv", "--fail-on", "block")
    assert answer.code == 4
    assert "steps are in work.csv" in answer.out
    with Path("work.csv").open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert {"keep", "disable", "delete", "retire"} <= {row["action"] for row in rows}
    assert cli("preflight", "--fail-on", "warn", "--json").code == 4
    assert cli("preflight", "--worklist", "less.csv", "--off", "D3=known").code == 0
    with Path("less.csv").open(newline="", encoding="utf-8") as handle:
        assert {row["rule"] for row in csv.DictReader(handle)} == {row["rule"] for row in rows} - {"D3"}
    assert cli("preflight").code == 0


def test_a_clean_fleet_does_not_fail(cli: Cli) -> None:
    """Only what a person must check is left, and that is no failure."""
    clean = (
        "problems = { " + ", ".join(f"{problem} = 0.0" for problem in PROBLEMS) + " }\nnever_signed_in = 0.0"
    )
    Path("it.toml").write_text(enroll().replace("[fleet]", f"[fleet]\n{clean}"), encoding="utf-8")
    cli("inventory", "--from", "scenario", "it.toml")
    assert cli("preflight", "--fail-on", "warn").code == 0


def test_a_rule_is_switched_off_with_a_reason_here_and_in_the_scenario(cli: Cli) -> None:
    """--off shows the reason; the plan follows the scenario's."""
    cli("inventory", "--from", *EXPORTS, "--taken", "2026-11-24")
    before = cli("preflight", "--json").json["counts"]
    told = cli("preflight", "--off", "E6=We enable them first", "--json").json
    assert before["E6"] == 1
    (finding,) = [item for item in told["findings"] if item["rule"] == "E6"]
    assert "We enable them first" in finding["sentence"]
    assert cli("preflight", "--off", "E6").code == 2
    assert cli("preflight", "--off", "E99=x").code == 2
    assert cli("preflight", "--stale-days", "20").code == 2
    assert len(cli("preflight", "--stale-days", "1000", "--json").json["counts"]) == len(before) - 1
    Path("on.toml").write_text(enroll(), encoding="utf-8")
    off = 'preflight = { stale_days = 1000, off = { E6 = "We enable them first" } }'
    Path("off.toml").write_text(enroll(off), encoding="utf-8")
    on_plan, off_plan = cli("plan", "on.toml", "--json").json, cli("plan", "off.toml", "--json").json
    assert on_plan["excluded"]["E6"] == on_plan["excluded"]["D3"] == 1
    assert {"E6", "D3"}.isdisjoint(off_plan["excluded"])


# The guide.


def guide() -> list[list[str]]:
    """The commands of the README's section on co-management, as words."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.split("## From enabling co-management to the last workload", 1)[1].split("\n## ", 1)[0]
    return [shlex.split(match.replace("\n", " ")) for match in re.findall(r"`(rollout [^`]+)`", section)]


def test_the_guide_names_only_commands_that_exist(cli: Cli) -> None:
    """Every verb and every option of the guide is in the verb's help; every file that it names is there."""
    commands = guide()
    assert len(commands) > 15
    for _, verb, *words in commands:
        shown = " ".join(cli(verb, "--help").out.split())
        for word in words:
            if word.startswith("--"):
                assert word in shown, f"rollout {verb} {word}"
            if word.startswith("scenarios/"):
                assert (ROOT / word).is_file()
    verbs = {command[1] for command in commands}
    assert {
        "inventory",
        "preflight",
        "plan",
        "simulate",
        "approve",
        "run",
        "enrollment",
        "workloads",
        "client",
    } <= verbs
