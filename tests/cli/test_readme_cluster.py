"""The README's walk through a Dask cluster, its commands run as they stand there."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from rollout.cli import main

pytest.importorskip("distributed")
ROOT = Path(__file__).parent.parent.parent


def commands() -> list[str]:
    """The lines of the block that the README marks."""
    after = (ROOT / "README.md").read_text(encoding="utf-8").split("<!-- cluster commands -->\n```sh\n")[1]
    return after.split("```")[0].splitlines()


def free_port() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


def run(lines: list[str], folder: Path) -> tuple[int, str]:
    """Run lines in a shell of their own; give its exit code and what it printed. Nothing of it stays behind."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (folder / "printed").open("w+", encoding="utf-8") as printed:
        shell = subprocess.Popen(
            ["bash", "-uc", "\n".join(lines)],
            cwd=folder,
            env={**os.environ, "PATH": path},
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = shell.wait(timeout=240)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
        printed.seek(0)
        return code, printed.read()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the README's block is for a POSIX shell")
def test_the_walk_gives_what_one_process_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scheduler, two workers, tune: the files are those of one process, to the byte."""
    install, *walk = commands()
    assert install.startswith(".venv/bin/python -m pip install")
    assert sum("dask scheduler" in line or "dask worker" in line for line in walk) == 2
    assert "--nworkers 2" in "".join(walk)
    (tmp_path / "scenarios").symlink_to(ROOT / "scenarios")
    port = free_port()
    code, printed = run([line.replace("8786", port) for line in walk], tmp_path)
    assert code == 0, printed[-3000:]
    monkeypatch.chdir(tmp_path)
    tune = ["tune", "scenarios/default.toml", "--trials", "40", "--workers", "1", "--out", "here"]
    assert main(tune) == 0
    for name in ("tuned.toml", "tuned.csv", "front.png", "tornado.png"):
        assert (tmp_path / "tuned" / name).read_bytes() == (tmp_path / "here" / name).read_bytes(), name
