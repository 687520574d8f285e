"""Ctrl-C at verbs with worker processes: one error, exit 130, no frames, nobody left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from command_line import QUICK
from documents_world import ask

from sim import workers

pytestmark = pytest.mark.skipif(os.name != "posix", reason="process groups exist on POSIX systems only")
SLOW = pytest.mark.slow
SAID = b"rollout: interrupted\n  nothing is lost; run the command again\n"
LONG = {
    "tune": ("tune", "quick.toml", "--trials", "100000"),
    "simulate": ("simulate", "quick.toml", "--runs", "100000"),
    "capacity": ("capacity", "quick.toml", "--devices", ",".join(map(str, range(60_000, 60_100)))),
    "forecast": ("forecast", "--runs", "100000"),
    "calibrate": ("calibrate", "run-1", "--db", "done.db"),
    "gate": ("gate", "simulate", "quick.toml", "--runs", "100000"),
}


def group_is_left(group: int) -> bool:
    """Whether a process of a group still lives ten seconds later; Python's own tracker needs a moment."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.05)
    return True


def interrupted(arguments: Sequence[str], after_s: float) -> tuple[int, bytes]:
    """Start a verb in a process group of its own, as a terminal does, and send Ctrl-C to all of it."""
    processes = () if arguments[0] == "gate" else ("--workers", "2")
    # A shell without job control starts what it puts into the background with Ctrl-C ignored, and that is inherited.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        [sys.executable, "-m", "rollout.cli", *arguments, *processes],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            time.sleep(after_s)
            os.killpg(process.pid, signal.SIGINT)
            said = process.communicate(timeout=30)[1]
            assert not group_is_left(process.pid), "a worker was left behind"
        finally:
            signal.signal(signal.SIGINT, before)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, said


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A rollout that is under way: some verbs need one."""
    monkeypatch.chdir(tmp_path)
    Path("quick.toml").write_text(QUICK.replace("clients = 600", "clients = 3000"), encoding="utf-8")
    for arguments in (
        ("inventory", "--from", "scenario", "quick.toml"),
        ("plan", "quick.toml"),
        ("run", "--speed", "max", "--once"),
    ):
        assert ask(*arguments)[0] == 0
    shutil.copy("rollout.db", "done.db")
    assert ask("run", "--speed", "max", "--db", "done.db")[0] == 0
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("after_s", [2.0, 3.0])
def test_ctrl_c_ends_a_search_quietly(after_s: float) -> None:
    """While its workers begin, and while they work."""
    assert interrupted(LONG["tune"], after_s) == (130, SAID)


def interrupt_while_processes_begin(left: list[str]) -> None:
    """Send Ctrl-C to this process, whose other thread does not block it."""
    with workers._without_interrupts():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)
        left.append("begun")
    left.append("not held back")


def test_ctrl_c_while_workers_begin_comes_after_it() -> None:
    """No worker is left half begun, whichever thread gets the signal; and the interrupt is not lost."""
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    left: list[str] = []
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupt_while_processes_begin(left)
    finally:
        signal.signal(signal.SIGINT, before)
        stop.set()
        thread.join()
    assert left == ["begun"]


@SLOW
@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("verb", LONG)
def test_ctrl_c_ends_every_verb_with_workers_quietly(verb: str) -> None:
    """At many moments: one in five printed the frames of its workers."""
    for moment in range(5):
        after_s = 1.6 + 0.5 * moment
        found = interrupted(LONG[verb], after_s)
        ended_before = verb == "calibrate" and found in ((0, b""), (-signal.SIGINT, b""))
        assert found == (130, SAID) or ended_before, f"after {after_s} s: {found[1].decode()}"
