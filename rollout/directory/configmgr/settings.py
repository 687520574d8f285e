"""`[directory.adminservice]` of the settings file."""

from __future__ import annotations

from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator, model_validator

from rollout.directory.http.settings import HttpSettings, is_loopback, safe_url

PASSWORD_ENV: Final = "ROLLOUT_ADMINSERVICE_PASSWORD"
"""Environment variable of the only secret; no key of the file holds one."""


def _tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


class AdminServiceSettings(HttpSettings):
    """How to reach a site.

    hosts : FQDNs of SMS Providers (Kerberos needs the name, not the IP), or a gateway's full address
        (`https://cmg.example.com/CCM_Proxy_ServerAuth/123/AdminService`). Further ones stand in for reads.
    site_code : must be the site's. collection : id or name of the target; the plan's name by default.
    limiting_collection : id that must limit the target; "" takes any.
    auth : kerberos (of the signed-in account, its ticket cache or keytab, or username with the password in
        ROLLOUT_ADMINSERVICE_PASSWORD), ntlm (only sites up to 2503), bearer (gateway; needs tenant_id,
        client_id and scope; a person signs in with a code at each start) or none (loopback only).
    in_flight, per_second : concurrent calls, and calls per second; a provider takes 200 per second from one address.
    notify : ask new members to fetch their policy now (client notification type 8, nothing else).
    refresh_again_s : evaluate the collection again when an accepted device is not visible for so long; at the same
        interval every device that is missing in answers for a few devices is counted.
    """

    hosts: Annotated[tuple[str, ...], BeforeValidator(_tuple)] = Field(min_length=1)
    site_code: str = Field(default="", pattern=r"^([A-Z0-9]{3})?$")
    collection: str = ""
    limiting_collection: str = ""
    auth: Literal["kerberos", "ntlm", "bearer", "none"] = "kerberos"
    username: str = ""
    tenant_id: str = ""
    client_id: str = ""
    scope: str = ""
    in_flight: int = Field(default=8, ge=1, le=32)
    per_second: float = Field(default=20, gt=0, le=200)
    notify: bool = False
    refresh_again_s: int = Field(default=1800, ge=60)

    @field_validator("hosts")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        urls = (safe_url(host) for host in value)
        full = tuple(url if urlsplit(url).path else f"{url}/AdminService" for url in urls)
        if len({urlsplit(url).path for url in full}) != 1:
            raise ValueError("expected hosts that serve under the same path: each stands in for the others")
        return full

    @model_validator(mode="after")
    def _auth(self) -> AdminServiceSettings:
        hosts = [urlsplit(url).hostname or "" for url in self.hosts]
        if self.auth == "none" and not all(is_loopback(host) for host in hosts):
            raise ValueError('auth = "none" is for emulators on this machine only')
        if self.auth == "bearer" and not (self.tenant_id and self.client_id and self.scope):
            raise ValueError('auth = "bearer" needs tenant_id, client_id and scope')
        return self
