"""Which devices leave the plan, and why: the first reason counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rollout.errors import RefusedError
from rollout.policy import Policy
from rollout.values import BoolArray, Finding, Fleet, IntArray, Severity
from rollout.workloads import WORKLOADS, decode

COMANAGED = "already co-managed"
NOT_ENROLLED = "not enrolled yet"
MOVED = "the workload is at Intune already"
BY_POLICY = "excluded by the policy"


def exclusions(
    fleet: Fleet, findings: Sequence[Finding], policy: Policy
) -> tuple[IntArray, tuple[str, ...], list[str]]:
    """Return which devices leave the plan: (n,) int32 codes as in `Plan.excluded`, the reasons, and warnings.

    In this order: the policy's list; what needs nothing (co-managed already, or for a workload not enrolled
    yet or moved already); the first blocking finding. Raise a `RefusedError` for a blocking finding of the tenant.
    """
    reasons: dict[str, int] = {}
    excluded = np.zeros(len(fleet), dtype=np.int32)

    def leave(rows: IntArray, reason: str) -> None:
        fresh = rows[excluded[rows] == 0]
        if len(fresh):
            excluded[fresh] = reasons.setdefault(reason, len(reasons) + 1)

    named = _named(fleet, policy.exclude)
    leave(np.array(sorted(set(named.values())), dtype=np.int32), BY_POLICY)
    comanaged = fleet.flags["comanaged"]
    if policy.action == "enroll":
        leave(np.flatnonzero(comanaged == 1).astype(np.int32), COMANAGED)
    else:
        leave(np.flatnonzero(comanaged != 1).astype(np.int32), NOT_ENROLLED)
        leave(np.flatnonzero(_moved(fleet, policy.workload)).astype(np.int32), MOVED)
    for finding in findings:
        if finding.severity is Severity.BLOCK and finding.row >= 0 and excluded[finding.row] == 0:
            excluded[finding.row] = reasons.setdefault(finding.rule, len(reasons) + 1)
    tenant = [finding for finding in findings if finding.severity is Severity.BLOCK and finding.row < 0]
    if tenant:
        raise RefusedError(f"preflight {tenant[0].rule}: {tenant[0].sentence}", tenant[0].next_action)
    unknown = [name for name in policy.exclude if name.casefold() not in named]
    text = (
        f"{len(unknown)} devices to exclude are not in the inventory, such as '{unknown[0]}'"
        if unknown
        else ""
    )
    return excluded, tuple(reasons), [text] if text else []


def _moved(fleet: Fleet, workload: str) -> BoolArray:
    """Return which devices have the workload at Intune by their flags, shape ``(n,)``; unknown flags are none."""
    column = fleet.factors.get("workloads")
    if column is None:
        return np.zeros(len(fleet), dtype=np.bool_)
    bit = WORKLOADS[workload].bit
    values = (decode(level).effective or 0 for level in column.levels)
    moved = np.array([bool(value & bit) for value in values], dtype=np.bool_)
    return moved[column.codes]


def _named(fleet: Fleet, wanted: Sequence[str]) -> dict[str, int]:
    """Find devices by id or name, case-folded."""
    if not wanted:
        return {}
    keys = {name.casefold() for name in wanted}
    found: dict[str, int] = {}
    for column in (fleet.names, fleet.ids):
        found.update(
            (name.casefold(), row) for row, name in enumerate(column.tolist()) if name.casefold() in keys
        )
    return found
