"""`[directory.csv]` of the settings file."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict


class CsvSettings(BaseModel):
    """folder : holds name.txt (the identity), members.csv (we append to it) and outcomes.csv (others write it)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path
