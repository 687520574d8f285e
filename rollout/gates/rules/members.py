"""HOLD if released devices are no longer in the collection because somebody removed our rules for them.

A few are daily life: the help desk takes a device out. So one device is never a reason, and up to a tenth of the
released devices, but at most ten, are tolerated whatever the share; above 500 devices the default share of 2 % is
more than that. A share of 0 tolerates none, a share of 1 any number.

Failures alone never make the rule speak; the loop observes again when the members have changed.
"""

from __future__ import annotations

from rollout.fields import Part, ShareOfOne
from rollout.gates.rules.base import GateRule, Reading, are, devices, figure_of, require_share
from rollout.values import WHOLE, GatePolicy, Judgement, parts_of_share

TOLERATED = 10
"""Removed devices that are tolerated where they are at most a tenth of those released."""
NAMED = 5
"""Removed devices that the sentence names."""


class MemberKeys(Part):
    """The share of the released devices that others may remove from the collection."""

    lost_members_max: ShareOfOne = 0.02


def _check(policy: GatePolicy) -> None:
    require_share(policy, MemberKeys, "lost_members_max")


def removed_limit(policy: GatePolicy, released: int) -> int:
    """Return how many of the released devices may be removed by others without a HOLD."""
    share = figure_of(policy, MemberKeys, "lost_members_max")
    allowed = released * parts_of_share(share) // WHOLE
    return max(allowed, 1, min(TOLERATED, released // 10)) if share else 0


def _judge(reading: Reading) -> Judgement | None:
    removed, names = reading.counts.removed, reading.counts.removed_names
    if not removed:
        return None
    released = int(reading.counts.cumulative.sum())
    limit = removed_limit(reading.policy, released)
    if removed <= limit:
        return None
    listed = ", ".join(names[:NAMED]) + (" …" if removed > NAMED else "")
    return reading.hold(
        "members",
        f"{removed:,} of {released:,} released devices {are(removed)} no longer in the collection and our rules for "
        f"them are gone{': ' + listed if names else ''}; at most {devices(limit)} may be missing; put them back, or "
        "approve the hold: then they stay out",
        removed,
        released,
    )


MEMBERS = GateRule("members", _check, _judge, MemberKeys)
