"""`rollout run --directory adminservice` over a real socket, against the emulator on loopback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from emulated_site import (
    _site,  # noqa: F401  # the fixture
    writes,
)
from emulators.adminservice import TARGET, AdminService
from emulators.web import Fault

from rollout.cli import main
from rollout.store import open_database

Prepared = Callable[[], tuple[AdminService, str]]


def members(emulator: AdminService) -> int:
    return len(emulator.collections[TARGET].rules)


def test_an_unapproved_plan_is_refused_before_anything_is_asked(
    site: AdminService, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 4, one line, and the wire is silent."""
    assert main(["run", "--directory", "adminservice", "--once"]) == 4
    assert "not approved" in capsys.readouterr().err
    assert site.asked == []


def test_the_dry_run_prints_the_requests_and_sends_none(
    site: AdminService, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every write of the next batch is shown with its body; nothing is written."""
    main(["approve", "--by", "Kim"])
    capsys.readouterr()
    assert main(["run", "--directory", "adminservice", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "AddMembershipRule" in shown
    assert "nothing was changed" in shown
    assert writes(site) == []
    assert members(site) == 0


def test_a_dry_run_of_a_rollout_under_way_changes_nothing(
    site: AdminService, capsys: pytest.CaptureFixture[str]
) -> None:
    """No notice to new members goes out; a paused one would send nobody."""
    main(["approve", "--by", "Kim"])
    main(["run", "--directory", "adminservice", "--once"])
    with Path("directory.toml").open("a") as file:
        file.write("notify = true\n")
    before = len(writes(site))
    assert main(["run", "--directory", "adminservice", "--dry-run"]) == 0
    main(["pause", "--reason", "lunch"])
    capsys.readouterr()
    assert main(["run", "--directory", "adminservice", "--dry-run"]) == 0
    assert "0 requests; nothing was changed" in capsys.readouterr().out
    assert len(writes(site)) == before


def test_what_a_failed_call_left_goes_out_with_the_next_run(
    site: AdminService, capsys: pytest.CaptureFixture[str]
) -> None:
    """The dry run shows the unsent rest of a batch; `--once` sends it and ends, though nothing new is due."""
    main(["approve", "--by", "Kim"])
    site.faults.append(Fault("AddMembershipRule", skip=5, drop=True))
    main(["run", "--directory", "adminservice", "--once"])
    done = members(site)
    assert 0 < done < 10
    capsys.readouterr()
    main(["run", "--directory", "adminservice", "--dry-run"])
    shown = capsys.readouterr().out
    assert f"{10 - done // 4 * 4} devices that were released earlier are sent first" in shown
    assert shown.count("AdminService.AddMembershipRule") == 10 - done
    assert main(["run", "--directory", "adminservice", "--once"]) == 0
    assert members(site) == 10


def test_once_puts_the_pilot_into_the_collection(
    site: AdminService, capsys: pytest.CaptureFixture[str]
) -> None:
    """The ten pilot devices are members, nobody else; a second run adds nobody twice."""
    main(["approve", "--by", "Kim"])
    assert main(["run", "--directory", "adminservice", "--once"]) == 0
    assert members(site) == 10
    with open_database("rollout.db") as database:
        assert ("identity", "P01") in [row[1:] for row in database.reader("run-1").sessions()]
    before = len(writes(site))
    assert before > 0
    capsys.readouterr()
    assert main(["status", "--json"]) == 0
    assert '"released": 10' in capsys.readouterr().out


def test_another_site_is_refused(site: AdminService, capsys: pytest.CaptureFixture[str]) -> None:
    """A rollout that was begun in one site goes on in no other: exit 4, nothing written."""
    main(["approve", "--by", "Kim"])
    main(["run", "--directory", "adminservice", "--once"])
    site.site_code = "P02"
    Path("directory.toml").write_text(Path("directory.toml").read_text().replace('site_code = "P01"\n', ""))
    before = len(writes(site))
    capsys.readouterr()
    assert main(["run", "--directory", "adminservice", "--once"]) == 4
    assert "P02" in capsys.readouterr().err
    assert len(writes(site)) == before


def test_doctor_looks_and_changes_nothing(site: AdminService, capsys: pytest.CaptureFixture[str]) -> None:
    """Reachability, collection, rights and clock are told; nothing is written."""
    assert main(["doctor", "--directory", "adminservice"]) in (0, 9)
    assert "site P01 answers" in capsys.readouterr().out
    assert writes(site) == []


def test_a_person_s_removal_stands_and_is_told(
    site: AdminService, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody takes two of the pilot out: doctor says so, and the next run does not add them again."""
    main(["approve", "--by", "Kim"])
    main(["run", "--directory", "adminservice", "--once"])
    target = site.collections[TARGET]
    for resource in sorted(target.rules)[:2]:
        del target.rules[resource]
        target.members.discard(resource)
    capsys.readouterr()
    main(["doctor", "--directory", "adminservice"])
    assert (
        "8 of 10 devices that run-1 added are members; 2 were removed by somebody else"
        in capsys.readouterr().out
    )
    before = len(writes(site))
    main(["run", "--directory", "adminservice", "--dry-run"])
    assert len(writes(site)) == before
    assert members(site) == 8


@pytest.mark.parametrize(
    ("arguments", "needle"),
    [
        (["--directory", "sccm"], "--directory"),
        (["--directory", "adminservice", "--speed", "max"], "--speed"),
        (["--directory", "adminservice", "--settings", "nowhere.toml"], "nowhere.toml"),
        (["--directory", "graph"], "directory.graph"),
    ],
)
def test_wrong_ways_are_one_line(
    site: AdminService, capsys: pytest.CaptureFixture[str], arguments: list[str], needle: str
) -> None:
    """A wrong name, speed, file or section: exit 2 and one line."""
    main(["approve", "--by", "Kim"])
    capsys.readouterr()
    assert main(["run", *arguments]) == 2
    assert needle in capsys.readouterr().err
    assert site.asked == []
