"""The documents of `run`, `status`, `pause`, `resume`, `abort`, `exclude`, `withdraw` and `doctor`."""

from __future__ import annotations

from typing import Any, Literal

from rollout.documents.base import (
    Code,
    Count,
    Digest,
    Document,
    Final,
    Hours,
    Instant,
    Rate,
    told,
)
from rollout.documents.comanagement import DeviceWorkloads
from rollout.documents.forecast import ForecastSummary
from rollout.values import Outcome, State, Verdict


class Goal(Document):
    """What was to be reached by now; null where unknown."""

    released: Count | None = told("Devices that the plan's curve has released by now.")
    enrolled: Count | None = told("Devices enrolled by now in the median of the plan's simulation.")


class PerHour(Document):
    """Devices an hour, over the last day of the directory's time."""

    released: Rate = told("Devices released an hour.")
    enrolled: Rate = told("Devices enrolled an hour.")


class End(Document):
    """When it is done."""

    at: Instant | None = told("UTC instant, the likely one; null is later than the simulated time.")
    p10: Instant | None = told("UTC instant that 1 run in 10 does not pass.")
    p90: Instant | None = told("UTC instant that 9 runs in 10 do not pass.")
    hours: Hours | None = told("Hours from the plan's start to `at`.")
    of: Literal["finished", "forecast", "simulation"] = told("Where that is from: it is so, or expected by.")


class Lease(Document):
    """Who executes it."""

    holder: str = told("Host and process.")
    since: Instant = told("UTC instant since when.")
    expires: Instant = told("UTC instant until when, unless renewed.")
    overdue: bool = told("Whether that is over.")


class StatusDocument(Document):
    """How a rollout stands; of `run`, how it ended."""

    rollout: str = told("The rollout's id, such as run-1.")
    plan: str = told("The plan's id.")
    digest: Digest = told("The plan's digest.")
    directory: str = told("Where it is executed: embedded, adminservice or graph.")
    state: State | Literal["not begun"] = told("running, held, paused, halted, aborted, finished, not begun.")
    reason: str = told('Why, the last decision\'s sentence; "" before the first.')
    at: Instant | None = told(
        "UTC instant of the last look, by the directory's clock; null before the first."
    )
    phase: str | None = told("The phase under way; null before the first decision.")
    released: Count = told("Devices released so far.")
    unsent: Count = told("Released devices that have not been sent to the directory yet.")
    unsent_because: str = told(
        'Why they are not sent, and since when; "" where none waits or nothing is known.'
    )
    final: Final = told("Devices by what became of them so far.")
    goal: Goal = told("What was to be reached by now.")
    per_hour: PerHour = told("How fast it goes.")
    decisions: Count = told("Decisions so far.")
    verdict: Verdict | Literal[""] = told('What the gate said last; "" before it said anything.')
    eta: End | None = told("When it will be done; null where nothing tells.")
    forecast: ForecastSummary | None = told("The latest forecast; null before the first and after the end.")
    on_plan: str = told('How it stands against the simulation of its plan; "" unknown.')
    lease: Lease | None = told("Who executes it; null for nobody.")


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

    device: str = told("The device's id.")
    rollout: str = told("The rollout's id.")
    phase: str | None = told("Its phase; null if it is not in the plan.")
    place: Count | None = told("Its place in the phase's order, from 1; null if it is not in the plan.")
    of: Count | None = told("Devices of the phase; null if it is not in the plan.")
    excluded: str | None = told("Why it is not in the plan; null if it is.")
    because: str | None = told("What that means; null if it is in the plan.")
    next_action: str | None = told("What a person does: about an exclusion or a failure; null for nothing.")
    batch: Count | None = told("Number of its batch, from 1; null before its release.")
    released_at: Instant | None = told("UTC instant of its release; null before.")
    withdrawal: Literal["asked", "done"] | None = told(
        "Whether it was withdrawn from the collection; null for no."
    )
    withdrawn_at: Instant | None = told("UTC instant of that; null before.")
    outcome: OutcomeName | None = told("What became of it; null before its release.")
    since: Instant | None = told("UTC instant of that; null while pending.")
    code: Code | None = told("The last failure code; null for none.")
    name: str | None = told("The code's symbolic name; null without a code.")
    workloads: DeviceWorkloads = told("Who manages its workloads.")


class DryRun(Document):
    """--dry-run in the embedded directory: what the next look would do."""

    at: Instant = told("UTC instant of the look.")
    reason: str = told("What would be decided, and why.")
    devices: list[str] = told("Ids of the devices that would be released.")


class Request(Document):
    """A request that would be sent."""

    method: str = told("The HTTP method.")
    url: str = told("The absolute address.")
    headers: dict[str, str] = told("Headers besides those of every request.")
    body: dict[str, Any] | None = told("The JSON body; null for none.")


class DryRunOutside(Document):
    """--dry-run in a real directory: the exact requests, none of them sent."""

    reason: str = told("What would be decided, and why.")
    requests: list[Request] = told("The requests, in order.")
    notes: list[str] = told("What was noticed of the directory, in sentences.")


CommandName = Literal["pause", "resume", "abort", "exclude", "approve-gate"]


class Command(Document):
    """A person's command was noted; it takes effect before the next chunk."""

    rollout: str = told("The rollout's id.")
    command: CommandName = told("What was asked.")
    by: str = told("Who asked.")
    devices: Count = told("Devices that it names and that are not released yet; 0 for all.")
    released: list[str] = told("Ids of named devices that were released already and stay members.")


class WithdrawnDevice(Document):
    """What became of one device that was named."""

    device: str = told("The device's id.")
    result: Literal["withdrawn", "noted", "not_released", "not_ours", "staged", "refused"] = told(
        "withdrawn: it is out; noted: an executor takes it out, or does not send it; the others: it stays, and why."
    )
    sentence: str = told("The same in words.")


class Withdrawal(Document):
    """Single devices were taken out again."""

    rollout: str = told("The rollout's id.")
    by: str = told("Who asked.")
    executor: str | None = told(
        "The executor that takes them out before its next chunk; null: done by this command."
    )
    devices: list[WithdrawnDevice] = told("The devices that were named, those that stay first.")


class Check(Document):
    """One thing that was looked at."""

    name: str = told("What.")
    ok: bool = told("Whether it is in order.")
    sentence: str = told("What was found.")


class Doctor(Document):
    """Whether everything is in order."""

    checks: list[Check] = told("What was looked at.")


class LeaseReleased(Document):
    """--release-lease: the lease was taken away."""

    rollout: str = told("The rollout's id.")
    released: bool = told("Whether there was a lease.")
    holder: str | None = told("Who had it; null for nobody.")
