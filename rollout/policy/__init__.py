"""What people want: the [rollout] section of a scenario, checked and frozen.

section     the policy and its parts, and `load_policy`
modes       the ways of pacing as they are written
mistakes    what is wrong with a scenario, in one line
"""

from rollout.policy.mistakes import suggestion
from rollout.policy.modes import Auto, Batches, ByDate, Duration, Pacing, Points, Ramp, Rate, parse_share
from rollout.policy.section import (
    BudgetsPolicy,
    FreezePolicy,
    GateRules,
    PhasePolicy,
    Policy,
    WindowPolicy,
    known_zones,
    load_policy,
)

__all__ = [
    "Auto",
    "Batches",
    "BudgetsPolicy",
    "ByDate",
    "Duration",
    "FreezePolicy",
    "GateRules",
    "Pacing",
    "PhasePolicy",
    "Points",
    "Policy",
    "Ramp",
    "Rate",
    "WindowPolicy",
    "known_zones",
    "load_policy",
    "parse_share",
    "suggestion",
]
