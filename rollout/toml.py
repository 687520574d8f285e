"""Reading TOML: whatever is wrong with a text, the answer is one line."""

from __future__ import annotations

import tomllib
from typing import Any

from rollout.errors import UsageError


def parse_toml(text: str, source: str, hint: str = "") -> dict[str, Any]:
    """Give the tables of a text in TOML.

    source : the file's name, for messages. Raise `UsageError` for anything that cannot be read: other text, a
    number of thousands of digits, tables nested by the thousand.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{source}: expected TOML, found: {error}", hint) from error
    except ValueError as error:
        reason = "a number of more than 4,300 digits" if "digits" in str(error) else str(error)
        raise UsageError(f"{source}: expected TOML, found: {reason}", hint) from error
    except RecursionError as error:
        raise UsageError(f"{source}: expected TOML, found: brackets nested too deep", hint) from error
