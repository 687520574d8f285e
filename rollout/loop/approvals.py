"""What a person has approved: an approval answers one hold, and is void once the picture worsens."""

from __future__ import annotations

import math
from dataclasses import replace

from rollout.values import Commands, GateApproval, Hold, Judgement, Progress

DATA, MEMBERS = "data", "members"
"""Rules that the loop treats apart: no data to judge; devices lost from the collection."""

SLACK = 10
"""Devices by which the harm may grow beyond twice the approved number."""


def hold_of(judgement: Judgement, phase: int) -> Hold:
    """Return the question that a HOLD or a WAIT asks."""
    return Hold(phase, judgement.rule, judgement.stratum, judgement.harmed, judgement.of, judgement.sentence)


def is_worse(now: Hold, approved: Hold) -> bool:
    """Return whether the picture is worse than the one that a person approved.

    The share of harmed devices may not exceed the approved one by more than chance explains (three standard
    deviations), and their number may not grow beyond twice the approved one: a large fleet is asked about again.
    """
    if now.harmed > 2 * approved.harmed + SLACK:
        return True
    if not now.of or not approved.of:
        return False
    share = min(1.0, approved.harmed / approved.of)
    spread = math.sqrt(now.of * share * (1 - share)) + math.sqrt(approved.of * share * (1 - share))
    return now.harmed > share * now.of + 3 * spread + 1


def is_approved(hold: Hold, commands: Commands) -> bool:
    """Return whether a person approved this hold, and it has not worsened since.

    Without data there is nothing to approve. Lost members that were accepted are no longer part of the hold.
    """
    return hold.rule not in (DATA, MEMBERS) and is_answered(hold, commands)


def is_answered(hold: Hold, commands: Commands) -> bool:
    """Return whether a person let releases go on in spite of this hold, also by accepting lost members."""
    return any(
        _is_answer(approval, hold) and not is_worse(hold, approval.hold) for approval in commands.approvals
    )


def _is_answer(approval: GateApproval, hold: Hold) -> bool:
    asked = approval.hold
    if hold.stratum:
        return (asked.rule, asked.stratum) == (hold.rule, hold.stratum)
    return (asked.phase, asked.rule, asked.stratum) == (hold.phase, hold.rule, "")


def strata_to_hold(progress: Progress, judgement: Judgement, commands: Commands) -> tuple[Hold, ...]:
    """Return the strata to hold from now on: those held already and newly condemned ones, without approved ones."""
    held = [hold for hold in progress.held if not is_approved(hold, commands)]
    names = {hold.stratum for hold in held}
    for hold in judgement.strata:
        asked = replace(hold, phase=progress.phase)
        if hold.stratum not in names and not is_approved(asked, commands):
            held.append(asked)
            names.add(hold.stratum)
    return tuple(held)
