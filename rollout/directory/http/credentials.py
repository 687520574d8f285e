"""Who we are: bearer tokens from azure-identity, renewed in time and once more when they are refused."""

from __future__ import annotations

import base64
import json
import logging
import re
import threading
from collections.abc import Generator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

import httpx2

from rollout.directory.http.pace import Time
from rollout.directory.settings import (
    CERTIFICATE_PASSWORD_ENV,
    CLIENT_SECRET_ENV,
    AdminServiceSettings,
    GraphSettings,
)
from rollout.errors import OutsideError, UsageError
from rollout.values.clouds import CLOUDS

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken

log = logging.getLogger("rollout.directory")

EARLY_S: Final = 300.0
"""A token is renewed so long before it ends."""

ANEW: Final = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'
"""A claim that every token fulfills. Asked for claims, a credential does not give what it keeps in its cache: there
the token that was refused lives on for an hour."""


class Credential(Protocol):
    """Whatever gives tokens; azure-identity's classes do."""

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """Give a token with `token` and `expires_on` (Unix seconds)."""
        ...


class Bearer(httpx2.Auth):
    """Adds the token to each request; after a 401 it takes a fresh one and asks once more.

    That is safe for writes too: a request that was not let in has changed nothing.
    secrets : texts that must not show up in an error, should a token server repeat what it was sent.
    """

    def __init__(
        self, credential: Credential, scope: str, clock: Time, secrets: tuple[str, ...] = ()
    ) -> None:
        # It writes failures with the server's whole answer; ours come without secrets.
        logging.getLogger("azure").setLevel(logging.CRITICAL)
        self._secrets = tuple(one for one in secrets if one)
        self._credential = credential
        self._scope = scope
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._until = 0.0

    def __repr__(self) -> str:
        return f"Bearer(scope={self._scope!r}, token=********)"

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Send with a token; once more with a fresh one if it is refused."""
        token = self._fresh("")
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == 401:
            claims = _challenge(response.headers.get("www-authenticate", "")) or ANEW
            request.headers["Authorization"] = f"Bearer {self._fresh(token, claims)}"
            yield request

    def peek(self) -> str:
        """Give the token in use, "" before the first; for its claims only, never to be shown."""
        return self._token

    def _fresh(self, refused: str, claims: str | None = None) -> str:
        with self._lock:
            if not self._token or self._token == refused or self._clock.wall() > self._until - EARLY_S:
                try:
                    got = self._credential.get_token(self._scope, claims=claims)
                except Exception as error:  # each kind of credential raises its own
                    text = _first_line(error)
                    for secret in self._secrets:
                        text = text.replace(secret, "********")
                    raise OutsideError(
                        f"no token for {self._scope}: {text}", "check tenant, client and secret"
                    ) from None
                self._token, self._until = got.token, float(got.expires_on)
            return self._token


def _challenge(header: str) -> str:
    """Read the claims that a service asks of the next token (continuous access evaluation), "" if it asks none."""
    match = re.search(r'claims="([A-Za-z0-9+/_=-]+)"', header)
    if match is None:
        return ""
    try:
        claims = base64.b64decode(match[1].replace("-", "+").replace("_", "/") + "==").decode()
        return claims if isinstance(json.loads(claims), dict) else ""
    except ValueError:
        return ""


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


def graph_credential(settings: GraphSettings, environ: Mapping[str, str]) -> Credential:
    """Give azure-identity's credential for the settings.

    Raise `UsageError` if the secret's environment variable or a key is missing.
    """
    import azure.identity as identity

    tenant, client = settings.tenant_id, settings.client_id
    reach = _reach(settings)
    kind = settings.credential
    if kind != "managed_identity" and not client:
        raise UsageError(f'[directory.graph] client_id: needed with credential = "{kind}", found nothing')
    if kind == "secret":
        secret = _secret(environ, CLIENT_SECRET_ENV)
        return identity.ClientSecretCredential(tenant, client, secret, **reach)
    if kind == "certificate":
        if not settings.certificate_file:
            raise UsageError("[directory.graph] certificate_file: expected a PEM or PFX file, found nothing")
        password = environ.get(CERTIFICATE_PASSWORD_ENV)
        try:
            return identity.CertificateCredential(
                tenant, client, settings.certificate_file, password=password, **reach
            )
        except (OSError, ValueError) as error:
            raise UsageError(f"[directory.graph] certificate_file: {_first_line(error)}") from None
    if kind == "device_code":
        return identity.DeviceCodeCredential(client, tenant_id=tenant, prompt_callback=_ask_person, **reach)
    if kind == "workload_identity":
        return identity.WorkloadIdentityCredential(tenant_id=tenant, client_id=client, **reach)
    return identity.ManagedIdentityCredential(client_id=client or None)


def gateway_credential(settings: AdminServiceSettings) -> Credential:
    """Give a credential for a cloud management gateway: a person signs in with a code.

    Application tokens are not known to work there: the token's user must be a ConfigMgr administrator.
    """
    import azure.identity as identity

    return identity.DeviceCodeCredential(
        settings.client_id, tenant_id=settings.tenant_id, prompt_callback=_ask_person, **_reach(settings)
    )


def _reach(settings: AdminServiceSettings | GraphSettings) -> dict[str, Any]:
    """Give where tokens come from, and whom to trust there."""
    reach: dict[str, Any] = {"authority": CLOUDS[settings.cloud].authority}
    if settings.authority:
        # Discovery would ask login.microsoftonline.com about it.
        reach = {"authority": settings.authority, "disable_instance_discovery": True}
    if settings.ca_file:
        reach["connection_verify"] = settings.ca_file
    return reach


def _ask_person(url: str, code: str, until: datetime) -> None:
    """Ask for a sign-in where people look: stdout may be a document."""
    log.warning("sign in at %s with the code %s, until %s UTC", url, code, f"{until:%H:%M}")


def _secret(environ: Mapping[str, str], name: str) -> str:
    secret = environ.get(name, "")
    if not secret:
        raise UsageError(f"{name}: expected the secret in this environment variable, found nothing")
    return secret
