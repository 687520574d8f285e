"""One export as columns: header recognised, rows streamed, every bad line named."""

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
from rollout.exports.dialects import DIALECTS, Dialect, Field, Kind, Value, normalise
from rollout.values import BoolArray, Factor, FlagArray, IntArray, LongArray, Rejected, TextArray, texts_at

CHUNK = 1_000
"""Rows that are taken at once: few enough that their text stays in the processor's cache."""

TELL = 10_000
"""Rows after which progress is told."""

REJECTED_CAP = 10_000
"""So many bad lines are kept word for word; all are counted."""


@dataclass(slots=True)
class Rejects:
    """The bad lines of an import so far."""

    lines: list[Rejected] = field(default_factory=list)
    count: int = 0

    def add(self, line: Rejected) -> None:
        """Remember a bad line."""
        self.count += 1
        if len(self.lines) < REJECTED_CAP:
            self.lines.append(line)

    def error(self) -> ExportError:
        """Return the error that refuses the import."""
        expected = self.lines[0].expected
        hint = next(
            (hint for words, hint in _HINTS if words in expected), "Mend the line, or export the list again."
        )
        return ExportError(tuple(self.lines), hint, self.count)


_EN_US = "Export again after [cultureinfo]::CurrentCulture = 'en-US', which writes dates with AM and PM."
_HINTS = (
    ("mixed up", _EN_US),
    ("as in the lines before", _EN_US),
    ("fields", "Look for a separator or a quotation mark inside a field on this line."),
    ("appears once", "Take one of the two lines out, or export the list again."),
    ("in one file only", "Name only one of the files, or take the device out of one of them."),
)
"""What to do about a bad line, by words of what was expected."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """The accepted rows of one export.

    lines : (n,) int32, the line of each row. The other columns by the key of their field; a column that
        the export does not have is missing.
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

    Bad lines go to `rejects` and are left out. seen : told the number of rows of each chunk.
    Raise `ExportError` if the file is broken as a whole.
    """
    header = _recognise(load_text(path, encoding))
    columns = {
        item.key: _column(item, day_first) for item in header.dialect.fields if item.key in header.places
    }
    lines: list[IntArray] = []
    keeps: list[BoolArray] = []
    told = 0
    for number, (begins, rows) in enumerate(read_chunks(header.text, header.separator, CHUNK)):
        chunk = (begins[1:], rows[1:]) if number == 0 else (begins, rows)  # the header itself
        good = _even(chunk, header, rejects)
        if good[1]:
            lines.append(good[0])
            keeps.append(_take(good, header, columns, rejects))
        told += len(chunk[1])
        if seen is not None and told >= TELL:
            seen(told)
            told = 0
    if seen is not None and told:
        seen(told)
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
            known = {name for item in dialect.fields for name in item.names}
            score = sum(normalise(column) in known for column in row)
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
        raise refuse(path, kinds, found, "Keep the header line as the console wrote it.", max(line, 1))
    return _Header(text, separator, dialect, tuple(row), _places(path, dialect, line, row))


def _places(path: Path, dialect: Dialect, line: int, row: Sequence[str]) -> dict[str, int]:
    """Say where each field of the dialect stands in the header."""
    normal = [normalise(column) for column in row]
    places: dict[str, int] = {}
    for item in dialect.fields:
        name = next((name for name in item.names if name in normal), None)
        if name is not None:
            if normal.count(name) > 1:
                hint = "Take the second one out: which of them counts cannot be told."
                found = f"it {normal.count(name)} times"
                raise refuse(path, "each column once", found, hint, line, row[normal.index(name)])
            places[item.key] = normal.index(name)
    missing = [item for item in dialect.fields if item.required and item.key not in places]
    if missing:
        names = ", ".join(f"'{_usual_name(item)}'" for item in missing)
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


def _usual_name(item: Field) -> str:
    return _SPELLING.get(item.names[0], item.names[0])


def _column(item: Field, day_first: bool | None) -> Column:
    if item.value is Value.GUID:
        return Guids(required=item.filled)
    if item.value is Value.TEXT:
        return Texts(required=item.filled)
    if item.value is Value.NUMBER:
        return Numbers(required=item.filled)
    if item.value is Value.TIME:
        return Times(day_first, "pending" if item.key == "registered" else "")
    if item.value is Value.FLAG:
        return Flags(required=item.filled)
    assert item.translate is not None
    return Levels(item.translate, item.before, required=item.filled)


def _even(chunk: Chunk, header: _Header, rejects: Rejects) -> Chunk:
    """Leave out the rows that have not as many fields as the header."""
    lines, rows = chunk
    width = len(header.columns)
    ragged = [at for at, row in enumerate(rows) if len(row) != width]
    if not ragged:
        return chunk
    for at in ragged:
        found = f"{len(rows[at])} (the last one is {shown(rows[at][-1], 30)})"
        rejects.add(Rejected(header.text.name, int(lines[at]), "", found, f"{width} fields"))
    return np.delete(lines, ragged), [row for row in rows if len(row) == width]


def _take(chunk: Chunk, header: _Header, columns: Mapping[str, Column], rejects: Rejects) -> BoolArray:
    """Add a chunk to all columns; say which of its rows are good."""
    lines, rows = chunk
    keep = np.ones(len(rows), dtype=np.bool_)
    bad: list[tuple[int, int, Fault]] = []
    for key, column in columns.items():
        place = header.places[key]
        bad.extend((fault.at, place, fault) for fault in column.take(list(map(itemgetter(place), rows))))
    for at, place, fault in sorted(bad, key=lambda item: item[:2]):
        if keep[at]:  # one fault a line is enough: the first one
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
    kinds = {item.key: item.value for item in header.dialect.fields}
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
    """Say who is pending: the word stands there (1), a date stands there (0), nothing does (-1)."""
    flags = np.where(worded, 1, np.where(registered >= 0, 0, -1))
    return flags.astype(np.int8)


def _unique(table: Table, header: _Header, rejects: Rejects) -> Table:
    """Reject every further row of an id that was there before."""
    key = header.dialect.key
    keys = table.ids[key] if key in table.ids else table.numbers[key]
    again, first = repeats(keys)
    if not len(again):
        return table
    column = header.columns[header.places[key]].strip("\ufeff ")
    for row, before in zip(again.tolist(), first.tolist(), strict=True):
        value = keys[row].decode() if isinstance(keys[row], bytes) else str(keys[row])
        found = f"'{value}' again, first in line {table.lines[before]}"
        rejects.add(Rejected(table.file, int(table.lines[row]), column, found, "an id that appears once"))
    keep = np.ones(len(table), dtype=np.bool_)
    keep[again] = False
    return _only(table, keep)


def repeats(keys: IdArray | LongArray) -> tuple[IntArray, IntArray]:
    """Return the rows whose key stood in an earlier row, and that first row of each; in row order."""
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
