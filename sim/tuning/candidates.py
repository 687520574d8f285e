"""The plans that a tuning tries: the scenario with another pacing of one phase, within a stated space.

Three modes are tried. `duration` is a straight line; `rate` would be the same line written another way,
so it is left out. `ramp` starts slowly and earns its speed. `auto` takes what a budget of devices in flight
leaves it, and is the only mode that a budget may slow down: the planner refuses a budget that breaks a promised pace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rollout.pacing.modes.auto import UTILISATION
from rollout.planning.planner import default_phases
from rollout.policy import PhasePolicy, Policy, load_policy
from rollout.toml import parse_toml
from rollout.values import HOUR_S, IntArray, Plan
from rollout.values.durations import format_duration

FloatArray = NDArray[np.float64]

MODES: Final = ("duration", "ramp", "auto")
STEPS_S: Final = (1800, 3600, 7200, 14400, 28800)
SLOWEST_H: Final = 240.0
"""Active hours of the slowest plan that is tried if no target asks for less: twenty days of twelve hours."""
FASTEST_H: Final = 4.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pacing of the main phase, in shares of it, so that it means the same on a fleet of any size.

    hours : active hours of a straight line at its full speed. step_s : least seconds between two batches.
    slow : ramp: factor by which it starts slower. factor : ramp: speed-up per rung. rung : ramp: share of the
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
        """Return the pacing in words."""
        if not self.mode:
            return "as written"
        text = f"{self.mode} {self.hours:.0f} h, step {format_duration(self.step_s)}"
        if self.mode == "ramp":
            text += f", from 1/{self.slow:.0f} up × {self.factor:g} each {self.rung:.0%}"
        if self.in_flight:
            text += f", at most {self.in_flight:.0%} in flight"
        return text + (f", pilot {self.pilot}" if self.pilot else "")


AS_WRITTEN: Final = Candidate()


@dataclass(frozen=True, slots=True)
class Axis:
    """One dimension that may vary: values from low to high on a grid, evenly spaced in ratios if `log`.

    From `top` on a value is `high`. A share says how much of the way from low to high a value lies.
    """

    name: str
    low: float
    high: float
    grid: float
    log: bool = False
    top: float = np.inf

    def value(self, share: FloatArray | np.float64) -> FloatArray:
        """Return the value of the grid that is nearest to a share."""
        wide = self.high - self.low
        exact = self.low * (self.high / self.low) ** share if self.log else self.low + wide * share
        value = np.clip(np.round(np.round(exact / self.grid) * self.grid, 3), self.low, self.high)
        return np.where(value >= self.top, self.high, value)

    def share(self, value: FloatArray | np.float64) -> FloatArray:
        """Return the share that corresponds to a value."""
        inside = np.clip(value, self.low, self.high)
        if self.log:
            out: FloatArray = np.log(inside / self.low) / np.log(self.high / self.low)
        else:
            out = (inside - self.low) / (self.high - self.low)
        return out

    def least(self, share: FloatArray) -> FloatArray:
        """Return the share that corresponds to one step of the grid there."""
        here = self.value(share)
        out: FloatArray = np.maximum(
            self.share(here + self.grid) - self.share(here), self.share(here) - self.share(here - self.grid)
        )
        return out


_AXES: Final = (
    Axis("step", 0, len(STEPS_S) - 1, 1),
    Axis("slow", 2, 32, 1, log=True),
    Axis("factor", 1.5, 4.0, 0.1),
    Axis("rung", 0.005, 0.2, 0.001, log=True),
    Axis("in_flight", 0.02, 1.0, 0.001, log=True, top=0.9),  # so wide a budget is none
    Axis("pilot", 100, 2000, 1, log=True),
)
NAMES: Final = ("hours", *(axis.name for axis in _AXES))
"""The dimensions that may vary; `step` counts in `STEPS_S`."""
_OWN: Final = {"duration": (), "ramp": ("slow", "factor", "rung"), "auto": ("in_flight",)}


@dataclass(frozen=True, slots=True)
class Space:
    """What may be tried with a scenario.

    main : name of the phase whose pacing varies. size : its devices. pilot : name of a first phase whose size
    may vary, "" none. slowest_h : most active hours. tries_pilot : whether a target judges the pilot's size.
    """

    main: str
    size: int
    pilot: str
    slowest_h: float
    tries_pilot: bool

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The dimensions that may vary, in the order of `NAMES`."""
        return (Axis("hours", FASTEST_H, self.slowest_h, 0.1, log=True), *_AXES)

    def own(self, mode: str) -> tuple[bool, ...]:
        """Return for each axis whether it has a meaning in a mode."""
        names = {"hours", "step", *_OWN[mode], *(("pilot",) if self.tries_pilot else ())}
        return tuple(name in names for name in NAMES)

    def snap(self, modes: IntArray, shares: FloatArray) -> FloatArray:
        """Move places of the unit cube onto the grid; the middle on axes that a mode lacks.

        modes : (n,) indices into `MODES`. shares : (n, axes).
        """
        own = np.array([self.own(mode) for mode in MODES])[modes]
        grid = np.stack([axis.share(axis.value(shares[:, at])) for at, axis in enumerate(self.axes)], axis=1)
        return np.where(own, grid, 0.5)

    def at(self, mode: str, shares: Sequence[float]) -> Candidate:
        """Return the candidate at a place of the unit cube."""
        values: dict[str, Any] = {
            axis.name: float(axis.value(np.float64(share)))
            for axis, share, own in zip(self.axes, shares, self.own(mode), strict=True)
            if own
        }
        for name in {"slow", "pilot"} & values.keys():
            values[name] = int(values[name])
        if values.get("in_flight") == 1.0:
            values["in_flight"] = 0.0
        return Candidate(mode, step_s=STEPS_S[int(values.pop("step"))], **values)

    def place(self, candidate: Candidate) -> list[float]:
        """Return the place of a candidate in the unit cube; the middle on axes that its mode lacks."""
        return [
            float(axis.share(np.float64(_value(candidate, axis)))) if own else 0.5
            for axis, own in zip(self.axes, self.own(candidate.mode), strict=True)
        ]


def _value(candidate: Candidate, axis: Axis) -> float:
    if axis.name == "step":
        return STEPS_S.index(candidate.step_s)
    value: float = getattr(candidate, axis.name)
    return value or axis.high  # no budget is the widest one


def space_of(plan: Plan, policy: Policy, finish_within_h: float, *, tries_pilot: bool) -> Space:
    """Return the space around a scenario. The main phase is the phase with the most devices."""
    main = max(plan.phases, key=len)
    first = plan.phases[0]
    is_pilot = first.name != main.name and any(
        phase.name == first.name and phase.devices for phase in written_phases(policy, plan.planned)
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
    """Return the phases of a policy, the default phases if it defines none."""
    return policy.phases or default_phases(planned)


def policy_of(text: str, candidate: Candidate, space: Space, planned: int) -> Policy:
    """Return the policy of a candidate; see `document_of`."""
    return load_policy(document_of(text, candidate, space, planned)["rollout"], "tuned")


def document_of(text: str, candidate: Candidate, space: Space, planned: int) -> dict[str, Any]:
    """Return a scenario's TOML document with the main phase paced as the candidate describes.

    planned : devices of the plan, for a scenario that defines no phases.
    """
    document = parse_toml(text, "tuned")
    if not candidate.mode:
        return document
    rollout: dict[str, Any] = document["rollout"]
    phases = rollout.get("phases") or [
        {"name": phase.name, "soak": format_duration(phase.soak)}
        | ({"devices": phase.devices} if phase.devices is not None else {})
        for phase in default_phases(planned)[:-1]
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
