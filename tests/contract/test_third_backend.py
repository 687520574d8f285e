"""A third directory costs one package and one row of the registry: CSV files, driven by the real command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from benches import CLIENTS, Bench, Benches, decisions
from opened import fleet_plan

from rollout.cli import main
from rollout.directory.opening import open_directory
from rollout.directory.port import Opening
from rollout.directory.registry import BACKENDS, Backend, load
from rollout.directory.settings import load_settings
from rollout.errors import UsageError
from rollout.store import open_database
from rollout.values import State

ROW = Backend("csv_directory.directory:open_csv", "csv_directory.settings:CsvSettings")


@pytest.fixture(name="registered", autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else of the product is changed."""
    monkeypatch.setitem(BACKENDS, "csv", ROW)


@pytest.fixture(name="benches")
def _benches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Benches]:
    with ExitStack() as stack:
        yield Benches(tmp_path, capsys, stack)


@pytest.fixture(name="folder")
def _folder(benches: Benches) -> Bench:
    """An approved plan for a folder of CSV files."""
    it = benches.make("csv")
    it.call("approve", "--by", "Kim")
    return it


def test_the_doctor_asks_the_backend_for_its_checks(folder: Bench) -> None:
    """Its own checks, beside those of the database; nothing is written."""
    checks = json.loads(folder.call("doctor", "--directory", "csv", "--json"))["checks"]
    found = {check["name"]: check["sentence"] for check in checks}
    assert found["folder"] == "folder north answers"
    assert found["members"] == "0 devices are members"
    assert {"database", "journal", "lease"} <= set(found)
    assert folder.emulator.writes() == []


def test_the_dry_run_shows_what_the_run_writes(folder: Bench) -> None:
    """Five lines of the first batch, as data and as text; the run then writes exactly these."""
    shown = json.loads(folder.run("--dry-run", "--json"))
    assert shown["notes"] == ["0 devices are members"]
    assert len(shown["requests"]) == 5
    text = folder.run("--dry-run")
    assert f"add {shown['requests'][0]['device']}" in text
    assert "5 requests, about 0 s to send; nothing was changed" in text
    assert folder.emulator.writes() == []
    folder.run("--once")
    written = [{"device": device, "action": action} for device, action, _ in folder.emulator.writes()]
    assert written == shown["requests"]
    with open_database("rollout.db") as database:
        assert ("identity", "north") in [row[1:] for row in database.reader("run-1").sessions()]


def test_there_and_back(folder: Bench) -> None:
    """Every device is a member, added once; the undo takes out what the run added, and leaves a stranger."""
    folder.clock.sleep(600)  # to the plan's start
    folder.emulator.add([7])
    assert "is finished" in folder.run()
    assert folder.members() == list(range(CLIENTS))
    assert len(folder.emulator.writes()) == CLIENTS
    assert decisions("run-1")[-1].state is State.FINISHED
    sentence = f"{CLIENTS - 1} of {CLIENTS - 1} devices that run-1 added are members"
    assert sentence in folder.call("doctor", "--directory", "csv")
    folder.call("plan", "--undo", "run-1")
    assert "not approved" in folder.run(code=4)
    folder.call("approve", "--by", "Kim")
    folder.run("--once")  # the undo's curve begins with no device
    folder.clock.sleep(3600)
    shown = json.loads(folder.run("--dry-run", "--json"))
    assert {request["action"] for request in shown["requests"]} == {"remove"}
    folder.run()
    assert folder.members() == [7]
    assert decisions("run-2")[-1].state is State.FINISHED


def test_single_devices_are_withdrawn(folder: Bench) -> None:
    """`withdraw` needs no change either: it finds the directory that the rollout runs in."""
    folder.run("--once")
    (device, *_), *_ = folder.emulator.writes()
    before = folder.members()
    folder.call("withdraw", device)
    assert folder.emulator.writes()[-1][:2] == [device, "remove"]
    assert len(folder.members()) == len(before) - 1


def test_it_decides_as_the_simulated_directory_does(benches: Benches) -> None:
    """The same plan, members and, field by field, decision rows."""
    ends = {}
    for kind in ("embedded", "csv"):
        it = benches.make(kind)
        it.call("approve", "--by", "Kim")
        it.run()
        ends[kind] = it.members(), decisions("run-1")
    assert ends["csv"] == ends["embedded"]
    assert len(ends["csv"][1]) > 5


def test_another_folder_is_refused(folder: Bench) -> None:
    """The identity that the first session recorded is handed to the next."""
    folder.run("--once")
    (folder.emulator.folder / "name.txt").write_text("south")
    before = folder.emulator.writes()
    assert "expected folder north, found south" in folder.run("--once", code=4)
    assert folder.emulator.writes() == before


def test_its_mistakes_are_one_line(folder: Bench) -> None:
    """A wrong key, a missing section and a wrong name: exit 2, with where and what."""
    own = Path("directory.toml").read_text()
    Path("directory.toml").write_text(f"{own}colour = 3\n")
    assert "directory.csv.colour" in folder.run("--dry-run", code=2)
    Path("directory.toml").write_text('[directory.graph]\ntenant_id = "t"\n')
    assert "no section [directory.csv]" in folder.run("--dry-run", code=2)
    Path("directory.toml").write_text("[directory.cvs]\n")
    assert f"expected one of {', '.join(BACKENDS)}, found 'cvs'" in folder.run("--dry-run", code=2)
    assert main(["run", "--directory", "cvs"]) == 2
    assert folder.emulator.writes() == []


@pytest.mark.parametrize("name", [*BACKENDS, "csv"])
def test_each_row_names_code_that_exists(name: str) -> None:
    """A factory, and a model that takes no unknown key."""
    assert callable(load(BACKENDS[name].factory))
    assert load(BACKENDS[name].settings).model_config["extra"] == "forbid"


def test_a_missing_package_of_a_backend_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Before anything of the backend is imported: what is missing, and what installs it."""
    monkeypatch.setitem(BACKENDS, "csv", Backend("nowhere:open", ROW.settings, (("nowhere", "csv"),)))
    (tmp_path / "directory.toml").write_text('[directory.csv]\nfolder = "x"\n')
    fleet, plan = fleet_plan(4)
    with pytest.raises(UsageError, match="--directory csv needs nowhere, which is not installed") as caught:
        open_directory("csv", Opening(plan, fleet, load_settings(tmp_path / "directory.toml")))
    assert caught.value.hint == "pip install 'rollout[csv]'"
