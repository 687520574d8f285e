"""A scenario: one TOML file with policy, fleet, assumptions and targets.

[rollout] is the policy (`rollout.policy`), the only part besides the inventory that enters the digest.
[fleet] describes a generated fleet (`sim.fleet.population`), [model] the assumptions of the simulator
(`sim.model`), [targets] what a tuning must reach.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rollout.errors import UsageError, cut, shown
from rollout.policy import Policy, load_policy
from rollout.policy.bounds import Count, Limit, Share
from rollout.text import ALLOWED, not_plain
from rollout.toml import parse_toml
from rollout.values.durations import format_duration
from sim.fleet.population import FleetModel
from sim.model import Model

MAX_LOOKS = 250_000
"""Observations in one simulated rollout: one every five minutes for two years, and some."""

SECTIONS = ("rollout", "fleet", "model", "targets")


class Targets(BaseModel):
    """What the rollout must reach: `tune` searches for it, `simulate` compares all but TUNED_ONLY. 0 = no target.

    finish_within_h : hours until the last device has an outcome, in nine of ten runs.
    peak_per_hour : enrollment attempts an hour. tickets_per_hour : failures × tickets_per_failure.
    halt_chance : highest chance that a good rollout is halted. exposed : most devices released before the
    HALT in a world where one stratum is bad, `bad_rate` of it failing, in nine of ten runs.
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
"""Targets that `simulate` does not compare: they need the searcher's runs."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario, validated. text : the TOML it came from; about : its first comment."""

    name: str
    about: str
    policy: Policy
    fleet: FleetModel
    model: Model
    targets: Targets
    text: str

    def with_clients(self, clients: int) -> Scenario:
        """Return the same scenario over a fleet of another size, made up."""
        return replace(self, fleet=self.fleet.model_copy(update={"clients": clients}))


DEFAULT_TEXT = """\
# The default: 100,000 clients. A pilot of 500 within office hours, then everybody at a pace that the
# enrollment service bears, then a tail for newcomers. The client's own random window is 24 h, as seen on
# real clients; Microsoft does not publish it, so simulate 72h and 5d too before you believe a date.

[rollout]
name = "co-management"
zone = "Europe/Berlin"

[[rollout.windows]]
days = "Mon-Fri"
from = "07:00"
to = "19:00"

[rollout.gate.evidence]  # 2 % of failures are acceptable, 5 % are not
p_ok = 0.02
p_bad = 0.05
prior_b = 20

[[rollout.phases]]
name = "pilot"
devices = 500
# every counts open time: 6h is half of a window of 12 hours, and "1d" would be two windows.
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
"""The same as scenarios/default.toml (a test holds that): the demo runs where no file lies beside it."""


def load_scenario(path: Path | str | None = None) -> Scenario:
    """Read a scenario file; None gives the built-in default.

    Raise `UsageError` with file, key, what was expected and what was found.
    """
    if path is None:
        return parse_scenario(DEFAULT_TEXT, "default")
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"expected a scenario file, found nothing at {path}", _neighbours(path)) from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: expected UTF-8 text, found byte {error.start} that is none") from error
    except OSError as error:
        raise UsageError(f"{path}: expected a readable scenario file, found: {error.strerror}") from error
    return parse_scenario(text, str(path))


def parse_scenario(text: str, source: str) -> Scenario:
    """Read a scenario from its text; `source` names it in errors."""
    document = parse_toml(text, source, "compare with scenarios/default.toml")
    _known(document, SECTIONS, source, "section")
    _tables(document, source)
    _plain(document, source)
    scenario = Scenario(
        name=Path(source).stem,
        about=_about(text),
        policy=load_policy(document.get("rollout", {}), source),
        fleet=_part(FleetModel, document.get("fleet", {}), source, "fleet"),
        model=_part(Model, document.get("model", {}), source, "model"),
        targets=_part(Targets, document.get("targets", {}), source, "targets"),
        text=text,
    )
    _few_looks(scenario, source)
    return scenario


def _few_looks(scenario: Scenario, source: str) -> None:
    """Refuse what would be simulated for hours: each look at the rollout within the horizon costs time."""
    every_s, horizon_s = scenario.policy.look_every, scenario.model.horizon
    looks = horizon_s // every_s
    if looks > MAX_LOOKS:
        least = format_duration(-(-horizon_s // MAX_LOOKS))
        raise UsageError(
            f'{source}: rollout.look_every = "{format_duration(every_s)}" is too short for model.horizon = '
            f'"{format_duration(horizon_s)}": {looks:,} observations per run, at most {MAX_LOOKS:,}',
            f'write look_every = "{least}" or longer, or a shorter horizon',
        )


def _part(kind: type[Any], document: dict[str, Any], source: str, section: str) -> Any:
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        raise UsageError(*_sentence(error, source, section, kind)) from error


def _sentence(error: ValidationError, source: str, section: str, kind: type[BaseModel]) -> tuple[str, str]:
    """Turn the first of pydantic's errors into one line, and say how many more there are."""
    first = error.errors(include_url=False)[0]
    key = ".".join([section, *(cut(str(part)) for part in first["loc"])])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        known = _keys(kind, first["loc"][:-1])
        return f"{source}: unknown key '{key}'{more}", _did_you_mean(str(first["loc"][-1]), known)
    if first["type"] == "missing":
        return f"{source}: key '{key}' is missing{more}", f"write {key} = …; see scenarios/default.toml"
    return f"{source}: {key}: {_complaint(first)}{more}", ""


def _complaint(complaint: Any) -> str:
    """Say what was expected and found, once."""
    if complaint["type"] != "value_error":
        return f"{complaint['msg']}, found {shown(complaint['input'])}"
    text = str(complaint["ctx"]["error"])
    return text if "found" in text else f"{text}, found {shown(complaint['input'])}"


def _keys(kind: Any, path: tuple[int | str, ...]) -> list[str]:
    for part in path:
        if isinstance(part, int):
            continue
        field = getattr(kind, "model_fields", {}).get(part)
        kind = field.annotation if field else None
    return list(getattr(kind, "model_fields", {}))


def _did_you_mean(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean '{near[0]}'?" if near else f"known here: {', '.join(sorted(known))}"


def _known(document: dict[str, Any], names: tuple[str, ...], source: str, what: str) -> None:
    for key in document:
        if key not in names:
            raise UsageError(f"{source}: unknown {what} '{cut(key)}'", _did_you_mean(key, list(names)))


def _tables(document: dict[str, Any], source: str) -> None:
    for key, value in document.items():
        if not isinstance(value, dict):
            raise UsageError(f"{source}: expected a section [{cut(key)}], found {cut(key)} = {shown(value)}")


def _plain(document: dict[str, Any], source: str) -> None:
    """Refuse a text that would steer a terminal or show itself in another order."""
    for key, found in not_plain(document):
        raise UsageError(
            f"{source}, key '{key}': expected {ALLOWED}, found {found[:60]!r}", "write it in one plain line"
        )


def _about(text: str) -> str:
    """The first comment of a scenario: it explains itself there."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").rstrip())
    return " ".join(lines)


def _neighbours(path: Path) -> str:
    known = sorted(item.name for item in path.parent.glob("*.toml")) if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, known, n=1)
    return f"did you mean {path.parent / near[0]}?" if near else "scenarios lie in scenarios/"
