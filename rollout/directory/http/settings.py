"""Settings that all directories behind HTTP share."""

from __future__ import annotations

import ipaddress
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine: only there plain http is allowed, for emulators."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def safe_url(text: str) -> str:
    """Return an address without a trailing slash.

    Raise `ValueError` unless it is https (http on loopback) and has no user, query or fragment.
    """
    url = urlsplit(text if "://" in text else f"https://{text}")
    if not url.hostname or url.username or url.password or url.query or url.fragment:
        raise ValueError(f"expected a host or an https address without user and query, found {text!r}")
    if url.scheme != "https" and not (url.scheme == "http" and is_loopback(url.hostname)):
        raise ValueError(f"expected https, found {text!r}; plain http is for emulators on this machine")
    return url.geturl().rstrip("/")


def on_loopback(value: str) -> str:
    """Return an address on this machine, or "". Raise `ValueError` for any other."""
    if value and not is_loopback(urlsplit(safe_url(value)).hostname or ""):
        raise ValueError("this is for emulators on this machine; a cloud is chosen by its name")
    return value.rstrip("/")


class HttpSettings(BaseModel):
    """Keys of every section.

    cloud : public, gcc, usgov, dod or china: where bearer tokens come from. authority : instead of the cloud's, for
        an emulator on loopback only.
    ca_file : PEM file of the authorities to trust instead of the system's, or the site's own self-signed
        certificate. There is no key that switches verification off.
    proxy : address of a proxy, "" for none; proxies of the environment are never used.
    timeout_s : longest silence of a connection. deadline_s : longest duration of a call, retries included.
    attempts : how often a read is tried. unknown_max : how many planned devices may be unknown to the
        directory; each of these is rejected.
    confirmed_pilot_by : name of the person who checked in the console that automatic enrollment is
        Pilot with this collection. Needed only where this cannot be read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cloud: Literal["public", "gcc", "usgov", "dod", "china"] = "public"
    authority: str = ""
    ca_file: str = ""
    proxy: str = ""
    timeout_s: float = Field(default=30, gt=0, le=600)
    deadline_s: float = Field(default=180, gt=0, le=3600)
    attempts: int = Field(default=5, ge=1, le=20)
    unknown_max: int = Field(default=0, ge=0)
    confirmed_pilot_by: str = ""

    @field_validator("authority")
    @classmethod
    def _authority(cls, value: str) -> str:
        return on_loopback(value)

    @field_validator("proxy")
    @classmethod
    def _proxy(cls, value: str) -> str:
        url = urlsplit(value)
        if value and (url.scheme not in ("http", "https") or not url.hostname or url.username or url.query):
            raise ValueError("expected http://host:port without user, found another form")
        return value
