"""Write files completely or not at all, readable by their owner only, never through a symbolic link; and CSV."""

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
    """Write a file completely or not at all; text as UTF-8.

    The data goes to a temporary file in the same folder, which then replaces the target. An existing file keeps its
    mode; a new file gets `mode` (`BY_UMASK`: what the umask allows). A symbolic link is refused: following it would
    write to a place that was not named, replacing it would destroy someone's setup. Pipes and devices such as
    /dev/stdout are written to directly.

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
                f"{path} is a symbolic link, which is neither followed nor replaced",
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
    temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(8)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
        shared = mode | _shared(path.parent) if mode == PRIVATE_FILE else mode
        if kept is not None or shared != mode:
            temporary.chmod(shared if kept is None else kept)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _mode_of(path: Path) -> int | None:
    """Return the permissions of an existing file, None if there is none."""
    try:
        return stat.S_IMODE(path.lstat().st_mode) & 0o777
    except OSError:
        return None


def _shared(folder: Path) -> int:
    """Return the group's permissions on a setgid folder, which was set up to be shared; 0 for any other."""
    try:
        mode = folder.stat().st_mode
    except OSError:
        return 0
    return stat.S_IMODE(mode) & 0o060 if mode & stat.S_ISGID else 0


def create_private(path: Path, like: Path | None = None) -> None:
    """Create an empty file, readable by its owner only, or with the mode of the file `like`.

    Raise `OSError`; `FileExistsError` if `path` already exists.
    """
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE))
    wanted = _mode_of(like) if like is not None else None
    mode = PRIVATE_FILE | _shared(path.parent) if wanted is None else wanted
    if mode != PRIVATE_FILE:
        path.chmod(mode)


def make_folder(path: Path) -> None:
    """Create a folder and its missing parents, for their owner only; existing folders stay as they are.

    Raise `OSError`, also if `path` is not a folder.
    """
    missing = [path]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for folder in reversed(missing):
        shared = _shared(folder.parent)
        try:
            folder.mkdir(PRIVATE_FOLDER)
        except FileExistsError:
            if not folder.is_dir():
                raise
        else:
            if shared:
                folder.chmod(PRIVATE_FOLDER | stat.S_ISGID | shared | (shared & 0o040) >> 2)


def csv_text(head: Sequence[str], rows: Iterable[Sequence[object]], *, mark: bool = False) -> str:
    """Return a CSV table for spreadsheets: commas, CRLF, one line per row. mark : begin with a byte order mark.

    Text that a spreadsheet would run as a formula is prefixed with an apostrophe; control characters are escaped.
    """
    buffer = io.StringIO()
    buffer.write("\ufeff" if mark else "")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(head)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return buffer.getvalue()


def _cell(value: object) -> object:
    """Disarm a formula at the start of a text or after a semicolon, which is the separator in many countries."""
    if value is None or isinstance(value, (int, float)):
        return value
    text = _FORMULA_WITHIN.sub(r"\1'", visible(str(value)))
    return f"'{text}" if _FORMULA.match(text) else text
