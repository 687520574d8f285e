"""Find records that are the same device; `rollout.preflight.worklist` lists what to do about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from rollout.values import UNKNOWN, BoolArray, Fleet, IntArray, Join, codes_of


@dataclass(frozen=True, slots=True, eq=False)
class Duplicates:
    """Which record is a duplicate of which, (n,) each.

    registered : registered record of a device that is joined too (D1); dual_state : that joined device.
    twin_extra, twin_keep : among joined records with the same name, those not in use and the one in use (D2).
    twin_unclear : nothing shows which of them is in use. same_name : different serials, so different computers.
    configmgr_extra : older ConfigMgr record (D5). intune_extra : older Intune record (D6).
    other : row of the record to keep; for dual_state, that of the registered record; -1 if none.
    """

    registered: BoolArray
    dual_state: BoolArray
    twin_extra: BoolArray
    twin_keep: BoolArray
    twin_unclear: BoolArray
    same_name: BoolArray
    configmgr_extra: BoolArray
    intune_extra: BoolArray
    other: IntArray

    @property
    def is_extra(self) -> BoolArray:
        """Rows that are a second record of a device."""
        return (
            self.registered | self.twin_extra | self.twin_unclear | self.configmgr_extra | self.intune_extra
        )


def find_duplicates(fleet: Fleet) -> Duplicates:
    """Find records that share a name (ignoring case), a serial number or an Entra ID."""
    n = len(fleet)
    none = {field.name: np.zeros(n, dtype=np.bool_) for field in fields(Duplicates) if field.name != "other"}
    found = Duplicates(**none, other=np.full(n, UNKNOWN, dtype=np.int32))
    codes = codes_of(map(str.casefold, fleet.names.tolist()))
    twin = fleet.factors.get("twin_of")
    own = np.asarray(fleet.names != "") & (np.ones(n, dtype=np.bool_) if twin is None else twin.where(""))
    rows = _shared(codes, own)
    _name_groups(fleet, found, codes, rows)
    _serial_groups(fleet, found)
    _claimed_twice(fleet, found)
    return found


def _shared(codes: IntArray, among: BoolArray) -> IntArray:
    """Return the rows that share their code with another row, grouped by code."""
    counts = np.bincount(codes[among], minlength=1)
    rows = np.flatnonzero(among)
    rows = rows[counts[codes[rows]] > 1]
    return rows[np.argsort(codes[rows], kind="stable")].astype(np.int32)


def _groups(codes: IntArray, rows: IntArray) -> Iterator[list[int]]:
    """Yield the rows of each code as a list."""
    edges = np.flatnonzero(np.diff(codes[rows])) + 1
    for group in np.split(rows, edges):
        if len(group):
            yield group.tolist()


def _name_groups(fleet: Fleet, found: Duplicates, codes: IntArray, rows: IntArray) -> None:
    join = fleet.factors["join"]
    levels = dict(enumerate(join.levels))
    for group in _groups(codes, rows):
        by_join: dict[str, list[int]] = {}
        for row in group:
            if fleet.flags["entra"][row] == 0:
                continue
            by_join.setdefault(levels[int(join.codes[row])], []).append(row)
        joined = [row for kind in (Join.HYBRID, Join.ENTRA) for row in by_join.get(kind, [])]
        registered = by_join.get(Join.REGISTERED, [])
        if joined and registered:
            found.registered[registered] = True
        for kind in (Join.HYBRID, Join.ENTRA):
            if len(by_join.get(kind, [])) > 1:
                _twins(fleet, found, by_join[kind])
        keepers = [row for row in joined if not found.twin_extra[row]]
        if keepers and registered:
            found.dual_state[keepers] = True
            found.other[registered] = keepers[0]
            found.other[keepers] = registered[0]
        _resource_twins(fleet, found, group)


def _twins(fleet: Fleet, found: Duplicates, group: list[int]) -> None:
    """Decide among joined records of one name and join type: by serial number, ConfigMgr record, then activity."""
    serials = [str(fleet.serials[row]) for row in group]
    if all(serials) and len(set(serials)) == len(serials):
        found.same_name[group] = True
        return
    known = [row for row in group if fleet.resource_ids[row] >= 0 and fleet.flags["obsolete"][row] != 1]
    if len(known) == 1:
        best = known[0]
    else:
        stamps = sorted(((_active(fleet, row), row) for row in group), reverse=True)
        if stamps[0][0] <= stamps[1][0]:
            found.twin_unclear[group] = True
            return
        best = stamps[0][1]
    rest = [row for row in group if row != best]
    found.twin_keep[best] = True
    found.twin_extra[rest] = True
    found.other[rest] = best


def _active(fleet: Fleet, row: int) -> int:
    return int(max(fleet.times["last_sign_in"][row], fleet.times["last_active"][row]))


def _resource_twins(fleet: Fleet, found: Duplicates, group: list[int]) -> None:
    """Mark all but the one in use among several current ConfigMgr records of a name."""
    current = [row for row in group if fleet.resource_ids[row] >= 0 and fleet.flags["obsolete"][row] != 1]
    serials = {str(fleet.serials[row]) for row in current}
    if len(current) < 2 or (len(serials) == len(current) and "" not in serials):
        return
    # The record that matched an Entra device, or is active, is the one in use; otherwise the newest is.
    in_use = np.maximum(fleet.flags["entra"], 0) + np.maximum(fleet.flags["active"], 0)
    best = max(current, key=lambda row: (int(in_use[row]), int(fleet.resource_ids[row])))
    rest = [row for row in current if row != best and not found.is_extra[row]]
    found.configmgr_extra[rest] = True
    found.other[rest] = best


def _serial_groups(fleet: Fleet, found: Duplicates) -> None:
    """Mark the older of several Intune records of a serial number."""
    in_intune = np.asarray(fleet.flags["intune"] == 1) & np.asarray(fleet.serials != "")
    if not in_intune.any():
        return
    codes = codes_of(map(str.casefold, fleet.serials.tolist()))
    synced = fleet.times.get("last_sync", fleet.times["last_sign_in"])
    for group in _groups(codes, _shared(codes, in_intune)):
        best = max(group, key=lambda row: (int(synced[row]), -row))
        rest = [row for row in group if row != best and not found.is_extra[row]]
        found.intune_extra[rest] = True
        found.other[rest] = best


def _claimed_twice(fleet: Fleet, found: Duplicates) -> None:
    """Mark records that share their Entra ID with a newer record of the same system."""
    twin = fleet.factors.get("twin_of")
    if twin is None:
        return
    rows = np.flatnonzero(~twin.where(""))
    keep = fleet.rows_of({twin[row] for row in rows.tolist()})
    for row in rows.tolist():
        kind = found.configmgr_extra if fleet.resource_ids[row] >= 0 else found.intune_extra
        if fleet.flags["obsolete"][row] != 1:
            kind[row] = True
        found.other[row] = keep.get(twin[row], UNKNOWN)
