"""Verbs expand patterns themselves: PowerShell and cmd pass them on as they are."""

from __future__ import annotations

import getpass
import os
from pathlib import Path

import pytest
from command_line import Cli

from rollout.api.control import user
from rollout.api.file_names import expand, expand_one, is_pattern
from rollout.errors import UsageError

DATA = Path(__file__).parent.parent.parent / "scenarios" / "data"
EXPORTS = str(DATA / "*-devices.csv")


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("b.csv", "a.csv", "c.txt", "PC[1].csv", "PC1.csv", "q?.csv", "qa.csv"):
        if os.name == "posix" or "?" not in name:
            (tmp_path / name).write_text(name)
    (tmp_path / "d.csv").mkdir()
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_a_pattern_gives_its_files_in_order() -> None:
    """Folders are no files; names before and after keep their places."""
    assert [str(item) for item in expand(["c.txt", "[ab].csv", "x.csv"], "--from")] == [
        "c.txt",
        "a.csv",
        "b.csv",
        "x.csv",
    ]


@pytest.mark.usefixtures("folder")
def test_a_name_that_exists_wins_over_a_pattern() -> None:
    """`PC[1].csv` is a file here, and `PC1.csv` another one."""
    assert expand(["PC[1].csv"], "FILE") == [Path("PC[1].csv")]
    assert not is_pattern("PC[1].csv")
    if os.name == "posix":
        assert expand(["q?.csv"], "FILE") == [Path("q?.csv")]


def test_nothing_that_matches_is_one_line(folder: Path) -> None:
    """It names the option, the pattern and the folder."""
    with pytest.raises(UsageError, match=r"--from: no file matches 'sub/\*\.csv'") as told:
        expand(["a.csv", "sub/*.csv"], "--from")
    assert str(folder) in told.value.hint
    with pytest.raises(UsageError, match="no file matches"):
        expand(["a\0*"], "FILE")


@pytest.mark.usefixtures("folder")
def test_several_files_for_one_are_refused() -> None:
    """A pattern that one file matches is that file."""
    assert expand_one("c*", "FILE") == Path("c.txt")
    with pytest.raises(UsageError, match=r"FILE: 2 files match '\[ab\]\.csv'"):
        expand_one("[ab].csv", "FILE")


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX systems only")
def test_a_name_that_is_no_text_is_refused(cli: Cli, tmp_path: Path) -> None:
    """Named or found by a pattern: it could neither be stored nor be printed."""
    Path(os.fsdecode(b"caf\xe9.csv")).write_bytes((DATA / "intune-devices.csv").read_bytes())
    for name in ("caf\udce9.csv", "caf*.csv"):
        answer = cli("inventory", "--from", name)
        assert answer.code == 2
        assert "caf\\xe9.csv' is not valid text" in answer.err
        assert len(answer.err.splitlines()) == 2
    answer = cli("pause", "--reason", "\udce9")
    assert (answer.code, len(answer.err.splitlines())) == (2, 2)
    assert not (tmp_path / "rollout.db").exists()


def test_inventory_takes_the_readme_s_pattern(cli: Cli) -> None:
    """Three exports by one pattern, after --from and as further arguments."""
    answer = cli("inventory", "--from", EXPORTS, "--taken", "2026-11-24", "--json")
    assert len(answer.json["files"]) == 3
    more = cli("inventory", "--from", DATA / "intune-*.csv", DATA / "[ce]*-devices.csv", "--json")
    assert len(more.json["files"]) == 3


SINGLE = {
    "workloads": (("workloads",), DATA / "comanagement-st*.txt"),
    "workloads of a device": (("workloads", "--device", "bos-0010"), DATA / "comanagement-st*.txt"),
    "enrollment": (("enrollment",), DATA / "comanagement-st*.txt"),
    "client": (("client", "log"), DATA / "CoManagement*.log"),
    "simulate": (("simulate", "--runs", "1", "--workers", "1"), Path("qui*.toml")),
    "gate": (("gate", "simulate", "--runs", "2"), Path("qui*.toml")),
    "plan": (("plan",), Path("qui*.toml")),
    "capacity": (("capacity", "--devices", "200", "--workers", "1"), Path("qui*.toml")),
    "tune": (("tune", "--trials", "2", "--verify", "0", "--workers", "1"), Path("qui*.toml")),
    "scenario": (("inventory", "--from", "scenario"), Path("qui*.toml")),
}


@pytest.mark.parametrize("case", SINGLE)
def test_every_verb_that_reads_a_file_takes_a_pattern(cli: Cli, case: str) -> None:
    """One match is read; none and several are one line each, and nothing is stored."""
    words, pattern = SINGLE[case]
    if case == "plan":
        cli("inventory", "--from", "scenario", "quick.toml")
    answer = cli(*words, pattern)
    assert answer.code == 0, answer.err
    before = sorted(Path.cwd().iterdir())
    for wrong, needle in (
        ("nothing-*.toml", "no file matches"),
        (str(DATA / "*-devices.csv"), "3 files match"),
    ):
        answer = cli(*words, wrong)
        assert answer.code == 2, answer.out
        assert needle in answer.err
        assert len(answer.err.splitlines()) <= 2
    assert sorted(Path.cwd().iterdir()) == before


def test_settings_take_a_pattern(cli: Cli) -> None:
    """`doctor --settings` as any other file."""
    cli("simulate", "quick.toml", "--runs", "1", "--workers", "1")
    answer = cli("doctor", "--directory", "graph", "--settings", "no*.toml")
    assert (answer.code, "--settings: no file matches 'no*.toml'" in answer.err) == (2, True)


def test_whoever_has_no_name_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows without USERNAME: getpass looks for a module that exists on POSIX systems only."""

    def no_module() -> str:
        raise ModuleNotFoundError("No module named 'pwd'")

    monkeypatch.setattr(getpass, "getuser", no_module)
    assert user() == "unknown"
