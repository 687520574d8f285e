"""Signals to real processes: the end comes within one chunk and 5 s, or at once, and nothing is lost."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from emulated_site import write_plan
from emulators.adminservice import TARGET, AdminService
from emulators.people import Prompt, make_fleet
from emulators.web import Asked, Reply, on_loopback
from faults.processes import PLAIN, check_whole, ended, planned, run_here, running

from rollout.cli import main
from rollout.store import open_database
from rollout.values import State

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of this kind exist on POSIX systems only")

SLOW = pytest.mark.slow
SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP"]
WRITES = re.compile("POST .*AddMembershipRule")
READS = re.compile("GET .*SMS_FullCollectionMembership")
PATTERNS = [pytest.param(WRITES, id="a write"), pytest.param(READS, id="a read", marks=SLOW)]


def python_s() -> float:
    """Give the seconds that an interpreter needs to begin and end here and now: the machine may be busy."""
    begun = time.monotonic()
    code = "from rollout.cli.app import function_of; function_of('run')"
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.monotonic() - begun


@pytest.mark.parametrize("name", [SIGNALS[0], *(pytest.param(item, marks=SLOW) for item in SIGNALS[1:])])
def test_a_signal_ends_it_in_order(name: str, tmp_path: Path) -> None:
    """Within 5 s, exit 130, the lease given back; what was decided stays."""
    place = str(tmp_path / "a.db")
    with planned(place) as database, running(place, "--speed", "3600") as process:
        begun = time.monotonic()
        process.send_signal(getattr(signal, name))
        code, err = ended(process)
        assert time.monotonic() - begun < 5
        assert code == 130, err
        assert "interrupted" in err
        assert database.rollout().lease.holder == ""
        check_whole(database)


@SLOW
def test_a_second_ctrl_c_ends_at_once_and_is_safe(tmp_path: Path) -> None:
    """Two signals one after the other: it ends within a second, nothing is lost, the next run finishes."""
    place = str(tmp_path / "a.db")
    needed = python_s()
    with planned(place) as database:
        with running(place, "--speed", "3600") as process:
            process.send_signal(signal.SIGINT)
            begun = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert ended(process)[0] == 130
            took = time.monotonic() - begun
        print(f"\nended {took:.2f} s after the second signal")
        assert took < 1 + needed
        check_whole(database)
        assert run_here(place) == 0
        assert database.rollout().state is State.FINISHED


class Hanging(AdminService):
    """A site that answers nothing any more once a request is like `pattern`."""

    pattern: re.Pattern[str] | None = None

    def __init__(self) -> None:
        super().__init__(make_fleet(40), Prompt(40), now=lambda: int(time.time()))
        self.met, self.go_on = threading.Event(), threading.Event()

    def answer(self, asked: Asked) -> Reply:
        if self.pattern is not None and self.pattern.match(f"{asked.method} {asked.path}"):
            self.met.set()
            self.go_on.wait(60)
        return super().answer(asked)


@pytest.fixture(name="site")
def _site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    monkeypatch.chdir(tmp_path)
    site = Hanging()
    write_plan(int(time.time()) - 60)
    with on_loopback(site) as origin:
        Path("directory.toml").write_text(
            f'[directory.adminservice]\nhosts = ["{origin}"]\nauth = "none"\nsite_code = "P01"\n'
            f'collection = "{TARGET}"\n'
        )
        main(["approve", "--by", "Kim"])
        yield site
        site.go_on.set()


@contextlib.contextmanager
def executing() -> Iterator[subprocess.Popen[str]]:
    """Start `rollout run` over the site; it is dead afterwards in any case."""
    process = subprocess.Popen(
        [sys.executable, "-c", PLAIN, "run", "--directory", "adminservice"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def hanging(site: Hanging, pattern: re.Pattern[str], then: Callable[[subprocess.Popen[str]], None]) -> float:
    """Run until a request hangs, then act; give the seconds from the last act to the end of the process."""
    site.pattern = pattern
    with executing() as process:
        assert site.met.wait(60)
        then(process)
        begun = time.monotonic()
        code, err = ended(process)
        took = time.monotonic() - begun
    assert code == 130, err
    assert "interrupted" in err
    return took


def finish(site: Hanging) -> None:
    """Let the site answer again, run until the pilot is in, and end that run in order."""
    site.pattern = None
    site.go_on.set()
    end = time.monotonic() + 60
    with executing() as process:
        while len(site.target.rules) < 10:
            assert time.monotonic() < end, "the pilot was never sent"
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert ended(process)[0] == 130


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_call_that_hangs_is_not_waited_for(site: Hanging, pattern: re.Pattern[str]) -> None:
    """The server is silent for longer than 5 s: one signal is enough all the same, and the lease is given back."""
    took = hanging(site, pattern, lambda process: process.send_signal(signal.SIGTERM))
    print(f"\nended {took:.2f} s after the signal")
    assert took < 5
    with open_database("rollout.db") as database:
        assert database.rollout().lease.holder == ""
        check_whole(database)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_second_ctrl_c_ends_a_call_that_hangs(site: Hanging, pattern: re.Pattern[str]) -> None:
    """At once, also in the middle of a chunk that several threads send; the next run adds who is missing, once."""

    def twice(process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)

    needed = python_s()
    took = hanging(site, pattern, twice)
    print(f"\nended {took:.2f} s after the second signal")
    assert took < 1 + needed
    with open_database("rollout.db") as database:
        assert database.rollout().lease.holder == ""
        check_whole(database)
    finish(site)
    sent = [
        asked.body["collectionRule"]["ResourceID"]
        for asked in site.asked
        if WRITES.match(f"POST {asked.path}")
    ]
    assert len(site.target.rules) == 10
    print(f"{len(sent)} writes for 10 devices")
