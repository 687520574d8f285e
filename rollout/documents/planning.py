"""The documents of `inventory`, `preflight`, `plan` and `approve`."""

from __future__ import annotations

from rollout.documents.base import Count, Digest, Document, Hours, HumanStep, Instant, described
from rollout.values import PhaseEnd, Severity


class InventoryFile(Document):
    """A file, or the scenario, that the inventory was read from."""

    file: str = described("The file's name.")
    kind: str = described("Kind of export, and what was left out or how it was joined.")
    rows: Count = described("Rows read.")


class Inventory(Document):
    """A snapshot of the fleet was stored."""

    id: str = described("The inventory's id, such as inv-1.")
    accepted: Count = described("Devices in it.")
    rejected: Count = described("Lines left out.")
    files: tuple[InventoryFile, ...] = described("Files that it was read from; empty for a generated fleet.")


class Finding(Document):
    """What preflight says of one device, or of data, tenant, site and network."""

    rule: str = described("The rule's id, such as E6.")
    severity: Severity = described("Effect on the plan: block, warn or info.")
    device: str | None = described("The device's id; null for a finding about no single device.")
    sentence: str = described("The finding, in a sentence.")
    next_action: str = described("Next action.")


class Preflight(Document):
    """The devices that cannot be enrolled, and why."""

    inventory: str = described("The inventory's id.")
    findings: tuple[Finding, ...] = described("Every finding.")
    counts: dict[str, Count] = described("Findings by rule id.")


class PlannedPhase(Document):
    """One source of devices, in the order of the plan."""

    name: str = described("The phase's name.")
    source: str = described("Source of its devices.")
    devices: Count = described("Devices in it.")
    end: PhaseEnd = described("gate: soak, then a gate opens the next phase; never: a pilot without end.")


class PlannedBatch(Document):
    """Devices released together, if every gate passes."""

    at: Instant = described("UTC instant of the release.")
    phase: str = described("The phase's name.")
    count: Count = described("Devices released.")


class Plan(Document):
    """A plan was stored, also with --continue or --undo."""

    plan: str = described("The plan's id, such as plan-1.")
    digest: Digest = described("SHA-256 of the plan's canonical form.")
    devices: Count = described("Devices in the plan.")
    excluded: dict[str, Count] = described("Devices of the inventory that are not in the plan, by reason.")
    phases: tuple[PlannedPhase, ...] = described("The phases in order.")
    batches: tuple[PlannedBatch, ...] = described("The calendar, if every gate passes.")
    human_steps: tuple[HumanStep, ...] = described("The manual steps, in order.")
    feasible: bool = described("Whether deadline, windows and budgets can be kept.")
    start: Instant = described("UTC instant at which the plan starts.")
    mature_after_hours: Hours = described("Hours after its release at which a batch is judged.")
    straggler_after_hours: Hours = described("Hours after which a silent device is a straggler.")
    warnings: tuple[str, ...] = described("Warnings, in sentences.")


class Explanation(Document):
    """--explain: why a device is where it is in the plan."""

    plan: str = described("The plan's id.")
    device: str = described("The device as requested: id or name.")
    explanation: str = described("Phase, place and batch, or why it is not in the plan.")


class Approval(Document):
    """A person approved a plan."""

    plan: str = described("The plan's id.")
    digest: Digest = described("The plan's digest.")
    approved_by: str = described("Name of the person.")
    approved_at: Instant = described("UTC instant of the approval.")
    warnings: tuple[str, ...] = described("Warnings about the plan before it is run, in sentences.")
