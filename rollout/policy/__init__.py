"""What people want: the [rollout] section of a scenario, checked and frozen.

section     the policy and its parts, and `load_policy`
comanagement  what the console shows and what Intune has ready
modes       the ways of pacing as they are written
mistakes    what is wrong with a scenario, in one line
"""

from rollout.policy.comanagement import AUTO_ENROLLMENT, CoManagement, Counterpart
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
    "AUTO_ENROLLMENT",
    "Auto",
    "Batches",
    "BudgetsPolicy",
    "ByDate",
    "CoManagement",
    "Counterpart",
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
