"""From joined records to a fleet: which system takes precedence for which column.

| column | systems, in order of precedence |
|---|---|
| names | Entra, ConfigMgr, Intune |
| serials | ConfigMgr, Intune |
| site | ConfigMgr (ADSiteName) |
| model | Intune, Entra |
| manufacturer, architecture, managed_by, encrypted, last_sync | Intune |
| os | ConfigMgr, Entra, Intune (only ConfigMgr reliably identifies a server) |
| os_version | ConfigMgr, Intune, Entra (Entra's is often months old) |
| join | Entra, Intune |
| mdm | Entra, otherwise Intune if a record enrolled there exists |
| upn_domain | Intune (primary user), Entra |
| enabled, pending, last_sign_in, registered | Entra |
| client, active, obsolete, last_active | ConfigMgr |
| workloads (MDMWorkloads, unchanged) | ConfigMgr, only if its export has the column |
| comanaged | yes if ConfigMgr or Intune says so |

Without an export of a system, its flags are unknown (-1); with an export that has no record of the device, they are
no (0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rollout.exports.columns import IdArray
from rollout.exports.dialects import AGENT_COMANAGED, AGENT_CONFIGMGR, INTUNE
from rollout.exports.joining import BY, By, Joined
from rollout.exports.table import Table
from rollout.values import (
    UNKNOWN,
    Factor,
    FlagArray,
    Fleet,
    IntArray,
    Join,
    LongArray,
    TextArray,
    put_texts,
    texts,
)

Source = tuple[Table | None, IntArray]
"""A system's records and the fleet row of each."""


def fleet_of(entra: Table | None, intune: Table | None, configmgr: Table | None, joined: Joined) -> Fleet:
    """Return a fleet of one row per device, each column by the precedence above."""
    n = len(joined)
    e: Source = (entra, joined.entra)
    i: Source = (intune, joined.intune)
    c: Source = (configmgr, joined.configmgr)
    return Fleet(
        ids=joined.ids,
        names=_texts(n, "name", (e, c, i)),
        resource_ids=_numbers(n, c),
        serials=_texts(n, "serial", (c, i)),
        factors=_factors(n, e, i, c, joined),
        flags=_flags(n, e, i, c, joined),
        times={
            "last_sign_in": _times(n, "last_sign_in", e),
            "last_active": _times(n, "last_active", c),
            "registered": _times(n, "registered", e),
            "last_sync": _times(n, "last_sync", i),
        },
    )


def _factors(n: int, e: Source, i: Source, c: Source, joined: Joined) -> Mapping[str, Factor]:
    unknown = Factor.constant("", n)
    return {
        **_workloads(n, c),
        "site": _factor(n, "site", (c,)),
        "zone": unknown,
        "model": _factor(n, "model", (i, e)),
        "manufacturer": _factor(n, "manufacturer", (i,)),
        "os": _factor(n, "os", (c, e, i)),
        "os_version": _factor(n, "os_version", (c, i, e)),
        "join": _factor(n, "join", (e, i), blank=Join.UNKNOWN.value),
        "mdm": _mdm(n, e, i),
        "presence": unknown,
        "architecture": _factor(n, "architecture", (i,)),
        "managed_by": _factor(n, "agent", (i,)),
        "upn_domain": _factor(n, "upn_domain", (i, e)),
        "configmgr_join": _named(joined.by.astype(np.int32), BY),
        "twin_of": _ids_factor(joined.twin_of),
    }


def _workloads(n: int, c: Source) -> Mapping[str, Factor]:
    """Return the column of workload flags if an export has it: most do not, and neither do their fleets."""
    has = c[0] is not None and "workloads" in c[0].factors
    return {"workloads": _factor(n, "workloads", (c,))} if has else {}


def _flags(n: int, e: Source, i: Source, c: Source, joined: Joined) -> Mapping[str, FlagArray]:
    ambiguous = joined.by == BY.index(By.AMBIGUOUS)
    entra = _seen(n, e)
    # It is unknown which of several records of that name it belongs to, so "no client" and "not in Entra" are too.
    entra[ambiguous & (entra == 0)] = UNKNOWN
    flags = {
        "entra": entra,
        "enabled": _flag(n, "enabled", e),
        "pending": _flag(n, "pending", e),
        "client": _flag(n, "client", c, absent=0),
        "active": _flag(n, "active", c),
        "obsolete": _flag(n, "obsolete", c),
        "comanaged": _comanaged(n, i, c),
        "intune": _seen(n, i),
        "encrypted": _flag(n, "encrypted", i),
    }
    without_record = np.ones(n, dtype=np.bool_)
    without_record[c[1]] = False
    flags["client"][ambiguous & without_record] = UNKNOWN
    return flags


def _seen(n: int, source: Source) -> FlagArray:
    table, rows = source
    out = np.full(n, UNKNOWN if table is None else 0, dtype=np.int8)
    out[rows] = 1
    return out


def _flag(n: int, key: str, source: Source, absent: int = UNKNOWN) -> FlagArray:
    table, rows = source
    out = np.full(n, UNKNOWN if table is None else absent, dtype=np.int8)
    if table is not None:
        out[rows] = table.flags.get(key, UNKNOWN)
    return out


def _comanaged(n: int, i: Source, c: Source) -> FlagArray:
    out = _flag(n, "comanaged", c)
    intune, rows = i
    if intune is not None:
        out[out == UNKNOWN] = 0
        out[rows[intune.factors["agent"].where(AGENT_COMANAGED)]] = 1
    return out


def _mdm(n: int, e: Source, i: Source) -> Factor:
    parts: list[tuple[Factor, IntArray]] = []
    if e[0] is not None and "mdm" in e[0].factors:
        parts.append((e[0].factors["mdm"], e[1]))
    if i[0] is not None:
        enrolled = i[1][~i[0].factors["agent"].where(AGENT_CONFIGMGR)]
        parts.append((Factor.constant(INTUNE, len(enrolled)), enrolled))
    return coalesce(n, parts, "")


def _factor(n: int, key: str, sources: Sequence[Source], blank: str = "") -> Factor:
    parts = [
        (table.factors[key], rows) for table, rows in sources if table is not None and key in table.factors
    ]
    return coalesce(n, parts, blank)


def coalesce(n: int, parts: Sequence[tuple[Factor, IntArray]], blank: str) -> Factor:
    """Merge factors; for each row, the first that is not blank counts."""
    names = sorted({blank, *(level for factor, _ in parts for level in factor.levels)})
    index = {name: code for code, name in enumerate(names)}
    out = np.full(n, index[blank], dtype=np.int32)
    for factor, rows in reversed(parts):
        table = np.array([index[level] for level in factor.levels], dtype=np.int32)
        codes = table[factor.codes] if len(factor) else np.empty(0, dtype=np.int32)
        known = codes != index[blank]
        out[rows[known]] = codes[known]
    return _named(out, names)


def _named(codes: IntArray, names: Sequence[str]) -> Factor:
    """Return a factor with only the used levels, sorted."""
    used = np.unique(codes)
    levels = sorted(names[code] for code in used.tolist())
    index = {level: code for code, level in enumerate(levels)}
    table = np.zeros(len(names), dtype=np.int32)
    for code in used.tolist():
        table[code] = index[names[code]]
    return Factor(table[codes], tuple(levels))


def _ids_factor(ids: IdArray) -> Factor:
    levels, codes = np.unique(ids, return_inverse=True)
    return Factor(codes.astype(np.int32), tuple(level.decode() for level in levels.tolist()))


def _texts(n: int, key: str, sources: Sequence[Source]) -> TextArray:
    out: TextArray = texts([""] * n)
    for table, rows in reversed(sources):
        if table is not None and key in table.texts:
            column = table.texts[key]
            filled = column != ""
            put_texts(out, rows[filled], column[filled])
    return out


def _times(n: int, key: str, source: Source) -> LongArray:
    table, rows = source
    out = np.full(n, UNKNOWN, dtype=np.int64)
    if table is not None and key in table.times:
        out[rows] = table.times[key]
    return out


def _numbers(n: int, source: Source) -> LongArray:
    table, rows = source
    out = np.full(n, UNKNOWN, dtype=np.int64)
    if table is not None:
        out[rows] = table.numbers["resource_id"]
    return out
