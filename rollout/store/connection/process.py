"""Marks of processes, so that the lease of a killed holder can be taken over without waiting."""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")


def mark_of_this_process() -> str:
    """Return a text that identifies this process on this boot of this machine; "" without /proc."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        space = (_PROC / "self/ns/pid").readlink().name
    except OSError:
        return ""
    started = _started(os.getpid())
    return f"{boot} {space} {os.getpid()} {started}" if started else ""


def is_surely_dead(mark: str) -> bool:
    """Return whether the process of `mark` is known to have ended.

    Only a process on the same boot and in the same process namespace can know; all others wait for the lease to expire.
    """
    mine, parts = mark_of_this_process().split(), mark.split()
    if len(mine) != 4 or len(parts) != 4 or mine[:2] != parts[:2] or not parts[2].isdigit():
        return False
    pid = int(parts[2])
    started = _started(pid)
    # If /proc hides other users' processes, a process that it does not show may be alive.
    return started != parts[3] if started is not None else not _exists(pid)


def _exists(pid: int) -> bool:
    """Return whether there is a process with this number, whatever its owner."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _started(pid: int) -> str | None:
    """Return the clock tick at which a process started; "" if it has ended, None if /proc does not show it.

    Process numbers are reused; number and tick together are unique.
    """
    try:
        status = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name in parentheses may contain anything, even parentheses: the fields follow the last of them.
    fields = status.rpartition(")")[2].split()
    return "" if fields[0] in ("Z", "X") else fields[19]
