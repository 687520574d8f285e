"""WAIT while failures that mend by themselves would be too many if they lasted.

An outage of the service fails devices that try again in their next cycle. They are pending until they have
(`GateCounts.mending`), so they neither halt a rollout for good nor let it go on into the outage: as long as they and
the lasting failures together would stop it, releases wait. If they have not mended when the patience is over, a
person is asked; a failure that lasts counts as one, and HALT stays for these.

The rule's bound is that of the tests it borrows: the tally of failures that the loop compares with
`failures_to_speak` counts mending ones too, so evidence and thresholds already ask for the observation.
"""

from __future__ import annotations

import numpy as np

from rollout.gates.counts import executed_of
from rollout.gates.evidence import halt_boundary
from rollout.gates.rules.base import (
    ENROLLED,
    FAILED,
    PENDING,
    GateRule,
    PatienceKeys,
    Reading,
    devices,
    require_seconds,
)
from rollout.gates.rules.threshold import trips
from rollout.values import GatePolicy, Judgement, LongArray


def _check(policy: GatePolicy) -> None:
    require_seconds(policy, PatienceKeys, "patience")


def _judge(reading: Reading) -> Judgement | None:
    mending = reading.counts.mending
    if mending is None or not mending.any():
        return None
    number = int(reading.without(mending).sum())
    if not (number and _would_stop(reading, number, mending)):
        return None
    released = sum(reading.whole)
    return reading.wait(
        "mending",
        f"the last attempt of {number:,} of {devices(released)} failed with errors that clients repeat by themselves "
        f"(service, network), and {reading.whole[FAILED]:,} failed for good; together too many to go on before they "
        "have tried again",
        number,
        released,
    )


def _would_stop(reading: Reading, number: int, mending: LongArray) -> bool:
    """Return whether a test would trip if the mending devices had failed for good."""
    if reading.policy.evidence is not None and (
        reading.tested[FAILED] + number >= reading.fewest or _would_condemn(reading, mending)
    ):
        return True
    among = min(number, reading.phase[PENDING])
    failed, executed = reading.phase[FAILED] + among, executed_of(reading.phase) + among
    return any(trips(rule, failed, executed) for rule in reading.policy.thresholds if not rule.classes)


def _would_condemn(reading: Reading, mending: LongArray) -> bool:
    groups, counts = reading.groups, reading.counts.cumulative
    if not groups.names or reading.policy.evidence is None:
        return False
    given = mending if reading.left_out is None else np.where(reading.left_out, 0, mending)
    counted = groups.sums(counts[:, PENDING] + counts[:, ENROLLED] + counts[:, FAILED])
    failed = groups.sums(counts[:, FAILED] + given)
    over = halt_boundary(reading.policy.evidence, groups.apart).halts(failed, counted)
    over[list(reading.condemned)] = False
    return bool((over & (groups.sums(given) > 0)).any())


MENDING = GateRule("mending", _check, _judge, PatienceKeys)
