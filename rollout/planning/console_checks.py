"""Requirements on the console and Intune before a plan is made; otherwise it is refused and nothing is stored."""

from __future__ import annotations

import datetime as dt

from rollout.errors import RefusedError
from rollout.policy import Policy
from rollout.values.clouds import CLOUDS
from rollout.workloads import (
    FORCED_SINCE,
    WORKLOADS,
    Mode,
    Slider,
    missing_counterparts,
    order_advice,
    transition,
)


def check_console(policy: Policy, created: int) -> None:
    """Refuse a plan that would enroll or move all devices, no device, or devices without a manager.

    created : Unix seconds; a confirmation must not lie after it. Raise a `RefusedError`.
    """
    if policy.action == "enroll":
        _check_mode(Mode(policy.automatic_enrollment))
        return
    _check_slider(policy)
    _check_superset(policy)
    _check_counterparts(policy, created)


def console_warnings(policy: Policy) -> tuple[str, ...]:
    """Return warnings: what differs in the cloud, and the order and dependencies of workloads."""
    advice = order_advice(policy.workload, policy.moved) if policy.action == "workload" else ()
    return (*CLOUDS[policy.cloud].differences, *advice)


def _check_mode(mode: Mode) -> None:
    if mode is Mode.PILOT:
        return
    change = transition(mode, mode)
    raise RefusedError(
        f"automatic enrollment: expected Pilot while a plan is phased, found {mode.value.capitalize()}. "
        f"{change.sentence}",
        "Cloud Attach > the co-management object > Properties > Enablement: Pilot, with the plan's collection.",
    )


def _check_slider(policy: Policy) -> None:
    workload, slider = WORKLOADS[policy.workload], Slider(policy.slider)
    if not workload.supported and policy.site_version >= FORCED_SINCE:
        raise RefusedError(
            f"workload {workload.title}: expected one whose slider can be moved, found it forced to Intune since "
            f"site version {FORCED_SINCE}",
            "There is nothing to move; it goes with device configuration.",
        )
    if slider is Slider.PILOT:
        return
    what = "every co-managed device moves at once" if slider is Slider.INTUNE else "no device moves"
    found = "Intune" if slider is Slider.INTUNE else "Configuration Manager"
    raise RefusedError(
        f"slider of {workload.title}: expected Pilot Intune while devices are staged, found {found}: {what}",
        "Cloud Attach > the co-management object > Properties > Workloads: Pilot Intune.",
    )


def _check_superset(policy: Policy) -> None:
    if policy.target.casefold() == policy.auto_enrollment.casefold():
        raise RefusedError(
            f"staging collection: expected one within '{policy.auto_enrollment}', found that collection itself: "
            "the workload would move for every device that enrolls",
            "Give the workload a collection of its own, limited to the auto-enrollment collection.",
        )


def _check_counterparts(policy: Policy, created: int) -> None:
    missing = missing_counterparts(policy.workload, policy.counterparts)
    if missing:
        titles = ", ".join(f"{WORKLOADS[name].title} ({WORKLOADS[name].counterpart})" for name in missing)
        raise RefusedError(
            f"workload {WORKLOADS[policy.workload].title}: expected a counterpart in Intune, confirmed by a person, "
            f"for all that moves; found none for {titles}",
            f"Assign it, then write [rollout.counterparts.{missing[0]}] with policy, by and on (a date).",
        )
    today = dt.datetime.fromtimestamp(created, dt.UTC).date() + dt.timedelta(days=1)  # any zone's today
    for name, seen in policy.counterparts.items():
        if seen.on > today:
            raise RefusedError(
                f"counterparts.{name}: 'on' must not be in the future, found {seen.on}",
                "Check in Intune first, then enter the date of the check.",
            )
