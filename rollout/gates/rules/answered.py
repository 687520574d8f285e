"""WAIT until enough devices of a complete phase have answered, later HOLD: no phase passes on survivors alone.

All released devices are the denominator, also the silent and the rejected ones, so nothing improves by disappearing.
A failure is an answer like an enrollment; a failure that mends by itself is none yet. It is asked of complete phases
only, which are judged at each observation, so there is nothing to skip and no bound to state.
"""

from __future__ import annotations

from rollout.fields import Part, ShareOfOne
from rollout.gates.counts import executed_of
from rollout.gates.rules.base import (
    REJECTED,
    TIMED_OUT,
    GateRule,
    Reading,
    are,
    figure_of,
    percent,
    require_share,
)
from rollout.values import GatePolicy, Judgement, part_of, parts_of_share


class AnsweredKeys(Part):
    """The share of a phase that has to answer before it may pass; 0 = off."""

    answered: ShareOfOne = 0.8


def _check(policy: GatePolicy) -> None:
    require_share(policy, AnsweredKeys, "answered")


def answers_needed(policy: GatePolicy, released: int) -> int:
    """Return how many of the released devices of a phase have to answer; 0 if the rule is off."""
    return part_of(released, parts_of_share(figure_of(policy, AnsweredKeys, "answered")))


def _judge(reading: Reading) -> Judgement | None:
    if not reading.counts.complete or not (total := reading.released):
        return None
    refused = reading.phase[REJECTED]
    answered, needed = executed_of(reading.phase), answers_needed(reading.policy, total)
    if answered >= needed:
        return None
    share = percent(figure_of(reading.policy, AnsweredKeys, "answered"))
    if total - refused < needed:
        return reading.hold(
            "answered",
            f"{refused:,} of {total:,} devices were rejected by the directory, so at most {total - refused:,} can "
            f"answer ({percent((total - refused) / total)}), {share} are needed; a person must decide",
            refused,
            total,
        )
    text = (
        f"{answered:,} of {total:,} devices have answered ({percent(answered / total)}), {share} are needed"
    )
    return reading.wait("answered", text + _known(reading), total - answered, total)


def _known(reading: Reading) -> str:
    """Return what is known about those that have not answered."""
    silent, refused, found = reading.phase[TIMED_OUT], reading.phase[REJECTED], reading.counts.silence
    parts = [f"{silent:,} {are(silent)} overdue"] if silent else []
    parts += [f"{refused:,} were rejected"] if refused else []
    if found is not None and found.cohort and found.expected > found.answered:
        missing = percent(1 - found.answered / found.expected)
        parts.append(f"about {missing} of the last {found.cohort:,} released are silent")
    return f" ({', '.join(parts)})" if parts else ""


ANSWERED = GateRule("answered", _check, _judge, AnsweredKeys)
