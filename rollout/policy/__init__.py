"""The policy: the [rollout] section of a scenario, checked and frozen.

section       the policy and its parts, and `load_policy`
comanagement  what the console shows and what Intune has ready
mistakes      what is wrong with a scenario, in one line
"""

from rollout.policy.section import PhasePolicy, Policy, known_zones, load_policy

__all__ = ["PhasePolicy", "Policy", "known_zones", "load_policy"]
