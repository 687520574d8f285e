"""How many by now: curves, and the calendar on which their active time runs.

modes       the pacing modes: one module and one row each
curve       reading a curve in whole numbers; active time on a ramp or before a date
calendar    windows minus freezes, resolved to instants; look-ups in microseconds
recurrence  the days of a recurrence rule (RFC 5545), at a bounded cost
"""

from rollout.pacing.calendar import (
    DEVICE_ZONE,
    Freeze,
    active_between,
    instant_after,
    is_open,
    next_close,
    next_open,
    open_zones,
    resolve,
    union,
)
from rollout.pacing.curve import (
    MAX_SPEED_UP,
    active_until,
    advance,
    equal_groups,
    extended_by,
    largest_step,
    linear,
    parts_of,
    quota,
    released_by,
    spread,
    staircase,
    step_limit,
)

__all__ = [
    "DEVICE_ZONE",
    "MAX_SPEED_UP",
    "Freeze",
    "active_between",
    "active_until",
    "advance",
    "equal_groups",
    "extended_by",
    "instant_after",
    "is_open",
    "largest_step",
    "linear",
    "next_close",
    "next_open",
    "open_zones",
    "parts_of",
    "quota",
    "released_by",
    "resolve",
    "spread",
    "staircase",
    "step_limit",
    "union",
]
