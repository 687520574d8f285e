"""Every verb under each code page, with its output in a file, in a closed pipe, on a full disk: never a traceback."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import QUICK, Cli
from documents_world import COMMAND, EXPORTS, LOG, STATES, ask

import rollout
from rollout.cli import main, streams, terminal
from rollout.cli.app import VERBS

PAGES = ("cp1252", "cp850", "cp437", "ascii", "latin-1", "utf-8")
SLOW = pytest.mark.slow
POSIX = pytest.mark.skipif(
    os.name != "posix", reason="pipes and devices of this kind exist on POSIX systems only"
)
BY = "Jürgen Łuk 日本 …"
SMALL = QUICK.replace("clients = 600", "clients = 240").replace("devices = 100", "devices = 80")
ONE = ("--workers", "1")

QUICK_CALLS: dict[str, list[tuple[str, ...]]] = {
    "inventory": [("inventory", "--from", *EXPORTS, "--taken", "2026-11-24", "--db", "new.db")],
    "preflight": [("preflight",), ("preflight", "--csv", "findings.csv", "--worklist", "work.csv")],
    "plan": [("plan", "quick.toml", "--ics", "windows.ics"), ("plan", "--undo", "run-1")],
    "simulate": [("simulate", "plan-1", "--runs", "1", *ONE, "--decisions", "rows")],
    "forecast": [("forecast", "--runs", "1", *ONE, "--db", "open.db")],
    "gate": [("gate", "simulate", "plan-1", "--runs", "2", "--rates", "1,30")],
    "approve": [("approve", "plan-1", "--by", BY), ("approve", "--by", BY, "--json")],
    "run": [("run", "plan-1", "--speed", "max", "--db", "ready.db", "-v"), ("run", "plan-1", "--dry-run")],
    "status": [("status",), ("status", "--json"), ("status", "--watch"), ("status", "--decisions", "rows")],
    "pause": [("pause", "--by", BY, "--reason", BY, "--db", "open.db")],
    "resume": [("resume", "--by", BY, "--db", "open.db")],
    "exclude": [("exclude", "nobody", "--by", BY, "--db", "open.db")],
    "withdraw": [("withdraw", "nobody", "--by", BY, "--db", "open.db")],
    "abort": [("abort", "--by", BY, "--reason", BY, "--db", "open.db", "--json")],
    "report": [("report", "run-1", "--out", "report"), ("report", "--audit")],
    "enrollment": [("enrollment",), ("enrollment", STATES), ("enrollment", "--from", "none", "--to", "all")],
    "workloads": [("workloads",), ("workloads", STATES, "--json"), ("workloads", "--flags", "8193")],
    "client": [("client", "log", LOG), ("client", "command", COMMAND)],
    "doctor": [("doctor",), ("doctor", "--db", BY)],
    "schema": [("schema",), ("schema", "plan")],
    "": [("--help",), ("--version",), ("run", "--help"), (BY,), (BY, "--json")],
}
LONG_CALLS: dict[str, list[tuple[str, ...]]] = {
    "demo": [("demo", "--clients", "240", "--runs", "1", "--out", "demo")],
    "tune": [("tune", "quick.toml", "--trials", "2", "--verify", "0", "--out", "tuned", *ONE)],
    "capacity": [("capacity", "quick.toml", "--devices", "300", "--windows", "immediate", *ONE)],
    "calibrate": [("calibrate", "run-1", *ONE)],
}
CALLS = QUICK_CALLS | LONG_CALLS


def test_each_verb_is_called() -> None:
    """A verb that is new must be named here."""
    assert set(CALLS) - {""} == set(VERBS)


@pytest.fixture(scope="module", name="world")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rollout that is done, one that is under way, one that is about to begin; names are not ASCII."""
    folder = tmp_path_factory.mktemp("streams")
    with contextlib.chdir(folder):
        text = SMALL.replace('name = "quick"', f'name = "{BY}"')
        Path("quick.toml").write_text(text, encoding="utf-8")
        for arguments in (
            ("inventory", "--from", "scenario", "quick.toml"),
            ("plan", "quick.toml"),
            ("approve", "--by", BY),
        ):
            assert ask(*arguments)[0] == 0
        shutil.copy("rollout.db", "ready.db")
        assert ask("run", "--speed", "max", "--once")[0] == 0
        shutil.copy("rollout.db", "open.db")
        assert ask("run", "--speed", "max")[0] == 0
    return folder


@pytest.fixture(name="there")
def _there(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the world, so that no test meets what another one did."""
    for one in ("quick.toml", "rollout.db", "ready.db", "open.db"):
        shutil.copy(world / one, tmp_path / one)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@contextlib.contextmanager
def standing_for(out: io.TextIOWrapper, err: io.TextIOWrapper) -> Iterator[None]:
    """Let files be the streams with which Python has begun."""
    before = sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__
    terminal.out.cache_clear()
    terminal.err.cache_clear()
    sys.stdout, sys.stderr = out, err
    sys.__stdout__, sys.__stderr__ = out, err  # type: ignore[misc]
    try:
        yield
    finally:
        sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__ = before  # type: ignore[misc]
        terminal.out.cache_clear()
        terminal.err.cache_clear()


def opened(name: str, page: str) -> io.TextIOWrapper:
    """Open a file for writing as a shell and Python do for a stream."""
    return Path(name).open("w", encoding=page)


def into_files(arguments: tuple[str, ...], page: str) -> tuple[int, str, str]:
    """Run a verb as `> out 2> err` does under a code page."""
    with opened("out", page) as out, opened("err", page) as err, standing_for(out, err):
        code = main(arguments)
    return code, Path("out").read_text(encoding="utf-8"), Path("err").read_text(encoding="utf-8")


def call_all(calls: dict[str, list[tuple[str, ...]]], page: str) -> int:
    """Run verbs under a code page; give how many calls there were."""
    done = 0
    for arguments in (one for several in calls.values() for one in several):
        code, out, err = into_files(arguments, page)
        assert code in (0, 2, 4), f"{arguments}: {code} {err}"
        assert "Traceback" not in out + err
        assert "refused" not in err, err  # an OSError
        assert out or err
        if "--json" in arguments:
            json.loads(out)
        if BY in arguments and code == 0:
            assert BY in out.replace("\n", ""), out
        done += 1
    return done


@pytest.mark.usefixtures("there")
def test_verbs_write_utf_8_under_the_smallest_code_page() -> None:
    """Nothing is lost, nothing is replaced: what is redirected is UTF-8."""
    assert call_all(QUICK_CALLS, "ascii") >= len(QUICK_CALLS)


@SLOW
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.usefixtures("there")
def test_every_verb_writes_utf_8_under_each_code_page(page: str) -> None:
    """The long ones too."""
    done = call_all(CALLS, page)
    print(f"\n{done} calls under {page}")
    assert done >= len(CALLS)


class Screen(io.TextIOWrapper):
    """A terminal with an encoding of its own."""

    def isatty(self) -> bool:
        return True


@SLOW
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.usefixtures("there")
def test_a_terminal_shows_what_it_cannot_as_a_number(page: str) -> None:
    """Its encoding stays; no character ends a verb."""
    for arguments in (several[0] for several in QUICK_CALLS.values()):
        shown, said = io.BytesIO(), io.BytesIO()
        with Screen(shown, encoding=page) as out, Screen(said, encoding=page) as err:
            with standing_for(out, err):
                code = main(arguments)
            out.flush()
            err.flush()
            text = (shown.getvalue() + said.getvalue()).decode(page)
        assert code in (0, 2, 4), text
        assert "Traceback" not in text


def at_a_closed_pipe(arguments: tuple[str, ...], page: str = "ascii") -> tuple[int, str]:
    """Run a verb whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    with opened("err", page) as err, standing_for(io.TextIOWrapper(_Leaky(writer), page), err):
        code = main(arguments)
    os.close(writer)
    return code, Path("err").read_text(encoding="utf-8")


class _Leaky(io.BufferedWriter):
    """What is left in it is of no interest."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(io.FileIO(descriptor, "w", closefd=False))


@POSIX
@pytest.mark.usefixtures("there")
@pytest.mark.parametrize("calls", [QUICK_CALLS, pytest.param(LONG_CALLS, marks=SLOW)], ids=["quick", "long"])
def test_a_closed_pipe_ends_every_verb_quietly(calls: dict[str, list[tuple[str, ...]]]) -> None:
    """Exit 141, as the shell's own tools; an error still has its line and its code."""
    for arguments in (several[0] for several in calls.values()):
        code, err = at_a_closed_pipe(arguments)
        assert code in ((2, 4) if err.startswith("rollout: ") else (141,)), f"{arguments}: {code} {err}"
        assert "Traceback" not in err
        assert "ipe" not in err or "pipe" in str(arguments)


@POSIX
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.usefixtures("there")
@pytest.mark.parametrize("call", [("status",), ("status", "--json"), ("schema",), ("--help",), ("doctor",)])
def test_a_full_disk_is_one_line(call: tuple[str, ...]) -> None:
    """It is no success, and no traceback."""
    with opened("/dev/full", "ascii") as out, opened("err", "ascii") as err, standing_for(out, err):
        code = main(call)
    assert code == 9
    assert Path("err").read_text() == "rollout: the output could not be written: No space left on device\n"


def started(*arguments: str, page: str = "", **how: Any) -> subprocess.CompletedProcess[bytes]:
    """Run a verb in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(Path(rollout.__file__).parent.parent)}
    if page:
        environment |= {
            "PYTHONIOENCODING": page,
            "PYTHONUTF8": "0",
            "LC_ALL": "C",
            "PYTHONCOERCECLOCALE": "0",
        }
    command = [sys.executable, "-m", "rollout.cli", *arguments]
    return subprocess.run(command, env=environment, timeout=120, check=False, **how)


@pytest.mark.parametrize(
    "page", [*(pytest.param(one, marks=SLOW) for one in PAGES if one != "cp437"), "cp437"]
)
@pytest.mark.usefixtures("there")
def test_a_real_process_under_each_code_page(page: str) -> None:
    """As Python sets its streams up for such a code page; what comes out is UTF-8."""
    done = started("status", page=page, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert BY in done.stdout.decode()


@SLOW
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.usefixtures("there")
def test_more_real_processes_under_each_code_page(page: str) -> None:
    """Results, documents, help and errors."""
    for arguments in (
        ("status",),
        ("run", "--dry-run"),
        ("workloads", "--json"),
        ("--help",),
        ("plan", "x.toml"),
    ):
        done = started(*arguments, page=page, capture_output=True)
        said = done.stdout.decode() + done.stderr.decode()
        assert done.returncode == (2 if "x.toml" in arguments else 0), said
        assert "Traceback" not in said


@POSIX
@pytest.mark.usefixtures("there")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_goes_away(unbuffered: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`rollout … | head -1`: quiet, 141; Python's own end of the process says nothing either."""
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    for arguments, both in ((("schema",), False), (("--version",), False), (("fly",), True)):
        reader, writer = os.pipe()
        os.close(reader)
        with Path("err").open("wb") as err:
            done = started(*arguments, stdout=writer, stderr=writer if both else err)
        os.close(writer)
        assert done.returncode == 141
        assert Path("err").read_bytes() == b""


@POSIX
@pytest.mark.usefixtures("there")
def test_streams_that_are_closed_or_full_from_the_start() -> None:
    """`>&-`, `2>&-`, `>/dev/full`: an exit code and at most one line."""
    program = f'"{sys.executable}" -m rollout.cli'
    for redirect, code, line in (
        (">&-", 0, ""),
        (">/dev/null 2>&-", 0, ""),
        (">/dev/full", 9, "rollout: the output could not be written: No space left on device\n"),
        (">/dev/null 2>/dev/full", 0, ""),
    ):
        done = subprocess.run(
            f"{program} --version {redirect}",
            shell=True,
            env={**os.environ, "PYTHONPATH": str(Path(rollout.__file__).parent.parent)},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert (done.returncode, done.stderr) == (code, line), redirect


def wait_after(callback: Any) -> None:
    """Call what interrupts, and go on."""
    callback(1)
    time.sleep(10)


def test_an_interrupt_in_a_callback_of_c_is_raised_after_it() -> None:
    """Python would print its frames and forget it; other faults of callbacks are told as ever."""
    told: list[str] = []
    before, sys.unraisablehook = sys.unraisablehook, lambda one: told.append(one.exc_type.__name__)

    @ctypes.CFUNCTYPE(None, ctypes.c_int)
    def callback(what: int) -> None:
        raise KeyboardInterrupt if what else ValueError

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with streams.lasting_interrupts():
            callback(0)
            with pytest.raises(KeyboardInterrupt):
                wait_after(callback)
    finally:
        sys.unraisablehook = before
        signal.signal(signal.SIGINT, handler)
    assert told == ["ValueError"]


def test_a_broken_pipe_that_is_not_ours_is_told(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's pipe that breaks is no reader of our output: it must not look like `| head`."""

    def broken(*_: Any, **__: Any) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr("rollout.api.databases.has_db", broken)
    answer = cli("status")
    assert answer.code == 9
    assert answer.err == "rollout: the operating system refused: Broken pipe\n"
