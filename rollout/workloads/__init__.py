"""Workloads and automatic enrollment: the settings, which devices they affect, and how to revert them.

`sliders` holds the seven workloads as a table, `flags` decodes a client's bits, `authority` names the manager of
each workload, `enrollment` covers None, Pilot and All, `way_back` what a move back leaves behind, `states` the
site's status of each client.
"""

from rollout.workloads.authority import Authority, authorities, authority
from rollout.workloads.enrollment import (
    TRANSITIONS,
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
    missing_counterparts,
    moves_with,
    order_advice,
    outside_superset,
)
from rollout.workloads.states import (
    ClientState,
    EnrollmentStatus,
    StateCounts,
    Step,
    count_states,
    read_state,
)
from rollout.workloads.way_back import UNENROLL_ORDER, Leave, Unenrolled, judge_unenroll, way_back

__all__ = [
    "AUTOPATCH",
    "COMANAGED_BIT",
    "FORCED_SINCE",
    "MARKERS",
    "TRANSITIONS",
    "UNENROLL_ORDER",
    "USUAL_ORDER",
    "WORKLOADS",
    "Authority",
    "ClientState",
    "EnrollmentStatus",
    "Groups",
    "Leave",
    "Mode",
    "Slider",
    "StateCounts",
    "Step",
    "Transition",
    "Unenrolled",
    "Workload",
    "WorkloadFlags",
    "authorities",
    "authority",
    "count_states",
    "decode",
    "judge_unenroll",
    "missing_counterparts",
    "moves_with",
    "order_advice",
    "outside_superset",
    "read_state",
    "transition",
    "way_back",
]
