"""Pacing modes as a scenario writes them, `pacing = {mode = "...", ...}`: one module and one row here for each.

A mode's module holds all that is known of it: its keys, its curve, what it promises, and how it scales to a
smaller fleet. `base` says what that takes.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from rollout.pacing.modes.auto import Auto
from rollout.pacing.modes.base import DateError, Frame, Mode
from rollout.pacing.modes.batches import Batches
from rollout.pacing.modes.by_date import ByDate
from rollout.pacing.modes.duration import Duration
from rollout.pacing.modes.points import Points
from rollout.pacing.modes.ramp import Ramp
from rollout.pacing.modes.rate import Rate


def _table(value: object) -> object:
    """Let a mode's name alone stand for its table, and a table without a mode for `auto`."""
    if isinstance(value, str):
        return {"mode": value}
    return {"mode": "auto", **value} if isinstance(value, dict) else value


AnyMode = Auto | Rate | Duration | ByDate | Points | Ramp | Batches
"""The table of modes; a new mode is a new member."""

Pacing = Annotated[Annotated[AnyMode, Field(discriminator="mode")], BeforeValidator(_table)]
"""The `pacing` of a phase."""

__all__ = ["AnyMode", "Auto", "DateError", "Frame", "Mode", "Pacing"]
