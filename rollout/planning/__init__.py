"""From inventory, findings and policy to a plan; and the changes to a plan when the fleet changes.

checked      preflight and plan in one step
planner      make_plan: which devices leave, which are in which phase, in which order
order        the salted, representative order, and the auditor's recipe;  strata_early: small strata in it
selection    the table `where`;  exclusions: which devices leave, and why
timetable    the calendar, also one per zone
phasing      phases that can be kept, or the refusal with the figure that can;  phase_draft: one of them
phase_gates  the gate of each phase, fitted to its devices;  exposure: what leaves before it can be judged
schedule     the nominal batches;  flight: devices in flight;  feasibility: the report on both
human_steps  what people do in the console
drift        what changed in the fleet;  change: newcomers, continue, undo
explanation  why a device is where it is;  ics: change windows for a calendar
"""

from rollout.planning.change import continue_plan, undo_plan
from rollout.planning.drift import membership_drift
from rollout.planning.explanation import explain
from rollout.planning.feasibility import feasibility
from rollout.planning.ics import calendar_text
from rollout.planning.planner import make_plan
from rollout.planning.schedule import nominal_batches, nominal_releases

__all__ = [
    "calendar_text",
    "continue_plan",
    "explain",
    "feasibility",
    "make_plan",
    "membership_drift",
    "nominal_batches",
    "nominal_releases",
    "undo_plan",
]
