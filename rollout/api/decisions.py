"""The decisions of a rollout or of a simulated run as a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rollout.files import write_file
from rollout.text import json_text
from rollout.values import DecisionRow


def write_decisions(path: Path, rows: Sequence[DecisionRow]) -> None:
    """Write decision rows as JSON lines: the same for every run of the same plan and seed."""
    write_file(path, "".join(json_text(asdict(row), sort_keys=True) + "\n" for row in rows))
