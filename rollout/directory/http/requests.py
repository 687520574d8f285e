"""A request as data, before anything is sent: what `run --dry-run` prints is what the transport sends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from rollout.errors import UsageError

PLAIN = "(),':/"
"""Characters that are not quoted in a URL."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    url : absolute. headers : besides those that every request has (authorization, accept, request id).
    body : a JSON object, None for no body. reads : repeating it changes nothing outside.
    units : cost of a reading request, of the quota of reads.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: Mapping[str, object] | None = None
    reads: bool = False
    units: float = 1.0

    @property
    def content(self) -> bytes | None:
        """The body as bytes, exactly as they are sent."""
        if self.body is None:
            return None
        return json.dumps(self.body, separators=(",", ":"), ensure_ascii=False).encode()

    def document(self) -> dict[str, object]:
        """Return the request as what `json` writes."""
        return {"method": self.method, "url": self.url, "headers": dict(self.headers), "body": self.body}

    def __str__(self) -> str:
        lines = [f"{self.method} {self.url}", *(f"{name}: {value}" for name, value in self.headers)]
        if self.content is not None:
            lines += ["Content-Type: application/json", "", self.content.decode()]
        return "\n".join(lines)


def get(url: str, *headers: tuple[str, str]) -> Call:
    """Return a reading request."""
    return Call("GET", url, headers, reads=True)


def address(root: str, path: str, **options: str) -> str:
    """Return a URL with OData query options: `address(root, "wmi/SMS_Site", select="SiteCode")`."""
    query = "&".join(f"${name}={quote(value, safe=PLAIN)}" for name, value in options.items() if value)
    return f"{root}/{path}" + (f"?{query}" if query else "")


def literal(text: str) -> str:
    """Return a text as an OData literal; its quotes are doubled.

    Raise `UsageError` for a backslash or a control character: the AdminService answers 404 to these,
    which would look like an empty list.
    """
    if "\\" in text or not text.isprintable():
        raise UsageError(f"expected a name without backslash or control characters, found {text!r}")
    return "'" + text.replace("'", "''") + "'"


def key(text: str) -> str:
    """Return a text as the key of a URL path: `SMS_Collection('ABC00021')`."""
    return f"({quote(literal(text), safe=PLAIN)})"


def any_of(field: str, values: list[str]) -> str:
    """Return a filter that admits any of up to 20 literal values.

    The length that a filter may have is not published: 20 terms have been seen to work.
    """
    if not 0 < len(values) <= 20:
        raise ValueError(f"expected 1 to 20 values, found {len(values)}")
    return " or ".join(f"{field} eq {value}" for value in values)
