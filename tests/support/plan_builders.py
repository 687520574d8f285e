"""Small fleets and plans with defaults, for the tests of the scheduler."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rollout.planning.planner import make_plan
from rollout.policy import Policy, load_policy
from rollout.values import FACTORS, FLAGS, TIMES, Factor, Finding, Fleet, Inventory, Plan, texts

MONDAY = 1_799_625_600
"""2027-01-11 00:00 UTC, a Monday."""


def instant(text: str) -> int:
    """Unix seconds of an ISO time; without offset it is UTC."""
    at = dt.datetime.fromisoformat(text)
    return int((at if at.tzinfo else at.replace(tzinfo=dt.UTC)).timestamp())


def make_fleet(n: int, *, prefix: str = "d", serials: Sequence[str] = (), **columns: Any) -> Fleet:
    """`n` devices; a factor is given as a list of texts or one text, a flag as a list or one number."""
    factors = {name: _factor(columns.get(name, ""), n) for name in FACTORS}
    factors |= {name: _factor(value, n) for name, value in columns.items() if name not in (*FACTORS, *FLAGS)}
    flags = {name: np.broadcast_to(np.int8(columns.get(name, 0)), n).astype(np.int8) for name in FLAGS}
    return Fleet(
        ids=texts(f"{prefix}{number:07d}" for number in range(n)),
        names=texts(f"PC-{prefix}{number:07d}" for number in range(n)),
        resource_ids=np.arange(n, dtype=np.int64),
        serials=texts(serials or (f"SN-{prefix}{number:07d}" for number in range(n))),
        factors=factors,
        flags=flags,
        times={name: np.full(n, -1, dtype=np.int64) for name in TIMES},
    )


def _factor(value: str | Sequence[str], n: int) -> Factor:
    return Factor.constant(value, n) if isinstance(value, str) else Factor.of(value)


def make_inventory(n: int = 1000, **columns: Any) -> Inventory:
    """An inventory of a made-up fleet."""
    return Inventory(make_fleet(n, **columns), MONDAY, (("made up", "test", n),))


def make_policy(**document: Any) -> Policy:
    """A policy as if read from a file; phases and windows as lists of tables."""
    return load_policy({"name": "test", **document}, "test.toml")


def plan_of(
    inventory: Inventory,
    findings: Sequence[Finding] = (),
    *,
    created: int = MONDAY - 1800,
    **document: Mapping[str, Any] | Any,
) -> Plan:
    """A plan of an inventory under a policy written as keywords."""
    return make_plan(inventory, findings, make_policy(**document), mature_after_s=None, created=created)
