"""What people want: the [rollout] section of a scenario, checked and frozen.

section     the policy and its parts, and `load_policy`
comanagement  what the console shows and what Intune has ready
mistakes    what is wrong with a scenario, in one line
"""

from rollout.policy.comanagement import AUTO_ENROLLMENT, CoManagement, Counterpart
from rollout.policy.mistakes import suggestion
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
    "BudgetsPolicy",
    "CoManagement",
    "Counterpart",
    "FreezePolicy",
    "GateRules",
    "PhasePolicy",
    "Policy",
    "WindowPolicy",
    "known_zones",
    "load_policy",
    "suggestion",
]
