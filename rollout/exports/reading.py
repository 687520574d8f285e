"""Build an inventory from the CSV exports of Intune, Entra and ConfigMgr: all or nothing.

`read_exports` recognizes each file by its header, streams it, names every bad line, and joins the files to one row
per device. The steps: `decoding` (bytes to rows), `dialects` (headers and meanings), `columns` and `table` (rows to
arrays), `joining` (which records are the same device), `merge` (which system takes precedence).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from rollout.errors import UsageError
from rollout.exports.decoding import ExportError
from rollout.exports.dialects import Kind
from rollout.exports.joining import count_by, join_records
from rollout.exports.merge import coalesce, fleet_of
from rollout.exports.table import Rejects, Table, load_table, repeats
from rollout.values import UNKNOWN, Factor, IntArray, Inventory, Rejected

__all__ = ["ExportError", "read_exports"]


def read_exports(
    paths: Sequence[Path],
    *,
    taken: int,
    encoding: str | None = None,
    progress: Callable[[int], None] | None = None,
    allow_rejected: bool = False,
    day_first: bool | None = None,
) -> Inventory:
    """Read one or more exports and join them to an inventory of one row per device.

    Parameters
    ----------
    taken : Unix seconds at which the exports describe the fleet.
    encoding : for all files; None detects it for each file.
    progress : called with the rows read so far, all files together, about every 10,000 rows.
    allow_rejected : leave out bad lines and report them in the inventory; a broken file is refused in any case.
    day_first : whether dates such as 03/04/2026 begin with the day; None refuses dates whose order is unclear.

    Raise `ExportError` (a `UsageError`) with every bad line in `rejected` if a file or a line cannot be read.
    """
    if not paths:
        raise UsageError("no export was named", "Name the CSV files after --from.")
    rejects = Rejects()
    left_out: dict[str, int] = {}
    tables = _load_all(paths, rejects, _Ticker(progress), left_out, encoding=encoding, day_first=day_first)
    by_kind = {kind: _stack([table for table in tables if table.kind is kind], rejects) for kind in Kind}
    if rejects.count and not allow_rejected:
        raise rejects.error()
    entra, intune, configmgr = (by_kind[kind] for kind in (Kind.ENTRA, Kind.INTUNE, Kind.CONFIGMGR))
    joined = join_records(entra, intune, configmgr)
    if not len(joined):
        raise rejects.error()
    notes = ", ".join(f"{count:,} {by}" for by, count in count_by(joined, joined.configmgr))
    files = tuple((table.file, _note(table, notes, left_out[table.file]), len(table)) for table in tables)
    return Inventory(fleet_of(entra, intune, configmgr, joined), taken, files, tuple(rejects.lines))


class _Ticker:
    """Adds up the rows of each chunk and reports the total so far."""

    def __init__(self, progress: Callable[[int], None] | None) -> None:
        self._progress = progress
        self._rows = 0

    def __call__(self, rows: int) -> None:
        self._rows += rows
        if self._progress is not None:
            self._progress(self._rows)


def _load_all(
    paths: Sequence[Path],
    rejects: Rejects,
    seen: _Ticker,
    left_out: dict[str, int],
    *,
    encoding: str | None,
    day_first: bool | None,
) -> list[Table]:
    tables = []
    for path in paths:
        own = Rejects()
        tables.append(load_table(path, own, encoding=encoding, day_first=day_first, seen=seen))
        for line in sorted(own.lines, key=lambda line: line.line):
            rejects.add(line)
        rejects.count += own.count - len(own.lines)
        left_out[tables[-1].file] = left_out.get(tables[-1].file, 0) + own.count
    return tables


def _note(table: Table, joins: str, left_out: int) -> str:
    """Return the kind of a file, how its records were joined (for ConfigMgr), and how many lines were left out."""
    notes = [f"joined by: {joins}"] if table.kind is Kind.CONFIGMGR else []
    if left_out:
        notes.append(f"{left_out:,} lines left out")
    return f"{table.kind.value} ({'; '.join(notes)})" if notes else table.kind.value


def _stack(tables: Sequence[Table], rejects: Rejects) -> Table | None:
    """Combine the files of one kind into a table; an ID that an earlier file has is rejected."""
    if len(tables) < 2:
        return tables[0] if tables else None
    key = {Kind.ENTRA: "entra_id", Kind.INTUNE: "intune_id", Kind.CONFIGMGR: "resource_id"}[tables[0].kind]
    number = key == "resource_id"
    keys = np.concatenate([table.numbers[key] if number else table.ids[key] for table in tables])
    lines = np.concatenate([table.lines for table in tables])
    owner = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    keep = np.ones(len(keys), dtype=np.bool_)
    for row, before in zip(*(rows.tolist() for rows in repeats(keys)), strict=True):
        value = keys[row].decode() if isinstance(keys[row], bytes) else str(keys[row])
        file, first = tables[owner[row]].file, tables[owner[before]].file
        found = f"'{value}' again, first in {first}, line {lines[before]}"
        rejects.add(Rejected(file, int(lines[row]), "", found, "an ID that appears in only one file"))
        keep[row] = False
    return _concatenated(tables, np.flatnonzero(keep).astype(np.int32))


def _concatenated(tables: Sequence[Table], rows: IntArray) -> Table:
    """Concatenate tables of one kind; a column that a table lacks is unknown for its rows."""
    n, places = sum(map(len, tables)), rows.astype(np.intp)  # see `texts_at`
    ends = np.cumsum([len(table) for table in tables])
    spans = [np.arange(end - len(table), end, dtype=np.intp) for table, end in zip(tables, ends, strict=True)]

    def spread(
        field: str, key: str, fill: object, dtype: object
    ) -> np.ndarray[tuple[int], np.dtype[np.generic]]:
        out = np.full(n, fill, dtype=dtype)  # type: ignore[call-overload]
        for table, span in zip(tables, spans, strict=True):
            column = getattr(table, field).get(key)
            if column is not None:
                out[span] = column
        chosen: np.ndarray[tuple[int], np.dtype[np.generic]] = out[places]
        return chosen

    def laid(key: str) -> Factor:
        parts = [(t.factors[key], span) for t, span in zip(tables, spans, strict=True) if key in t.factors]
        return coalesce(n, parts, "").take(rows)

    def keys(field: str) -> list[str]:
        return sorted({key for table in tables for key in getattr(table, field)})

    text = np.dtypes.StringDType()
    return Table(
        file=", ".join(table.file for table in tables),
        kind=tables[0].kind,
        lines=np.concatenate([table.lines for table in tables])[rows],
        ids={key: spread("ids", key, b"", "S36") for key in keys("ids")},  # type: ignore[misc]
        texts={key: spread("texts", key, "", text) for key in keys("texts")},  # type: ignore[misc]
        factors={key: laid(key) for key in keys("factors")},
        flags={key: spread("flags", key, UNKNOWN, np.int8) for key in keys("flags")},  # type: ignore[misc]
        numbers={key: spread("numbers", key, UNKNOWN, np.int64) for key in keys("numbers")},  # type: ignore[misc]
        times={key: spread("times", key, UNKNOWN, np.int64) for key in keys("times")},  # type: ignore[misc]
    )
