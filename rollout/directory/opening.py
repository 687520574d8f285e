"""Open a real directory by name: settings, credentials, transport, directory."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from rollout.directory.http.pace import Pace, Quota, SystemTime, Time
from rollout.directory.settings import (
    PASSWORD_ENV,
    SECRETS,
    AdminServiceSettings,
    DirectorySettings,
    GraphSettings,
)
from rollout.errors import UsageError
from rollout.values import Fleet, Plan
from rollout.values.clouds import CLOUDS

if TYPE_CHECKING:
    import httpx2

    from rollout.directory.configmgr.directory import AdminServiceDirectory
    from rollout.directory.graph.directory import GraphDirectory
    from rollout.directory.http.credentials import Credential
    from rollout.directory.http.transport import Transport

NAMES: Final = ("adminservice", "graph")
READS: Final = 3500
"""Requests in 10 s that even the smallest tenant grants one app."""


def need(package: str, extra: str) -> None:
    """Raise `UsageError` with the command that helps if an optional package is missing."""
    if find_spec(package) is None:
        raise UsageError(f"this needs {package}, which is not installed", f"pip install 'rollout[{extra}]'")


def open_directory(
    name: str,
    settings: DirectorySettings,
    plan: Plan,
    fleet: Fleet,
    *,
    identity: str = "",
    workload_bit: int = 0,
    superset: str = "",
    clock: Time | None = None,
    environ: Mapping[str, str] = os.environ,
    credential: Credential | None = None,
    http: httpx2.BaseTransport | None = None,
    chance: Callable[[], float] | None = None,
) -> AdminServiceDirectory | GraphDirectory:
    """Open `adminservice` or `graph`; nothing is sent before `prepare` (or `checks`) is called.

    fleet : the plan's inventory, row by row. identity : site code or tenant id of the first contact, "" before it.
    workload_bit, superset : of a workload rollout, see `AdminServiceDirectory`.
    clock, credential, http, chance : replaced in tests; by default the machine's clock and chance, the credential
    of the settings, and the network.

    Raise `UsageError` if the section, a secret or an extra package is missing.
    """
    if name not in NAMES:
        raise UsageError(f"expected one of {', '.join(NAMES)}, found '{name}'")
    part = settings.adminservice if name == "adminservice" else settings.graph
    if part is None:
        raise UsageError(f"[directory.{name}]: expected this section in the settings file, found none")
    need("httpx2", name)
    # These import httpx2: only where a real directory is opened.
    from rollout.directory.configmgr.directory import AdminServiceDirectory
    from rollout.directory.configmgr.site import Site
    from rollout.directory.graph.directory import GraphDirectory
    from rollout.directory.graph.tenant import Tenant

    tools = _Tools(clock or SystemTime(), environ, credential, http, chance or _chance())
    if isinstance(part, AdminServiceSettings):
        return AdminServiceDirectory(
            Site(tools.site_transport(part), part.hosts[0]),
            part,
            plan,
            fleet,
            workload_bit=workload_bit,
            superset=superset,
            identity=identity,
        )
    return GraphDirectory(
        Tenant(tools.graph_transport(part), part.base),
        part,
        plan,
        fleet,
        identity=identity,
        copied=tools.copies(settings.adminservice),
    )


def _chance() -> Callable[[], float]:
    import random

    return random.SystemRandom().random


def _new_id() -> str:
    import uuid

    return str(uuid.uuid4())


class _Tools:
    """What transports are made from."""

    def __init__(
        self,
        clock: Time,
        environ: Mapping[str, str],
        credential: Credential | None,
        http: httpx2.BaseTransport | None,
        chance: Callable[[], float],
    ) -> None:
        self._clock, self._environ, self._http, self._chance = clock, environ, http, chance
        self._credential = credential

    def site_transport(self, settings: AdminServiceSettings) -> Transport:
        pace = Pace(self._clock, in_flight=settings.in_flight, per_second=settings.per_second)
        return self._transport(settings, pace, self._site_auth(settings), settings.hosts)

    def graph_transport(self, settings: GraphSettings) -> Transport:
        from rollout.directory.http.credentials import Bearer, graph_credential

        credential = self._credential
        if credential is None:
            need("azure.identity" if find_spec("azure") else "azure", "graph")
            credential = graph_credential(settings, self._environ)
        quota = Quota(settings.writes, settings.writes_window_s)
        pace = Pace(self._clock, in_flight=settings.in_flight, reads=Quota(READS, 10.0), writes=quota)
        secrets = tuple(self._environ.get(name, "") for name in SECRETS)
        auth = Bearer(credential, CLOUDS[settings.cloud].scope, self._clock, secrets)
        return self._transport(settings, pace, auth, ())

    def _transport(
        self,
        settings: AdminServiceSettings | GraphSettings,
        pace: Pace,
        auth: httpx2.Auth | None,
        origins: tuple[str, ...],
    ) -> Transport:
        from rollout.directory.http.transport import Transport

        return Transport(
            pace,
            self._clock,
            chance=self._chance,
            new_id=_new_id,
            origins=origins,
            auth=auth,
            ca_file=settings.ca_file,
            proxy=settings.proxy,
            timeout_s=settings.timeout_s,
            deadline_s=settings.deadline_s,
            attempts=settings.attempts,
            http=self._http,
        )

    def _site_auth(self, settings: AdminServiceSettings) -> httpx2.Auth | None:
        if settings.auth == "none":
            return None
        if settings.auth == "bearer":
            from rollout.directory.http.credentials import Bearer, gateway_credential

            credential = self._credential
            if credential is None:
                need("azure.identity" if find_spec("azure") else "azure", "graph")
                credential = gateway_credential(settings)
            return Bearer(credential, settings.scope, self._clock)
        need("spnego", "kerberos")
        from rollout.directory.http.negotiate import Negotiate

        return Negotiate(settings.username, self._environ.get(PASSWORD_ENV, ""), settings.auth)

    def copies(
        self, settings: AdminServiceSettings | None
    ) -> Callable[[], dict[str, tuple[str, ...]]] | None:
        """Give what asks the site which groups its collections are copied into, if the settings name a site."""
        if settings is None:
            return None

        def ask() -> dict[str, tuple[str, ...]]:
            from rollout.directory.configmgr.site import Site

            by_group: dict[str, tuple[str, ...]] = {}
            site = Site(self.site_transport(settings), settings.hosts[0])
            try:
                for collection, groups in site.cloud_groups().items():
                    for group in groups:
                        by_group[group] = (*by_group.get(group, ()), collection)
            finally:
                site.transport.close()
            return by_group

        return ask
