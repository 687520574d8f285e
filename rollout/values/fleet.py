"""The fleet: one row per device, stored as columns. Also its inventory and preflight's findings.

There is no Python object per device on a hot path: 100,000 devices are a handful of arrays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int32]
LongArray = NDArray[np.int64]
FlagArray = NDArray[np.int8]
BoolArray = NDArray[np.bool_]
TextArray = NDArray[np.str_]  # in fact numpy's variable-width StringDType, see `texts`

UNKNOWN = -1
"""The value of an unknown flag, number or time."""


def texts(values: Iterable[str]) -> TextArray:
    """Return `values` as a numpy array of variable-width strings, shape ``(n,)``."""
    return np.array(list(values), dtype=np.dtypes.StringDType())


def texts_at(column: TextArray, rows: IntArray | LongArray) -> TextArray:
    """Return the texts of some rows, in their order.

    NumPy 2.1 reads freed memory when 32-bit indices select variable-width strings.
    """
    chosen: TextArray = column[rows.astype(np.intp)]
    return chosen


def put_texts(column: TextArray, rows: IntArray | LongArray, values: TextArray) -> None:
    """Write texts into some rows of a column; with 32-bit indices NumPy 2.1 writes nothing."""
    column[rows.astype(np.intp)] = values


def codes_of(values: Iterable[str], index: dict[str, int] | None = None) -> IntArray:
    """Number the distinct texts in order of first appearance, shape ``(n,)``.

    index : text to number; it grows, so that several columns can share a numbering.

    Texts are numbered, never sorted: NumPy 2.4 ends the process when it sorts a nearly sorted array of
    variable-width strings, and exports usually are sorted by name.
    """
    known = {} if index is None else index
    return np.array([known.setdefault(value, len(known)) for value in values], dtype=np.int32)


class Join(StrEnum):
    """How a device is known to Entra (levels of the factor ``join``)."""

    HYBRID = "hybrid"  # trustType ServerAd
    ENTRA = "entra"  # trustType AzureAd
    REGISTERED = "registered"  # trustType Workplace: alone it cannot be co-managed
    NONE = "none"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, eq=False)
class Factor:
    """A text column with few distinct values.

    codes : (n,) int32, index into `levels`.
    levels : the distinct values, sorted; the empty string means unknown.
    """

    codes: IntArray
    levels: tuple[str, ...]

    @classmethod
    def of(cls, values: Sequence[str]) -> Factor:
        """Code `values`; levels come out sorted, so equal columns give equal factors."""
        levels = tuple(sorted(set(values)))
        index = {level: code for code, level in enumerate(levels)}
        codes = np.fromiter((index[value] for value in values), dtype=np.int32, count=len(values))
        return cls(codes, levels)

    @classmethod
    def constant(cls, value: str, n: int) -> Factor:
        """Return a column that holds the same value `n` times."""
        return cls(np.zeros(n, dtype=np.int32), (value,))

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, row: int) -> str:
        return self.levels[int(self.codes[row])]

    def where(self, value: str) -> BoolArray:
        """Return for each row whether it holds `value`, shape ``(n,)``; all False if no row does."""
        code = self.levels.index(value) if value in self.levels else UNKNOWN
        return np.asarray(self.codes == code)

    def take(self, rows: IntArray) -> Factor:
        """Return the column for some rows only, with the same levels."""
        return Factor(self.codes[rows], self.levels)


FACTORS = (
    "site",  # ADSiteName, or the scenario's site
    "zone",  # IANA zone of the device; "" where unknown
    "model",
    "manufacturer",
    "os",  # "Windows", "Windows Server", …
    "os_version",  # "10.0.22631.4460"
    "join",  # Join
    "mdm",  # the MDM that manages it today, "" for none
    "presence",  # always-on, office, laptop, rarely-on; "" where unknown
)
"""Factors that every fleet has; others (a customer's own column) may follow."""

FLAGS = (
    "entra",  # an Entra record was seen
    "enabled",  # accountEnabled
    "pending",  # hybrid join pending (no alternativeSecurityIds, or registration "Pending")
    "client",  # ConfigMgr client installed
    "active",  # ConfigMgr client active
    "obsolete",  # obsolete ConfigMgr record
    "comanaged",  # already enrolled
    "intune",  # an Intune record was seen
)
"""Flags that every fleet has: 1 yes, 0 no, -1 unknown."""

TIMES = ("last_sign_in", "last_active", "registered")
"""Times that every fleet has: Unix seconds, -1 unknown."""


@dataclass(frozen=True, eq=False)
class Fleet:
    """One client per row, as columns of equal length n.

    ids : (n,) text, unique: the Entra device ID in lower case; ``cm:<ResourceID>`` or
        ``intune:<id>`` if no Entra record is known.
    names : (n,) text, computer names as exported.
    resource_ids : (n,) int64, the ConfigMgr ResourceID, -1 unknown.
    serials : (n,) text, "" unknown.
    factors, flags, times : columns by name, see FACTORS, FLAGS, TIMES.
    """

    ids: TextArray
    names: TextArray
    resource_ids: LongArray
    serials: TextArray
    factors: Mapping[str, Factor]
    flags: Mapping[str, FlagArray]
    times: Mapping[str, LongArray]

    def __post_init__(self) -> None:
        n = len(self.ids)
        columns: dict[str, Sized] = {
            "names": self.names,
            "resource_ids": self.resource_ids,
            "serials": self.serials,
            **self.factors,
            **self.flags,
            **self.times,
        }
        for name, column in columns.items():
            if len(column) != n:
                raise ValueError(f"column {name!r}: expected {n} rows, found {len(column)}")
        missing = [name for name in (*FACTORS, *FLAGS, *TIMES) if name not in columns]
        if missing:
            raise ValueError(f"the fleet lacks the columns {', '.join(missing)}")

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: IntArray) -> Fleet:
        """Return the fleet of some rows only, in their order."""
        return Fleet(
            ids=texts_at(self.ids, rows),
            names=texts_at(self.names, rows),
            resource_ids=self.resource_ids[rows],
            serials=texts_at(self.serials, rows),
            factors={name: factor.take(rows) for name, factor in self.factors.items()},
            flags={name: flag[rows] for name, flag in self.flags.items()},
            times={name: at[rows] for name, at in self.times.items()},
        )

    def rows_of(self, ids: Iterable[str]) -> dict[str, int]:
        """Return the row of each ID that is in the fleet."""
        return {device: self._index[device] for device in ids if device in self._index}

    @cached_property
    def _index(self) -> dict[str, int]:
        return {device: row for row, device in enumerate(self.ids.tolist())}

    @cached_property
    def digest(self) -> str:
        """SHA-256 over ids and all columns, in a fixed order."""
        seal = hashlib.sha256()
        for name, text in (("ids", self.ids), ("names", self.names), ("serials", self.serials)):
            seal.update(f"\n{name}\n".encode())
            seal.update("\n".join(text.tolist()).encode())
        seal.update(b"\nresource_ids\n" + self.resource_ids.astype("<i8").tobytes())
        for name in sorted(self.factors):
            factor = self.factors[name]
            seal.update(f"\n{name}\n{chr(31).join(factor.levels)}\n".encode())
            seal.update(factor.codes.astype("<i4").tobytes())
        for name in sorted(self.flags):
            seal.update(f"\n{name}\n".encode() + self.flags[name].astype("<i1").tobytes())
        for name in sorted(self.times):
            seal.update(f"\n{name}\n".encode() + self.times[name].astype("<i8").tobytes())
        return seal.hexdigest()


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line of an export that was rejected; line 0 is the file as a whole."""

    file: str
    line: int
    column: str
    found: str
    expected: str

    def __str__(self) -> str:
        where = self.file + (f", line {self.line}" if self.line else "")
        where += f", column '{self.column}'" if self.column else ""
        return f"{where}: expected {self.expected}, found {self.found}"


GENERATED = "scenario"
"""Kind of an inventory's source that is not an export but a scenario that generated the fleet."""


@dataclass(frozen=True, slots=True, eq=False)
class Inventory:
    """A snapshot of the fleet.

    taken : Unix seconds at which the snapshot describes the fleet.
    files : the sources, as (name, kind, rows).
    """

    fleet: Fleet
    taken: int
    files: tuple[tuple[str, str, int], ...]
    rejected: tuple[Rejected, ...] = ()

    @property
    def is_made_up(self) -> bool:
        """Return whether a scenario generated it: no device in it is real."""
        return is_made_up(self.files)


def is_made_up(files: Iterable[Sequence[object]]) -> bool:
    """Return whether a scenario generated an inventory, by its sources, (name, kind, rows) each."""
    return any(kind == GENERATED for _, kind, _ in files)


class Severity(StrEnum):
    """What a finding means for the plan."""

    BLOCK = "block"  # the device leaves the plan, with this reason
    WARN = "warn"  # the device stays in the plan, and a person should check it
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    """What preflight says about a device (row ≥ 0) or the tenant (row = -1)."""

    rule: str
    severity: Severity
    row: int
    sentence: str
    next_action: str
    detail: Mapping[str, str] = field(default_factory=dict)
