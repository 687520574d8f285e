"""The JSON Schema of every command's --json output, as tests/data/schemas keeps it: one file per command.

Regenerate them after a change that is meant: python tests/support/stored_schemas.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rollout.documents.table import DOCUMENTS, schema_of

FOLDER = Path(__file__).parent.parent / "data" / "schemas"
COMMAND = "python tests/support/stored_schemas.py"


def stored() -> dict[str, Any]:
    """Give the stored schemas by command."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}


def regenerate() -> None:
    """Write the schema of every command; remove those of commands that no longer exist."""
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.json"):
        path.unlink()
    for verb in DOCUMENTS:
        text = json.dumps(schema_of(verb), indent=1, ensure_ascii=False, sort_keys=True)
        (FOLDER / f"{verb}.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    regenerate()
