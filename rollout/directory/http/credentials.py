"""Bearer tokens from azure-identity, renewed in time and once when they are refused."""

from __future__ import annotations

import base64
import json
import logging
import re
import threading
from collections.abc import Generator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

import httpx2

from rollout.directory.http.settings import HttpSettings
from rollout.directory.opening import require_package
from rollout.directory.port import Time
from rollout.errors import OutsideError
from rollout.values.clouds import CLOUDS

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken

log = logging.getLogger("rollout.directory")

EARLY_S: Final = 300.0
"""Seconds before its end at which a token is renewed."""

ALWAYS_TRUE_CLAIMS: Final = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'
"""Claims that every token satisfies. With claims, a credential does not answer from its cache, where the token that was
refused would live on for an hour."""


class Credential(Protocol):
    """A source of tokens, such as azure-identity's classes."""

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """Return a token with `token` and `expires_on` (Unix seconds)."""
        ...


class Bearer(httpx2.Auth):
    """Adds the token to each request; after a 401 it renews the token and sends once more.

    That is safe for writes too: a request that was rejected has changed nothing.
    secrets : texts that must not appear in an error, should a token server repeat what it was sent.
    """

    def __init__(
        self, credential: Credential, scope: str, clock: Time, secrets: tuple[str, ...] = ()
    ) -> None:
        # azure logs the server's whole answer; our errors contain no secrets.
        logging.getLogger("azure").setLevel(logging.CRITICAL)
        self._secrets = tuple(filter(None, secrets))
        self._credential = credential
        self._scope = scope
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._until = 0.0

    def __repr__(self) -> str:
        return f"Bearer(scope={self._scope!r}, token=********)"

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Send with a token; once more with a renewed token if it is refused."""
        token = self._fresh("")
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == 401:
            claims = _challenge(response.headers.get("www-authenticate", "")) or ALWAYS_TRUE_CLAIMS
            request.headers["Authorization"] = f"Bearer {self._fresh(token, claims)}"
            yield request

    def peek(self) -> str:
        """Return the token in use, "" before the first; for its claims only, never to be shown."""
        return self._token

    def _fresh(self, refused: str, claims: str | None = None) -> str:
        with self._lock:
            if not self._token or self._token == refused or self._clock.wall() > self._until - EARLY_S:
                try:
                    got = self._credential.get_token(self._scope, claims=claims)
                except Exception as error:  # each kind of credential raises its own
                    text = first_line(error)
                    for secret in self._secrets:
                        text = text.replace(secret, "********")
                    raise OutsideError(
                        f"no token for {self._scope}: {text}", "check tenant, client and secret"
                    ) from None
                self._token, self._until = got.token, float(got.expires_on)
            return self._token


def _challenge(header: str) -> str:
    """Read the claims that a service requires of the next token (continuous access evaluation), "" for none."""
    match = re.search(r'claims="([A-Za-z0-9+/_=-]+)"', header)
    if match is None:
        return ""
    try:
        claims = base64.b64decode(match[1].replace("-", "+").replace("_", "/") + "==").decode()
        return claims if isinstance(json.loads(claims), dict) else ""
    except ValueError:
        return ""


def first_line(error: Exception) -> str:
    """Return what an error of azure-identity says, in one line."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


def require_azure() -> None:
    """Raise `UsageError` with the command that installs azure-identity if it is missing."""
    require_package("azure.identity", "graph", "bearer authentication")


def token_server(settings: HttpSettings) -> dict[str, Any]:
    """Return azure-identity's options for where tokens come from, and which certificates to trust there."""
    options: dict[str, Any] = {"authority": CLOUDS[settings.cloud].authority}
    if settings.authority:
        # Discovery would ask login.microsoftonline.com about it.
        options = {"authority": settings.authority, "disable_instance_discovery": True}
    if settings.ca_file:
        options["connection_verify"] = settings.ca_file
    return options


def prompt_sign_in(url: str, code: str, until: datetime) -> None:
    """Ask a person to sign in, on stderr: stdout may be a document."""
    log.warning("sign in at %s with the code %s, until %s UTC", url, code, f"{until:%H:%M}")
