"""Warnings of a plan that other parts recognize or repeat."""

from __future__ import annotations

from rollout.values.plan import HOUR_S

OUTSIDE_WINDOWS = (
    "a way back does not wait: devices are taken out at any hour, outside the change windows and in freezes too; "
    "plan --undo with --in-windows keeps to them"
)
"""An undo that is not bound to the windows of the plan that it undoes."""


def late_start(start: int, now: int) -> str:
    """Say what it means that a plan's start has passed, "" if it has not. start, now : Unix seconds."""
    if start >= now:
        return ""
    hours = (now - start) / HOUR_S
    ago = f"{hours:,.1f} hours" if hours < 48 else f"{hours / 24:,.0f} days"
    return f"the start lies {ago} in the past: releases begin as soon as the plan is run and a window is open"
