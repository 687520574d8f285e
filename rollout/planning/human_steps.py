"""What a person must do in the console, since nothing documented lets a program do it."""

from __future__ import annotations

from rollout.policy import Policy
from rollout.values import HumanStep
from rollout.workloads import WORKLOADS, Workload

ATTACH = "Administration > Cloud Services > Cloud Attach"
PROPERTIES = f"{ATTACH} > the co-management object > Properties"
ELIGIBLE = "Co-management Eligible Devices"
ENROLLMENT = "Intune Auto Enrollment"


def human_steps(policy: Policy) -> tuple[HumanStep, ...]:
    """Give the steps of a rollout in the order in which they are done."""
    if policy.action == "workload":
        return _workload(WORKLOADS[policy.workload], policy.target)
    return _enrollment(policy.target)


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
            "Only members of this collection enroll. While it says All the plan must not run; while it says None "
            "nobody enrolls.",
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
            "Pilot has no time limit. With All, every eligible client enrolls, also those that this plan excludes.",
        ),
        HumanStep(
            "after",
            "To take a device out for good: first remove it from the collection, then retire it in Intune",
            "Assets and Compliance > Device Collections; then Microsoft Intune admin center > Devices > Retire",
            "Leaving the collection does not un-enroll a device, and one that is retired first enrolls again at "
            "its next policy evaluation.",
        ),
    )


def _workload(workload: Workload, collection: str) -> tuple[HumanStep, ...]:
    steps = [
        HumanStep(
            "before",
            f"Deploy the counterpart in Intune to the devices of this rollout: {workload.counterpart}",
            "Microsoft Intune admin center > Devices (or Apps, Endpoint security)",
            f"A device whose {workload.title} moves without a counterpart is managed by nobody.",
        ),
        HumanStep(
            "before",
            f"Create the device collection '{collection}', limited to '{ENROLLMENT}', with no member",
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
                "Else Configuration Manager keeps scanning beside Windows Update.",
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


def _after_workload(workload: Workload) -> HumanStep:
    return HumanStep(
        "after",
        f"Move the slider of {workload.title} to Intune, or leave it at Pilot Intune",
        f"{PROPERTIES} > Workloads",
        "At Intune the devices that this plan excludes move too. To move back, set the slider back: authority "
        "returns, settings and versions that came with it may stay.",
    )


def _moves(workload: Workload) -> str:
    titles = [WORKLOADS[name].title for name in workload.implies]
    return f" It also moves {' and '.join(titles)}." if titles else ""
