"""Read logs of the ConfigMgr client, as CMTrace shows them: lines with time, component and severity.

    <![LOG[text]LOG]!><time="06:02:40.123-060" date="11-24-2026" component="CoManagementHandler" … >

The text may span several lines. The number after the time is the bias in minutes: UTC = local time + bias.
Files are UTF-8 or UTF-16, with or without a byte order mark, and may be cut at both ends because the client rolls
them over.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rollout.errors import UsageError

BYTES_MAX = 64 * 2**20
"""Maximum size of a log: clients keep 250,000 bytes by default, so a far larger file is something else."""

_LINE = re.compile(
    r'<!\[LOG\[(?P<text>(?:(?!<!\[LOG\[).)*?)\]LOG\]!>\s*<time="(?P<time>\d{1,2}:\d{2}:\d{2})(?:\.\d+)?(?P<bias>[+-]?\d{1,4})?"'
    r'\s+date="(?P<date>\d{1,2}-\d{1,2}-\d{4})"\s+component="(?P<component>[^"]*)"(?P<more>[^>]*)>',
    re.DOTALL,
)
_TYPE = re.compile(r'\btype="(\d)"')
_OPENING = "<![LOG["


@dataclass(frozen=True, slots=True)
class Entry:
    """A line. at : Unix seconds. severity : 1 information, 2 warning, 3 error, 0 unknown."""

    at: int
    component: str
    text: str
    severity: int


@dataclass(frozen=True, slots=True)
class TraceLog:
    """A log. entries : in the file's order. broken : number of lines that could not be read."""

    entries: tuple[Entry, ...]
    broken: int
    encoding: str


def read_log(path: Path) -> TraceLog:
    """Read a log file. Raise `UsageError` if it cannot be read or has no CMTrace line."""
    try:
        size = path.stat().st_size
        if size > BYTES_MAX:
            raise UsageError(
                f"{path} is too large for a client log: {size:,} bytes, at most {BYTES_MAX:,} are read",
                "Name a single log file.",
            )
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    return parse_log(data, str(path))


def parse_log(data: bytes, source: str) -> TraceLog:
    """Read a log from its bytes. Raise `UsageError`, which names `source`, if it has no CMTrace line."""
    text, encoding = _decoded(data)
    entries = []
    for match in _LINE.finditer(text):
        at = _instant(match["date"], match["time"], match["bias"] or "0")
        if at is not None:
            kind = _TYPE.search(match["more"])
            message = " ".join(match["text"].split())
            entries.append(Entry(at, match["component"], message, int(kind[1]) if kind else 0))
    if not entries:
        raise UsageError(
            f"{source} has no CMTrace lines (<![LOG[…]LOG]!><time=…)",
            r"The log is on the client: %WinDir%\CCM\Logs\CoManagementHandler.log",
        )
    return TraceLog(tuple(entries), text.count(_OPENING) - len(entries), encoding)


def _decoded(data: bytes) -> tuple[str, str]:
    """Return the text and its encoding; bytes that fit none become replacement characters and are not refused."""
    if data.startswith(codecs.BOM_UTF8):
        return data.decode("utf-8-sig", errors="replace"), "utf-8-sig"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace"), "utf-16"
    for name in ("utf-16-le", "utf-16-be"):
        if _OPENING.encode(name) in data:
            # A file that was cut may begin in the middle of a character.
            start = data.index(_OPENING.encode(name)) % 2
            return data[start:].decode(name, errors="replace"), name
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace"), "cp1252"


def _instant(date: str, time: str, bias: str) -> int | None:
    try:
        local = datetime.strptime(f"{date} {time}", "%m-%d-%Y %H:%M:%S").replace(tzinfo=UTC)
        return int((local + timedelta(minutes=int(bias))).timestamp())
    except (ValueError, OverflowError):
        return None
