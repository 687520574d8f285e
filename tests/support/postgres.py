"""A PostgreSQL server of our own for the tests: on loopback, in a folder that is thrown away.

`fresh_database` gives the URL of an empty database: on the server that ROLLOUT_TEST_POSTGRES names, or on a
private one that is started when it is first asked for. It skips the test, saying why, where there is none.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

START_S = 60
_NUMBERS = itertools.count(1)
MADE: list[str] = []
"""The databases of this process, for who searches them."""

_END_WITH_ME = """
import os, pathlib, shutil, signal, sys, time
sys.stdin.read()
data, folder = map(pathlib.Path, sys.argv[1:])
pid_file = data / "postmaster.pid"
try:
    # Between the tests and the server stands runuser, so the signal goes to the server itself: fast shutdown.
    os.kill(int(pid_file.read_text().split()[0]), signal.SIGINT)
    while pid_file.exists():
        time.sleep(0.05)
except (FileNotFoundError, ProcessLookupError):
    pass
shutil.rmtree(folder, ignore_errors=True)
"""
"""Ends the server when its standard input does: also where the tests were killed."""


def fresh_database() -> str:
    """Give the URL of an empty database; it goes with the server, or stays on a server that is not ours."""
    psycopg = pytest.importorskip(
        "psycopg", reason="psycopg is not installed: pip install 'rollout[postgres]'"
    )
    from sqlalchemy import make_url

    url = make_url(server_url())
    name = f"test_{os.getpid()}_{secrets.token_hex(3)}_{next(_NUMBERS)}"
    with psycopg.connect(_conninfo(url.render_as_string(hide_password=False)), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    made = url.set(drivername="postgresql+psycopg", database=name).render_as_string(hide_password=False)
    MADE.append(made)
    return made


def place_of(kind: str, folder: Path) -> str:
    """Give an empty database: "sqlite", a file in `folder`, or "postgres"."""
    return str(folder / "a.db") if kind == "sqlite" else fresh_database()


@functools.cache
def server_url() -> str:
    """Give the URL of a server on which databases may be created."""
    given = os.environ.get("ROLLOUT_TEST_POSTGRES")
    if given:
        return given
    reason = _missing()
    if reason:
        pytest.skip(reason)
    return _start()


def _missing() -> str:
    if os.name != "posix":
        return "no private PostgreSQL server on this system: set ROLLOUT_TEST_POSTGRES=<url>"
    if _programs() is None:
        return (
            "PostgreSQL is not installed (apt-get install postgresql), and ROLLOUT_TEST_POSTGRES is not set"
        )
    if os.geteuid() == 0 and (shutil.which("runuser") is None or _user() is None):
        return "PostgreSQL does not run as root, and neither user postgres nor nobody can be used instead"
    return ""


def _programs() -> Path | None:
    """The folder of initdb and postgres; Debian keeps them off the PATH."""
    known = shutil.which("postgres")
    places = [Path(known).resolve().parent] if known else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").exists()), None)


def _user() -> str | None:
    import pwd

    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    return None


def _start() -> str:
    programs = _programs()
    assert programs is not None
    folder = Path(tempfile.mkdtemp(prefix="rollout-postgres-"))
    password = secrets.token_hex(12)
    (folder / "password").write_text(password)
    prefix: list[str] = []
    if os.geteuid() == 0:
        user = _user()
        assert user is not None
        prefix = ["runuser", "-u", user, "--"]
        for item in (folder, folder / "password"):
            shutil.chown(item, user)
    data, port = folder / "data", _free_port()
    subprocess.run(
        [
            *prefix,
            str(programs / "initdb"),
            *("-D", str(data), "-U", "rollout", "-E", "UTF8", "--no-locale"),
            *("--auth=scram-sha-256", f"--pwfile={folder / 'password'}"),
        ],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [
                *prefix,
                str(programs / "postgres"),
                *("-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", ""),
            ],
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,  # a Ctrl-C at the terminal is for the tests, not for the server
        )
    atexit.register(_stop, server, _watcher(data, folder))
    url = f"postgresql://rollout:{password}@127.0.0.1:{port}/postgres"
    _wait(url, server, folder / "log")
    return url


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    import psycopg

    end = time.monotonic() + START_S
    while True:
        try:
            psycopg.connect(_conninfo(url)).close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > end:
                pytest.fail(f"the private PostgreSQL server did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.1)
        else:
            return


def _watcher(data: Path, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", _END_WITH_ME, str(data), str(folder)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )


def _stop(server: subprocess.Popen[bytes], watcher: subprocess.Popen[bytes]) -> None:
    watcher.communicate(timeout=30)
    server.wait(timeout=30)


def _conninfo(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://")
