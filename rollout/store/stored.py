"""The values that the store returns: plain and frozen, never database rows."""

from __future__ import annotations

from dataclasses import dataclass

from rollout.values import Plan, State


@dataclass(frozen=True, slots=True, eq=False)
class StoredPlan:
    """A stored plan.

    id : "plan-1". digest : 64 hex digits. scenario : the TOML text that it was planned with, "" if there is none.
    approved_by, approved_at : the latest approval, "" and -1 if it is not approved.
    """

    id: str
    plan: Plan
    digest: str
    inventory_id: str
    scenario: str = ""
    approved_by: str = ""
    approved_at: int = -1


@dataclass(frozen=True, slots=True)
class LeaseInfo:
    """The right to execute a rollout.

    epoch : grows by one with each holder. holder : "" if it is not held. since, expires : Unix seconds.
    """

    epoch: int
    holder: str
    since: int
    expires: int

    def is_taken(self, now: float) -> bool:
        """Return whether it is held and has not expired."""
        return bool(self.holder) and now < self.expires


@dataclass(frozen=True, slots=True)
class StoredRollout:
    """A stored rollout. state : that of the last decision, None before the first."""

    id: str
    plan_id: str
    digest: str
    directory: str
    seed: int
    speed: str
    started_at: int
    state: State | None
    lease: LeaseInfo


@dataclass(frozen=True, slots=True)
class ChainBreak:
    """The first row of a journal that does not continue the chain. number : counted from 1."""

    number: int
    sentence: str
