"""The documents of `simulate`, `demo`, `forecast`, `calibrate` and `gate`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from rollout.documents.base import (
    Count,
    Digest,
    Document,
    Final,
    Hours,
    HoursInterval,
    Instant,
    Rate,
    Share,
    told,
)
from rollout.values import State


class Peak(Document):
    """The busiest hour of a run."""

    p50: Rate = told("Enrollment attempts an hour that half of the runs do not pass.")
    p90: Rate = told("Enrollment attempts an hour that 9 runs in 10 do not pass.")


class EnrolledHours(Document):
    """Hours until a share of the planned devices is enrolled, median of the runs; null is never."""

    p50: Hours | None = told("Hours until 50 % are enrolled.")
    p90: Hours | None = told("Hours until 90 % are enrolled.")
    p95: Hours | None = told("Hours until 95 % are enrolled.")
    p99: Hours | None = told("Hours until 99 % are enrolled.")


class Figures(Document):
    """Key figures of many runs."""

    eta_hours: HoursInterval = told("Hours from the plan's start until every device has an outcome.")
    enrolled_hours: EnrolledHours = told("Hours until so many percent are enrolled.")
    enrolled_90_hours: HoursInterval = told("Hours until 90 % are enrolled.")
    peak_per_hour: Peak = told("Enrollment attempts in the busiest hour.")
    halt_chance: Share = told("Share of the runs that a gate halts.")
    final: Final = told("Devices by what became of them, in the run in the middle.")


class Simulation(Figures):
    """What the plan does in the pretend world, beside native mode All."""

    digest: Digest = told("The plan's digest.")
    seed: Count = told("Seed of every draw.")
    runs: Count = told("Replications.")
    devices: Count = told("Devices of the fleet, excluded ones with them.")
    baseline: Figures = told("The same for everybody targeted at once, on the same draws.")


class Demo(Document):
    """The whole job was done on a made-up fleet."""

    clients: Count = told("Devices made up.")
    plan: str = told("The plan's id.")
    rollout: str = told("The rollout's id.")
    digest: Digest = told("The plan's digest.")
    state: State = told("How the rollout ended.")
    final: Final = told("Devices by what became of them.")
    eta_hours: HoursInterval = told("Hours until it is done, as simulated before.")
    report: str = told("Path of the page.")
    seconds: Annotated[float, Field(ge=0)] = told("Seconds of real time that the whole job took.")


class Estimate(Document):
    """An assumption fitted to a rollout, in its unit, with its interval of 90 %."""

    name: str = told("Which assumption.")
    unit: str = told("Unit of the three figures.")
    low: float = told("Lower bound.")
    median: float = told("Likely value.")
    high: float = told("Upper bound.")
    seen: bool = told("Whether the rollout shows it at all; otherwise the scenario's own value stays.")


class Calibration(Document):
    """The assumptions fitted to what a rollout did."""

    rollout: str = told("The rollout's id.")
    as_of: Instant = told("UTC instant up to which its outcomes are known.")
    devices: Count = told("Devices released.")
    executed: Count = told("Devices with an outcome.")
    failed: Count = told("Devices that failed.")
    estimates: dict[str, Estimate] = told("The fitted assumptions by name.")
    preset: str = told('The documented random window that fits; "" for none.')
    file: str = told("Path of the scenario that was written.")


class GateTried(Document):
    """What became of the runs at one true failure rate."""

    rate: Share = told("The true failure rate.")
    halted: Share = told("Share of the runs that the gate halted.")
    passed: Share = told("Share of the runs that it passed; the rest ended as HOLD.")
    named: Share = told("Share of the runs that the bad stratum halted.")
    exposed: Rate = told("Devices released at the end or at the halt, mean of the runs.")
    exposed_median: Rate = told("The same, median.")
    exposed_p95: Rate = told("The same, what 95 runs in 100 do not pass.")


class GateCheck(Document):
    """What the gate of a plan does to good and bad rollouts, beside a plain threshold on the same runs."""

    ours: list[GateTried] = told("The plan's gate, an entry a true rate.")
    plain: list[GateTried] = told("The plain threshold, an entry a true rate.")
    devices: Count = told("Devices of the plan.")
    strata: Count = told("Strata that are judged.")
    runs: Count = told("Rollouts simulated a rate.")
    seed: Count = told("Seed of every draw.")
    bad: str = told('The stratum that fails at these rates; "" if all devices do.')
    p_ok: Share = told("Failure rate that is acceptable; 0 without a gate by evidence.")
    p_bad: Share = told("Failure rate that is to be caught; 0 without a gate by evidence.")
    alpha: Share = told("Chance to halt a good rollout, at most; 0 without a gate by evidence.")
    threshold: str = told("The plain threshold in words.")
    pictures: list[str] = told("Paths of the pictures that were drawn.")
