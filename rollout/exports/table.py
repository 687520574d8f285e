"""Read an export into columns: recognize the header, stream the rows, name every bad line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from rollout.exports.columns import Column, Fault, Flags, Guids, IdArray, Levels, Numbers, Texts, Times
from rollout.exports.decoding import (
    SEPARATORS,
    Chunk,
    ExportError,
    Text,
    load_text,
    read_chunks,
    refuse,
    shown,
)
from rollout.exports.dialects import DIALECTS, Dialect, Field, Kind, Value, normalize
from rollout.values import BoolArray, Factor, FlagArray, IntArray, LongArray, Rejected, TextArray, texts_at

CHUNK = 1_000
"""Rows per chunk: few enough that their text stays in the processor's cache."""

ROWS_PER_REPORT = 10_000
"""Rows between two reports of progress."""

REJECTED_CAP = 10_000
"""Maximum number of bad lines that are kept with their text; all are counted."""


@dataclass(slots=True)
class Rejects:
    """The bad lines of an import so far."""

    lines: list[Rejected] = field(default_factory=list)
    count: int = 0

    def add(self, line: Rejected) -> None:
        """Record a bad line."""
        self.count += 1
        if len(self.lines) < REJECTED_CAP:
            self.lines.append(line)

    def error(self) -> ExportError:
        """Return the error that refuses the import."""
        expected = self.lines[0].expected
        hint = next(
            (hint for words, hint in _HINTS if words in expected),
            "Correct the line, or export the list again.",
        )
        return ExportError(tuple(self.lines), hint, self.count)


_EN_US = "Export again after [cultureinfo]::CurrentCulture = 'en-US', which writes dates with AM and PM."
_HINTS = (
    ("be confused", _EN_US),
    ("as in earlier lines", _EN_US),
    ("fields", "Look for a separator or a quotation mark inside a field on this line."),
    ("appears once", "Remove one of the two lines, or export the list again."),
    ("in only one file", "Name only one of the files, or remove the device from one of them."),
)
"""Hints for a bad line, by words of what was expected."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """The accepted rows of one export.

    lines : (n,) int32, the line of each row. The other columns are keyed by field; a column that the
        export lacks is missing.
    """

    file: str
    kind: Kind
    lines: IntArray
    ids: Mapping[str, IdArray]
    texts: Mapping[str, TextArray]
    factors: Mapping[str, Factor]
    flags: Mapping[str, FlagArray]
    numbers: Mapping[str, LongArray]
    times: Mapping[str, LongArray]

    def __len__(self) -> int:
        return len(self.lines)


@dataclass(frozen=True, slots=True)
class _Header:
    text: Text
    separator: str
    dialect: Dialect
    columns: tuple[str, ...]
    places: Mapping[str, int]  # field key -> position


def load_table(
    path: Path,
    rejects: Rejects,
    *,
    encoding: str | None = None,
    day_first: bool | None = None,
    seen: Callable[[int], None] | None = None,
) -> Table:
    """Read one export.

    Bad lines go to `rejects` and are left out. seen : called with the number of rows since its last call.
    Raise `ExportError` if the file is broken as a whole.
    """
    header = _recognise(load_text(path, encoding))
    columns = {
        known.key: _column(known, day_first) for known in header.dialect.fields if known.key in header.places
    }
    lines: list[IntArray] = []
    keeps: list[BoolArray] = []
    unreported = 0
    for number, (begins, rows) in enumerate(read_chunks(header.text, header.separator, CHUNK)):
        chunk = (begins[1:], rows[1:]) if number == 0 else (begins, rows)  # the header itself
        good = _even(chunk, header, rejects)
        if good[1]:
            lines.append(good[0])
            keeps.append(_take(good, header, columns, rejects))
        unreported += len(chunk[1])
        if seen is not None and unreported >= ROWS_PER_REPORT:
            seen(unreported)
            unreported = 0
    if seen is not None and unreported:
        seen(unreported)
    if not lines and not rejects.count:
        hint = "Export the list again, without a filter that hides every device."
        raise refuse(path, "at least one device", "only a header line", hint, 1)
    return _unique(_assemble(header, columns, lines, keeps), header, rejects)


def _recognise(text: Text) -> _Header:
    """Find the separator and the dialect that fit the first line best."""
    path = text.path
    best: tuple[int, str, Dialect, int, list[str]] | None = None
    fault: ExportError | None = None
    for separator in SEPARATORS:
        try:
            lines, rows = next(read_chunks(text, separator, 1), (np.zeros(1, np.int32), [[]]))
        except ExportError as error:
            fault = fault or error
            continue
        line, row = int(lines[0]), rows[0]
        for dialect in DIALECTS:
            known = {name for expected in dialect.fields for name in expected.names}
            score = sum(normalize(column) in known for column in row)
            if best is None or score > best[0]:
                best = (score, separator, dialect, line, row)
    if best is None:
        assert fault is not None
        raise fault
    score, separator, dialect, line, row = best
    if score < 2:
        found = f"the header {shown(','.join(row), 80)}" if row else "no header line"
        kinds = (
            "an export of Intune (DevicesWithInventory), Entra (Download devices) or ConfigMgr (Get-CMDevice)"
        )
        raise refuse(path, kinds, found, "Leave the header line as the console wrote it.", max(line, 1))
    return _Header(text, separator, dialect, tuple(row), _places(path, dialect, line, row))


def _places(path: Path, dialect: Dialect, line: int, row: Sequence[str]) -> dict[str, int]:
    """Return the position of each field of the dialect in the header."""
    normal = [normalize(column) for column in row]
    places: dict[str, int] = {}
    for known in dialect.fields:
        name = next((name for name in known.names if name in normal), None)
        if name is not None:
            if normal.count(name) > 1:
                hint = "Remove the wrong column: nothing shows which of them is right."
                found = f"it {normal.count(name)} times"
                raise refuse(path, "each column once", found, hint, line, row[normal.index(name)])
            places[known.key] = normal.index(name)
    missing = [known for known in dialect.fields if known.required and known.key not in places]
    if missing:
        names = ", ".join(f"'{_usual_name(known)}'" for known in missing)
        found = f"a header without {names}"
        expected = f"the columns of {dialect.kind.value}"
        raise refuse(path, expected, found, "Export the list again with all its columns.", line)
    return places


_SPELLING = {
    "deviceid": "deviceId", "displayname": "displayName", "accountenabled": "accountEnabled",
    "operatingsystem": "operatingSystem", "jointype (trusttype)": "joinType (trustType)",
    "approximatelastsignindatetime": "approximateLastSignInDateTime", "device id": "Device ID",
    "device name": "Device name", "microsoft entra device id": "Microsoft Entra Device ID", "os": "OS",
    "managed by": "Managed by", "resourceid": "ResourceID", "name": "Name", "isclient": "IsClient",
}  # fmt: skip


def _usual_name(known: Field) -> str:
    return _SPELLING.get(known.names[0], known.names[0])


def _column(known: Field, day_first: bool | None) -> Column:
    if known.value is Value.GUID:
        return Guids(required=known.filled)
    if known.value is Value.TEXT:
        return Texts(required=known.filled)
    if known.value is Value.NUMBER:
        return Numbers(required=known.filled)
    if known.value is Value.TIME:
        return Times(day_first, "pending" if known.key == "registered" else "")
    if known.value is Value.FLAG:
        return Flags(required=known.filled)
    assert known.translate is not None
    return Levels(known.translate, known.before, required=known.filled)


def _even(chunk: Chunk, header: _Header, rejects: Rejects) -> Chunk:
    """Leave out the rows that do not have as many fields as the header."""
    lines, rows = chunk
    width = len(header.columns)
    ragged = [at for at, row in enumerate(rows) if len(row) != width]
    if not ragged:
        return chunk
    for at in ragged:
        found = f"{len(rows[at])} (the last is {shown(rows[at][-1], 30)})"
        rejects.add(Rejected(header.text.name, int(lines[at]), "", found, f"{width} fields"))
    return np.delete(lines, ragged), [row for row in rows if len(row) == width]


def _take(chunk: Chunk, header: _Header, columns: Mapping[str, Column], rejects: Rejects) -> BoolArray:
    """Add a chunk to all columns; return which of its rows are good."""
    lines, rows = chunk
    keep = np.ones(len(rows), dtype=np.bool_)
    bad: list[tuple[int, int, Fault]] = []
    for key, column in columns.items():
        place = header.places[key]
        bad.extend((fault.at, place, fault) for fault in column.take(list(map(itemgetter(place), rows))))
    for at, place, fault in sorted(bad, key=itemgetter(0, 1)):
        if keep[at]:  # one fault per line is enough: the first
            keep[at] = False
            name = header.columns[place].strip("\ufeff ")
            where = (header.text.name, int(lines[at]), name)
            rejects.add(Rejected(*where, shown(fault.found), fault.expected))
    return keep


def _assemble(
    header: _Header, columns: Mapping[str, Column], lines: list[IntArray], keeps: list[BoolArray]
) -> Table:
    keep = np.concatenate(keeps) if keeps else np.empty(0, dtype=np.bool_)
    only = None if keep.all() else keep
    number = np.concatenate(lines) if lines else np.empty(0, dtype=np.int32)
    kinds = {known.key: known.value for known in header.dialect.fields}
    by_kind: dict[Value, dict[str, Any]] = {value: {} for value in Value}
    for key, column in columns.items():
        by_kind[kinds[key]][key] = column.array(only)
        if isinstance(column, Times) and key == "registered":
            by_kind[Value.FLAG]["pending"] = _pending(column.worded(only), by_kind[Value.TIME][key])
    return Table(
        file=header.text.name,
        kind=header.dialect.kind,
        lines=number if only is None else number[only],
        ids=by_kind[Value.GUID],
        texts=by_kind[Value.TEXT],
        factors=by_kind[Value.LEVEL],
        flags=by_kind[Value.FLAG],
        numbers=by_kind[Value.NUMBER],
        times=by_kind[Value.TIME],
    )


def _pending(worded: BoolArray, registered: LongArray) -> FlagArray:
    """Return which rows are pending: 1 for the word, 0 for a date, -1 for neither."""
    flags = np.where(worded, 1, np.where(registered >= 0, 0, -1))
    return flags.astype(np.int8)


def _unique(table: Table, header: _Header, rejects: Rejects) -> Table:
    """Reject every row whose ID occurred in an earlier row."""
    key = header.dialect.key
    keys = table.ids[key] if key in table.ids else table.numbers[key]
    again, first = repeats(keys)
    if not len(again):
        return table
    column = header.columns[header.places[key]].strip("\ufeff ")
    for row, before in zip(again.tolist(), first.tolist(), strict=True):
        value = keys[row].decode() if isinstance(keys[row], bytes) else str(keys[row])
        found = f"'{value}' again, first in line {table.lines[before]}"
        rejects.add(Rejected(table.file, int(table.lines[row]), column, found, "an ID that appears once"))
    keep = np.ones(len(table), dtype=np.bool_)
    keep[again] = False
    return _only(table, keep)


def repeats(keys: IdArray | LongArray) -> tuple[IntArray, IntArray]:
    """Return the rows whose key occurred in an earlier row, and for each the first such row; in row order."""
    order = np.argsort(keys, kind="stable").astype(np.int32)
    ranked = keys[order]
    same = np.zeros(len(keys), dtype=np.bool_)
    same[1:] = ranked[1:] == ranked[:-1]
    if not same.any():
        return np.empty(0, np.int32), np.empty(0, np.int32)
    heads = np.maximum.accumulate(np.where(same, 0, np.arange(len(keys))))
    again, first = order[same], order[heads[same]]
    by_row = np.argsort(again)
    return again[by_row], first[by_row]


def _only(table: Table, keep: BoolArray) -> Table:
    rows = np.flatnonzero(keep).astype(np.int32)
    return Table(
        table.file,
        table.kind,
        table.lines[rows],
        {key: column[rows] for key, column in table.ids.items()},
        {key: texts_at(column, rows) for key, column in table.texts.items()},
        {key: column.take(rows) for key, column in table.factors.items()},
        {key: column[rows] for key, column in table.flags.items()},
        {key: column[rows] for key, column in table.numbers.items()},
        {key: column[rows] for key, column in table.times.items()},
    )
