"""Text from outside: which characters it may hold, and how the others are made visible.

Names, reasons, file names and the answers of servers come from others. A control character in them would steer a
terminal, a bidirectional override would show a name in another order than it has; so neither is taken in, and
whatever arrives anyway is written as an escape sequence such as ``\\x1b``.

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
"""What a message says that it expected."""


def is_plain(text: str) -> bool:
    """Return whether a text holds no control character, line break, lone surrogate or bidirectional override."""
    return text.isprintable() or not _FORBIDDEN.search(text)


def visible(text: str) -> str:
    """Return the text in one line that steers no terminal: what is not plain is written as an escape sequence."""
    return text if text.isprintable() else _FORBIDDEN.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    letter = match[0]
    code = ord(letter)
    return _SHORT.get(letter) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def json_text(document: Any, **options: Any) -> str:
    """Return a document as JSON whose text is readable and steers no terminal. options : of `json.dumps`."""
    text = json.dumps(document, ensure_ascii=False, **options)
    return _IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def not_plain(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Return (path, text) of each text in a document that is not plain, keys included; the path is made visible."""
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
    """Write a number with thin groups: 100,000."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def instant(at: int, zone: str = "UTC") -> str:
    """Write an instant for a person."""
    return datetime.fromtimestamp(at, ZoneInfo(zone)).strftime("%a %d %b %Y %H:%M %Z")


def iso(at: float) -> str:
    """Write an instant for a script: UTC, ISO 8601."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def span(hours: float | None) -> str:
    """Write a duration for a person."""
    if hours is None:
        return "not within the horizon"
    if hours < 48:
        return f"{hours:.1f} h"
    return f"{hours / 24:.1f} days"
