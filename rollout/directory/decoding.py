"""From bytes to rows: which encoding, which separator, and a csv reader that counts lines.

Exports come as UTF-8 with or without a mark, as UTF-16 in either order, with comma, semicolon or tab.
What cannot be read as text at all ends here, with one sentence.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rollout.errors import UsageError
from rollout.values import Rejected

SEPARATORS = (",", ";", "\t")
HEAD_BYTES = 65536

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
    """An export that is refused; nothing of it was taken.

    rejected : the bad lines in order, at most `REJECTED_CAP`. count : how many there are, exactly.
    """

    def __init__(self, rejected: tuple[Rejected, ...], hint: str, count: int = 0) -> None:
        self.rejected = rejected
        self.count = max(count, len(rejected))
        more = f"; and {self.count - 1:,} more; see --rejected FILE" if self.count > 1 else ""
        super().__init__(f"{rejected[0]}{more}", hint)


@dataclass(frozen=True, slots=True)
class Text:
    """How one file is to be read."""

    path: Path
    encoding: str


def refuse(path: Path, expected: str, found: str, hint: str, line: int = 0, column: str = "") -> ExportError:
    """Give the error for a file that is broken as a whole."""
    return ExportError((Rejected(path.name, line, column, found, expected),), hint)


def shown(value: str, width: int = 60) -> str:
    """Give `value` quoted for a message: control characters escaped, long text cut."""
    cut = value if len(value) <= width else value[: width - 1] + "…"
    return repr(cut) if value else "nothing"


def load_text(path: Path, encoding: str | None = None) -> Text:
    """Look at a file's first bytes and say how to read it.

    Raise `ExportError` if it is no readable text file, `UsageError` if the encoding is not known.
    """
    if encoding is not None:
        _check_encoding(encoding)
    try:
        if path.is_dir():
            raise refuse(path, "a CSV file", "a directory", "Name the files in it one by one.")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise refuse(path, "a readable CSV file", reason, "Check the name and the rights.") from error
    if not head.strip():
        raise refuse(path, "a CSV file with a header line", "an empty file", "Export the list again.")
    for mark, what in _NOT_TEXT:
        if head.startswith(mark):
            raise refuse(path, "a CSV file", what, _SAVE_AS)
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
            "Use for instance utf-8, utf-16, cp1252 or shift_jis.",
        )


def _guess(head: bytes) -> str:
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    # Without a mark, UTF-16 of western text shows as NUL in every second byte.
    pairs = len(head) // 2
    if pairs >= 2:
        if head[1::2].count(0) > 0.7 * pairs:
            return "utf-16-le"
        if head[0::2].count(0) > 0.7 * pairs:
            return "utf-16-be"
    return "utf-8"


def read_rows(text: Text, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Give (line number, fields) of each record; the number is the line on which it begins, from 1.

    Blank lines are passed over, so are "sep=;" and "#TYPE …" before the header.
    Raise `ExportError` where the text cannot be decoded or parsed, or holds a NUL.
    """
    path = text.path
    begin = 1
    try:
        with path.open(encoding=text.encoding, newline="") as file:
            reader = csv.reader(_without_nul(file, path), delimiter=separator, strict=True)
            for row in reader:
                if row and not (begin <= 2 and _is_preamble(row)):
                    yield begin, row
                begin = reader.line_num + 1
    except csv.Error as error:
        found = _csv_fault(str(error))
        hint = 'Look at the quotation marks from this line on; a " inside a field is written twice.'
        raise refuse(path, "well-formed CSV", found, hint, begin) from error
    except UnicodeError as error:
        line = _undecodable_line(text)
        hint = "Save it as UTF-8, or say what it is with --encoding, for instance --encoding cp1252."
        found = "bytes that are no such text"
        raise refuse(path, f"text in {text.encoding}", found, hint, line) from error
    except OSError as error:
        found = error.strerror or "an error"
        raise refuse(path, "a readable file", found, "Check the disk or the share.", begin) from error


def _is_preamble(row: list[str]) -> bool:
    first = row[0].casefold()
    return first.startswith(("#type", "sep="))


def _without_nul(lines: Iterator[str], path: Path) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if "\0" in line:
            at = line.index("\0") + 1
            hint = "The file is damaged, or UTF-16 with a broken start: export it again."
            raise refuse(path, "text", f"a NUL byte at character {at}", hint, number)
        yield line


def _csv_fault(error: str) -> str:
    if "field larger" in error:
        return "a field of more than 131,072 characters (an unclosed quotation mark?)"
    if "unexpected end" in error:
        return "a quotation mark that is never closed"
    return f"a fault ({error})"


def _undecodable_line(text: Text) -> int:
    """Give the first line with bytes that the encoding does not know."""
    with text.path.open(encoding=text.encoding, errors="replace", newline="") as file:
        try:
            for number, line in enumerate(file, 1):
                if "\ufffd" in line:
                    return number
        except UnicodeError:  # a mark that is missing or damaged: nothing can be replaced
            return 1
    return 0
