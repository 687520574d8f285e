"""Every real directory in one table. A backend is imported when it is used, never before."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from rollout.errors import UsageError


@dataclass(frozen=True, slots=True)
class Backend:
    """Where the code of a real directory is, as "module:name".

    factory : function that takes its settings section and an `Opening`, and gives a `RealDirectory`; it sends nothing.
    settings : pydantic model of the section [directory.NAME].
    requires : optional packages that the factory imports, each with the extra that installs it.
    """

    factory: str
    settings: str
    requires: tuple[tuple[str, str], ...] = ()


BACKENDS: Final[dict[str, Backend]] = {
    "adminservice": Backend(
        "rollout.directory.configmgr.opening:open_site",
        "rollout.directory.configmgr.settings:AdminServiceSettings",
        (("httpx2", "adminservice"),),
    ),
    "graph": Backend(
        "rollout.directory.graph.opening:open_tenant",
        "rollout.directory.graph.settings:GraphSettings",
        (("httpx2", "graph"),),
    ),
}
"""Name, as in --directory NAME and [directory.NAME] -> backend."""


def backend_of(name: str, where: str) -> Backend:
    """Return the backend of a name. Raise `UsageError` if there is none; `where` says where the name was given."""
    if name not in BACKENDS:
        raise UsageError(f"{where}: expected one of {', '.join(BACKENDS)}, found '{name}'")
    return BACKENDS[name]


def load(where: str) -> Any:
    """Import what "module:name" names."""
    module, _, name = where.partition(":")
    return getattr(import_module(module), name)
