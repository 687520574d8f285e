"""Files that we write: whole, private, never through a link; formulas disarmed; databases for their owner alone."""

from __future__ import annotations

import csv
import io
import os
import sqlite3
import stat
from pathlib import Path

import pytest
from command_line import Cli

from rollout.errors import UsageError
from rollout.executor.metrics import write_metrics
from rollout.files import BY_UMASK, create_private, csv_text, make_folder, write_file
from rollout.store import open_database
from rollout.store.connection.access import Access
from rollout.store.migration import back_up

ONLY_POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has access lists, not modes")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def _umask() -> object:
    """The umask that most systems have: it lets everybody read."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@ONLY_POSIX
def test_a_new_file_is_private_and_an_old_one_keeps_its_mode(tmp_path: Path) -> None:
    """Nobody else reads a device list, unless somebody has said so."""
    new, old = tmp_path / "new.csv", tmp_path / "old.csv"
    write_file(new, "a")
    old.write_text("before")
    old.chmod(0o640)
    write_file(old, b"after")
    assert (mode(new), mode(old)) == (0o600, 0o640)
    assert old.read_bytes() == b"after"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.csv", "old.csv"]


@ONLY_POSIX
def test_a_shared_folder_says_otherwise(tmp_path: Path) -> None:
    """A folder that hands its group on was set up for a group: the group gets what it has in the folder."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o2770)
    write_file(shared / "a.csv", "a")
    create_private(shared / "a.db")
    make_folder(shared / "report")
    assert mode(shared / "a.csv") == mode(shared / "a.db") == 0o660
    assert mode(shared / "report") == 0o2770


@ONLY_POSIX
def test_folders_are_private_where_they_are_made(tmp_path: Path) -> None:
    """An existing folder stays as it is."""
    make_folder(tmp_path / "a" / "b")
    (tmp_path / "open").mkdir()
    make_folder(tmp_path / "open" / "c")
    make_folder(tmp_path / "open")
    assert mode(tmp_path / "a") == mode(tmp_path / "a" / "b") == mode(tmp_path / "open" / "c") == 0o700
    assert mode(tmp_path / "open") == 0o755
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        make_folder(tmp_path / "file")


@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_is_neither_followed_nor_replaced(tmp_path: Path, dangling: bool) -> None:
    """Who may write beside us must not choose what we overwrite."""
    target, link = tmp_path / "target", tmp_path / "link.csv"
    if not dangling:
        target.write_text("precious")
    link.symlink_to(target)
    with pytest.raises(UsageError, match="symbolic link"):
        write_file(link, "a")
    assert link.is_symlink()
    assert target.exists() is not dangling
    assert dangling or target.read_text() == "precious"


def test_a_file_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure leaves the old file and nothing beside it; the error names the file that was asked for."""
    path = tmp_path / "a.csv"
    path.write_text("before")

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="No space left") as caught:
        write_file(path, "after")
    assert caught.value.filename == str(path)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


@ONLY_POSIX
def test_pipes_and_devices_are_written_to(tmp_path: Path) -> None:
    """``--csv /dev/stdout`` and /dev/null work, and stay what they are."""
    write_file(Path("/dev/null"), "a")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    read, write = os.pipe()
    write_file(Path(f"/dev/fd/{write}"), "through")
    os.close(write)
    assert os.read(read, 100) == b"through"
    os.close(read)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_file(pipe, "b")
    assert os.read(reader, 9) == b"b"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


FORMULAS = (
    *(
        "=cmd|' /C calc'!A0",
        "+1",
        "-1+2",
        "@SUM(1)",
        "  =1",
        '"=1',
        "'=1",
        "`-1",
        "\ufeff=1",
        "\u00a0=1",
        "\u200b=1",
    ),
    *("\uff1d1", "\uff0b1", "\uff20x"),
)


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_are_disarmed(text: str) -> None:
    """At the start of a cell, behind blanks and quotation marks, and behind a semicolon."""
    rows = list(csv.reader(io.StringIO(csv_text(["a", "b"], [[text, f"x;{text}"]]), newline="")))
    assert rows[1] == [f"'{text}", rows[1][1]]
    assert not any(
        part.lstrip(' "`\ufeff\u00a0\u200b')[:1] in tuple("=+-@\uff1d\uff0b\uff20")
        for part in rows[1][1].split(";")
    )


def test_numbers_and_plain_texts_stay_as_they_are() -> None:
    """A negative number is no formula; a tab or a line end is written as such, so that a record is one line."""
    text = csv_text(["a"], [[-1], [-1.5], [None], [True], ["PC-1"], ["a\tb\r\nc"], ["a, b; c"]])
    assert text == 'a\r\n-1\r\n-1.5\r\n""\r\nTrue\r\nPC-1\r\na\\tb\\r\\nc\r\n"a, b; c"\r\n'
    assert csv_text(["a"], [], mark=True) == "\ufeffa\r\n"


@ONLY_POSIX
def test_the_database_and_what_lies_beside_it_is_private(tmp_path: Path) -> None:
    """SQLite's own files follow the mode of the database, and so does a backup; an existing mode is kept."""
    path = tmp_path / "rollout.db"
    open_database(str(path)).close()
    assert mode(path) == 0o600
    for wanted in (0o600, 0o640):
        path.chmod(wanted)
        with open_database(str(path)), sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS t (x)")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO t VALUES (1)")
            beside = [path for path in tmp_path.iterdir() if path.name.startswith("rollout.db-")]
            assert beside
            assert {mode(item) for item in beside} == {wanted}
        connection.close()
        access = Access(str(path))
        backup = back_up(access, f"test{wanted}")
        access.close()
        assert backup is not None
        assert (mode(backup), mode(path)) == (wanted, wanted)


@ONLY_POSIX
def test_the_figures_for_monitoring_keep_the_umask(tmp_path: Path) -> None:
    """The exporter that reads them is another user."""
    path = tmp_path / "a.prom"
    write_file(path, "a", mode=BY_UMASK)
    assert mode(path) == 0o644
    os.umask(0o027)
    path.unlink()
    write_file(path, "a", mode=BY_UMASK)
    assert mode(path) == 0o640
    assert write_metrics.__doc__


LINKED = {
    "preflight": ["preflight", "--csv", "link"],
    "worklist": ["preflight", "--worklist", "link"],
    "calendar": ["plan", "quick.toml", "--ics", "link"],
    "decisions": ["simulate", "--runs", "1", "--workers", "1", "--decisions", "link"],
    "rejected": ["inventory", "--from", "bad.csv", "--rejected", "link"],
}


@pytest.mark.parametrize("arguments", LINKED.values(), ids=LINKED)
def test_no_verb_writes_through_a_link(cli: Cli, arguments: list[str]) -> None:
    """The file that a link points to stays as it was."""
    cli("inventory", "--from", "scenario", "quick.toml")
    cli("plan", "quick.toml")
    Path("bad.csv").write_text(
        "displayName,accountEnabled,operatingSystem,joinType (trustType),approximateLastSignInDateTime,deviceId\n"
        "PC-1,maybe,Windows,ServerAd,,1b4e28ba-2fa1-11d2-883f-b9a761bde3fb\n"
    )
    Path("target").write_text("precious")
    Path("link").symlink_to("target")
    answer = cli(*arguments)
    assert answer.code == 2
    assert "symbolic link" in answer.err
    assert Path("target").read_text() == "precious"
