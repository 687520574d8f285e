"""How many by now: curves, and the calendar on which their active time runs.

modes       the pacing modes: one module and one row each
curve       reading a curve in whole numbers; active time on a ramp or before a date
calendar    windows minus freezes, resolved to instants; look-ups in microseconds
recurrence  the days of a recurrence rule (RFC 5545), at a bounded cost
"""

from rollout.pacing.curve import (
    MAX_SPEED_UP,
    advance,
    equal_groups,
    extended_by,
    largest_step,
    linear,
    quota,
    released_by,
    spread,
    staircase,
    step_limit,
)

__all__ = [
    "MAX_SPEED_UP",
    "advance",
    "equal_groups",
    "extended_by",
    "largest_step",
    "linear",
    "quota",
    "released_by",
    "spread",
    "staircase",
    "step_limit",
]
