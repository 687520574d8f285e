"""Where compiled kernels are cached: in the user's cache folder, readable and writable by that user alone.

They are never kept in the installation: pip removes only the files that it installed, and a folder left behind hides
the next installation. Compiled code is loaded from pickles, so a folder in which another user could place a file is
not used. If the cache folder cannot be used, a private temporary folder is used until this process ends.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import stat
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from platformdirs import user_cache_path

KEPT: Final = 8
"""Number of kernel versions kept: the most recently used, across all of the user's installations of rollout."""
BUSY_S: Final = 86_400
"""A version used within this many seconds is not removed: a process may be loading it."""

_VERSION: Final = re.compile(r"[0-9a-f]{16}")
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_places: list[Path | None] = []
"""The folder of this process once it is known; None means that compiled code is not cached."""


def folder_of(version: str, chosen: str = "") -> Path | None:
    """Create and return the writable folder of one version of the kernels, None if there is none.

    version : 16 hexadecimal digits. chosen : the user's own choice of a cache folder (NUMBA_CACHE_DIR).
    """
    place = _named(Path(chosen)) if chosen else None
    place = place or shared_place()
    if place is None:
        return None
    try:
        folder = place / version
        is_new = not folder.exists()
        _make(folder)
        _check_writable(folder)
        os.utime(folder)
        if is_new:
            prune(place)
    except OSError:
        return None
    return folder


def shared_place() -> Path | None:
    """Return the private folder in which this process and its workers cache compiled code, None if there is none."""
    if not _places:
        _places.append(_found())
    return _places[0]


def share(place: Path | None) -> None:
    """Use the same cache folder as the process that started this process."""
    _places[:] = [place]


def prune(place: Path) -> None:
    """Remove versions that have not been used for a long time; only folders with names like ours are removed."""
    versions = []
    for path in place.iterdir():
        if _VERSION.fullmatch(path.name) and not path.is_symlink():
            with suppress(OSError):  # another process removes it
                versions.append((path.stat().st_mtime, path))
    for used, path in sorted(versions, reverse=True)[KEPT:]:
        if used < time.time() - BUSY_S:
            shutil.rmtree(path, ignore_errors=True)


def _found() -> Path | None:
    for place in (_in_cache, _temporary):
        with suppress(OSError):
            return place()
    return None


def _named(folder: Path) -> Path | None:
    try:
        return _private(folder.absolute() / "rollout-kernels")
    except OSError:
        return None


def _in_cache() -> Path:
    cache = user_cache_path("rollout", appauthor=False)
    if not cache.is_absolute():
        raise OSError(f"no home folder: {cache}")
    return _private(cache / "kernels")


def _private(place: Path) -> Path:
    """Create a folder that only this user can change. Raise `OSError` if that is not possible there."""
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _make(place)
    _check_above(place)
    _check_writable(place)
    return place


def _temporary() -> Path:
    place = Path(tempfile.mkdtemp(prefix="rollout-kernels-"))  # an unpredictable name, mode 0700
    atexit.register(_remove, place, os.getpid())
    return place


def _remove(place: Path, owner: int) -> None:
    if os.getpid() == owner:  # not a forked child
        shutil.rmtree(place, ignore_errors=True)


def _make(folder: Path) -> None:
    """Create a folder for this user alone. Raise `OSError` if something else is in its place."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if sys.platform != "win32":  # on Windows, permissions are inherited from the user's profile
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & _OTHERS_WRITE:
            raise OSError(f"not a folder of this user alone: {folder}")
        if found.st_mode & 0o077:
            folder.chmod(0o700)


def _check_above(folder: Path) -> None:
    """Raise `OSError` if another user could replace one of the parent folders with their own."""
    if sys.platform != "win32":
        for parent in folder.resolve().parents:
            found = parent.stat()
            # In a sticky folder only the owner of an entry can rename it. A group with the user's number is the
            # user's own on most systems.
            forbidden = stat.S_IWOTH if found.st_gid == os.geteuid() else _OTHERS_WRITE
            is_open = found.st_mode & forbidden and not found.st_mode & stat.S_ISVTX
            if found.st_uid not in (0, os.geteuid()) or is_open:
                raise OSError(f"other users may change {parent}")


def _check_writable(folder: Path) -> None:
    """Raise `OSError` if no file can be created in a folder."""
    tempfile.TemporaryFile(dir=folder).close()
