"""What `rollout doctor` asks a real directory. Reads only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from rollout.directory.configmgr.directory import AdminServiceDirectory
from rollout.directory.configmgr.site import MODIFY
from rollout.directory.graph.directory import GraphDirectory
from rollout.directory.graph.rights import held_rights, missing_rights
from rollout.directory.http.transport import Transport
from rollout.errors import RolloutError

SKEW_MAX_S: Final = 300.0
"""Kerberos refuses clocks that differ by more, and tokens end early."""


class Check(NamedTuple):
    """One thing that was looked at."""

    name: str
    ok: bool
    sentence: str


def checks(directory: AdminServiceDirectory | GraphDirectory) -> list[Check]:
    """Look at reachability and identity, the target, rights, the clock, and how much the service still grants."""
    if isinstance(directory, AdminServiceDirectory):
        transport = directory.site.transport
        looks = [
            ("site", lambda: f"site {directory.identity()} answers"),
            ("collection", lambda: _collection(directory)),
        ]
    else:
        transport = directory.tenant.transport
        looks = [
            ("tenant", lambda: f"tenant {directory.identity()} answers"),
            ("group", lambda: _group(directory)),
        ]
    out = [_look(name, ask) for name, ask in looks]
    if isinstance(directory, GraphDirectory):
        out.append(_permissions(transport))
        if directory.settings.suggested_limit:
            out.append(_suggested(directory))
    return [*out, _clock(transport), _headroom(transport)]


def _look(name: str, ask: Callable[[], str]) -> Check:
    try:
        return Check(name, True, ask())
    except RolloutError as error:
        return Check(name, False, f"{error.message}. {error.hint}".rstrip(". "))


def _collection(directory: AdminServiceDirectory) -> str:
    from rollout.directory.configmgr import site_checks

    target = directory.target()
    site_checks.check_collection(target, directory.settings)
    rights = (
        "its rights are not shown"
        if target.rights < 0
        else "we may change it"
        if target.rights & MODIFY
        else ""
    )
    return f"{target} is limited by {target.limited_to or 'nothing'}; {rights}"


def _group(directory: GraphDirectory) -> str:
    group = directory.target()
    obstacle = group.obstacle()
    if obstacle:
        raise RolloutError(f"group {group} {obstacle}")
    return f"group {group} has assigned members"


def _suggested(directory: GraphDirectory) -> Check:
    """Ask what Intune suggests. Only the beta of Graph answers that, or not: no answer is no failure."""
    seen = _look(
        "suggested limit", lambda: f"at most {directory.tenant.suggested_limit():,} enrollments a day"
    )
    return seen if seen.ok else Check(seen.name, True, f"Intune does not say: {seen.sentence}")


def _clock(transport: Transport) -> Check:
    skew = transport.skew_s
    if skew is None:
        return Check("clock", False, "the other side did not tell its time")
    return Check(
        "clock", abs(skew) <= SKEW_MAX_S, f"the clocks differ by {abs(skew):.0f} s, at most 300 are allowed"
    )


def _headroom(transport: Transport) -> Check:
    pressure = transport.pressure
    text = f"{transport.pace.headroom():.0%} of the write quota is free"
    if pressure:
        text += f"; the service says {pressure:.0%} of its limit is used"
    return Check("throttle", pressure < 1.0, text)


def _permissions(transport: Transport) -> Check:
    """Look at the rights that the token itself names. Whether the service grants more is not known."""
    held = held_rights(transport)
    if not held:
        return Check("permissions", True, "the token does not show its rights")
    missing = missing_rights(held)
    if missing:
        return Check("permissions", False, f"the app lacks {', '.join(missing)}")
    return Check("permissions", True, f"the app has {', '.join(sorted(held))}")
