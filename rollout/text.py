"""Text from outside: which characters it may contain, and how all others are made visible.

Names, reasons, file names and server responses come from outside. A control character in them could control a
terminal, and a bidirectional override would display a name in a different order; so neither is accepted, and
any that arrive anyway are written as escape sequences such as ``\\x1b``.

The directional marks U+200E, U+200F and U+061C and the joiners U+200C and U+200D are allowed: Arabic, Hebrew, Persian
and Indic names need them, and none of them reorders the text around it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

BIDI = "\u202a-\u202e\u2066-\u2069"
"""Embeddings, overrides and isolates, as a range of a regular expression."""

_ABOVE_ASCII = rf"\x7f-\x9f\u2028\u2029\ufffe\uffff\ud800-\udfff{BIDI}"
_FORBIDDEN = re.compile(rf"[\x00-\x1f{_ABOVE_ASCII}]")
_IN_JSON = re.compile(rf"[{_ABOVE_ASCII}]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

ALLOWED = "text without line breaks, control characters or bidirectional overrides"
"""What error messages say was expected."""


def is_plain(text: str) -> bool:
    """Return whether a text has no control character, line break, lone surrogate or bidirectional override."""
    return text.isprintable() or not _FORBIDDEN.search(text)


def visible(text: str) -> str:
    """Return the text as one line that is safe to print: characters that are not plain become escape sequences."""
    return text if text.isprintable() else _FORBIDDEN.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    letter = match[0]
    code = ord(letter)
    return _SHORT.get(letter) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def json_text(document: Any, **options: Any) -> str:
    """Return a document as JSON that is readable and safe to print. options : passed on to `json.dumps`."""
    text = json.dumps(document, ensure_ascii=False, **options)
    return _IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def not_plain(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (path, text) for each text in a document that is not plain, including keys; the path is made visible."""
    if isinstance(value, str):
        if not is_plain(value):
            yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            here = visible(f"{path}.{key}" if path else str(key))
            if not is_plain(str(key)):
                yield here, str(key)
            yield from not_plain(item, here)
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value, 1):
            yield from not_plain(item, f"{path}[{number}]")


def number(value: float) -> str:
    """Return a number with thousands separators: 100,000."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def instant(at: int, zone: str = "UTC") -> str:
    """Return an instant for people: Tue 24 Nov 2026 07:00 UTC."""
    return datetime.fromtimestamp(at, ZoneInfo(zone)).strftime("%a %d %b %Y %H:%M %Z")


def iso(at: float) -> str:
    """Return an instant for scripts: UTC, ISO 8601."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def span(hours: float | None) -> str:
    """Return a duration for people: hours below two days, days above; None is beyond the horizon."""
    if hours is None:
        return "not within the horizon"
    if hours < 48:
        return f"{hours:.1f} h"
    return f"{hours / 24:.1f} days"
