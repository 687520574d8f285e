"""How to reach a real directory: a TOML file of its own, apart from the scenario. Secrets come from the environment.

[directory.adminservice]
hosts = ["cm01.corp.example.com"]
site_code = "P01"
collection = "P0100123"
ca_file = "/etc/rollout/site.pem"

[directory.graph]
tenant_id = "8d7e..."
client_id = "12ab..."
cloud = "public"
group = "Intune Auto Enrollment"
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from rollout.errors import UsageError
from rollout.text import ALLOWED, not_plain
from rollout.toml import parse_toml
from rollout.values.clouds import CLOUDS

PASSWORD_ENV = "ROLLOUT_ADMINSERVICE_PASSWORD"
CLIENT_SECRET_ENV = "ROLLOUT_GRAPH_CLIENT_SECRET"
CERTIFICATE_PASSWORD_ENV = "ROLLOUT_GRAPH_CERTIFICATE_PASSWORD"
SECRETS = (PASSWORD_ENV, CLIENT_SECRET_ENV, CERTIFICATE_PASSWORD_ENV)
"""All environment variables from which a secret is read. No key of the file holds one."""


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine: there alone plain http is allowed, for emulators."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def safe_url(text: str) -> str:
    """Give an address without a trailing slash.

    Raise `ValueError` unless it is https (http on loopback) and has no user, query or fragment.
    """
    url = urlsplit(text if "://" in text else f"https://{text}")
    if not url.hostname or url.username or url.password or url.query or url.fragment:
        raise ValueError(f"expected a host or an https address without user and query, found {text!r}")
    if url.scheme != "https" and not (url.scheme == "http" and is_loopback(url.hostname)):
        raise ValueError(f"expected https, found {text!r}; plain http is for emulators on this machine")
    return url.geturl().rstrip("/")


def _tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


def _on_loopback(value: str) -> str:
    if value and not is_loopback(urlsplit(safe_url(value)).hostname or ""):
        raise ValueError("this is for emulators on this machine; a cloud is chosen by its name")
    return value.rstrip("/")


CloudName = Literal["public", "gcc", "usgov", "dod", "china"]


class _Reach(BaseModel):
    """What both directories have.

    ca_file : PEM file of the authorities to trust instead of the system's, or the site's own self-signed
        certificate. There is no key that switches verification off.
    proxy : address of a proxy, "" for none; proxies of the environment are never used.
    timeout_s : longest silence of a connection. deadline_s : longest duration of a call, repeats included.
    attempts : how often a read is tried. unknown_max : how many planned devices may be unknown to the
        directory; these are then rejected one by one.
    confirmed_pilot_by : name of the person who looked at the console and saw that automatic enrollment is
        Pilot with this collection. Needed only where this cannot be read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ca_file: str = ""
    proxy: str = ""
    timeout_s: float = Field(default=30, gt=0, le=600)
    deadline_s: float = Field(default=180, gt=0, le=3600)
    attempts: int = Field(default=5, ge=1, le=20)
    unknown_max: int = Field(default=0, ge=0)
    confirmed_pilot_by: str = ""

    @field_validator("proxy")
    @classmethod
    def _proxy(cls, value: str) -> str:
        url = urlsplit(value)
        if value and (url.scheme not in ("http", "https") or not url.hostname or url.username or url.query):
            raise ValueError("expected http://host:port without user, found another form")
        return value


class AdminServiceSettings(_Reach):
    """`[directory.adminservice]`.

    hosts : FQDNs of SMS Providers (Kerberos needs the name, not the IP), or a gateway's full address
        (`https://cmg.example.com/CCM_Proxy_ServerAuth/123/AdminService`). Further ones stand in for reads.
    site_code : must be the site's. collection : id or name of the target; the plan's name by default.
    limiting_collection : id that must limit the target; "" takes any.
    auth : kerberos (of the signed-in account, its ticket cache or keytab, or username with the password in
        ROLLOUT_ADMINSERVICE_PASSWORD), ntlm (only sites up to 2503), bearer (gateway; needs tenant_id,
        client_id and scope; a person signs in with a code at each start) or none (loopback only).
    cloud : public, gcc, usgov, dod or china: where bearer tokens come from. authority : instead of the cloud's, for
        an emulator on loopback only.
    in_flight, per_second : calls at once and a second; a provider takes 200 a second from one address.
    notify : tell new members to fetch their policy now (client notification type 8, nothing else).
    refresh_again_s : evaluate the collection again when an accepted device is not visible for so long; as often
        everybody who is missing in answers for a few devices is counted.
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
    cloud: CloudName = "public"
    authority: str = ""
    in_flight: int = Field(default=8, ge=1, le=32)
    per_second: float = Field(default=20, gt=0, le=200)
    notify: bool = False
    refresh_again_s: int = Field(default=1800, ge=60)

    @field_validator("hosts")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        urls = (safe_url(one) for one in value)
        full = tuple(one if urlsplit(one).path else f"{one}/AdminService" for one in urls)
        if len({urlsplit(one).path for one in full}) != 1:
            raise ValueError("expected hosts that serve under the same path: one stands in for another")
        return full

    @field_validator("authority")
    @classmethod
    def _authority(cls, value: str) -> str:
        return _on_loopback(value)

    @model_validator(mode="after")
    def _auth(self) -> AdminServiceSettings:
        hosts = [urlsplit(one).hostname or "" for one in self.hosts]
        if self.auth == "none" and not all(is_loopback(one) for one in hosts):
            raise ValueError('auth = "none" is for emulators on this machine only')
        if self.auth == "bearer" and not (self.tenant_id and self.client_id and self.scope):
            raise ValueError('auth = "bearer" needs tenant_id, client_id and scope')
        return self


class GraphSettings(_Reach):
    """`[directory.graph]`.

    tenant_id, client_id : of the app registration. cloud : public, gcc, usgov, dod or china.
    group : id or name of the target; the plan's name by default.
    credential : secret (in ROLLOUT_GRAPH_CLIENT_SECRET), certificate (certificate_file, its password in
        ROLLOUT_GRAPH_CERTIFICATE_PASSWORD), device_code, managed_identity or workload_identity.
    in_flight : writes under way at once; one after the other from the first 409 on, with which a tenant refuses
        two writes to one group at the same time.
    writes, writes_window_s : the quota that we keep (Microsoft: 3,000 writes in 150 s an app).
    write_counts : whether a write of 20 members counts as one ("request") or as 20 ("member"). Microsoft does
        not say; where it throttles us below our own count, we halve our pace and come back slowly.
    suggested_limit : let the doctor ask how many enrollments a day Intune suggests. That question is documented in
        the beta of Graph only and needs DeviceManagementServiceConfig.Read.All; without an answer it is a note.
    root, authority : instead of the cloud's, for an emulator on loopback only.
    """

    tenant_id: str = Field(min_length=1)
    client_id: str = ""
    cloud: CloudName = "public"
    group: str = ""
    credential: Literal["secret", "certificate", "device_code", "managed_identity", "workload_identity"] = (
        "secret"
    )
    certificate_file: str = ""
    in_flight: int = Field(default=5, ge=1, le=16)
    writes: int = Field(default=3000, ge=1, le=3000)
    writes_window_s: float = Field(default=150, gt=0)
    write_counts: Literal["request", "member"] = "request"
    suggested_limit: bool = False
    root: str = ""
    authority: str = ""

    @field_validator("root", "authority")
    @classmethod
    def _root(cls, value: str) -> str:
        return _on_loopback(value)

    @property
    def base(self) -> str:
        """Root of Graph v1.0."""
        return self.root or CLOUDS[self.cloud].root


class DirectorySettings(BaseModel):
    """The section `[directory]`: one part or both. With both, the one that executes checks against the other."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    adminservice: AdminServiceSettings | None = None
    graph: GraphSettings | None = None


def load_settings(path: Path | str) -> DirectorySettings:
    """Read the section `[directory]` of a TOML file.

    Raise `UsageError` with the key, what was expected and what was found.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UsageError(
            f"{path}: {error.strerror or error}", "give the settings file of the directory"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: expected UTF-8 text, found byte {error.start} that is none") from error
    document = parse_toml(text, str(path))
    if set(document) != {"directory"}:
        raise UsageError(
            f"{path}: expected the section [directory] alone, found {', '.join(document) or 'nothing'}"
        )
    for key, text in not_plain(document):
        raise UsageError(f"{path}, {key}: expected {ALLOWED}, found {text[:60]!r}")
    try:
        return DirectorySettings.model_validate(document["directory"])
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(("directory", *(str(part) for part in first["loc"])))
        raise UsageError(f"{path}, {where}: {first['msg']}") from None
