"""Real processes of `rollout run`, started, stopped and killed."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

from canaries import is_told

from rollout.api.planning import plan_scenario
from rollout.cli import main
from rollout.store import Database, open_database
from sim.scenario import parse_scenario

SCENARIO = """\
[rollout]
name = "kills"
look_every = "30m"
straggler_after = "2d"
mature_after = "12h"
chunk = {chunk}
[rollout.gate]
losses_max = 0.3
[rollout.gate.evidence]
p_ok = 0.05
p_bad = 0.3
[[rollout.phases]]
name = "pilot"
devices = {pilot}
pacing = {{ mode = "duration", duration = "{hours}h" }}
soak = "12h"
[[rollout.phases]]
name = "all"
pacing = {{ mode = "duration", duration = "8h" }}
[fleet]
clients = {clients}
[model]
horizon = "12d"
[model.clients]
window = "immediate"
"""
PLAIN = "import sys\nfrom rollout.cli import main\nsys.exit(main())"


def planned(place: str, *, clients: int = 500, pilot: int = 200, hours: int = 2, chunk: int = 5) -> Database:
    """Give a database with a plan of a made-up fleet."""
    database = open_database(place)
    text = SCENARIO.format(clients=clients, pilot=pilot, hours=hours, chunk=chunk)
    plan_scenario(database, parse_scenario(text, "kills"))
    return database


def start(place: str, *arguments: str, code: str = PLAIN) -> subprocess.Popen[str]:
    """Start `rollout run` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", code, "run", "--db", place, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def running(place: str, *arguments: str, code: str = PLAIN) -> Iterator[subprocess.Popen[str]]:
    """Start `rollout run`, and wait until it has decided something; it is dead afterwards in any case."""
    process = start(place, *arguments, code=code)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "running:" in line, line + process.stderr.read()
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], within_s: float = 60) -> tuple[int, str]:
    """Wait for the end; give exit code and stderr."""
    _, err = process.communicate(timeout=within_s)
    assert not is_told(err.encode()), "a planted secret is in its output"
    return process.returncode, err


def check_whole(database: Database) -> None:
    assert database.check_integrity()[0]
    assert database.verify_chain(database.rollout().id) is None


def run_here(place: str) -> int:
    """Run to the end; on SQLite in this process, since that is faster."""
    if "://" in place:
        return ended(start(place, "--speed", "max"), 120)[0]
    return main(["run", "--db", place, "--speed", "max"])
