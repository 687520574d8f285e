"""The documents of `inventory`, `preflight`, `plan` and `approve`."""

from __future__ import annotations

from rollout.documents.base import Count, Digest, Document, Hours, HumanStep, Instant, told
from rollout.values import PhaseEnd, Severity


class InventoryFile(Document):
    """A file, or the scenario, that the inventory was read from."""

    file: str = told("The file's name.")
    kind: str = told("Which export it is, and what was left out or how it was joined.")
    rows: Count = told("Rows read.")


class Inventory(Document):
    """A snapshot of the fleet was stored."""

    id: str = told("The inventory's id, such as inv-1.")
    accepted: Count = told("Devices in it.")
    rejected: Count = told("Lines left out.")
    files: list[InventoryFile] = told("What it was read from; empty for a made-up fleet.")


class Finding(Document):
    """What preflight says of one device, or of data, tenant, site and network."""

    rule: str = told("The rule's id, such as E6.")
    severity: Severity = told("What it means for the plan: block, warn or info.")
    device: str | None = told("The device's id; null where it is about no single device.")
    sentence: str = told("What was found.")
    next_action: str = told("What a person does about it.")


class Preflight(Document):
    """Who may not go, and why."""

    inventory: str = told("The inventory's id.")
    findings: list[Finding] = told("Every finding.")
    counts: dict[str, Count] = told("Findings by rule id.")


class PlannedPhase(Document):
    """One source of devices, in the order of the plan."""

    name: str = told("The phase's name.")
    source: str = told("Where its devices come from.")
    devices: Count = told("Devices in it.")
    end: PhaseEnd = told("gate: soak, then a gate opens the next phase; never: a pilot without end.")


class PlannedBatch(Document):
    """Devices released together, if every gate passes."""

    at: Instant = told("UTC instant of the release.")
    phase: str = told("The phase's name.")
    count: Count = told("Devices released.")


class Plan(Document):
    """A plan was stored; also one of --continue and --undo."""

    plan: str = told("The plan's id, such as plan-1.")
    digest: Digest = told("SHA-256 of the plan's canonical form.")
    devices: Count = told("Devices in the plan.")
    excluded: dict[str, Count] = told("Devices of the inventory that are not in the plan, by reason.")
    phases: list[PlannedPhase] = told("The phases in order.")
    batches: list[PlannedBatch] = told("The calendar, if every gate passes.")
    human_steps: list[HumanStep] = told("What people do, in order.")
    feasible: bool = told("Whether deadline, windows and budgets can be kept.")
    start: Instant = told("UTC instant from which it counts.")
    mature_after_hours: Hours = told("Hours after its release at which a batch is judged.")
    straggler_after_hours: Hours = told("Hours after which a silent device is a straggler.")
    warnings: list[str] = told("What to mind, in sentences.")


class Explanation(Document):
    """--explain: why a device is where it is."""

    plan: str = told("The plan's id.")
    device: str = told("The device as it was asked for: id or name.")
    explanation: str = told("Phase, place and batch, or why it is not in the plan.")


class Approval(Document):
    """A person said yes to a plan."""

    plan: str = told("The plan's id.")
    digest: Digest = told("The plan's digest.")
    approved_by: str = told("Who said so.")
    approved_at: Instant = told("UTC instant of it.")
    warnings: list[str] = told("What a person should know of the plan before it is run, in sentences.")
