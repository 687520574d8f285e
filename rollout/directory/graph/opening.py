"""An Entra tenant from the settings: credentials, transport, directory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rollout.directory.configmgr.opening import site_of
from rollout.directory.configmgr.settings import AdminServiceSettings
from rollout.directory.graph.credentials import graph_credential
from rollout.directory.graph.directory import GraphDirectory
from rollout.directory.graph.settings import SECRETS, GraphSettings
from rollout.directory.graph.tenant import Tenant
from rollout.directory.http.credentials import Bearer, require_azure
from rollout.directory.http.network import Network
from rollout.directory.http.pace import Pace, Quota
from rollout.directory.http.transport import Transport
from rollout.directory.port import Opening, RealDirectory
from rollout.errors import RefusedError
from rollout.values.clouds import CLOUDS

NETWORK = Network()

READS: Final = 3500
"""Requests in 10 s that even the smallest tenant grants one app."""


def open_tenant(settings: GraphSettings, opening: Opening, network: Network = NETWORK) -> RealDirectory:
    """Open a tenant. With a site in the settings too, it is asked which groups are copies of collections.

    Raise `RefusedError` if the plan is for another cloud, `UsageError` if a secret or an optional package is missing.
    """
    if opening.cloud not in ("", settings.cloud):
        raise RefusedError(
            f"the plan is for cloud '{opening.cloud}', the settings say '{settings.cloud}'; nothing was sent",
            "make the policy's cloud and the settings' cloud the same",
        )
    tenant = Tenant(_transport(settings, opening, network), settings.base)
    site = opening.find(AdminServiceSettings)
    copied = None if site is None else _copies(site, opening, network)
    return GraphDirectory(tenant, settings, opening, copied)


def _transport(settings: GraphSettings, opening: Opening, network: Network) -> Transport:
    credential = network.credential
    if credential is None:
        require_azure()
        credential = graph_credential(settings, opening.environ)
    writes = Quota(settings.writes, settings.writes_window_s)
    pace = Pace(opening.clock, in_flight=settings.in_flight, reads=Quota(READS, 10.0), writes=writes)
    secrets = tuple(opening.environ.get(name, "") for name in SECRETS)
    auth = Bearer(credential, CLOUDS[settings.cloud].scope, opening.clock, secrets)
    return network.transport(settings, pace, opening.clock, auth)


def _copies(
    settings: AdminServiceSettings, opening: Opening, network: Network
) -> Callable[[], dict[str, tuple[str, ...]]]:
    """Return a function that asks which collections the site copies into groups; its answer is by the group's id."""

    def ask() -> dict[str, tuple[str, ...]]:
        by_group: dict[str, tuple[str, ...]] = {}
        site = site_of(settings, opening, network)
        try:
            for collection, groups in site.cloud_groups().items():
                for group in groups:
                    by_group[group] = (*by_group.get(group, ()), collection)
        finally:
            site.transport.close()
        return by_group

    return ask
