"""What a rollout has lost when it ends: the devices that are not enrolled."""

from __future__ import annotations

from collections.abc import Sequence

from rollout.gates.rules.base import ENROLLED, figure_of
from rollout.gates.rules.completion import CompletionKeys
from rollout.values import WHOLE, GatePolicy, parts_of_share


def losses_exceeded(policy: GatePolicy, outcomes: Sequence[int]) -> bool:
    """Return whether more than the share `losses_max` of the released devices is not enrolled at the end.

    outcomes : released devices by `Outcome` as they are at the end, (OUTCOMES,): devices that failed, fell silent, were
    rejected or are still pending are lost; one that enrolled after a failure is not.
    """
    released = sum(outcomes)
    most = parts_of_share(figure_of(policy, CompletionKeys, "losses_max"))
    return WHOLE * (released - outcomes[ENROLLED]) > most * released
