"""A scenario: one TOML file with policy, fleet, assumptions and targets.

[rollout] is the policy (`rollout.policy`); only the policy and the inventory determine the digest of a plan.
[fleet] describes a generated fleet (`sim.fleet.population`), [model] the assumptions of the simulator
(`sim.model`), [targets] the targets of a tuning.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rollout.errors import UsageError, cut, shown
from rollout.fields import MAX_DEVICES, Count, Limit, Share
from rollout.policy import Policy, load_policy
from rollout.policy.mistakes import suggestion, usage_error
from rollout.text import ALLOWED, not_plain
from rollout.toml import parse_toml
from rollout.values.durations import format_duration
from sim.fleet.population import FleetModel
from sim.model import Model

MAX_OBSERVATIONS = 250_000
"""Observations in a simulated rollout: slightly more than one every five minutes for two years."""

SECTIONS = ("rollout", "fleet", "model", "targets")


class Targets(BaseModel):
    """The targets of a rollout: `tune` searches for them, `simulate` compares all but TUNED_ONLY. 0 means no target.

    finish_within_h : hours until the last device has an outcome, in nine of ten runs.
    peak_per_hour : most enrollment attempts per hour. tickets_per_hour : failures × tickets_per_failure.
    halt_chance : highest chance that a good rollout is halted. exposed : most devices released before the
    HALT, in nine of ten runs, if one stratum is bad and a share `bad_rate` of it fails.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    finish_within_h: Limit = 0.0
    peak_per_hour: Limit = 0.0
    tickets_per_hour: Limit = 0.0
    tickets_per_failure: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] = 0.3
    halt_chance: Share = 0.0
    exposed: Count = 0
    bad_rate: Share = 0.2


TUNED_ONLY = ("tickets_per_hour", "exposed")
"""Targets that `simulate` does not compare, because they need the runs of a tuning."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A validated scenario. text : its TOML; about : its first comment."""

    name: str
    about: str
    policy: Policy
    fleet: FleetModel
    model: Model
    targets: Targets
    text: str

    def with_clients(self, clients: int) -> Scenario:
        """Return the same scenario with a generated fleet of another size. Raise `UsageError` for an impossible one."""
        if not 1 <= clients <= MAX_DEVICES:
            raise UsageError(f"clients: expected a fleet of 1 to {MAX_DEVICES:,} devices, found {clients}")
        return replace(self, fleet=self.fleet.model_copy(update={"clients": clients}))


DEFAULT_TEXT = """\
# The default: 100,000 clients. A pilot of 500 within office hours, then all others at a pace that the
# enrollment service can take, then a tail for newcomers. The client's own random window is 24 h, as seen on
# real clients; Microsoft does not publish it, so simulate 72h and 5d too before you rely on a date.

[rollout]
name = "co-management"
zone = "Europe/Berlin"

[[rollout.windows]]
days = "Mon-Fri"
from = "07:00"
to = "19:00"

[rollout.gate.evidence]  # 2 % of failures is acceptable, 5 % is not
p_ok = 0.02
p_bad = 0.05
prior_b = 20

[[rollout.phases]]
name = "pilot"
devices = 500
# "every" counts open time: 6h is half of a window of 12 hours, and "1d" would be two windows.
pacing = { mode = "batches", batches = [10, 90, "rest"], every = "6h" }
soak = "2d"

[[rollout.phases]]
name = "all"
pacing = { mode = "auto" }
soak = "1d"

[fleet]
clients = 100_000

[model.clients]
window = "24h"
"""
"""The text of scenarios/default.toml (a test compares them), so that the demo needs no file."""


def load_scenario(path: Path | str | None = None) -> Scenario:
    """Read a scenario file, the built-in default for None.

    Raise `UsageError` that names file, key, what was expected and what was found.
    """
    if path is None:
        return parse_scenario(DEFAULT_TEXT, "default")
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"no scenario file at {path}", _neighbours(path)) from None
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path}: expected UTF-8 text, found an invalid byte at position {error.start}"
        ) from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    return parse_scenario(text, str(path))


def parse_scenario(text: str, source: str) -> Scenario:
    """Read a scenario from its text. source : the file's name, for errors."""
    document = parse_toml(text, source, "compare with scenarios/default.toml")
    _check_sections(document, source)
    _check_text(document, source)
    scenario = Scenario(
        name=Path(source).stem,
        about=_about(text),
        policy=load_policy(document.get("rollout", {}), source),
        fleet=_read_section(FleetModel, document.get("fleet", {}), source, "fleet"),
        model=_read_section(Model, document.get("model", {}), source, "model"),
        targets=_read_section(Targets, document.get("targets", {}), source, "targets"),
        text=text,
    )
    _check_observations(scenario, source)
    return scenario


def _check_observations(scenario: Scenario, source: str) -> None:
    """Refuse a scenario whose simulation would take hours: each observation within the horizon takes time."""
    every_s, horizon_s = scenario.policy.look_every, scenario.model.horizon
    observations = horizon_s // every_s
    if observations > MAX_OBSERVATIONS:
        least = format_duration(-(-horizon_s // MAX_OBSERVATIONS))
        raise UsageError(
            f'{source}: rollout.look_every = "{format_duration(every_s)}" is too short for model.horizon = '
            f'"{format_duration(horizon_s)}": {observations:,} observations per run, at most {MAX_OBSERVATIONS:,}',
            f'write look_every = "{least}" or longer, or a shorter horizon',
        )


def _read_section(model: type[Any], document: dict[str, Any], source: str, section: str) -> Any:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise usage_error(error, model, source, section) from error


def _check_sections(document: dict[str, Any], source: str) -> None:
    for key, value in document.items():
        if key not in SECTIONS:
            raise UsageError(f"{source}: unknown section '{cut(key)}'", suggestion(key, SECTIONS))
        if not isinstance(value, dict):
            raise UsageError(f"{source}: expected a section [{key}], found {key} = {shown(value)}")


def _check_text(document: dict[str, Any], source: str) -> None:
    """Refuse text that could control a terminal or appear in another order."""
    for key, found in not_plain(document):
        raise UsageError(
            f"{source}, key '{key}': expected {ALLOWED}, found {found[:60]!r}", "Write it in one plain line."
        )


def _about(text: str) -> str:
    """Return the first comment of a scenario, which explains it."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").rstrip())
    return " ".join(lines)


def _neighbours(path: Path) -> str:
    known = sorted(neighbour.name for neighbour in path.parent.glob("*.toml")) if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, known, n=1)
    return f"Did you mean {path.parent / near[0]}?" if near else "Examples are in scenarios/."
