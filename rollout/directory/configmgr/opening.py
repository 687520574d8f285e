"""A ConfigMgr site from the settings: credentials, transport, directory."""

from __future__ import annotations

import httpx2

from rollout.directory.configmgr.credentials import gateway_credential
from rollout.directory.configmgr.directory import AdminServiceDirectory
from rollout.directory.configmgr.settings import PASSWORD_ENV, AdminServiceSettings
from rollout.directory.configmgr.site import Site
from rollout.directory.http.credentials import Bearer, require_azure
from rollout.directory.http.network import Network
from rollout.directory.http.pace import Pace
from rollout.directory.opening import require_package
from rollout.directory.port import Opening, RealDirectory

NETWORK = Network()


def open_site(settings: AdminServiceSettings, opening: Opening, network: Network = NETWORK) -> RealDirectory:
    """Open a site. Raise `UsageError` if an optional package is missing."""
    return AdminServiceDirectory(site_of(settings, opening, network), settings, opening)


def site_of(settings: AdminServiceSettings, opening: Opening, network: Network) -> Site:
    """Return the site alone, without a plan."""
    pace = Pace(opening.clock, in_flight=settings.in_flight, per_second=settings.per_second)
    auth = _auth(settings, opening, network)
    return Site(network.transport(settings, pace, opening.clock, auth, settings.hosts), settings.hosts[0])


def _auth(settings: AdminServiceSettings, opening: Opening, network: Network) -> httpx2.Auth | None:
    if settings.auth == "none":
        return None
    if settings.auth == "bearer":
        credential = network.credential
        if credential is None:
            require_azure()
            credential = gateway_credential(settings)
        return Bearer(credential, settings.scope, opening.clock)
    require_package("spnego", "kerberos", f'auth = "{settings.auth}"')
    from rollout.directory.http.negotiate import Negotiate

    return Negotiate(settings.username, opening.environ.get(PASSWORD_ENV, ""), settings.auth)
