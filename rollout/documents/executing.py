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
    described,
)
from rollout.documents.comanagement import DeviceWorkloads
from rollout.documents.forecast import ForecastSummary
from rollout.values import Outcome, State, Verdict


class Goal(Document):
    """What was to be reached by now; null where unknown."""

    released: Count | None = described("Devices that the plan's curve has released by now.")
    enrolled: Count | None = described("Devices enrolled by now in the median of the plan's simulation.")


class PerHour(Document):
    """Devices an hour, over the last day of the directory's time."""

    released: Rate = described("Devices released an hour.")
    enrolled: Rate = described("Devices enrolled an hour.")


class End(Document):
    """When it is done."""

    at: Instant | None = described("UTC instant, the likely one; null is later than the simulated time.")
    p10: Instant | None = described("UTC instant that 1 run in 10 does not pass.")
    p90: Instant | None = described("UTC instant that 9 runs in 10 do not pass.")
    hours: Hours | None = described("Hours from the plan's start to `at`.")
    of: Literal["finished", "forecast", "simulation"] = described(
        "Where that is from: it is so, or expected by."
    )


class Lease(Document):
    """Who executes it."""

    holder: str = described("Host and process.")
    since: Instant = described("UTC instant since when.")
    expires: Instant = described("UTC instant until when, unless renewed.")
    overdue: bool = described("Whether that is over.")


class StatusDocument(Document):
    """How a rollout stands; of `run`, how it ended."""

    rollout: str = described("The rollout's id, such as run-1.")
    plan: str = described("The plan's id.")
    digest: Digest = described("The plan's digest.")
    directory: str = described("Where it is executed: embedded, adminservice or graph.")
    state: State | Literal["not begun"] = described(
        "running, held, paused, halted, aborted, finished, not begun."
    )
    reason: str = described('Why, the last decision\'s sentence; "" before the first.')
    at: Instant | None = described(
        "UTC instant of the last look, by the directory's clock; null before the first."
    )
    phase: str | None = described("The phase under way; null before the first decision.")
    released: Count = described("Devices released so far.")
    unsent: Count = described("Released devices that have not been sent to the directory yet.")
    unsent_because: str = described(
        'Why they are not sent, and since when; "" where none waits or nothing is known.'
    )
    final: Final = described("Devices by what became of them so far.")
    goal: Goal = described("What was to be reached by now.")
    per_hour: PerHour = described("How fast it goes.")
    decisions: Count = described("Decisions so far.")
    verdict: Verdict | Literal[""] = described('What the gate said last; "" before it said anything.')
    eta: End | None = described("When it will be done; null where nothing tells.")
    forecast: ForecastSummary | None = described(
        "The latest forecast; null before the first and after the end."
    )
    on_plan: str = described('How it stands against the simulation of its plan; "" unknown.')
    lease: Lease | None = described("Who executes it; null for nobody.")


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
    excluded: str | None = described("Why it is not in the plan; null if it is.")
    because: str | None = described("What that means; null if it is in the plan.")
    next_action: str | None = described(
        "What a person does: about an exclusion or a failure; null for nothing."
    )
    batch: Count | None = described("Number of its batch, from 1; null before its release.")
    released_at: Instant | None = described("UTC instant of its release; null before.")
    withdrawal: Literal["asked", "done"] | None = described(
        "Whether it was withdrawn from the collection; null for no."
    )
    withdrawn_at: Instant | None = described("UTC instant of that; null before.")
    outcome: OutcomeName | None = described("What became of it; null before its release.")
    since: Instant | None = described("UTC instant of that; null while pending.")
    code: Code | None = described("The last failure code; null for none.")
    name: str | None = described("The code's symbolic name; null without a code.")
    workloads: DeviceWorkloads = described("Who manages its workloads.")


class DryRun(Document):
    """--dry-run in the embedded directory: what the next look would do."""

    at: Instant = described("UTC instant of the look.")
    reason: str = described("What would be decided, and why.")
    devices: tuple[str, ...] = described("Ids of the devices that would be released.")


class Request(Document):
    """A request that would be sent."""

    method: str = described("The HTTP method.")
    url: str = described("The absolute address.")
    headers: dict[str, str] = described("Headers besides those of every request.")
    body: dict[str, Any] | None = described("The JSON body; null for none.")


class DryRunOutside(Document):
    """--dry-run in a real directory: the exact requests, none of them sent."""

    reason: str = described("What would be decided, and why.")
    requests: tuple[Request, ...] = described("The requests, in order.")
    notes: tuple[str, ...] = described("What was noticed of the directory, in sentences.")


CommandName = Literal["pause", "resume", "abort", "exclude", "approve-gate"]


class Command(Document):
    """A person's command was noted; it takes effect before the next chunk."""

    rollout: str = described("The rollout's id.")
    command: CommandName = described("What was asked.")
    by: str = described("Who asked.")
    devices: Count = described("Devices that it names and that are not released yet; 0 for all.")
    released: tuple[str, ...] = described("Ids of named devices that were released already and stay members.")


class WithdrawnDevice(Document):
    """What became of one device that was named."""

    device: str = described("The device's id.")
    result: Literal["withdrawn", "noted", "not_released", "not_ours", "staged", "refused"] = described(
        "withdrawn: it is out; noted: an executor takes it out, or does not send it; the others: it stays, and why."
    )
    sentence: str = described("The same in words.")


class Withdrawal(Document):
    """Single devices were taken out again."""

    rollout: str = described("The rollout's id.")
    by: str = described("Who asked.")
    executor: str | None = described(
        "The executor that takes them out before its next chunk; null: done by this command."
    )
    devices: tuple[WithdrawnDevice, ...] = described("The devices that were named, those that stay first.")


class Check(Document):
    """One thing that was looked at."""

    name: str = described("What.")
    ok: bool = described("Whether it is in order.")
    sentence: str = described("What was found.")


class Doctor(Document):
    """Whether everything is in order."""

    checks: tuple[Check, ...] = described("What was looked at.")


class LeaseReleased(Document):
    """--release-lease: the lease was taken away."""

    rollout: str = described("The rollout's id.")
    released: bool = described("Whether there was a lease.")
    holder: str | None = described("Who had it; null for nobody.")
