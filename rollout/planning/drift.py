"""What changed between the fleet that was planned and the fleet of today."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from rollout.values import Factor, Fleet, IntArray, Inventory, Plan, TextArray, texts, texts_at


@dataclass(frozen=True, slots=True, eq=False)
class Drift:
    """The difference of two fleets, by device id.

    newcomers : rows of the newer fleet that the plan does not know.
    removed : rows of the plan that the newer fleet no longer has.
    reimaged : (row of the plan, row of the newer fleet): the same hardware under a new id.
    """

    newcomers: IntArray
    removed: IntArray
    reimaged: tuple[tuple[int, int], ...]

    def sentences(self) -> tuple[str, ...]:
        """Return the changes as sentences, none if nothing changed."""
        out = []
        if len(self.newcomers):
            out.append(f"{len(self.newcomers)} devices are new: they go to the tail")
        if self.reimaged:
            out.append(f"{len(self.reimaged)} of them are known hardware under a new id (re-imaged)")
        if len(self.removed):
            out.append(f"{len(self.removed)} planned devices have left the inventory: exclude them")
        return tuple(out)


@dataclass(frozen=True, slots=True, eq=False)
class MembershipDrift:
    """Where the collection and our record differ. Both are rows of the plan.

    adopted : members that we never added: they are left where they are, and an undo leaves them too.
    withdrawn : released devices that somebody took out; we do not add them again.
    """

    adopted: IntArray
    withdrawn: IntArray


def compare(plan: Plan, known: Fleet, newer: Fleet) -> Drift:
    """Compare the planned fleet with a newer one.

    known : the fleet that was planned, row by row. Hardware is recognised by its serial number, if that is
    written, and held by one device only in either fleet.
    """
    if len(known) != len(plan):
        raise ValueError(f"expected the fleet of the plan ({len(plan)} devices), found {len(known)}")
    old = {device_id: row for row, device_id in enumerate(plan.ids.tolist())}
    new_ids = newer.ids.tolist()
    newcomers = np.array(
        [row for row, device_id in enumerate(new_ids) if device_id not in old], dtype=np.int32
    )
    still = set(new_ids)
    removed = np.array([row for device_id, row in old.items() if device_id not in still], dtype=np.int32)
    before, after = _by_serial(known.serials), _by_serial(newer.serials)
    fresh = set(newcomers.tolist())
    pairs = ((before[serial], row) for serial, row in after.items() if row in fresh and serial in before)
    return Drift(newcomers, removed, tuple(sorted(pairs)))


def membership_drift(released: IntArray, members: IntArray) -> MembershipDrift:
    """Compare the devices that we released with the members of the collection, both as rows of the plan."""
    return MembershipDrift(
        adopted=np.setdiff1d(members, released).astype(np.int32),
        withdrawn=np.setdiff1d(released, members).astype(np.int32),
    )


def extended(inventory: Inventory, newer: Inventory, rows: IntArray) -> Inventory:
    """Return the planned inventory with some devices of a newer one behind it: known rows keep their numbers."""
    known, other = inventory.fleet, newer.fleet
    columns = {**{name: other.factors.get(name) for name in known.factors}}
    fleet = Fleet(
        ids=_joined(known.ids, other.ids, rows),
        names=_joined(known.names, other.names, rows),
        resource_ids=np.concatenate([known.resource_ids, other.resource_ids[rows]]),
        serials=_joined(known.serials, other.serials, rows),
        factors={name: _factors(known.factors[name], column, rows) for name, column in columns.items()},
        flags={name: np.concatenate([known.flags[name], other.flags[name][rows]]) for name in known.flags},
        times={name: np.concatenate([known.times[name], other.times[name][rows]]) for name in known.times},
    )
    return Inventory(fleet, newer.taken, (*inventory.files, *newer.files))


def appended(codes: IntArray, levels: tuple[str, ...], values: list[str]) -> tuple[IntArray, tuple[str, ...]]:
    """Code more values behind a column: known levels keep their codes, new ones follow in order."""
    index = {level: code for code, level in enumerate(levels)}
    for value in sorted(set(values) - index.keys()):
        index[value] = len(index)
    more = np.array([index[value] for value in values], dtype=np.int32)
    return np.concatenate([codes, more]).astype(np.int32), tuple(index)


def _joined(known: TextArray, other: TextArray, rows: IntArray) -> TextArray:
    return texts([*known.tolist(), *texts_at(other, rows).tolist()])


def _factors(known: Factor, other: Factor | None, rows: IntArray) -> Factor:
    values = [other[row] for row in rows.tolist()] if other is not None else [""] * len(rows)
    return Factor(*appended(known.codes, known.levels, values))


def _by_serial(serials: TextArray) -> dict[str, int]:
    """Rows by serial number, case-folded; those that several devices hold ("To be filled by O.E.M.") are left out."""
    folded = [serial.strip().casefold() for serial in serials.tolist()]
    counts = Counter(folded)
    return {serial: row for row, serial in enumerate(folded) if serial and counts[serial] == 1}
