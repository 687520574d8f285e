"""Open a real directory by its name."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from rollout.directory.port import Opening, RealDirectory
from rollout.directory.registry import backend_of, load
from rollout.errors import UsageError


def open_directory(name: str, opening: Opening) -> RealDirectory:
    """Open a real directory; nothing is sent before its `prepare` (or `checks`) is called.

    Raise `UsageError` if the settings section, a secret or an optional package is missing.
    """
    backend = backend_of(name, "--directory")
    if name not in opening.settings:
        raise UsageError(
            f"the settings file has no section [directory.{name}]", "add it, or choose another --directory"
        )
    for package, extra in backend.requires:
        require_package(package, extra, f"--directory {name}")
    factory: Callable[[object, Opening], RealDirectory] = load(backend.factory)
    return factory(opening.settings[name], opening)


def require_package(package: str, extra: str, purpose: str) -> None:
    """Raise `UsageError` with the command that installs an optional package if it is missing."""
    parent = package.partition(".")[0]
    if find_spec(parent) is None or find_spec(package) is None:
        raise UsageError(
            f"{purpose} needs {package}, which is not installed", f"pip install 'rollout[{extra}]'"
        )
