"""Gates decide whether more devices may follow, from what is known of those released. Pure functions of counts.

verdicts     GO, WAIT, PASS, HOLD, HALT from one observation
rules        the rules in their order: one module and one row each
evidence     the e-processes behind HALT and PASS, as integer boundaries
groups       strata judged separately
intervals    how many devices of this fleet will have failed at the end
silence      what the answers say about silent devices: a stratum apart, and the latest releases
quiet        how many failures a gate can tolerate before it objects
losses       whether a rollout has lost too many devices when it ends
counts       what a gate judges, and what makes it impossible
beta         the special functions
"""

from rollout.gates.counts import GateCounts
from rollout.gates.evidence import halt_boundary, pass_boundary
from rollout.gates.groups import Groups, groups_of, strata_named
from rollout.gates.intervals import finite_fleet_interval
from rollout.gates.losses import losses_exceeded
from rollout.gates.quiet import failures_to_speak
from rollout.gates.rules import RULES, GateRule
from rollout.gates.rules.answered import answers_needed
from rollout.gates.rules.completion import UNPROVEN, proof_s, settled_of
from rollout.gates.rules.success import success_needed
from rollout.gates.rules.threshold import check_threshold, trips
from rollout.gates.verdicts import boundary, check_policy, is_approvable, judge, objections

__all__ = [
    "RULES",
    "UNPROVEN",
    "GateCounts",
    "GateRule",
    "Groups",
    "answers_needed",
    "boundary",
    "check_policy",
    "check_threshold",
    "failures_to_speak",
    "finite_fleet_interval",
    "groups_of",
    "halt_boundary",
    "is_approvable",
    "judge",
    "losses_exceeded",
    "objections",
    "pass_boundary",
    "proof_s",
    "settled_of",
    "strata_named",
    "success_needed",
    "trips",
]
