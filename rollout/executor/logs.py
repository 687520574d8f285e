"""The log of `run` on stderr: one line per decision, as text for people or as JSON for machines."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from rollout.executor.display import to_stderr
from rollout.text import iso, json_text

LOG = logging.getLogger("rollout.run")


class LogFormat(StrEnum):
    """How log lines are written."""

    TEXT = "text"
    JSON = "json"


def set_up(form: LogFormat, verbose: int = 0, note: Callable[[str], None] = to_stderr) -> None:
    """Send what `rollout` logs to stderr; with -v also each call of a directory. note : prints a line."""
    root = logging.getLogger("rollout")
    for handler in list(root.handlers):
        if isinstance(handler, _Terminal):
            root.removeHandler(handler)
    handler = _Terminal(note)
    handler.setFormatter(_Json() if form is LogFormat.JSON else _Text())
    root.addHandler(handler)
    root.setLevel(logging.DEBUG if verbose else logging.INFO)
    root.propagate = False


def log_event(message: str, facts: Mapping[str, Any] | None = None, *, level: int = logging.INFO) -> None:
    """Log one line. facts : keys and values for machines."""
    LOG.log(level, "%s", message, extra={"facts": dict(facts or {})})


class _Terminal(logging.Handler):
    """Writes above a progress bar, if there is one."""

    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__()
        self._note = note

    def emit(self, record: logging.LogRecord) -> None:
        self._note(self.format(record))


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        return text if record.levelno == logging.INFO else f"{record.levelname.lower()}: {text}"


class _Json(logging.Formatter):
    """One JSON object per line: time (real, UTC), level, logger, message, and the facts of the event."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": iso(int(record.created or time.time())),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        return json_text(line, sort_keys=True, default=str)
