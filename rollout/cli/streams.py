"""Standard output and error for every command: never a traceback, whatever the code page or the reader.

Where they are not a terminal, they are UTF-8: a code page of Windows has no "…", and JSON is UTF-8 by its standard.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Final, TextIO

from rollout.executor.clock import wake_main

GONE: Final = {errno.EPIPE, errno.EINVAL} if os.name == "nt" else {errno.EPIPE}
"""What a write gives once the reader has closed a pipe."""


AGAIN_S: Final = 0.02
"""Seconds after which an interrupt that could not be raised is raised again."""


class OutputError(BaseException):
    """Output cannot be written. Like Ctrl-C, it is nothing that a command could handle.

    is_closed : the reader closed the pipe (head, less); otherwise `reason` says why.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(error)
        self.is_closed = error.errno in GONE
        self.reason = error.strerror or str(error)


class _File(io.FileIO):
    """A file descriptor that fails once: what comes after the first failure is dropped.

    is_result : whether a result is lost when it cannot be written. A log line that a full disk refuses is not.
    """

    def __init__(self, descriptor: int, *, is_result: bool) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._is_result = is_result
        self._is_lost = False

    def write(self, data: Any, /) -> int:
        """Write all of it. Raise `OutputError` where that is impossible."""
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            while len(left) and not self._is_lost:
                left = left[super().write(left) :]
        except OSError as error:
            self._is_lost = True
            lost = OutputError(error)
            if self._is_result or lost.is_closed:
                raise lost from None
        return size


@contextmanager
def standard_streams() -> Iterator[None]:
    """Make standard output and error fit for any text while the block runs."""
    before = sys.stdout, sys.stderr
    sys.stdout = _fit(sys.stdout, sys.__stdout__, is_result=True)
    sys.stderr = _fit(sys.stderr, sys.__stderr__, is_result=False)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def flush() -> None:
    """Write what is held back. Raise `OutputError` if that is impossible."""
    sys.stdout.flush()
    sys.stderr.flush()


def _fit(stream: TextIO | None, real: IO[str] | None, *, is_result: bool) -> TextIO:
    if stream is None:  # closed by whoever started us (>&-), or a program without a console
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123
    if stream.isatty():
        # The terminal's own encoding is right; what it cannot show is written as its number.
        _reconfigure(stream, None)
        return stream
    if stream is not real or not isinstance(stream, io.TextIOWrapper):
        _reconfigure(stream, "utf-8")
        return stream
    stream.flush()
    file = _File(stream.fileno(), is_result=is_result)
    is_unbuffered = isinstance(stream.buffer, io.RawIOBase)  # python -u
    return io.TextIOWrapper(
        file if is_unbuffered else io.BufferedWriter(file),
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _reconfigure(stream: TextIO, encoding: str | None) -> None:
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding=encoding, errors="backslashreplace")


@contextmanager
def lasting_interrupts() -> Iterator[None]:
    """Let a Ctrl-C that hits a callback of a C library be raised soon after it.

    Nothing can be raised there: Python would print the frames and forget the interrupt.
    """
    before = sys.unraisablehook

    def again(unraisable: sys.UnraisableHookArgs) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            later = threading.Timer(AGAIN_S, wake_main)
            later.daemon = True
            later.start()
        else:
            before(unraisable)

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = before
