"""Workloads and automatic enrollment: what can be set, what it does to whom, and the way back.

`sliders` holds the seven workloads as a table, `flags` reads a client's bits, `authority` says who manages what,
`enrollment` knows None, Pilot and All, `way_back` what stays, `states` what the site says of each client.
"""

from rollout.workloads.authority import Authority, authorities, authority, expected_authority
from rollout.workloads.enrollment import (
    TRANSITIONS,
    WIZARD_DEFAULT,
    Groups,
    Mode,
    Transition,
    transition,
)
from rollout.workloads.flags import FORCED_SINCE, MARKERS, WorkloadFlags, decode
from rollout.workloads.sliders import (
    AUTOPATCH,
    COMANAGED_BIT,
    USUAL_ORDER,
    WORKLOADS,
    Slider,
    Workload,
    breaks_superset,
    missing_counterparts,
    moves_with,
    order_advice,
    outside_superset,
    workloads_of,
)
from rollout.workloads.states import ClientState, EnrollmentStatus, FleetState, Step, count_states, read_state
from rollout.workloads.way_back import UNENROLL_ORDER, Leave, Unenrolled, judge_unenroll, way_back

__all__ = [
    "AUTOPATCH",
    "COMANAGED_BIT",
    "FORCED_SINCE",
    "MARKERS",
    "TRANSITIONS",
    "UNENROLL_ORDER",
    "USUAL_ORDER",
    "WIZARD_DEFAULT",
    "WORKLOADS",
    "Authority",
    "ClientState",
    "EnrollmentStatus",
    "FleetState",
    "Groups",
    "Leave",
    "Mode",
    "Slider",
    "Step",
    "Transition",
    "Unenrolled",
    "Workload",
    "WorkloadFlags",
    "authorities",
    "authority",
    "breaks_superset",
    "count_states",
    "decode",
    "expected_authority",
    "judge_unenroll",
    "missing_counterparts",
    "moves_with",
    "order_advice",
    "outside_superset",
    "read_state",
    "transition",
    "way_back",
    "workloads_of",
]
