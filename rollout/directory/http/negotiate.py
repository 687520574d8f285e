"""Windows integrated sign-in to the AdminService: Kerberos through pyspnego.

Kerberos is bound to the host's name: an IP address, or a name without a service principal HTTP/<name>, cannot work.
Since 2509 the service refuses NTLM; it is only tried if the settings say so. The server's last token is
checked, which proves its identity.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Generator
from typing import Final

import httpx2
import spnego
from spnego.exceptions import SpnegoError

from rollout.errors import OutsideError

ROUNDS_MAX: Final = 4
MINOR: Final = re.compile(r"Minor \(\d+\): ([^,]+)")
"""The part of a GSSAPI error that names the cause."""


class Negotiate(httpx2.Auth):
    """Kerberos (or, where wanted, NTLM) for each request.

    username, password : "" = the signed-in account, its ticket cache or keytab.
    protocol : "kerberos" or "ntlm".
    """

    def __init__(self, username: str = "", password: str = "", protocol: str = "kerberos") -> None:
        self._username = username or None
        self._password = password or None
        self._protocol = protocol

    def __repr__(self) -> str:
        return f"Negotiate(username={self._username!r}, password=********, protocol={self._protocol!r})"

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Send with a token, answer challenges, and check the server's own token at the end."""
        scheme = "NTLM" if self._protocol == "ntlm" else "Negotiate"
        host = request.url.host
        try:
            context = spnego.client(
                self._username, self._password, hostname=host, service="HTTP", protocol=self._protocol
            )
            token = context.step()
        except Exception as error:  # GSSAPI, krb5 and SSPI each raise their own kind
            raise _refused(host, error) from None
        for _ in range(ROUNDS_MAX):
            request.headers["Authorization"] = f"{scheme} {base64.b64encode(token or b'').decode()}"
            response = yield request
            theirs = _token_of(response, scheme)
            if response.status_code == 401 and not theirs:
                raise OutsideError(
                    f"{host} did not accept the account ({_offers(response)})",
                    _advice(response, self._protocol),
                )
            if theirs and not context.complete:
                try:
                    token = context.step(theirs)
                except SpnegoError as error:
                    raise _refused(host, error) from None
            if response.status_code != 401:
                if self._protocol == "kerberos" and not context.complete:
                    raise OutsideError(
                        f"{host} did not prove its identity (no Kerberos answer)",
                        "is there a proxy in between? the certificate alone does not show that",
                    )
                return
        raise OutsideError(f"{host} asked for sign-in more than {ROUNDS_MAX} times")


def _token_of(response: httpx2.Response, scheme: str) -> bytes:
    for value in response.headers.get_list("www-authenticate", split_commas=True):
        name, _, token = value.strip().partition(" ")
        if name.lower() == scheme.lower() and token:
            try:
                return base64.b64decode(token, validate=True)
            except ValueError:
                return b""
    return b""


def _offers(response: httpx2.Response) -> str:
    names = [
        value.strip().partition(" ")[0]
        for value in response.headers.get_list("www-authenticate", split_commas=True)
        if value.strip()
    ]
    return f"it offers {', '.join(names)}" if names else "it offers no way to sign in"


def _advice(response: httpx2.Response, protocol: str) -> str:
    offers = _offers(response).lower()
    if protocol == "kerberos" and "negotiate" not in offers and "ntlm" in offers:
        return (
            'it takes NTLM only: give the site its Kerberos name, or set auth = "ntlm" on a site up to 2503'
        )
    if protocol == "ntlm":
        return 'since 2509 the AdminService refuses NTLM: set auth = "kerberos"'
    return "is the account an administrative user of the site, and its ticket valid (klist)?"


def _refused(host: str, error: Exception) -> OutsideError:
    text = _reason(error)
    low = text.lower()
    if (low.startswith("server") and "not found" in low) or "unknown server" in low:
        return OutsideError(
            f"Kerberos has no service HTTP/{host}",
            "give the provider's full name (no IP, no alias without a service principal) in hosts",
        )
    if isinstance(error, ImportError) or "no module named" in low:
        return OutsideError("Kerberos is not installed here", "pip install 'rollout[kerberos]'")
    if any(word in low for word in ("preauth", "password", "integrity", "client not found", "client '")):
        return OutsideError(
            f"no Kerberos ticket for the account: {text}", "check name and password, or run kinit"
        )
    if any(word in low for word in ("cache", "no credential", "no kerberos", "keytab")):
        return OutsideError(f"no Kerberos ticket: {text}", "run kinit, or give a keytab or username")
    return OutsideError(f"no sign-in to {host}: {text}", "check the account, the clock and the KDC")


def _reason(error: Exception) -> str:
    """Return what the library says, without its own wrapping."""
    text = " ".join(str(error).split())
    if match := MINOR.search(text):
        text = match[1]
    return text[:200]
