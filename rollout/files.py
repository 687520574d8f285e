"""Files that we write: whole or not at all, for the owner alone, never through a symbolic link; and CSV."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import re
import secrets
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from rollout.errors import UsageError
from rollout.text import visible

PRIVATE_FILE, PRIVATE_FOLDER, BY_UMASK = 0o600, 0o700, 0o666

_STREAMS = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/self/fd/")
_BLANKS = "[\\s\"'`\ufeff\u200b-\u200f\u2060]*"
_STARTS = "[=+\\-@\uff1d\uff0b\uff0d\uff20]"
_FORMULA = re.compile(f"{_BLANKS}{_STARTS}")
_FORMULA_WITHIN = re.compile(f"(;{_BLANKS})(?={_STARTS})")


def write_file(path: Path, data: bytes | str, *, mode: int = PRIVATE_FILE) -> None:
    """Write a file whole or not at all; text as UTF-8.

    It is written beside its place, then takes it. An existing file's mode is kept; a new one gets `mode`, with
    `BY_UMASK` what the umask leaves. A symbolic link is refused: to follow it writes where nobody said, to replace
    it destroys what somebody set up. Pipes and devices such as /dev/stdout are written to as they are.

    Raise `UsageError` for a link, `OSError` that names `path` if it cannot be written.
    """
    raw = data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data
    try:
        if _is_stream(path):
            with path.open("wb") as stream:
                stream.write(raw)
            return
        if path.is_symlink():
            raise UsageError(
                f"{path} is a symbolic link: it is neither followed nor replaced",
                "name the file that it points to, or remove the link",
            )
        _replace(path, raw, mode)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _is_stream(path: Path) -> bool:
    if str(path).startswith(_STREAMS):
        return True
    try:
        kind = path.lstat().st_mode
    except OSError:
        return False
    return stat.S_ISCHR(kind) or stat.S_ISFIFO(kind)


def _replace(path: Path, raw: bytes, mode: int) -> None:
    kept = _mode_of(path)
    beside = path.with_name(f".{path.name[:40]}.{secrets.token_hex(8)}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
        shared = mode | _shared(path.parent) if mode == PRIVATE_FILE else mode
        if kept is not None or shared != mode:
            beside.chmod(shared if kept is None else kept)
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


def _mode_of(path: Path) -> int | None:
    """Return the permissions of an existing file, None if there is none."""
    try:
        return stat.S_IMODE(path.lstat().st_mode) & 0o777
    except OSError:
        return None


def _shared(folder: Path) -> int:
    """Return the group's rights in a folder that passes its group on (setgid): it was set up to be shared."""
    try:
        mode = folder.stat().st_mode
    except OSError:
        return 0
    return stat.S_IMODE(mode) & 0o060 if mode & stat.S_ISGID else 0


def create_private(path: Path, like: Path | None = None) -> None:
    """Create an empty file, readable by its owner alone, or with the mode of the file `like`.

    Raise `OSError`, `FileExistsError` if something is there already.
    """
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE))
    wanted = _mode_of(like) if like is not None else None
    mode = PRIVATE_FILE | _shared(path.parent) if wanted is None else wanted
    if mode != PRIVATE_FILE:
        path.chmod(mode)


def make_folder(path: Path) -> None:
    """Make a folder and those above it that are missing, for their owner alone; existing ones stay as they are.

    Raise `OSError`, also if something else than a folder is there.
    """
    missing = [path]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for item in reversed(missing):
        shared = _shared(item.parent)
        try:
            item.mkdir(PRIVATE_FOLDER)
        except FileExistsError:
            if not item.is_dir():
                raise
        else:
            if shared:
                item.chmod(PRIVATE_FOLDER | stat.S_ISGID | shared | (shared & 0o040) >> 2)


def csv_text(head: Sequence[str], rows: Iterable[Sequence[object]], *, mark: bool = False) -> str:
    """Return a CSV table for a spreadsheet: commas, CRLF, one line a row. mark : begin with a byte order mark.

    A text that a spreadsheet would run as a formula gets an apostrophe in front; control characters are escaped.
    """
    buffer = io.StringIO()
    buffer.write("\ufeff" if mark else "")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(head)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return buffer.getvalue()


def _cell(value: object) -> object:
    """Disarm a text that would be a formula: at its start, or after a semicolon, which separates in many countries."""
    if value is None or isinstance(value, (int, float)):
        return value
    text = _FORMULA_WITHIN.sub(r"\1'", visible(str(value)))
    return f"'{text}" if _FORMULA.match(text) else text
