"""The documents of `tune` and `capacity`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from rollout.documents.base import Count, Digest, Document, Final, Hours, HoursInterval, Rate, Share, told
from rollout.documents.simulating import EnrolledHours, Peak


class Score(Document):
    """How a plan did; null where the simulated time ends before."""

    hours_to_90: Hours | None = told("Hours until 90 % are enrolled, median of the runs.")
    peak_per_hour: Rate | None = told("Enrollment attempts in the busiest hour, median of the runs.")
    done_hours_p90: Hours | None = told("Hours until it is done that 9 runs in 10 do not pass.")
    peak_per_hour_p90: Rate | None = told("Attempts in the busiest hour that 9 runs in 10 do not pass.")
    tickets_per_hour_p90: Rate | None = told("Failures in the busiest hour that 9 runs in 10 do not pass.")
    halt_chance: Share = told("Share of the runs that a gate halted.")
    exposed_p90: Count | None = told("Devices released before a halt that 9 runs in 10 do not pass.")
    refused: str = told('Why it cannot be planned at all; "" if it can.')
    runs: Count = told("Runs played.")


class Pacing(Document):
    """A pacing of the main phase, in shares of it; 0 and "" stand for what it does not use."""

    mode: str = told('duration, ramp, auto, or "" for the scenario as it is written.')
    hours: Hours = told("Active hours of a straight line at full speed.")
    step_hours: Hours = told("Hours from batch to batch, at least.")
    slow: Rate = told("Of a ramp: how many times slower it begins.")
    factor: Rate = told("Of a ramp: speed-up a rung.")
    rung: Share = told("Of a ramp: share of the phase that must be enrolled for the next rung.")
    in_flight: Share = told("Of auto: most devices in flight, as a share of the phase.")
    pilot: Count = told("Devices of the first phase; 0 is as written.")


class TunedPlan(Pacing, Score):
    """A plan that was tried."""

    number: Count = told("Its number; 0 is the scenario as it is written.")
    says: str = told("The pacing in words.")


class AssumptionTried(Score):
    """The score under one changed assumption."""

    assumption: str = told("Which assumption was changed.")
    value: str = told("To what.")


class Swing(Document):
    """How much an assumption moves the time to the end."""

    assumption: str = told("Which assumption.")
    swing: Rate = told("Most less least hours to 90 % enrolled, as a share of the unchanged hours.")


class Robustness(Document):
    """A plan under assumptions that nobody knows, changed one at a time."""

    candidate: Pacing = told("The plan's pacing.")
    tried: list[AssumptionTried] = told("The score under each changed assumption.")
    swings: list[Swing] = told("The assumptions, the one that matters most first.")


class ScaledDown(Document):
    """The fleet on which plans were tried."""

    devices: Count = told("Devices in it.")
    one_stands_for: Rate = told("Devices of the whole fleet that each of them stands for.")


class Verified(Document):
    """The chosen plan, simulated at full size."""

    digest: Digest = told("Its digest.")
    runs: Count = told("Replications.")
    devices: Count = told("Devices of the fleet.")
    eta_hours: HoursInterval = told("Hours until it is done.")
    enrolled_hours: EnrolledHours = told("Hours until so many percent are enrolled.")
    peak_per_hour: Peak = told("Enrollment attempts in the busiest hour.")
    halt_chance: Share = told("Share of the runs that a gate halts.")
    final: Final = told("Devices by what became of them, in the run in the middle.")


class TuningFiles(Document):
    """Paths of what was written."""

    scenario: str = told("The scenario with the chosen pacing.")
    table: str = told("All plans tried, as CSV.")
    front: str = told("Picture: time against peak load.")
    tornado: str = told("Picture: how much each assumption matters.")


class Tuning(Document):
    """The pacings that none beats in time and load, and the chosen one."""

    front: list[TunedPlan] = told("Plans that none beats in both time and peak load.")
    chosen: TunedPlan = told("The chosen one.")
    as_written: TunedPlan = told("The scenario as it is written.")
    reason: str = told("Why it was chosen.")
    hangs_on: str = told("On which assumption the answer hangs.")
    robustness: list[Robustness] = told("The best plans under changed assumptions.")
    trials: Count = told("Plans tried.")
    seed: Count = told("Seed of every draw.")
    scaled_down: ScaledDown = told("How large that was.")
    verified: Verified | None = told("The chosen plan at full size; null with --verify 0.")
    files: TuningFiles = told("What was written.")


class Need(Document):
    """What a fleet needs by arithmetic alone."""

    devices: Count = told("Devices of the fleet.")
    points: Count = told("Management points.")
    primaries: Count = told("Primary sites that hold them.")
    internet: Count = told("Clients that come through the cloud management gateway.")
    instances: dict[str, Count] = told("Gateway instances by VM size.")
    gateways: dict[str, Count] = told("Gateways by VM size.")
    connections: dict[str, Count] = told("Gateway connection points by VM size.")
    window_rate: Rate | None = told("Enrollments an hour if all were targeted at once; null is at once.")
    deadline_rate: Rate = told("Enrollments an hour if they came evenly until the deadline.")


class Played(Document):
    """The rollout, played with one service rate."""

    ratio: Rate = told("The rate as a multiple of the arithmetic one.")
    per_hour: Rate = told("The rate: enrollments an hour.")
    hours: Hours | None = told("Hours until 90 % are enrolled; null is never.")
    kept: bool = told("Whether that is before the deadline.")
    peak: Rate = told("Most attempts in an hour.")
    peak_at: Annotated[int, Field(ge=0, le=23)] = told("Local hour of the day of that.")
    throttled: Share = told("Share of the attempts that were turned away.")
    natural_hours: Hours | None = told("Hours until 90 % are enrolled with an unlimited service.")


class Case(Document):
    """A fleet, a random window and a deadline."""

    devices: Count = told("Devices of the fleet.")
    window_hours: Hours = told("Hours of the client's random window; 0 is immediate.")
    deadline_hours: Hours = told("Hours within which 90 % are to be enrolled.")
    need: Need = told("What arithmetic says.")
    played: list[Played] = told("What playing it says, a service rate each.")
    needed_per_hour: Rate | None = told(
        "The least rate tried that keeps the deadline and turns away at most `turned_away`; null if none does."
    )
    turned_away: Share = told("Share of the attempts that the service may turn away.")
    offered: Rate = told("Attempts in the busiest hour of an unlimited service.")
    peak_at: Annotated[int, Field(ge=0, le=23)] = told("Local hour of the day of that.")
    says: str = told("What to buy, in a sentence.")


class CapacityFiles(Document):
    """Paths of what was written."""

    table: str = told("All rates played, as CSV.")
    picture: str = told("Hours against the service rate.")


class Capacity(Document):
    """What must be there for fleets and deadlines."""

    cases: list[Case] = told("One a fleet size and random window.")
    files: CapacityFiles = told("What was written.")
