"""The documents of `run`, `status`, `pause`, `resume`, `abort`, `exclude`, `withdraw` and `doctor`."""

from __future__ import annotations

from typing import Any, Literal, Self

from rollout.documents.base import (
    Code,
    Count,
    Digest,
    Document,
    Final,
    Hours,
    Instant,
    Rate,
    described,
)
from rollout.documents.comanagement import DeviceWorkloads
from rollout.documents.forecast import ForecastSummary
from rollout.values import Hold, Outcome, Plan, State, Verdict


class Goal(Document):
    """The goals at this time; null if unknown."""

    released: Count | None = described("Devices that the plan's curve has released by now.")
    enrolled: Count | None = described("Devices enrolled by now in the median of the plan's simulation.")


class PerHour(Document):
    """Devices per hour, over the last day of the directory's time."""

    released: Rate = described("Devices released per hour.")
    enrolled: Rate = described("Devices enrolled per hour.")


class End(Document):
    """The end of the rollout."""

    at: Instant | None = described("UTC instant, median; null if later than the simulated time.")
    p10: Instant | None = described("UTC instant that 1 run in 10 does not pass.")
    p90: Instant | None = described("UTC instant that 9 runs in 10 do not pass.")
    hours: Hours | None = described("Hours from the plan's start to `at`.")
    of: Literal["finished", "forecast", "simulation"] = described(
        "Source: the rollout has finished, its latest forecast, or the simulation of its plan."
    )


class Lease(Document):
    """The lease of an executor."""

    holder: str = described("Host and process.")
    since: Instant = described("UTC instant since which the lease is held.")
    expires: Instant = described("UTC instant at which the lease expires unless renewed.")
    overdue: bool = described("Whether the lease has expired.")


class HoldDocument(Document):
    """What a gate objects to: an approval answers it as it stands, and is void once it worsens."""

    phase: str = described("The phase in which it arose.")
    rule: str = described("The gate's rule.")
    stratum: str = described('The model, site or other stratum that is held; "" if it is about all devices.')
    harmed: Count = described("Devices that it is about: failed, silent, unanswered or removed ones.")
    of: Count = described("Devices among which they are.")
    sentence: str = described("The objection in a sentence.")

    @classmethod
    def of_hold(cls, hold: Hold, plan: Plan) -> Self:
        """Return the document of a hold of a plan's rollout."""
        return cls(
            phase=plan.phases[hold.phase].name,
            rule=hold.rule,
            stratum=hold.stratum,
            harmed=hold.harmed,
            of=hold.of,
            sentence=hold.sentence,
        )


class StatusDocument(Document):
    """Where a rollout stands; for `run`, how it ended."""

    rollout: str = described("The rollout's id, such as run-1.")
    plan: str = described("The plan's id.")
    digest: Digest = described("The plan's digest.")
    directory: str = described("The name of the directory, such as embedded or adminservice.")
    state: State | Literal["not begun"] = described(
        "running, waiting, held, paused, halted, aborted, finished, finished with losses, not begun."
    )
    reason: str = described('The reason given by the last decision; "" before the first.')
    at: Instant | None = described(
        "UTC instant of the last observation, by the directory's clock; null before the first."
    )
    phase: str | None = described("The phase under way; null before the first decision.")
    released: Count = described("Devices released so far, that is, sent to the directory.")
    unsent: Count = described("Devices of the batches so far that were not sent to the directory.")
    unsent_because: str = described(
        'Reason why they are not sent, and since when; "" if all are sent or it is unknown.'
    )
    final: Final = described("Devices by outcome so far.")
    goal: Goal = described("Goals for the present.")
    per_hour: PerHour = described("Current rates.")
    decisions: Count = described("Decisions so far.")
    verdict: Verdict | Literal[""] = described('The last verdict of the gate; "" before the first.')
    hold: HoldDocument | None = described("What holds the rollout, or what it waits for; null if nothing.")
    held: tuple[HoldDocument, ...] = described("The strata that are held while the others go on.")
    eta: End | None = described("The expected end; null if unknown.")
    forecast: ForecastSummary | None = described(
        "The latest forecast; null before the first and after the end."
    )
    on_plan: str = described('Comparison with the simulation of its plan, in a sentence; "" if unknown.')
    lease: Lease | None = described("The executor's lease; null if no executor has one.")


OutcomeName = Literal["pending", "enrolled", "failed", "rejected", "timed_out"]
OUTCOME_NAMES: dict[Outcome, OutcomeName] = {
    Outcome.PENDING: "pending",
    Outcome.ENROLLED: "enrolled",
    Outcome.FAILED: "failed",
    Outcome.REJECTED: "rejected",
    Outcome.TIMED_OUT: "timed_out",
}


class DeviceStatus(Document):
    """--device: one device in a rollout."""

    device: str = described("The device's id.")
    rollout: str = described("The rollout's id.")
    phase: str | None = described("Its phase; null if it is not in the plan.")
    place: Count | None = described("Its place in the phase's order, from 1; null if it is not in the plan.")
    of: Count | None = described("Devices of the phase; null if it is not in the plan.")
    excluded: str | None = described("Reason for its exclusion; null if it is in the plan.")
    because: str | None = described("The reason in a sentence; null if it is in the plan.")
    next_action: str | None = described("Next action for an exclusion or a failure; null for none.")
    batch: Count | None = described("Number of its batch, from 1; null before its release.")
    released_at: Instant | None = described("UTC instant of its release; null before.")
    withdrawal: Literal["asked", "done"] | None = described(
        "Whether it was withdrawn from the collection; null for no."
    )
    withdrawn_at: Instant | None = described("UTC instant of the withdrawal; null before.")
    outcome: OutcomeName | None = described("Its outcome; null before its release.")
    since: Instant | None = described("UTC instant of the outcome; null while pending.")
    code: Code | None = described("The last failure code; null for none.")
    name: str | None = described("The code's symbolic name; null without a code.")
    workloads: DeviceWorkloads = described("The tool that manages each of its workloads.")


class DryRun(Document):
    """--dry-run in the embedded directory: what the next decision would do."""

    at: Instant = described("UTC instant of the decision.")
    reason: str = described("The decision and its reason.")
    devices: tuple[str, ...] = described("Ids of the devices that would be released.")


class Request(Document):
    """A request that would be sent."""

    method: str = described("The HTTP method.")
    url: str = described("The absolute address.")
    headers: dict[str, str] = described("Headers besides those of every request.")
    body: dict[str, Any] | None = described("The JSON body; null for none.")


class DryRunOutside(Document):
    """--dry-run in a real directory: the exact requests, none of them sent."""

    reason: str = described("The decision and its reason.")
    requests: tuple[Request, ...] = described("The requests, in order.")
    notes: tuple[str, ...] = described("Notes on the directory, in sentences.")


CommandName = Literal["pause", "resume", "abort", "exclude", "approve-gate"]


class Command(Document):
    """A person's command was recorded; it takes effect before the next chunk."""

    rollout: str = described("The rollout's id.")
    command: CommandName = described("The command.")
    by: str = described("Name of the person.")
    devices: Count = described(
        "Named devices that are not released yet; 0 if the command is for the whole rollout."
    )
    released: tuple[str, ...] = described("Ids of named devices that were released already and stay members.")


class WithdrawnDevice(Document):
    """The result for one named device."""

    device: str = described("The device's id.")
    result: Literal["withdrawn", "noted", "not_released", "not_ours", "staged", "refused"] = described(
        "withdrawn: it is out; noted: an executor takes it out, or does not send it; all others: it stays, and why."
    )
    sentence: str = described("The result in a sentence.")


class Withdrawal(Document):
    """Single devices were taken out of the collection again."""

    rollout: str = described("The rollout's id.")
    by: str = described("Name of the person.")
    executor: str | None = described(
        "The executor that takes them out before its next chunk; null: done by this command."
    )
    devices: tuple[WithdrawnDevice, ...] = described("The named devices; first those that stay.")


class Check(Document):
    """One check."""

    name: str = described("Name of the check.")
    ok: bool = described("Whether the check passed.")
    sentence: str = described("The finding, in a sentence.")


class Doctor(Document):
    """Whether all checks passed."""

    checks: tuple[Check, ...] = described("The checks.")


class LeaseReleased(Document):
    """--release-lease: the lease was taken away."""

    rollout: str = described("The rollout's id.")
    released: bool = described("Whether there was a lease to release.")
    holder: str | None = described("The executor that held it; null for none.")
