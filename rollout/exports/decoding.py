"""From bytes to rows: detect the encoding and the separator, and read CSV while counting lines.

Exports are UTF-8 with or without a byte order mark, or UTF-16 in either order, with comma, semicolon or tab. A file
that cannot be read as text at all is refused here, with one sentence.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TextIO

import numpy as np

from rollout.errors import UsageError
from rollout.text import visible
from rollout.values import IntArray, Rejected

SEPARATORS = (",", ";", "\t")
HEAD_BYTES = BLOCK = 65536

_NEWLINE = re.compile(r"\r\n|\r|\n")

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NOT_TEXT = (
    (b"PK\x03\x04", "an Excel workbook or zip archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"%PDF", "a PDF document"),
)
_SAVE_AS = "Export the list again as CSV, or save it in Excel as 'CSV UTF-8'."


class ExportError(UsageError):
    """An export that is refused as a whole; none of it was imported.

    rejected : the bad lines in order, at most `REJECTED_CAP`. count : the exact number of bad lines.
    """

    def __init__(self, rejected: tuple[Rejected, ...], hint: str, count: int = 0) -> None:
        self.rejected = rejected
        self.count = max(count, len(rejected))
        more = f" (and {self.count - 1:,} more; list them with --rejected FILE)" if self.count > 1 else ""
        super().__init__(f"{rejected[0]}{more}", hint)


@dataclass(frozen=True, slots=True)
class Text:
    """A file and the encoding to read it with."""

    path: Path
    encoding: str

    @property
    def name(self) -> str:
        """The file's name, as it is shown and stored."""
        return visible(self.path.name)


def refuse(path: Path, expected: str, found: str, hint: str, line: int = 0, column: str = "") -> ExportError:
    """Return the error for a file that is broken as a whole."""
    return ExportError((Rejected(visible(path.name), line, column, found, expected),), hint)


def shown(value: str, width: int = 60) -> str:
    """Return `value` quoted for a message: control characters escaped, long text cut."""
    cut = value if len(value) <= width else value[: width - 1] + "…"
    return repr(cut) if value else "nothing"


def load_text(path: Path, encoding: str | None = None) -> Text:
    """Return how to read a file, judged by its first bytes.

    Raise `ExportError` if it is not a readable text file, `UsageError` if the encoding is unknown.
    """
    if encoding is not None:
        _check_encoding(encoding)
    try:
        if path.is_dir():
            raise refuse(
                path, "a CSV file", "a directory", "Name the files in it, or use a pattern such as *.csv."
            )
        if path.exists() and not path.is_file():
            raise refuse(
                path, "a CSV file", "a pipe or device", "Save it to a file first: exports are read twice."
            )
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise refuse(path, "a readable CSV file", reason, "Check the name and the permissions.") from error
    if not head.strip():
        raise refuse(path, "a CSV file with a header line", "an empty file", "Export the list again.")
    for mark, what in _NOT_TEXT:
        if head.startswith(mark):
            raise refuse(path, "a CSV file", what, _SAVE_AS)
    if len(head) == HEAD_BYTES and b"\n" not in head and b"\r" not in head:
        raise refuse(path, "a CSV file", "no line break in the first 65,536 bytes", _SAVE_AS)
    return Text(path, encoding or _guess(head))


def _check_encoding(encoding: str) -> None:
    try:
        probe = "a,b\r\n".encode(encoding)
        known = encoding.isprintable() and probe.decode(encoding) == "a,b\r\n"
    except (LookupError, UnicodeError, ValueError, TypeError, AssertionError):
        known = False
    if not known:
        raise UsageError(
            f"--encoding: expected a text encoding, found {shown(encoding)}",
            "Use, for example, utf-8, utf-16, cp1252 or shift_jis.",
        )


def _guess(head: bytes) -> str:
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    # Without a mark, UTF-16 of Western text shows as NUL in every second byte.
    pairs = len(head) // 2
    if pairs >= 2:
        if head[1::2].count(0) > 0.7 * pairs:
            return "utf-16-le"
        if head[0::2].count(0) > 0.7 * pairs:
            return "utf-16-be"
    return "utf-8"


Chunk = tuple[IntArray, list[list[str]]]
"""Several records: the lines on which they begin, counted from 1, and their fields."""


def read_chunks(text: Text, separator: str, size: int) -> Iterator[Chunk]:
    """Yield the records, including the header, in non-empty chunks of at most `size`.

    Blank lines are skipped, as are "sep=;" and "#TYPE …" before the header.
    Raise `ExportError` if the text cannot be decoded or parsed, or contains a NUL.
    """
    path = text.path
    try:
        with path.open(encoding=text.encoding, newline="") as file:
            reader = csv.reader(_without_nul(file, path), delimiter=separator, strict=True)
            line = 1
            while rows := list(islice(reader, size)):
                lines = _begins(rows, line, reader.line_num)
                chunk = _without_blanks(lines, rows)
                line = reader.line_num + 1
                if chunk[1]:
                    yield chunk
    except csv.Error as error:
        found = _csv_fault(str(error))
        hint = 'Check the quotation marks from this line on; a " inside a field must be doubled.'
        raise refuse(path, "well-formed CSV", found, hint, _faulty_line(text, separator)) from error
    except UnicodeError as error:
        line = _undecodable_line(text)
        hint = "Save it as UTF-8, or state its encoding with --encoding, for example --encoding cp1252."
        found = "bytes in another encoding"
        raise refuse(path, f"text in {text.encoding}", found, hint, line) from error
    except OSError as error:
        found = error.strerror or "an error"
        raise refuse(path, "a readable file", found, "Check the disk or the share.") from error


def _begins(rows: Sequence[list[str]], line: int, last: int) -> IntArray:
    """Return the line on which each record begins; a quoted field may span several lines."""
    if last - line + 1 == len(rows):
        return np.arange(line, last + 1, dtype=np.int32)
    lengths = [1 + sum(len(_NEWLINE.findall(field)) for field in row) for row in rows]
    return (line + np.cumsum([0, *lengths[:-1]])).astype(np.int32)


def _without_blanks(lines: IntArray, rows: list[list[str]]) -> Chunk:
    keep = [bool(row) for row in rows]
    for at in range(min(2, len(rows))):
        if lines[at] <= 2 and rows[at] and rows[at][0].casefold().startswith(("#type", "sep=")):
            keep[at] = False
    if all(keep):
        return lines, rows
    return lines[keep], [row for row, kept in zip(rows, keep, strict=True) if kept]


def _without_nul(file: TextIO, path: Path) -> Iterator[str]:
    """Yield the lines of a file, checked for NUL a block at a time."""

    def blocks() -> Iterator[list[str]]:
        number = 0
        while block := file.readlines(BLOCK):
            if "\0" in "".join(block):
                at = next(at for at, line in enumerate(block) if "\0" in line)
                found = f"a NUL byte at character {block[at].index(chr(0)) + 1}"
                hint = "The file is damaged, or UTF-16 with a broken start: export it again."
                raise refuse(path, "text", found, hint, number + at + 1)
            number += len(block)
            yield block

    return chain.from_iterable(blocks())


def _faulty_line(text: Text, separator: str) -> int:
    """Return the line on which the first record that cannot be parsed begins."""
    begin = 1
    with text.path.open(encoding=text.encoding, newline="") as file:
        reader = csv.reader(file, delimiter=separator, strict=True)
        try:
            for _ in reader:
                begin = reader.line_num + 1
        except csv.Error:
            return begin
    return 0


def _csv_fault(error: str) -> str:
    if "field larger" in error:
        return "a field of more than 131,072 characters (a missing closing quotation mark?)"
    if "unexpected end" in error:
        return "a quotation mark that is never closed"
    return f"an error ({error})"


def _undecodable_line(text: Text) -> int:
    """Return the first line with bytes that are invalid in the encoding."""
    with text.path.open(encoding=text.encoding, errors="replace", newline="") as file:
        try:
            for number, line in enumerate(file, 1):
                if "\ufffd" in line:
                    return number
        except UnicodeError:  # a missing or damaged byte order mark: nothing can be replaced
            return 1
    return 0
