"""An invisible process is not a dead process: /proc mounted with hidepid hides other users' processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rollout.store.connection import process
from rollout.store.connection.process import is_surely_dead, mark_of_this_process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")


@pytest.fixture(autouse=True)
def _hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A /proc that shows only our own process."""
    (tmp_path / "sys/kernel/random").mkdir(parents=True)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    (tmp_path / "sys/kernel/random/boot_id").write_text(boot, encoding="ascii")
    (tmp_path / "self").symlink_to("/proc/self")
    (tmp_path / str(os.getpid())).symlink_to(f"/proc/{os.getpid()}")
    monkeypatch.setattr(process, "_PROC", tmp_path)


def mark_of(pid: int) -> str:
    boot, space, _, _ = mark_of_this_process().split()
    return f"{boot} {space} {pid} 12345"


def test_a_hidden_process_that_lives_is_not_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours or another user's: only the lease's time decides."""
    with subprocess.Popen(["sleep", "60"]) as child:
        assert not is_surely_dead(mark_of(child.pid))
        with monkeypatch.context() as patch:
            patch.setattr(os, "kill", _forbidden)
            assert not is_surely_dead(mark_of(child.pid))
        child.kill()


def test_a_process_that_is_gone_is_dead() -> None:
    with subprocess.Popen(["true"]) as child:
        child.wait()
    assert is_surely_dead(mark_of(child.pid))
    assert not is_surely_dead(mark_of_this_process())


def _forbidden(_pid: int, _signal: int) -> None:
    raise PermissionError
