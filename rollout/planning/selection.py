"""The devices that a policy selects: columns by name, and the table `where` of a phase."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
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
    unknown flag is neither. Raise a `UsageError` for a column that the fleet lacks, and for a value that no device
    has: a misspelt value selects nobody, and a pilot of nobody protects nobody.
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
        if len(fleet) and not (fleet.flags[column] >= 0).any():
            raise UsageError(
                f"key 'rollout.{key}': the inventory does not know '{column}' of any device",
                "Add the export that has this column, or leave the key out.",
            )
        return np.isin(fleet.flags[column], np.array(values, dtype=np.int8))
    patterns = [value for value in wanted if isinstance(value, str)]
    if len(patterns) < len(wanted):
        raise UsageError(f"key 'rollout.{key}': expected a text or a list of texts, found {wanted[0]!r}")
    if column in fleet.factors:
        factor = fleet.factors[column]
        _require_known(patterns, factor.levels, column, key)
        hits = np.array([_is_like(level, patterns) for level in factor.levels], dtype=np.bool_)
        return hits[factor.codes]
    if column in TEXTS:
        text = _text(fleet, column)
        _require_known(patterns, text.tolist(), column, key)
        return _text_matches(text, patterns)
    raise UsageError(
        f"key 'rollout.{key}': expected a column of the inventory, found '{column}'",
        suggestion(column, [*fleet.factors, *fleet.flags, *TEXTS]),
    )


SHOWN = 8
"""Values, or values in doubt, that a message names."""

ALIKE = 5_000
"""Values that are compared letter by letter with a value that no device has; more would take seconds."""


def _require_known(patterns: Sequence[str], values: Collection[str], column: str, key: str) -> None:
    """Raise a `UsageError` that names the values which match none of a column's, and the nearest that exist."""
    if not values:
        return
    known = {value.casefold(): value for value in reversed(list(values))}
    unknown = [pattern for pattern in patterns if not _matches_any(pattern, known)]
    if not unknown:
        return
    named = ", ".join(f"'{value}'" for value in unknown[:SHOWN])
    more = f" and {len(unknown) - SHOWN:,} more" if len(unknown) > SHOWN else ""
    raise UsageError(
        f"key 'rollout.{key}': no device of the inventory has the {column} {named}{more}",
        _nearest(unknown[0], known),
    )


def _matches_any(pattern: str, known: Mapping[str, str]) -> bool:
    """Return whether a pattern matches one of some case-folded values."""
    if not set(pattern) & set("*?"):
        return pattern.casefold() in known
    return any(_is_like(value, [pattern]) for value in known)


def _nearest(value: str, known: Mapping[str, str]) -> str:
    """Return a hint that names the existing value that is most like `value`, or some of them."""
    folded = value.casefold()
    alike = [key for key in known if key[:2] == folded[:2]] if len(known) > ALIKE else list(known)
    near = difflib.get_close_matches(folded, alike[:ALIKE], n=1, cutoff=0.6)
    if near:
        return f"Did you mean '{known[near[0]]}'?"
    names = [name or "(unknown)" for name in sorted(known.values())]
    return f"Known: {', '.join(names[:SHOWN])}" + (
        f" and {len(names) - SHOWN:,} more." if len(names) > SHOWN else "."
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
