"""Reading TOML: whatever is wrong with a text, the answer is one line."""

from __future__ import annotations

import tomllib
from typing import Any

from rollout.errors import UsageError

DEEPEST = 32
"""Tables within tables that a file may have: far more than any of ours has, far fewer than Python can walk."""


def parse_toml(text: str, source: str, hint: str = "") -> dict[str, Any]:
    """Return the tables of a text in TOML.

    source : the file's name, for messages. Raise `UsageError` for anything that cannot be read: other text, a
    number of thousands of digits, tables nested by the thousand.
    """
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{source}: expected TOML, found: {error}", hint) from error
    except ValueError as error:
        reason = "a number of more than 4,300 digits" if "digits" in str(error) else str(error)
        raise UsageError(f"{source}: expected TOML, found: {reason}", hint) from error
    except RecursionError as error:
        raise UsageError(f"{source}: expected TOML, found: brackets nested too deep", hint) from error
    if _is_deeper_than(found, DEEPEST):
        raise UsageError(f"{source}: expected tables at most {DEEPEST} deep, found more", hint)
    return found


def _is_deeper_than(found: object, most: int) -> bool:
    """Whether tables and lists lie deeper in each other: a key of a thousand dots makes a thousand tables."""
    level = [found]
    for _ in range(most + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return bool(level)
