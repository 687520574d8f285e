"""WAIT, later HOLD, until a stated percentage of a complete phase is enrolled: the criterion that admins know.

All released devices of the phase are the denominator. A device that failed, in a way that counts, is never a success
here, even if it enrolled later. It is asked of complete phases only, so there is no bound to state.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from rollout.fields import Part, PercentOrZero, parse_share
from rollout.gates.rules.base import ENROLLED, FAILED, REJECTED, GateRule, Reading, figure_of, require_share
from rollout.values import WHOLE, GatePolicy, Judgement, part_of, parts_of_percent


def _percentage(value: object) -> object:
    """Turn "95 %" into 95."""
    return parse_share(value) / (WHOLE // 100) if isinstance(value, str) else value


class SuccessKeys(Part):
    """The percentage of a phase that has to be enrolled before it may pass, as 95 or "95 %"; 0 = off."""

    success: Annotated[PercentOrZero, BeforeValidator(_percentage)] = 0.0


def _check(policy: GatePolicy) -> None:
    require_share(policy, SuccessKeys, "success", 100)
    parts_of_percent(figure_of(policy, SuccessKeys, "success"))


def success_needed(policy: GatePolicy, released: int) -> int:
    """Return how many of the released devices of a phase have to be enrolled; 0 if the rule is off."""
    return part_of(released, parts_of_percent(figure_of(policy, SuccessKeys, "success")))


def _judge(reading: Reading) -> Judgement | None:
    if not reading.counts.complete:
        return None
    total, enrolled = reading.released, reading.phase[ENROLLED]
    needed = success_needed(reading.policy, total)
    if enrolled >= needed:
        return None
    wanted = figure_of(reading.policy, SuccessKeys, "success")
    text = f"{enrolled:,} of {total:,} devices are enrolled ({100 * enrolled / total:.3g} %), {wanted:g} % are needed"
    failed, refused = reading.phase[FAILED], reading.phase[REJECTED]
    if total - failed - refused < needed:
        lost = f"{failed:,} failed and {refused:,} were rejected"
        text += f", which cannot be reached any more: {lost}; a person must decide"
        return reading.hold("success", text, total - enrolled, total)
    return reading.wait("success", text, total - enrolled, total)


SUCCESS = GateRule("success", _check, _judge, SuccessKeys)
