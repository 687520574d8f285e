"""Which devices cannot be co-managed, and why; and what to clean up first.

`check` runs the rules, `rules` and `tenant` are the rules as data, `duplicates` finds records of the same device,
`worklist` lists the steps that clean them up.
"""

from rollout.preflight.check import (
    STALE_DAYS,
    STALE_DAYS_MIN,
    counts,
    exclusions,
    preflight,
    rule_ids,
)
from rollout.preflight.duplicates import Duplicates, find_duplicates
from rollout.preflight.rules import RULES, Rule, View
from rollout.preflight.tenant import TENANT_RULES, TenantRule
from rollout.preflight.worklist import GRACE_DAYS, WorkItem, worklist, worklist_csv

__all__ = [
    "GRACE_DAYS",
    "RULES",
    "STALE_DAYS",
    "STALE_DAYS_MIN",
    "TENANT_RULES",
    "Duplicates",
    "Rule",
    "TenantRule",
    "View",
    "WorkItem",
    "counts",
    "exclusions",
    "find_duplicates",
    "preflight",
    "rule_ids",
    "worklist",
    "worklist_csv",
]
