"""From an inventory to a plan in one step: preflight first, then the plan of what it leaves."""

from __future__ import annotations

from collections.abc import Callable

from rollout.planning.planner import make_plan
from rollout.policy import Policy
from rollout.preflight import STALE_DAYS, preflight
from rollout.values import Finding, Inventory, Plan


def findings_under(policy: Policy, inventory: Inventory) -> tuple[Finding, ...]:
    """Return preflight's findings under a policy: with its threshold, and without the rules that it switches off."""
    wish = policy.preflight
    stale_days = STALE_DAYS if wish.stale_days is None else wish.stale_days
    return preflight(inventory, stale_days=stale_days, off=wish.off)


def plan_checked(
    inventory: Inventory, policy: Policy, *, created: int, latency: Callable[[], int]
) -> tuple[tuple[Finding, ...], Plan]:
    """Check an inventory and plan it; return the findings with the plan.

    created : Unix seconds, the moment of planning. latency : estimates the time from a release to its outcomes in
    seconds; called only if the policy has no `mature_after`. Raise `RefusedError` if the policy cannot be kept.
    """
    findings = findings_under(policy, inventory)
    mature = latency() if policy.mature_after is None else None
    return findings, make_plan(inventory, findings, policy, mature_after_s=mature, created=created)
