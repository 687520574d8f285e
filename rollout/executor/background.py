"""Chores beside the loop: the report drawn anew and the end forecast anew, each in a process of its own.

The loop only starts them and looks whether they are done. So it is not slowed by them, and what fails there is one
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

from rollout.executor.logs import tell

REST = 10
"""A chore rests at least so many times as long as it took: it never has more than a tenth of one core."""

PATIENCE_S = 3600.0
"""A chore that takes longer hangs, and is ended."""

NICENESS = 10


@dataclass(frozen=True, slots=True)
class Chore:
    """A command of ours, run again and again.

    name : for the warning. arguments : after `rollout`. every_s : least seconds between a beginning and the end
    before. first_s : seconds until the first. prepare : called before each begin. take : gets what it printed.
    """

    name: str
    arguments: tuple[str, ...]
    every_s: float
    first_s: float = 0.0
    prepare: Callable[[], None] | None = None
    take: Callable[[str], None] | None = None


class Beside:
    """Runs one chore beside the loop, when the journal has moved and it is time.

    db : the journal's database, handed over in the environment: a URL may hold a password.
    """

    def __init__(self, chore: Chore, db: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._chore, self._db, self._monotonic = chore, db, monotonic
        self._due = monotonic() + chore.first_s
        self._begun = 0.0
        self._position: Hashable = None
        self._running: _Running | None = None
        self._is_failing = False

    def look(self, position: Callable[[], Hashable]) -> None:
        """Take what is done, begin what is due. position : of the journal, asked only if it is time."""
        if self._running is not None:
            self._poll(self._running)
        elif self._monotonic() >= self._due:
            self._due = self._monotonic() + 1.0
            where = position()
            if where is not None and where != self._position:
                self._begin(where)

    def stop(self) -> None:
        """End what is under way; what it had written so far stays whole."""
        if self._running is not None:
            self._running.end()
            self._running = None

    def _begin(self, where: Hashable) -> None:
        if self._chore.prepare is not None:
            self._chore.prepare()
        try:
            self._running = _Running(self._chore.arguments, self._db)
        except OSError as error:
            self._warn(error.strerror or str(error))
            self._rest(0.0)
            return
        self._position, self._begun = where, self._monotonic()

    def _poll(self, running: _Running) -> None:
        took = self._monotonic() - self._begun
        code = running.code()
        if code is None and took < PATIENCE_S:
            return
        printed, said = running.end()
        self._running = None
        self._rest(took)
        if code != 0:
            self._warn(said or "it took too long")
            return
        self._is_failing = False
        if self._chore.take is not None:
            self._chore.take(printed)

    def _rest(self, took: float) -> None:
        self._due = self._monotonic() + max(self._chore.every_s, REST * took)

    def _warn(self, why: str) -> None:
        if not self._is_failing:
            tell(f"{self._chore.name}: {why}; the rollout goes on", level=logging.WARNING)
        self._is_failing = True


class _Running:
    """A process under way, with low priority and out of the terminal's reach: Ctrl-C is for the loop."""

    def __init__(self, arguments: tuple[str, ...], db: str) -> None:
        # Files, not pipes: nobody reads while it works.
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
        command = [sys.executable, "-P", "-m", "rollout.cli", *arguments]
        own_group = {"creationflags": 0x4000 | 0x200} if os.name == "nt" else {"start_new_session": True}
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._out,
                stderr=self._err,
                env={**os.environ, "ROLLOUT_DB": self._whole(db), "NO_COLOR": "1"},
                **own_group,
            )
        except OSError:
            self._out.close()
            self._err.close()
            raise
        if sys.platform != "win32":
            os.setpriority(os.PRIO_PROCESS, self._process.pid, NICENESS)

    @staticmethod
    def _whole(db: str) -> str:
        return db if "://" in db else os.path.abspath(db)  # noqa: PTH100  # symlinks stay as they are

    def code(self) -> int | None:
        """Give the exit code, None while it works."""
        return self._process.poll()

    def end(self) -> tuple[str, str]:
        """End it if it still works; give what it printed, and the line in which it said what went wrong."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        printed, said = self._read(self._out), self._read(self._err)
        lines = [line.removeprefix("rollout: ") for line in said.splitlines() if line.startswith("rollout: ")]
        return printed, lines[-1] if lines else said.strip().rpartition("\n")[2]

    @staticmethod
    def _read(file: IO[bytes]) -> str:
        with file:
            file.seek(0)
            return file.read().decode(errors="replace")
