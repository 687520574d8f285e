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
    described,
)
from rollout.values import State


class Peak(Document):
    """Enrollment attempts in the busiest hour of a run."""

    p50: Rate = described("Enrollment attempts per hour that half of the runs do not exceed.")
    p90: Rate = described("Enrollment attempts per hour that 9 runs in 10 do not exceed.")


class EnrolledHours(Document):
    """Hours until a share of the planned devices is enrolled, median of the runs; null if never."""

    p50: Hours | None = described("Hours until 50 % are enrolled.")
    p90: Hours | None = described("Hours until 90 % are enrolled.")
    p95: Hours | None = described("Hours until 95 % are enrolled.")
    p99: Hours | None = described("Hours until 99 % are enrolled.")


class Waited(Document):
    """Time in which a gate waits, in hours, over the runs."""

    p50: Hours = described("Median.")
    p90: Hours = described("9 runs in 10 wait no longer.")


class Figures(Document):
    """Key figures of many runs."""

    eta_hours: HoursInterval = described("Hours from the plan's start until every device has an outcome.")
    enrolled_hours: EnrolledHours = described(
        "Median hours until a share of the planned devices is enrolled."
    )
    enrolled_90_hours: HoursInterval = described("Hours until 90 % are enrolled.")
    peak_per_hour: Peak = described("Enrollment attempts in the busiest hour.")
    halt_chance: Share = described("Share of the runs that a gate halts.")
    held_chance: Share = described("Share of the runs in which a gate asks a person.")
    waited_hours: Waited = described("Hours in which releases wait for answers.")
    final: Final = described("Devices by outcome, in the median run.")


class Simulation(Figures):
    """Simulated runs of a plan, compared with native mode All."""

    digest: Digest = described("The plan's digest.")
    seed: Count = described("Seed of every random draw.")
    runs: Count = described("Replications.")
    devices: Count = described("Devices of the fleet, including excluded ones.")
    baseline: Figures = described("The same figures for all devices targeted at once, on the same draws.")


class Demo(Document):
    """The whole job was done on a generated fleet."""

    clients: Count = described("Devices generated.")
    plan: str = described("The plan's id.")
    rollout: str = described("The rollout's id.")
    digest: Digest = described("The plan's digest.")
    state: State = described("Final state of the rollout.")
    final: Final = described("Devices by outcome.")
    eta_hours: HoursInterval = described("Hours until it is done, as simulated before it started.")
    report: str = described("Path of the page.")
    seconds: Annotated[float, Field(ge=0)] = described("Wall-clock seconds that the whole job took.")


class Estimate(Document):
    """An assumption fitted to a rollout, in its unit, with its 90 % interval."""

    name: str = described("The assumption's name.")
    unit: str = described("Unit of the three figures.")
    low: float = described("Lower bound.")
    median: float = described("Median.")
    high: float = described("Upper bound.")
    seen: bool = described(
        "Whether the rollout gives information about it; if not, the scenario's own value is kept."
    )


class Calibration(Document):
    """The assumptions, fitted to the outcomes of a rollout."""

    rollout: str = described("The rollout's id.")
    as_of: Instant = described("UTC instant up to which its outcomes are known.")
    devices: Count = described("Devices released.")
    executed: Count = described("Devices with an outcome.")
    failed: Count = described("Devices that failed.")
    estimates: dict[str, Estimate] = described("The fitted assumptions by name.")
    preset: str = described('The documented random window that fits; "" for none.')
    file: str = described("Path of the scenario that was written.")


class GateTried(Document):
    """The runs at one true failure rate."""

    rate: Share = described("The true failure rate.")
    halted: Share = described("Share of the runs that the gate halted.")
    passed: Share = described("Share of the runs that the gate passed; the rest ended as HOLD.")
    named: Share = described("Share of the runs that the bad stratum halted.")
    exposed: Rate = described("Devices released when the run ended or was halted, mean of the runs.")
    exposed_median: Rate = described("The same, median.")
    exposed_p95: Rate = described("The same, not exceeded by 95 runs in 100.")


class GateCheck(Document):
    """How the gate of a plan treats good and bad rollouts, compared with a plain threshold on the same runs."""

    ours: tuple[GateTried, ...] = described("The plan's gate, one entry per true rate.")
    plain: tuple[GateTried, ...] = described("The plain threshold, one entry per true rate.")
    devices: Count = described("Devices in the plan.")
    strata: Count = described("Strata that are judged.")
    runs: Count = described("Rollouts simulated per rate.")
    seed: Count = described("Seed of every random draw.")
    bad: str = described('The stratum that fails at these rates; "" if all devices do.')
    p_ok: Share = described("Failure rate that is acceptable; 0 without a gate by evidence.")
    p_bad: Share = described("Failure rate that the gate must catch; 0 without a gate by evidence.")
    alpha: Share = described("Highest chance of halting a good rollout; 0 without a gate by evidence.")
    threshold: str = described("The plain threshold in words.")
    pictures: tuple[str, ...] = described("Paths of the pictures that were drawn.")
