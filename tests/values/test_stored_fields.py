"""The fields of stored types: plans that were approved under them must keep their digest."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rollout.values import Fleet, Inventory, Plan

STORED = Path(__file__).parent.parent / "data" / "stored_fields.json"


def types_in(hint: Any) -> Iterator[type]:
    """Give the dataclasses that a type hint mentions."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        yield hint
    for inner in typing.get_args(hint):
        yield from types_in(inner)


def stored_fields() -> dict[str, list[str]]:
    """Give the fields that always enter the digest, of every type that a plan or an inventory holds."""
    found: dict[str, list[str]] = {}
    todo: list[type] = [Plan, Inventory, Fleet]
    while todo:
        kind = todo.pop()
        if kind.__name__ in found:
            continue
        fields = dataclasses.fields(kind)
        found[kind.__name__] = sorted(field.name for field in fields if "canonical" not in field.metadata)
        hints = typing.get_type_hints(kind)
        todo += [inner for field in fields for inner in types_in(hints[field.name])]
    return dict(sorted(found.items()))


def test_no_field_changes_the_digest_of_stored_plans() -> None:
    """A new field needs `metadata=LATER` and a default; a removed or renamed one invalidates every approval."""
    known = json.loads(STORED.read_text(encoding="utf-8"))
    assert len(known) > 12
    assert stored_fields() == known
