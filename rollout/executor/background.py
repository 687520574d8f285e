"""Background tasks of the loop, such as refreshing the report, each in a process of its own.

The loop only starts them and polls whether they have finished. So they do not slow it down, and a failure is one
warning, never the end of the rollout.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import IO

from rollout.executor.logs import log_event

PAUSE_FACTOR = 10
"""A task pauses at least this many times as long as it took, so it never uses more than a tenth of a core."""

PATIENCE_S = 3600.0
"""A task that takes longer hangs, and is ended."""

NICENESS = 10


@dataclass(frozen=True, slots=True)
class BackgroundTask:
    """A `rollout` command that is run repeatedly.

    name : for the warning. arguments : after `rollout`. every_s : least seconds between the end of a run and the start
    of the next. first_s : seconds until the first. prepare : called before each start. take : gets the output.
    """

    name: str
    arguments: tuple[str, ...]
    every_s: float
    first_s: float = 0.0
    prepare: Callable[[], None] | None = None
    take: Callable[[str], None] | None = None


class BackgroundProcess:
    """Runs one task in the background, when the journal has moved and it is time.

    db : the journal's database, passed in the environment: a URL may hold a password.
    """

    def __init__(
        self, task: BackgroundTask, db: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._task, self._db, self._monotonic = task, db, monotonic
        self._due = monotonic() + task.first_s
        self._started = 0.0
        self._position: Hashable = None
        self._running: _Running | None = None
        self._is_failing = False

    def update(self, position: Callable[[], Hashable]) -> None:
        """Collect a finished run, start one that is due. position : of the journal, called only if it is time."""
        if self._running is not None:
            self._poll(self._running)
        elif self._monotonic() >= self._due:
            self._due = self._monotonic() + 1.0
            current = position()
            if current is not None and current != self._position:
                self._start(current)

    def stop(self) -> None:
        """End a running task; the files that it has written so far stay complete."""
        if self._running is not None:
            self._running.end()
            self._running = None

    def _start(self, position: Hashable) -> None:
        if self._task.prepare is not None:
            self._task.prepare()
        try:
            self._running = _Running(self._task.arguments, self._db)
        except OSError as error:
            self._warn(error.strerror or str(error))
            self._pause(0.0)
            return
        self._position, self._started = position, self._monotonic()

    def _poll(self, running: _Running) -> None:
        took = self._monotonic() - self._started
        code = running.code()
        if code is None and took < PATIENCE_S:
            return
        printed, message = running.end()
        self._running = None
        self._pause(took)
        if code != 0:
            self._warn(message or "it took too long")
            return
        self._is_failing = False
        if self._task.take is not None:
            self._task.take(printed)

    def _pause(self, took: float) -> None:
        self._due = self._monotonic() + max(self._task.every_s, PAUSE_FACTOR * took)

    def _warn(self, why: str) -> None:
        if not self._is_failing:
            log_event(f"{self._task.name}: {why}; the rollout continues", level=logging.WARNING)
        self._is_failing = True


class _Running:
    """A running process with low priority, detached from the terminal: Ctrl-C is for the loop."""

    def __init__(self, arguments: tuple[str, ...], db: str) -> None:
        # Files, not pipes: nobody reads while it runs.
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
        command = [sys.executable, "-P", "-m", "rollout.cli", *arguments]
        own_group = {"creationflags": 0x4000 | 0x200} if os.name == "nt" else {"start_new_session": True}
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._out,
                stderr=self._err,
                env={**os.environ, "ROLLOUT_DB": self._absolute(db), "NO_COLOR": "1"},
                **own_group,
            )
        except OSError:
            self._out.close()
            self._err.close()
            raise
        if sys.platform != "win32":
            os.setpriority(os.PRIO_PROCESS, self._process.pid, NICENESS)

    @staticmethod
    def _absolute(db: str) -> str:
        return db if "://" in db else os.path.abspath(db)  # noqa: PTH100  # symlinks stay as they are

    def code(self) -> int | None:
        """Return the exit code, None while it runs."""
        return self._process.poll()

    def end(self) -> tuple[str, str]:
        """End the process if it still runs; return its output and its error line."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        printed, errors = self._read(self._out), self._read(self._err)
        lines = [
            line.removeprefix("rollout: ") for line in errors.splitlines() if line.startswith("rollout: ")
        ]
        return printed, lines[-1] if lines else errors.strip().rpartition("\n")[2]

    @staticmethod
    def _read(file: IO[bytes]) -> str:
        with file:
            file.seek(0)
            return file.read().decode(errors="replace")
