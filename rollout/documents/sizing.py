"""The documents of `tune` and `capacity`."""

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
    Rate,
    Share,
    described,
)
from rollout.documents.simulating import EnrolledHours, Peak


class Score(Document):
    """Results of a plan; null for what lies beyond the simulated time."""

    hours_to_90: Hours | None = described("Hours until 90 % are enrolled, median of the runs.")
    peak_per_hour: Rate | None = described("Enrollment attempts in the busiest hour, median of the runs.")
    done_hours_p90: Hours | None = described("Hours until it is done that 9 runs in 10 do not exceed.")
    peak_per_hour_p90: Rate | None = described(
        "Attempts in the busiest hour that 9 runs in 10 do not exceed."
    )
    tickets_per_hour_p90: Rate | None = described(
        "Failures in the busiest hour that 9 runs in 10 do not exceed."
    )
    halt_chance: Share = described("Share of the runs that a gate halted.")
    exposed_p90: Count | None = described("Devices released before a halt that 9 runs in 10 do not exceed.")
    refused: str = described('Reason why it cannot be planned; "" if it can.')
    runs: Count = described("Runs simulated.")


class Pacing(Document):
    """A pacing of the main phase, in shares of it; 0 and "" for what it does not use."""

    mode: str = described('duration, ramp, auto, or "" for the scenario as it is written.')
    hours: Hours = described("Active hours of a straight line at full speed.")
    step_hours: Hours = described("Least hours between two batches.")
    slow: Rate = described("Ramp: factor by which it starts slower.")
    factor: Rate = described("Ramp: speed-up per rung.")
    rung: Share = described("Ramp: share of the phase that must be enrolled for the next rung.")
    in_flight: Share = described("Auto: most devices in flight, as a share of the phase.")
    pilot: Count = described("Devices of the first phase; 0 means as written.")


class TunedPlan(Pacing, Score):
    """A plan that was tried."""

    number: Count = described("Its number; 0 is the scenario as written.")
    says: str = described("The pacing in words.")


class AssumptionTried(Score):
    """The score under one changed assumption."""

    assumption: str = described("The assumption that was changed.")
    value: str = described("Its changed value.")


class Swing(Document):
    """How much an assumption moves the time to the end."""

    assumption: str = described("The assumption's name.")
    swing: Rate = described("Most minus least hours to 90 % enrolled, as a share of the unchanged hours.")


class Robustness(Document):
    """A plan under uncertain assumptions, changed one at a time."""

    candidate: Pacing = described("The plan's pacing.")
    tried: tuple[AssumptionTried, ...] = described("The score under each changed assumption.")
    swings: tuple[Swing, ...] = described("The assumptions, the most important first.")


class ScaledDown(Document):
    """The fleet on which plans were tried."""

    devices: Count = described("Devices in it.")
    one_stands_for: Rate = described("Devices of the whole fleet per device of the scaled-down fleet.")


class Verified(Document):
    """The chosen plan, simulated at full size."""

    digest: Digest = described("The plan's digest.")
    runs: Count = described("Replications.")
    devices: Count = described("Devices of the fleet.")
    eta_hours: HoursInterval = described("Hours until it is done.")
    enrolled_hours: EnrolledHours = described(
        "Median hours until a share of the planned devices is enrolled."
    )
    peak_per_hour: Peak = described("Enrollment attempts in the busiest hour.")
    halt_chance: Share = described("Share of the runs that a gate halts.")
    final: Final = described("Devices by outcome, in the median run.")


class TuningFiles(Document):
    """Paths of the files that were written."""

    scenario: str = described("The scenario with the chosen pacing.")
    table: str = described("All plans tried, as CSV.")
    front: str = described("Picture: time against peak load.")
    tornado: str = described("Picture: effect of each assumption.")


class Tuning(Document):
    """The best pacings: none is both faster and gentler; and the chosen one."""

    front: tuple[TunedPlan, ...] = described("Plans that no other plan beats in both time and peak load.")
    chosen: TunedPlan = described("The chosen plan.")
    as_written: TunedPlan = described("The scenario as it is written.")
    reason: str = described("The reason for the choice.")
    hangs_on: str = described("The assumption on which the answer depends most.")
    robustness: tuple[Robustness, ...] = described("The best plans under changed assumptions.")
    trials: Count = described("Plans tried.")
    seed: Count = described("Seed of every random draw.")
    scaled_down: ScaledDown = described("The scaled-down fleet.")
    verified: Verified | None = described("The chosen plan at full size; null with --verify 0.")
    files: TuningFiles = described("Files that were written.")


class Need(Document):
    """What a fleet needs by arithmetic alone."""

    devices: Count = described("Devices of the fleet.")
    points: Count = described("Management points.")
    primaries: Count = described("Primary sites that hold them.")
    internet: Count = described("Clients that come through the cloud management gateway.")
    instances: dict[str, Count] = described("Gateway instances by VM size.")
    gateways: dict[str, Count] = described("Gateways by VM size.")
    connections: dict[str, Count] = described("Gateway connection points by VM size.")
    window_rate: Rate | None = described(
        "Enrollments per hour if all devices were targeted at once; null without a random window."
    )
    deadline_rate: Rate = described("Enrollments per hour if they came evenly until the deadline.")


class Played(Document):
    """The rollout, simulated with one service rate."""

    ratio: Rate = described("The rate as a multiple of the arithmetic one.")
    per_hour: Rate = described("The rate: enrollments per hour.")
    hours: Hours | None = described("Hours until 90 % are enrolled; null if never.")
    kept: bool = described("Whether the deadline is kept.")
    peak: Rate = described("Attempts in the busiest hour.")
    peak_at: Annotated[int, Field(ge=0, le=23)] = described("Local hour of day of the busiest hour.")
    throttled: Share = described("Share of the attempts that were turned away.")
    natural_hours: Hours | None = described("Hours until 90 % are enrolled with an unlimited service.")


class Case(Document):
    """A fleet, a random window and a deadline."""

    devices: Count = described("Devices of the fleet.")
    window_hours: Hours = described("Hours of the client's random window; 0 is immediate.")
    deadline_hours: Hours = described("Hours within which 90 % are to be enrolled.")
    need: Need = described("The requirements by arithmetic alone.")
    played: tuple[Played, ...] = described("Simulated results, one entry per service rate.")
    needed_per_hour: Rate | None = described(
        "The least rate tried that keeps the deadline and turns away at most `turned_away`; null if none does."
    )
    turned_away: Share = described("Share of the attempts that the service may turn away.")
    offered: Rate = described("Attempts in the busiest hour of an unlimited service.")
    peak_at: Annotated[int, Field(ge=0, le=23)] = described("Local hour of day of the busiest hour.")
    says: str = described("The requirements, in a sentence.")


class CapacityFiles(Document):
    """Paths of the files that were written."""

    table: str = described("All service rates, as CSV.")
    picture: str = described("Hours against the service rate.")


class Capacity(Document):
    """The infrastructure that fleets and deadlines need."""

    cases: tuple[Case, ...] = described("One per fleet size and random window.")
    files: CapacityFiles = described("Files that were written.")
