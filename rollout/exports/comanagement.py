"""Read an export of v_ClientCoManagementState: the site's data on each client's enrollment, as rows of text.

It accepts the separators and encodings of the other exports; a single broken row refuses the file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from rollout.exports.decoding import SEPARATORS, load_text, read_chunks, refuse

CHUNK = 4096


def read_comanagement(
    path: Path, required: Collection[str], encoding: str | None = None
) -> Iterator[dict[str, str]]:
    """Yield each row as column -> text. required : columns without which the file is refused; case is ignored.

    Raise `ExportError` for a file that is not such an export, with file, line and what was expected.
    """
    text = load_text(path, encoding)
    chunks = read_chunks(text, _separator(path, text.encoding), CHUNK)
    lines, rows = next(chunks, (None, []))
    header = [name.strip("\ufeff ") for name in rows[0]] if rows else []
    known = {name.casefold() for name in header}
    missing = [name for name in required if name.casefold() not in known]
    if missing:
        hint = "Export v_ClientCoManagementState, or SMS_Client_ComanagementState with Export-Csv."
        raise refuse(path, f"the column {missing[0]}", "no such column", hint, 1)
    first = True
    while lines is not None:
        for line, row in zip(lines.tolist(), rows, strict=True):
            if first:
                first = False
                continue
            if len(row) != len(header):
                hint = "Export the list again; a separator within a field needs quotation marks."
                raise refuse(path, f"{len(header)} fields", str(len(row)), hint, int(line))
            yield dict(zip(header, row, strict=True))
        lines, rows = next(chunks, (None, []))


def _separator(path: Path, encoding: str) -> str:
    """Return the separator that occurs most often in the first line that is not "#TYPE" or "sep="."""
    with path.open(encoding=encoding, errors="replace") as file:
        for line in file:
            if not line.casefold().lstrip("\ufeff").startswith(("#type", "sep=")):
                return max(SEPARATORS, key=line.count)
    return SEPARATORS[0]
