"""Gate rules: one module and one row here for each.

A rule's module holds its keys in a scenario, what its figures may be, its verdict with the sentence for people, and
how many failures it can tolerate before it objects. `base` defines the parts. The keys of all rules together are the
keys of `[rollout.gate]`; a new rule's figures are in `GatePolicy.figures`, which leaves the digests of plans without
them as they were.
"""

from rollout.gates.rules.answered import ANSWERED
from rollout.gates.rules.base import GateRule
from rollout.gates.rules.completion import COMPLETION
from rollout.gates.rules.evidence import EVIDENCE
from rollout.gates.rules.members import MEMBERS
from rollout.gates.rules.mending import MENDING
from rollout.gates.rules.no_progress import NO_PROGRESS
from rollout.gates.rules.silence import SILENCE
from rollout.gates.rules.stragglers import STRAGGLERS
from rollout.gates.rules.success import SUCCESS
from rollout.gates.rules.threshold import THRESHOLD

RULES: tuple[GateRule, ...] = (
    EVIDENCE,
    THRESHOLD,
    MENDING,
    MEMBERS,
    STRAGGLERS,
    NO_PROGRESS,
    SILENCE,
    ANSWERED,
    SUCCESS,
    COMPLETION,
)
"""In the order in which they are asked: among equally severe objections the first decides."""

__all__ = ["RULES", "GateRule"]
