"""The checks of `rollout doctor` for every directory behind HTTP, from the answers that it has already had."""

from __future__ import annotations

from typing import Final

from rollout.directory.http.transport import Transport
from rollout.directory.port import Check

SKEW_MAX_S: Final = 300.0
"""Kerberos refuses clocks that differ by more, and tokens would expire early."""


def transport_checks(transport: Transport) -> list[Check]:
    """Check the clocks, and how much the service still grants."""
    return [_clock(transport.skew_s), _quota(transport)]


def _clock(skew: float | None) -> Check:
    if skew is None:
        return Check("clock", False, "the server sent no Date header")
    sentence = f"the clocks differ by {abs(skew):.0f} s, at most {SKEW_MAX_S:.0f} are allowed"
    return Check("clock", abs(skew) <= SKEW_MAX_S, sentence)


def _quota(transport: Transport) -> Check:
    pressure = transport.pressure
    sentence = f"{transport.pace.headroom():.0%} of the write quota is free"
    if pressure:
        sentence += f"; the service says {pressure:.0%} of its limit is used"
    return Check("throttle", pressure < 1.0, sentence)
