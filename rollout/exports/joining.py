"""Find out which records of the three systems are the same device.

Entra is the base. Intune and ConfigMgr records are joined by the Entra device ID. ConfigMgr records without an ID
(the usual Get-CMDevice list has none) are joined by a serial number that only one Intune record has, then by a
computer name that only one record has. A name that two records share joins nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rollout.exports.columns import IdArray
from rollout.exports.table import Table
from rollout.values import (
    BoolArray,
    FlagArray,
    IntArray,
    Join,
    LongArray,
    TextArray,
    codes_of,
    put_texts,
    texts,
)

NOT_SERIALS = frozenset(
    {
        *("", "0", "00000000", "123456789", "none", "n/a", "na", "unknown", "invalid", "oem", "o.e.m."),
        *("default string", "not specified", "not available", "not applicable"),
        *("system serial number", "chassis serial number", "to be filled by o.e.m."),
    }
)
"""What firmware reports when no serial number was entered."""


class By:
    """How a device's ConfigMgr record was matched (levels of the factor ``configmgr_join``)."""

    NONE = ""  # no ConfigMgr record, or a record that matches no other
    ID = "id"
    SERIAL = "serial"
    NAME = "name"
    AMBIGUOUS = "ambiguous"  # several records share the name: none was joined


BY = (By.NONE, By.ID, By.SERIAL, By.NAME, By.AMBIGUOUS)


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """The fleet's rows, and the row of each record.

    ids : (n,) text. entra, intune, configmgr : (records,) int32 fleet rows. by : (n,) int8 index into BY.
    twin_of : (n,) ``S36``, for an older record the Entra ID that it shares with a newer one; otherwise empty.
    """

    ids: TextArray
    entra: IntArray
    intune: IntArray
    configmgr: IntArray
    by: FlagArray
    twin_of: IdArray

    def __len__(self) -> int:
        return len(self.ids)


def join_records(entra: Table | None, intune: Table | None, configmgr: Table | None) -> Joined:
    """Return which records belong to the same device."""
    base = entra.ids["entra_id"] if entra is not None else np.empty(0, dtype="S36")
    rows = _Rows(base)
    intune_rows = configmgr_rows = np.empty(0, dtype=np.int32)
    if intune is not None:
        losers = _intune_losers(intune)
        labels = np.strings.add(b"intune:", intune.ids["intune_id"])
        intune_rows = rows.add(intune.ids["entra_id"], losers, labels)
    by = np.zeros(len(rows), dtype=np.int8)
    if configmgr is not None:
        configmgr_rows, by = _join_configmgr(rows, entra, intune, intune_rows, configmgr)
    whole = np.zeros(len(rows), dtype=np.int8)
    whole[: len(by)] = by
    first = np.arange(len(base), dtype=np.int32)
    return Joined(rows.ids(), first, intune_rows, configmgr_rows, whole, rows.twins())


class _Rows:
    """The rows of the fleet while it is being joined: Entra's first, then those that the other systems add."""

    def __init__(self, base: IdArray) -> None:
        self._labels = [base.astype("S43")]  # "intune:" and 36 digits
        self._twins: list[IdArray] = [np.zeros(len(base), dtype="S36")]
        self._keys = base
        self._order = np.argsort(base, kind="stable").astype(np.int32)
        self._sorted = base[self._order]
        self._row_of_sorted = self._order

    def __len__(self) -> int:
        return sum(map(len, self._labels))

    def ids(self) -> TextArray:
        whole: TextArray = np.concatenate(self._labels).astype(np.dtypes.StringDType())
        return whole

    def twins(self) -> IdArray:
        return np.concatenate(self._twins)

    def find(self, keys: IdArray) -> IntArray:
        """Return the row of each Entra ID, -1 if no row has it."""
        if not len(self._sorted):
            return np.full(len(keys), -1, dtype=np.int32)
        # Searching for the keys in sorted order is twice as fast as in random order.
        order = np.argsort(keys, kind="stable")
        at = np.empty(len(keys), dtype=np.int64)
        at[order] = np.searchsorted(self._sorted, keys[order])
        at = np.minimum(at, len(self._sorted) - 1)
        return np.where((self._sorted[at] == keys) & (keys != b""), self._row_of_sorted[at], -1).astype(
            np.int32
        )

    def add(self, keys: IdArray, losers: BoolArray, labels: IdArray) -> IntArray:
        """Return the row of each record: that of its Entra ID, or a new row.

        losers : records that share their ID with a better record of the same system; they get rows of their own.
        """
        found = self.find(np.where(losers, b"", keys).astype("S36"))
        new = found < 0
        found[new] = len(self) + np.arange(int(new.sum()), dtype=np.int32)
        named = new & (keys != b"") & ~losers
        self._labels.append(np.where(named, keys, labels)[new].astype("S43"))
        self._twins.append(np.where(losers, keys, b"")[new].astype("S36"))
        sorted_keys = np.concatenate([self._sorted, keys[named]])
        row_of = np.concatenate([self._row_of_sorted, found[named]])
        order = np.argsort(sorted_keys, kind="stable")
        self._sorted, self._row_of_sorted = sorted_keys[order], row_of[order]
        return found


def _losers(keys: IdArray, *ranks: LongArray) -> BoolArray:
    """Mark all but the best record of each ID. ranks : the most important rank first; higher is better."""
    order = np.lexsort((*(-rank for rank in reversed(ranks)), keys))
    ranked = keys[order]
    out = np.zeros(len(keys), dtype=np.bool_)
    out[order[1:]] = (ranked[1:] == ranked[:-1]) & (ranked[1:] != b"")
    return out


def _intune_losers(intune: Table) -> BoolArray:
    number = np.arange(len(intune), dtype=np.int64)
    return _losers(intune.ids["entra_id"], intune.times.get("last_sync", number), number)


def _join_configmgr(
    rows: _Rows, entra: Table | None, intune: Table | None, intune_rows: IntArray, configmgr: Table
) -> tuple[IntArray, FlagArray]:
    """Join ConfigMgr records by ID, serial number and name; return their rows, and `Joined.by` for all rows."""
    n = len(rows)
    resource = configmgr.numbers["resource_id"]
    current = _current(configmgr)
    keys = configmgr.ids.get("entra_id", np.zeros(len(configmgr), dtype="S36"))
    losers = _losers(keys, current.astype(np.int64), resource)
    by = np.zeros(n, dtype=np.int8)
    found = rows.find(np.where(losers, b"", keys).astype("S36"))
    by[found[found >= 0]] = BY.index(By.ID)

    open_records = (keys == b"") & ~losers
    free = by == 0
    if intune is not None and "serial" in intune.texts and "serial" in configmgr.texts:
        hits, targets = _by_serial(
            configmgr.texts["serial"], open_records & current, intune, intune_rows, free
        )
        found[hits] = targets
        by[targets] = BY.index(By.SERIAL)
        open_records[hits] = False
        free[targets] = False
    free &= rows.twins() == b""  # the client does not belong to an older record of a device
    match = _by_name(configmgr, open_records, current, _names(n, entra, intune, intune_rows), free, entra)
    found[match.records] = match.rows
    by[match.rows] = BY.index(By.NAME)
    by[match.ambiguous_rows] = BY.index(By.AMBIGUOUS)

    labels = np.strings.add(b"cm:", resource.astype("S10"))
    alone = found < 0
    # A record without a match keeps its Entra ID, if it has one: Entra's export may be incomplete.
    fresh = rows.add(keys[alone], losers[alone], labels[alone])
    found[alone] = fresh
    whole = np.zeros(len(rows), dtype=np.int8)
    whole[:n] = by
    whole[found[match.ambiguous_records]] = BY.index(By.AMBIGUOUS)
    return found, whole


def _current(configmgr: Table) -> BoolArray:
    obsolete = configmgr.flags.get("obsolete")
    return np.ones(len(configmgr), dtype=np.bool_) if obsolete is None else np.asarray(obsolete != 1)


def _by_serial(
    serials: TextArray, records: BoolArray, intune: Table, intune_rows: IntArray, free: BoolArray
) -> tuple[IntArray, IntArray]:
    """Match records and Intune rows by serial numbers that occur once on both sides."""
    left, right = _codes(serials, intune.texts["serial"], NOT_SERIALS)
    usable = free[intune_rows]
    left_once = _once(left, records)
    right_once = _once(right, np.ones(len(right), dtype=np.bool_))
    row_of = np.full(max(left.max(initial=-1), right.max(initial=-1)) + 1, -1, dtype=np.int32)
    good = right_once & usable
    row_of[right[good]] = intune_rows[good]
    hits = np.flatnonzero(left_once).astype(np.int32)
    targets = row_of[left[hits]] if len(hits) else np.empty(0, dtype=np.int32)
    return hits[targets >= 0], targets[targets >= 0]


def _codes(left: TextArray, right: TextArray, nothing: frozenset[str]) -> tuple[IntArray, IntArray]:
    """Number the distinct texts of two columns in the same way, ignoring case; -1 for meaningless texts."""
    index: dict[str, int] = {}
    columns = [codes_of(np.strings.lower(column).tolist(), index) for column in (left, right)]
    meaningless = [index[text] for text in nothing if text in index]
    for codes in columns:
        codes[np.isin(codes, meaningless)] = -1
    return columns[0], columns[1]


def _once(codes: IntArray, among: BoolArray) -> BoolArray:
    """Return which of the rows `among` have a code that no other of these rows has."""
    valid = among & (codes >= 0)
    counts = np.bincount(codes[valid], minlength=1)
    out = valid.copy()
    out[valid] = counts[codes[valid]] == 1
    return out


def _names(n: int, entra: Table | None, intune: Table | None, intune_rows: IntArray) -> TextArray:
    """Return the name of each row so far; Entra's if both systems have one."""
    names: TextArray = texts([""] * n)
    if intune is not None:
        put_texts(names, intune_rows, intune.texts["name"])
    if entra is not None:
        filled = entra.texts["name"] != ""
        names[: len(entra)][filled] = entra.texts["name"][filled]
    return names


@dataclass(frozen=True, slots=True, eq=False)
class _NameMatch:
    records: IntArray
    rows: IntArray
    ambiguous_records: IntArray
    ambiguous_rows: IntArray


def _by_name(
    configmgr: Table,
    records: BoolArray,
    current: BoolArray,
    names: TextArray,
    free: BoolArray,
    entra: Table | None,
) -> _NameMatch:
    """Match by a name that exactly one current record and one row have.

    A registered record does not compete with a joined record: a ConfigMgr client is on the joined device. Neither
    does an obsolete record compete with a current one, or an inactive record with an active one.
    """
    left, right = _codes(configmgr.texts["name"], names, frozenset({""}))
    size = int(max(left.max(initial=-1), right.max(initial=-1))) + 1
    contenders = _stronger(left, records & (left >= 0), current, size)
    active = configmgr.flags.get("active")
    if active is not None:
        contenders = _stronger(left, contenders, np.asarray(active == 1), size)
    strong = np.ones(len(names), dtype=np.bool_)
    if entra is not None:
        join = entra.factors["join"]
        strong[: len(entra)] = join.where(Join.HYBRID) | join.where(Join.ENTRA)
    candidates = _stronger(right, free & (right >= 0), strong, size)
    claims = np.bincount(left[contenders], minlength=size)
    offers = np.bincount(right[candidates], minlength=size)
    single = (claims == 1) & (offers == 1)
    several = (claims > 0) & (offers > 0) & ~single
    row_of = np.full(size, -1, dtype=np.int32)
    rows = np.flatnonzero(candidates).astype(np.int32)
    row_of[right[rows]] = rows
    hits = np.flatnonzero(contenders).astype(np.int32)
    matched = hits[single[left[hits]]]
    return _NameMatch(matched, row_of[left[matched]], hits[several[left[hits]]], rows[several[right[rows]]])


def _stronger(codes: IntArray, among: BoolArray, strong: BoolArray, size: int) -> BoolArray:
    """Leave out weak rows if a strong row has the same code."""
    has_strong = np.bincount(codes[among & strong], minlength=size) > 0
    out = among.copy()
    weak = among & ~strong
    out[weak] = ~has_strong[codes[weak]]
    return out


def count_by(joined: Joined, rows: IntArray) -> Sequence[tuple[str, int]]:
    """Count how the ConfigMgr records were joined, with "alone" for the rest."""
    counts = (
        np.bincount(joined.by[rows], minlength=len(BY)) if len(rows) else np.zeros(len(BY), dtype=np.int64)
    )
    return [(by or "alone", int(count)) for by, count in zip(BY, counts, strict=True) if count]
