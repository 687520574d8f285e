"""What a person must do in the console, because no documented interface lets a program do it."""

from __future__ import annotations

from dataclasses import replace

from rollout.policy import Policy
from rollout.values import HumanStep
from rollout.values.clouds import CLOUDS, Cloud
from rollout.workloads import WORKLOADS, Workload, way_back

ATTACH = "Administration > Cloud Services > Cloud Attach"
PROPERTIES = f"{ATTACH} > the co-management object > Properties"
ELIGIBLE = "Co-management Eligible Devices"
PORTAL = "Microsoft Intune admin center"


def human_steps(policy: Policy) -> tuple[HumanStep, ...]:
    """Return the steps of a rollout in the order in which they are done."""
    cloud = CLOUDS[policy.cloud]
    if policy.action == "workload":
        return _in_cloud(_workload(WORKLOADS[policy.workload], policy), cloud)
    return _in_cloud(_enrollment(policy.target), cloud)


def undo_steps(action: str, collection: str) -> tuple[HumanStep, ...]:
    """Return the steps of a plan that undoes another. action, collection : those of the plan undone."""
    name = action.removeprefix("workload:")
    steps = _undo_workload(WORKLOADS[name]) if name in WORKLOADS else _undo_enrollment()
    check = HumanStep(
        "after",
        f"Check that '{collection}' contains only the members that it had before",
        "Assets and Compliance > Device Collections",
        "Members that this rollout did not add are left where they are.",
    )
    return (*steps, check)


def undo_warnings(action: str) -> tuple[str, ...]:
    """Return what taking devices out of the collection does, and what it leaves behind."""
    name = action.removeprefix("workload:")
    if name in WORKLOADS:
        return way_back(name)
    return ("leaving the collection does not un-enroll a device; it only stops enrolling again",)


def _in_cloud(steps: tuple[HumanStep, ...], cloud: Cloud) -> tuple[HumanStep, ...]:
    """Return the steps as they are done in a cloud: its portal, its environment, what is missing there."""
    if not cloud.differences:
        return steps
    out = [
        replace(step, where=step.where.replace(PORTAL, f"{PORTAL} ({cloud.intune_portal})")) for step in steps
    ]
    for at, step in enumerate(out):
        if "Configure Cloud Attach" in step.where:
            without = (
                ""
                if cloud.tenant_attach
                else " Leave the upload of devices (tenant attach) off: it is not available in this cloud."
            )
            title = f"{step.title}, and choose the environment {cloud.environment}"
            out[at] = replace(step, title=title, why=step.why + without)
    return tuple(out)


def _undo_workload(workload: Workload) -> tuple[HumanStep, ...]:
    return (
        HumanStep(
            "before",
            f"Check that Configuration Manager can manage {workload.title} again",
            f"{PROPERTIES} > Workloads: leave the slider at Pilot Intune",
            "With the slider at Pilot Intune, a device that leaves the staging collection returns to Configuration "
            "Manager; at Intune it would not. " + " ".join(way_back(workload.name)),
        ),
        HumanStep(
            "after",
            f"Set the slider of {workload.title} back to Configuration Manager once the collection is empty",
            f"{PROPERTIES} > Workloads",
            f"Then unassign its counterpart in Intune ({workload.counterpart}), never before: the device always has "
            "one manager.",
        ),
    )


def _undo_enrollment() -> tuple[HumanStep, ...]:
    return (
        HumanStep(
            "before",
            "Take the devices out of every staging collection first (undo the workload rollouts)",
            "rollout plan --undo, for each workload rollout, the most recent first",
            "The auto-enrollment collection must contain every staging collection.",
        ),
        HumanStep(
            "before",
            "Decide whether the devices should stay enrolled",
            f"{PORTAL} > Devices > Windows",
            "Leaving the collection does not un-enroll a device.",
        ),
        HumanStep(
            "after",
            "For each device that must leave Intune: wait until the client has the policy, then retire it",
            f"CoManagementHandler.log shows AutoEnroll 'false' (rollout client log FILE); then {PORTAL} > Devices > "
            "Retire",
            "Take it out of the collections, check that the policy has arrived, then retire it. In the other order, "
            "it enrolls again at its next policy evaluation.",
        ),
    )


def _enrollment(collection: str) -> tuple[HumanStep, ...]:
    return (
        HumanStep(
            "before",
            f"Create the device collection '{collection}', limited to '{ELIGIBLE}', with no member",
            "Assets and Compliance > Device Collections > Create Device Collection",
            "The rollout grows this collection and nothing else. Use direct rules only: a query or an include "
            "rule would enroll devices that the plan does not know.",
        ),
        HumanStep(
            "before",
            "If co-management is not yet configured, run the wizard with 'Customize settings'",
            f"{ATTACH} > Configure Cloud Attach",
            "Its default settings set automatic enrollment to All: one click would enroll the whole fleet.",
        ),
        HumanStep(
            "before",
            f"Set automatic enrollment in Intune to Pilot, and the Intune Auto Enrollment collection to "
            f"'{collection}'",
            f"{PROPERTIES} > Enablement > Automatic enrollment in Intune: Pilot",
            "Only members of this collection enroll. With All, the plan must not run; with None, no device enrolls.",
        ),
        HumanStep(
            "before",
            "Leave every workload at Configuration Manager",
            f"{PROPERTIES} > Workloads",
            "Enrolling changes nothing for the user as long as no workload moves; each workload is a rollout of "
            "its own.",
        ),
        HumanStep(
            "after",
            "Leave automatic enrollment at Pilot, or set it to All once the tail is done",
            f"{PROPERTIES} > Enablement > Automatic enrollment in Intune",
            "Pilot has no time limit. With All, every eligible client enrolls, even those that this plan excludes.",
        ),
        HumanStep(
            "after",
            "To take a device out for good: first remove it from the collection, then retire it in Intune",
            f"Assets and Compliance > Device Collections; then {PORTAL} > Devices > Retire",
            "Leaving the collection does not un-enroll a device, and one that is retired first enrolls again at "
            "its next policy evaluation.",
        ),
    )


def _workload(workload: Workload, policy: Policy) -> tuple[HumanStep, ...]:
    collection = policy.target
    steps = [
        HumanStep(
            "before",
            f"Keep the counterpart in Intune assigned to the devices of this rollout: {workload.counterpart}",
            f"{PORTAL} > Devices (or Apps, Endpoint security)",
            f"Without it nobody would manage {workload.title} on a device that moves. " + _confirmed(policy),
        ),
        HumanStep(
            "before",
            f"Create the device collection '{collection}', limited to '{policy.auto_enrollment}', with no member",
            "Assets and Compliance > Device Collections > Create Device Collection",
            "A staging collection must lie within the auto-enrollment collection: a device that is not enrolled "
            "has nothing to switch.",
        ),
        HumanStep(
            "before",
            f"Set the staging collection of {workload.title} to '{collection}'",
            f"{PROPERTIES} > Staging",
            "Each workload has a pilot collection of its own.",
        ),
        HumanStep(
            "before",
            f"Move the slider of {workload.title} to Pilot Intune",
            f"{PROPERTIES} > Workloads",
            "At Intune it would move for every co-managed device at once." + _moves(workload),
        ),
    ]
    if workload.name == "windows-update":
        steps.insert(
            1,
            HumanStep(
                "before",
                "Switch software updates off for these devices",
                "Administration > Client Settings > Software Updates > Enable software updates on clients: No",
                "Otherwise Configuration Manager keeps scanning in addition to Windows Update.",
            ),
        )
    if not workload.supported:
        steps[0] = HumanStep(
            "before",
            f"Check the site's version: {workload.title} cannot be moved by itself since 2203",
            "Administration > Site Configuration > Sites",
            "From 2403 its slider is forced to Intune and old policies block the site's upgrade.",
        )
    return (*steps, _after_workload(workload))


def _confirmed(policy: Policy) -> str:
    """Return who confirmed which counterpart: it is part of the plan that is approved."""
    words = [
        f"{WORKLOADS[name].title}: '{seen.policy}', confirmed by {seen.by} on {seen.on.isoformat()}."
        for name, seen in policy.counterparts.items()
    ]
    return " ".join(words)


def _after_workload(workload: Workload) -> HumanStep:
    return HumanStep(
        "after",
        f"Move the slider of {workload.title} to Intune, or leave it at Pilot Intune",
        f"{PROPERTIES} > Workloads",
        "At Intune the devices that this plan excludes move too. The way back, by rollout plan --undo or the slider: "
        + " ".join(way_back(workload.name)),
    )


def _moves(workload: Workload) -> str:
    titles = [WORKLOADS[name].title for name in workload.implies]
    return f" It also moves {' and '.join(titles)}." if titles else ""
