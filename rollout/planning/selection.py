"""The devices that a policy selects: columns by name, and the table `where` of a phase."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

import numpy as np

from rollout.errors import UsageError
from rollout.policy.mistakes import suggestion
from rollout.values import BoolArray, Factor, Fleet, TextArray

TEXTS = ("id", "name", "serial")
"""Columns of `where` in which every device has its own value."""


def factor_of(fleet: Fleet, column: str, key: str) -> Factor:
    """Return a column with few values by name.

    key : where the name was written, for the message. Raise a `UsageError` if the fleet has no such column.
    """
    if column not in fleet.factors:
        raise UsageError(
            f"key 'rollout.{key}': expected a column of the inventory, found '{column}'",
            suggestion(column, fleet.factors),
        )
    return fleet.factors[column]


def matching(fleet: Fleet, where: Mapping[str, tuple[str | bool, ...]], key: str) -> BoolArray:
    """Return which devices satisfy all of `where`, shape ``(n,)``; an empty table is satisfied by all.

    A text may hold the wildcards * and ?; case is ignored. A flag is compared with true or false; an
    unknown flag is neither. Raise a `UsageError` for a column that the fleet lacks.
    """
    out = np.ones(len(fleet), dtype=np.bool_)
    for column, wanted in where.items():
        out &= _column_matches(fleet, column, wanted, f"{key}.{column}")
    return out


def _column_matches(fleet: Fleet, column: str, wanted: tuple[str | bool, ...], key: str) -> BoolArray:
    if column in fleet.flags:
        values = [int(value) for value in wanted if isinstance(value, bool)]
        if len(values) < len(wanted):
            raise UsageError(f"key 'rollout.{key}': expected true or false, found {wanted[0]!r}")
        return np.isin(fleet.flags[column], np.array(values, dtype=np.int8))
    patterns = [value for value in wanted if isinstance(value, str)]
    if len(patterns) < len(wanted):
        raise UsageError(f"key 'rollout.{key}': expected a text or a list of texts, found {wanted[0]!r}")
    if column in fleet.factors:
        factor = fleet.factors[column]
        hits = np.array([_is_like(level, patterns) for level in factor.levels], dtype=np.bool_)
        return hits[factor.codes]
    if column in TEXTS:
        return _text_matches(_text(fleet, column), patterns)
    raise UsageError(
        f"key 'rollout.{key}': expected a column of the inventory, found '{column}'",
        suggestion(column, [*fleet.factors, *fleet.flags, *TEXTS]),
    )


def _text(fleet: Fleet, column: str) -> TextArray:
    return {"id": fleet.ids, "name": fleet.names, "serial": fleet.serials}[column]


def _text_matches(values: TextArray, patterns: list[str]) -> BoolArray:
    exact = {pattern.casefold() for pattern in patterns if not set(pattern) & set("*?")}
    wild = [pattern for pattern in patterns if set(pattern) & set("*?")]
    folded = (value.casefold() for value in values.tolist())
    hits = (value in exact or (bool(wild) and _is_like(value, wild)) for value in folded)
    return np.fromiter(hits, dtype=np.bool_, count=len(values))


def _is_like(value: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(value.casefold(), _literal(pattern.casefold())) for pattern in patterns)


def _literal(pattern: str) -> str:
    """Only * and ? are wildcards here."""
    return pattern.replace("[", "[[]")
