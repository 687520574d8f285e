"""Names of files that a command reads. Patterns such as *.csv are expanded here, because PowerShell and cmd do not."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path

from rollout.errors import UsageError

SHOWN = 3


def expand(names: Iterable[str | Path], option: str) -> list[Path]:
    """Return the files that names and patterns stand for; those of a pattern are sorted.

    A name that exists stands for itself, whatever characters it has. A name that is not a pattern is returned as is:
    its reader reports what is wrong. option : where the names were given, for the error.

    Raise a `UsageError` for a pattern that no file matches.
    """
    found: list[Path] = []
    for name in map(str, names):
        matches = _matches(name)
        if not matches:
            raise UsageError(f"{option}: no file matches '{name}'", f"looked in {_folder(name)}")
        found += map(Path, matches)
    return found


def expand_one(name: str | Path, option: str) -> Path:
    """Return the file that a name or pattern stands for. Raise a `UsageError` for none and for several."""
    found = expand([name], option)
    if len(found) > 1:
        some = ", ".join(str(path) for path in found[:SHOWN]) + (", …" if len(found) > SHOWN else "")
        raise UsageError(
            f"{option}: {len(found)} files match '{name}', only one can be read", f"name one of {some}"
        )
    return found[0]


def is_pattern(name: str) -> bool:
    """Return whether a name is a pattern, and no file of that very name exists."""
    return glob.has_magic(name) and not os.path.lexists(name)


def require_text(name: str, what: str) -> None:
    """Raise a `UsageError` for bytes that are not text: they can be neither stored nor printed."""
    if any("\ud800" <= letter <= "\udfff" for letter in name):
        shown = os.fsencode(name).decode("ascii", "backslashreplace") if os.name == "posix" else ascii(name)
        raise UsageError(f"{what} '{shown}' is not valid text", "rename the file, or type it in UTF-8")


def _matches(name: str) -> list[str]:
    if not is_pattern(name):
        return [name]
    found = sorted(path for path in glob.glob(name) if not os.path.isdir(path))  # noqa: PTH112, PTH207
    for path in found:
        require_text(path, "file name")
    return found


def _folder(pattern: str) -> str:
    """Return the deepest folder of a pattern that has no wildcard in it."""
    path = Path(pattern)
    fixed = [folder for folder in (path, *path.parents) if not glob.has_magic(str(folder))]
    return str(fixed[0].absolute() if fixed else Path.cwd())
