"""Marks of processes, so that a lease whose holder was killed need not be waited for."""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")


def mark_of_this_process() -> str:
    """Return a text that names this process on this boot of this machine; "" where /proc does not tell."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        space = (_PROC / "self/ns/pid").readlink().name
    except OSError:
        return ""
    started = _started(os.getpid())
    return f"{boot} {space} {os.getpid()} {started}" if started else ""


def is_surely_dead(mark: str) -> bool:
    """Return whether the process of `mark` is known to have ended.

    Only this very boot and process namespace can know: everybody else waits for the lease to expire.
    """
    mine, parts = mark_of_this_process().split(), mark.split()
    if len(mine) != 4 or len(parts) != 4 or mine[:2] != parts[:2] or not parts[2].isdigit():
        return False
    pid = int(parts[2])
    started = _started(pid)
    # Where /proc hides the processes of others, one that it does not show may be alive.
    return started != parts[3] if started is not None else not _exists(pid)


def _exists(pid: int) -> bool:
    """Whether there is a process of this number, whoever owns it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _started(pid: int) -> str | None:
    """The clock tick at which a process started; "" for one that has ended, None where /proc does not show it.

    A number is used again; number and tick together are not.
    """
    try:
        told = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name in parentheses may hold anything, also parentheses: what counts stands behind the last one.
    fields = told.rpartition(")")[2].split()
    return "" if fields[0] in ("Z", "X") else fields[19]
