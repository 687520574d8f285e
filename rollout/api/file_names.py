"""Names of files that a verb reads: patterns such as *.csv are expanded here, since PowerShell and cmd expand none."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path

from rollout.errors import UsageError

SHOWN = 3


def expand(names: Iterable[str | Path], option: str) -> list[Path]:
    """Give the files that names and patterns stand for, those of a pattern sorted.

    A name that exists is itself, whatever characters it has. One that is no pattern is given back as it is: who
    reads it says what is wrong. option : where the names were given, for the error.

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
    """Give the one file that a name or pattern stands for. Raise a `UsageError` for none and for several."""
    found = expand([name], option)
    if len(found) > 1:
        some = ", ".join(str(one) for one in found[:SHOWN]) + (", …" if len(found) > SHOWN else "")
        raise UsageError(
            f"{option}: {len(found)} files match '{name}', only one can be read", f"name one of {some}"
        )
    return found[0]


def is_pattern(name: str) -> bool:
    """Whether a name stands for other files than one of that very name."""
    return glob.has_magic(name) and not os.path.lexists(name)


def require_text(name: str, what: str) -> None:
    """Raise a `UsageError` for bytes that are no text: they could neither be stored nor be printed."""
    if any("\ud800" <= letter <= "\udfff" for letter in name):
        shown = os.fsencode(name).decode("ascii", "backslashreplace") if os.name == "posix" else ascii(name)
        raise UsageError(f"{what} '{shown}' is not valid text", "rename the file, or type it in UTF-8")


def _matches(name: str) -> list[str]:
    if not is_pattern(name):
        return [name]
    found = sorted(one for one in glob.glob(name) if not os.path.isdir(one))  # noqa: PTH112, PTH207
    for one in found:
        require_text(one, "file name")
    return found


def _folder(pattern: str) -> str:
    """Give the folder above the first part of a pattern that is one."""
    path = Path(pattern)
    fixed = [one for one in (path, *path.parents) if not glob.has_magic(str(one))]
    return str(fixed[0].absolute() if fixed else Path.cwd())
