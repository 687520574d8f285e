"""Read TOML; whatever is wrong with the text is reported in one line."""

from __future__ import annotations

import tomllib
from typing import Any

from rollout.errors import UsageError

DEEPEST = 32
"""Maximum nesting of tables: far deeper than any of our files, far less than Python can walk."""


def parse_toml(text: str, source: str, hint: str = "") -> dict[str, Any]:
    """Return the tables of a TOML text.

    source : the file's name, for messages. Raise `UsageError` for anything that cannot be read: other text, a
    number with thousands of digits, thousands of nested tables.
    """
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{source} is not valid TOML: {error}", hint) from error
    except ValueError as error:
        reason = "a number has more than 4,300 digits" if "digits" in str(error) else str(error)
        raise UsageError(f"{source} is not valid TOML: {reason}", hint) from error
    except RecursionError as error:
        raise UsageError(f"{source} is not valid TOML: brackets are nested too deeply", hint) from error
    if _is_deeper_than(found, DEEPEST):
        raise UsageError(f"{source}: tables are nested more than {DEEPEST} levels deep", hint)
    return found


def _is_deeper_than(found: object, most: int) -> bool:
    """Return whether tables and lists are nested deeper: a key with a thousand dots makes a thousand tables."""
    level = [found]
    for _ in range(most + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return bool(level)
