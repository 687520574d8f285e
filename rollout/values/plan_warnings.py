"""Sentences of a plan that people read before they approve it: warnings, and notes on how it was made.

Both are stored in `Plan.warnings`; a note begins with NOTE. Other parts recognize or repeat some of them.
"""

from __future__ import annotations

from rollout.values.plan import HOUR_S

OUTSIDE_WINDOWS = (
    "a way back does not wait: devices are taken out at any hour, outside the change windows and in freezes too; "
    "plan --undo with --in-windows keeps to them"
)
"""An undo that is not bound to the windows of the plan that it undoes."""

NOTE = "note: "
"""What a note begins with: nothing is wrong, but a person should know it."""

_LATE = "the start lies "


def late_start(start: int, now: int) -> str:
    """Say what it means that a plan's start has passed, "" if it has not. start, now : Unix seconds."""
    if start >= now:
        return ""
    hours = (now - start) / HOUR_S
    ago = f"{hours:,.1f} hours" if hours < 48 else f"{hours / 24:,.0f} days"
    return f"{_LATE}{ago} in the past: releases begin as soon as the plan is run and a window is open"


def note(sentence: str) -> str:
    """Return a sentence as a note."""
    return NOTE + sentence


def is_note(sentence: str) -> bool:
    """Return whether a sentence of `Plan.warnings` is a note."""
    return sentence.startswith(NOTE)


def labelled(sentence: str) -> str:
    """Return a sentence of `Plan.warnings` with its label, as it is printed."""
    return sentence if is_note(sentence) else f"warning: {sentence}"


def lasting(warnings: tuple[str, ...]) -> tuple[str, ...]:
    """Return the sentences that still hold when a plan is approved or simulated: not that its start has passed."""
    return tuple(sentence for sentence in warnings if not sentence.startswith(_LATE))
