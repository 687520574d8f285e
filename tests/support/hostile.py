"""Texts that mean something to a terminal, a spreadsheet, a browser, a calendar; and how to see that they did not."""

from __future__ import annotations

import csv
import inspect
import io
import json
import re
import types
import typing
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from documents_world import ask
from typer.models import ArgumentInfo, OptionInfo

from rollout.cli.app import function_of

TAKEN: dict[str, str] = {
    "markup": "see [/wiki] [red]x[/red] [link=file:///]y[/] :boom: [/nope]",
    "formula": "=cmd|' /C calc'!A0",
    "formula in quotes": "\"'@SUM(1+1)",
    "formula behind a semicolon": "a;=1+1",
    "minus": "-2+3",
    "script": "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&<!--",
    "mathematics": r'$\frac$ $x_$ \1 \g<0> C:\temp\x #0072b2 id="x" url(#y',
    "template": "{{ 7*7 }} {% raw %} {0} {task.id} %s ${HOME} `id`",
    "calendar": r"a,b;c\n BEGIN:VEVENT",
    "label": 'x"} 1\\ {y="',
    "joiners": "نام\u200cها \u200f ك\u200dم",
    "long": "x" * 256,
}
"""Texts that are taken as they are: the strangest that a name may be."""

REFUSED: dict[str, str] = {
    "colour": "a\x1b[31mb",
    "title of the window": "a\x1b]0;owned\x07b",
    "eight-bit escape": "a\x9b2Jb",
    "backspace": "good\x08\x08\x08\x08evil",
    "override": "PC\u202egpj.exe",
    "isolate": "a\u2066b\u2069",
    "embedding": "a\u202ab",
    "line feed": "one\nrollout: forged",
    "carriage return": "one\rforged",
    "tab": "a\tb",
    "line separator": "one\u2028two",
}
"""Texts that are not taken, wherever they stand."""

NOT_UTF8 = "\udcff\udc9b"
"""What an argument of bytes that are no UTF-8 becomes."""

_STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def steering(text: str) -> list[str]:
    """What in a text would steer a terminal; lines of our own are separated by line feeds."""
    return [
        f"{match[0]!r} in {text[max(0, match.start() - 40) :][:80]!r}" for match in _STEERING.finditer(text)
    ]


@dataclass(frozen=True)
class Asked:
    """What a command gave."""

    arguments: tuple[str, ...]
    code: int
    out: str
    err: str


def asked(*arguments: str) -> Asked:
    """Run a command; what it prints steers no terminal, is one document with --json, and is no traceback."""
    code, out, err = ask(*arguments)
    told = f"{arguments}: exit {code}\n{out[-800:]}\n{err[-800:]}"
    assert "Traceback" not in out + err, told
    assert steering(out) == steering(err) == [], told
    assert code in (0, 2, 3, 4, 5, 6, 7, 8, 9), told
    if "--json" in arguments:
        json.loads(out)
    elif code:
        assert sum(line.startswith("rollout: ") for line in err.splitlines()) == 1, told
    return Asked(arguments, code, out, err)


def text_parameters(verb: str) -> Iterator[tuple[str, bool]]:
    """Give each text or path that a verb takes: its option, "" for an argument, and whether it is repeated."""
    function = function_of(verb)
    hints = typing.get_type_hints(function, include_extras=True)
    for name in inspect.signature(function).parameters:
        kind, *more = typing.get_args(hints[name])
        info = next(item for item in more if isinstance(item, (OptionInfo, ArgumentInfo)))
        kinds = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
        is_list = any(typing.get_origin(kind) is list for kind in kinds)
        if not is_list and not {str, Path} & set(kinds):
            continue
        declared = next((decl for decl in info.param_decls or () if decl.startswith("--")), None)
        is_option = isinstance(info, OptionInfo)
        yield (declared or f"--{name.replace('_', '-')}") if is_option else "", is_list


def check_file(path: Path) -> None:
    """Fail if a file that was written says more than text, or says it to everybody."""
    assert path.stat().st_mode & 0o077 == 0, path
    check = CHECKS.get(path.suffix)
    if check is not None:
        check(path.read_bytes().decode("utf-8-sig"))


def check_csv(text: str) -> None:
    assert steering(text.replace("\r\n", "\n")) == []
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert len({len(row) for row in rows}) == 1
    for cell in (cell for row in rows for cell in row):
        # A cell by comma, or by semicolon, by which Excel separates where the comma is in the numbers.
        for part in cell.split(";"):
            bare = part.lstrip(" \"'`")
            armed = bare[:1] in ("=", "+", "-", "@") and not re.fullmatch(r"-?[\d.]+(e[+-]?\d+)?", part)
            assert not armed or part.startswith("'"), cell


def check_html(text: str) -> None:
    seen = _Elements()
    seen.feed(text)
    assert steering(text) == []
    tags = [tag for tag, _ in seen.found]
    assert tags.count("script") == 3
    assert "img" not in tags
    assert not any(name.startswith("on") for _, names in seen.found for name in names)


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, list[str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, [name for name, _ in attrs]))


def check_calendar(text: str) -> None:
    assert text.endswith("\r\n")
    lines = text.replace("\r\n ", "").split("\r\n")[:-1]
    assert steering("\n".join(lines)) == []
    known = "BEGIN|END|VERSION|PRODID|CALSCALE|METHOD|X-WR-CALNAME|UID|DTSTAMP|DTSTART|DTEND|SUMMARY|DESCRIPTION|TRANSP"
    assert all(re.match(rf"({known})[:;]", line) for line in lines)
    assert (
        lines.count("BEGIN:VEVENT")
        == lines.count("END:VEVENT")
        == sum(line.startswith("UID:") for line in lines)
    )
    for line in lines:
        if line.startswith(("SUMMARY:", "DESCRIPTION:")):
            value = line.partition(":")[2]
            assert not re.search(r"[;,]|\\[^\\;,n]", re.sub(r"\\[\\;,n]", "", value)), line


def check_json(text: str) -> None:
    assert steering(text) == []
    json.loads(text)


def check_lines(text: str) -> None:
    assert steering(text) == []
    for line in text.splitlines():
        json.loads(line)


def check_svg(text: str) -> None:
    root = ET.fromstring(text)  # what we wrote ourselves
    assert not [item for item in root.iter() if item.tag.endswith("}script")]


def check_plain(text: str) -> None:
    assert steering(text) == []


CHECKS: dict[str, Callable[[str], None]] = {
    ".csv": check_csv,
    ".html": check_html,
    ".ics": check_calendar,
    ".json": check_json,
    ".jsonl": check_lines,
    ".svg": check_svg,
    ".txt": check_plain,
    ".toml": check_plain,
}
