"""The small part of OData's filter language that the emulators answer: eq ne gt ge lt le, and, or, parentheses."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

Row = dict[str, Any]
TOKEN = re.compile(r"\s*(\(|\)|'(?:[^']|'')*'|[^\s()]+)")
COMPARE = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


class FilterError(ValueError):
    """A filter that this language does not have."""


def compile_filter(text: str) -> Callable[[Row], bool]:
    """Give the filter as a function of a row."""
    if not text:
        return lambda _row: True
    if "\\" in text:
        raise FilterError("a backslash")
    tokens = TOKEN.findall(text)
    test, rest = _either(tokens)
    if rest:
        raise FilterError(f"unexpected {rest[0]}")
    return test


def _either(tokens: list[str]) -> tuple[Callable[[Row], bool], list[str]]:
    left, rest = _both(tokens)
    while rest and rest[0] == "or":
        right, rest = _both(rest[1:])
        left = (lambda a, b: lambda row: a(row) or b(row))(left, right)
    return left, rest


def _both(tokens: list[str]) -> tuple[Callable[[Row], bool], list[str]]:
    left, rest = _one(tokens)
    while rest and rest[0] == "and":
        right, rest = _one(rest[1:])
        left = (lambda a, b: lambda row: a(row) and b(row))(left, right)
    return left, rest


def _one(tokens: list[str]) -> tuple[Callable[[Row], bool], list[str]]:
    if tokens and tokens[0] == "(":
        test, rest = _either(tokens[1:])
        if not rest or rest[0] != ")":
            raise FilterError("expected )")
        return test, rest[1:]
    if len(tokens) < 3 or tokens[1] not in COMPARE:
        raise FilterError(f"cannot read {tokens[:3]}")
    field, compare, value = tokens[0], COMPARE[tokens[1]], _literal(tokens[2])
    return (lambda row: compare(row[field], value)), tokens[3:]


def _literal(token: str) -> Any:
    if token.startswith("'"):
        return token[1:-1].replace("''", "'")
    if token in ("true", "false"):
        return token == "true"
    try:
        return int(token)
    except ValueError:
        raise FilterError(f"no literal: {token}") from None
