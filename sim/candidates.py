"""The plans that a tuning tries: one phase of the scenario paced in another way, within a stated space.

Three ways of pacing are tried. `duration` is a straight line; `rate` would be the same line written another way,
so it is left out. `ramp` begins slowly and earns its speed. `auto` takes what a budget of devices in flight
leaves it, and is the only one that a budget may slow down: the planner refuses a budget that breaks a promise.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rollout.durations import format_duration
from rollout.pacing.curve import UTILISATION
from rollout.planning.planner import default_phases
from rollout.policy import PhasePolicy, Policy, load_policy
from rollout.values import HOUR_S, Plan

if TYPE_CHECKING:
    from optuna.trial import Trial

MODES: Final = ("duration", "ramp", "auto")
STEPS_S: Final = (1800, 3600, 7200, 14400, 28800)
SLOWEST_H: Final = 240.0
"""Active hours of the slowest plan that is tried where no target asks for less: twenty days of twelve."""
FASTEST_H: Final = 4.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to pace the main phase, in shares of it, so that it means the same on a fleet of any size.

    hours : active hours of a straight line at its full speed. step_s : a batch is released at most so often.
    slow : ramp: how many times slower it begins. factor : ramp: speed-up a rung. rung : ramp: share of the
    phase that must be enrolled for the next rung. in_flight : auto: budget as a share of the phase, 0 none.
    pilot : devices of the first phase, 0 = as written. mode "" : the scenario as it is written.
    """

    mode: str = ""
    hours: float = 0.0
    step_s: int = 0
    slow: float = 0.0
    factor: float = 0.0
    rung: float = 0.0
    in_flight: float = 0.0
    pilot: int = 0

    def sentence(self) -> str:
        """Say what it does."""
        if not self.mode:
            return "as written"
        text = f"{self.mode} {self.hours:.0f} h, step {format_duration(self.step_s)}"
        if self.mode == "ramp":
            text += f", from 1/{self.slow:.0f} up × {self.factor:g} each {self.rung:.0%}"
        if self.in_flight:
            text += f", at most {self.in_flight:.0%} in flight"
        return text + (f", pilot {self.pilot}" if self.pilot else "")

    def facts(self) -> dict[str, Any]:
        """Give the fields as plain data."""
        return asdict(self)


AS_WRITTEN: Final = Candidate()


@dataclass(frozen=True, slots=True)
class Space:
    """What may be tried with a scenario.

    main : name of the phase that is paced anew. size : its devices. pilot : name of a first phase whose size
    may vary, "" none. slowest_h : most active hours. tries_pilot : whether a target judges the pilot's size.
    """

    main: str
    size: int
    pilot: str
    slowest_h: float
    tries_pilot: bool

    def ask(self, trial: Trial) -> Candidate:
        """Let an optimizer choose."""
        mode = trial.suggest_categorical("mode", MODES)
        hours = trial.suggest_float("hours", FASTEST_H, self.slowest_h, log=True)
        step_s = STEPS_S[trial.suggest_int("step", 0, len(STEPS_S) - 1)]
        more: dict[str, Any] = {}
        if mode == "ramp":
            more["slow"] = round(trial.suggest_float("slow", 2.0, 32.0, log=True))
            more["factor"] = round(trial.suggest_float("factor", 1.5, 4.0), 1)
            more["rung"] = round(trial.suggest_float("rung", 0.005, 0.2, log=True), 3)
        elif mode == "auto":
            budget = round(trial.suggest_float("in_flight", 0.02, 1.0, log=True), 3)
            more["in_flight"] = budget if budget < 0.9 else 0.0
        if self.tries_pilot:
            more["pilot"] = trial.suggest_int("pilot", 100, 2000, log=True)
        return Candidate(mode, round(hours, 1), step_s, **more)

    def near(self, one: Candidate, other: Candidate, rng: np.random.Generator) -> dict[str, Any]:
        """Give what an optimizer would choose for one like `one`, towards `other` or a little away from it."""
        way = rng.uniform(-0.5, 1.0)
        wide = 3.0 if rng.random() < 0.4 else 1.0

        def moved(name: str, low: float, high: float, spread: float) -> float:
            here = getattr(one, name) or high
            there = (getattr(other, name) or high) if one.mode == other.mode or name == "hours" else here
            return float(
                np.clip(here ** (1 - way) * there**way * np.exp(rng.normal(0, wide * spread)), low, high)
            )

        step = STEPS_S.index(one.step_s) + (int(rng.integers(-1, 2)) if rng.random() < 0.4 else 0)
        out: dict[str, Any] = {
            "mode": one.mode,
            "hours": moved("hours", FASTEST_H, self.slowest_h, 0.02),
            "step": int(np.clip(step, 0, len(STEPS_S) - 1)),
        }
        if one.mode == "ramp":
            out |= {"slow": moved("slow", 2.0, 32.0, 0.2), "factor": moved("factor", 1.5, 4.0, 0.1)}
            out["rung"] = moved("rung", 0.005, 0.2, 0.2)
        elif one.mode == "auto":
            out["in_flight"] = moved("in_flight", 0.02, 1.0, 0.1)
        if self.tries_pilot:
            out["pilot"] = round(moved("pilot", 100, 2000, 0.1))
        return out


def space_of(plan: Plan, policy: Policy, finish_within_h: float, *, tries_pilot: bool) -> Space:
    """Give the space around a scenario. The main phase is the one with most devices."""
    main = max(plan.phases, key=len)
    first = plan.phases[0]
    is_pilot = first.name != main.name and any(
        one.name == first.name and one.devices for one in written_phases(policy, plan.planned)
    )
    slowest = min(SLOWEST_H, finish_within_h) if finish_within_h else SLOWEST_H
    return Space(
        main.name,
        len(main),
        first.name if is_pilot else "",
        max(2 * FASTEST_H, slowest),
        tries_pilot and is_pilot,
    )


def written_phases(policy: Policy, planned: int) -> tuple[PhasePolicy, ...]:
    """Give the phases of a policy, the usual ones if it writes none."""
    return policy.phases or default_phases(planned)


def policy_of(text: str, candidate: Candidate, space: Space, planned: int) -> Policy:
    """Give the policy of a candidate; see `document_of`."""
    return load_policy(document_of(text, candidate, space, planned)["rollout"], "tuned")


def document_of(text: str, candidate: Candidate, space: Space, planned: int) -> dict[str, Any]:
    """Give a scenario's TOML document with the main phase paced as a candidate says.

    planned : devices of the plan, for a scenario that writes no phases.
    """
    document = tomllib.loads(text)
    if not candidate.mode:
        return document
    rollout: dict[str, Any] = document["rollout"]
    phases = rollout.get("phases") or [
        {"name": one.name, "soak": format_duration(one.soak)}
        | ({"devices": one.devices} if one.devices is not None else {})
        for one in default_phases(planned)[:-1]
    ]
    rollout["phases"] = [_phase(phase, candidate, space) for phase in phases]
    if candidate.mode == "auto" and candidate.in_flight:
        rollout["budgets"] = {
            **rollout.get("budgets", {}),
            "in_flight": max(1, round(candidate.in_flight * space.size)),
        }
    return document


def _phase(phase: Mapping[str, Any], candidate: Candidate, space: Space) -> dict[str, Any]:
    if phase["name"] == space.main:
        step = format_duration(candidate.step_s)
        return {**phase, "pacing": _pacing(candidate, space.size), "step": step}
    if phase["name"] == space.pilot and candidate.pilot:
        return {**phase, "devices": candidate.pilot}
    return dict(phase)


def _pacing(candidate: Candidate, size: int) -> dict[str, Any]:
    if candidate.mode == "duration":
        minutes = round(candidate.hours * 60)
        return {"mode": "duration", "duration": format_duration(60 * minutes)}
    if candidate.mode == "auto":
        per_hour = size / candidate.hours / UTILISATION
        return {"mode": "auto", "service_per_hour": float(round(max(1.0, per_hour), 1))}
    cap = max(1, round(size * candidate.step_s / HOUR_S / candidate.hours))
    return {
        "mode": "ramp",
        "base": max(1, round(cap / candidate.slow)),
        "every": format_duration(candidate.step_s),
        "factor": candidate.factor,
        "succeeded": max(1, round(candidate.rung * size)),
        "cap": cap,
    }
