"""Decision rows as a file: what two runs of the same plan and seed have in common."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from rollout.files import write_file
from rollout.text import json_text
from rollout.values import DecisionRow


def write_decisions(path: Path, rows: Iterable[DecisionRow]) -> None:
    """Write decision rows as JSON lines."""
    write_file(path, "".join(json_text(asdict(row), sort_keys=True) + "\n" for row in rows))
