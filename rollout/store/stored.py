"""What the store gives back: plain frozen values, never rows."""

from __future__ import annotations

from dataclasses import dataclass

from rollout.values import Plan, State


@dataclass(frozen=True, slots=True, eq=False)
class StoredPlan:
    """A plan as it is kept.

    id : "plan-1". digest : 64 hex digits. scenario : the TOML text that it was planned with, "" none.
    approved_by, approved_at : the latest approval, "" and -1 if nobody approved it.
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
    """Who may execute a rollout.

    epoch : grows by one with each holder. holder : "" if nobody holds it. since, expires : Unix seconds.
    """

    epoch: int
    holder: str
    since: int
    expires: int

    def is_taken(self, now: float) -> bool:
        """Whether somebody holds it and is not overdue."""
        return bool(self.holder) and now < self.expires


@dataclass(frozen=True, slots=True)
class StoredRollout:
    """A rollout as it is kept. state : of the last decision, None before the first."""

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
    """The first row of a journal that does not fit the rows before it. number : from 1."""

    number: int
    sentence: str
