"""From inventory, findings and policy to a plan; and what becomes of a plan when the fleet changes.

planner      make_plan: who leaves, who is in which phase, in which order
order        the salted, representative order, and the auditor's recipe
selection    the table `where`;  exclusions: who leaves, and why
timetable    the calendar, also one a zone;  curves: from a way of pacing to its curve
phasing      phases that can be kept, or the refusal with the figure that can
schedule     the nominal batches;  flight: devices in flight;  feasibility: the report on both
human_steps  what people do in the console
drift        what changed in the fleet;  change: newcomers, continue, undo
explanation  why a device is where it is;  ics: change windows for a calendar
"""

from rollout.planning.change import Changed, continue_plan, order_digest, take_in, undo_plan
from rollout.planning.drift import Drift, compare, membership_drift
from rollout.planning.explanation import explain
from rollout.planning.feasibility import Feasibility, PhaseForecast, feasibility
from rollout.planning.ics import calendar_text
from rollout.planning.order import draw_order
from rollout.planning.planner import make_plan
from rollout.planning.schedule import Release, nominal_batches, nominal_releases

__all__ = [
    "Changed",
    "Drift",
    "Feasibility",
    "PhaseForecast",
    "Release",
    "calendar_text",
    "compare",
    "continue_plan",
    "draw_order",
    "explain",
    "feasibility",
    "make_plan",
    "membership_drift",
    "nominal_batches",
    "nominal_releases",
    "order_digest",
    "take_in",
    "undo_plan",
]
