"""Metrics of a running rollout in a text file for the textfile collector of Prometheus' node exporter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rollout.files import BY_UMASK, write_file
from rollout.text import visible
from rollout.values import Outcome, State, Verdict


@dataclass(frozen=True, slots=True)
class RunMetrics:
    """A rollout at an instant.

    at : Unix seconds of the last observation, by the directory's clock. outcomes : released devices by `Outcome`.
    released, unsent : devices that were sent to the directory, and those that were not yet.
    lease_since, lease_renewed : real Unix seconds. now : the same, of this writing.
    """

    rollout: str
    plan: str
    state: State
    verdict: str
    planned: int
    released: int
    unsent: int
    outcomes: tuple[int, ...]
    decisions: int
    at: int
    lease_since: float
    lease_renewed: float
    now: float

    @property
    def in_flight(self) -> int:
        """Released devices without an outcome."""
        return self.released - sum(self.outcomes[Outcome.ENROLLED :])


def write_metrics(path: Path, metrics: RunMetrics) -> None:
    """Replace the file at once: a reader sees the old metrics or the new ones.

    A new file gets what the umask leaves: the exporter, another user, must read it. Raise `OSError` if it cannot be
    written, `UsageError` if it is a symbolic link.
    """
    write_file(path, text_of(metrics), mode=BY_UMASK)


def text_of(metrics: RunMetrics) -> str:
    """Return the metrics in Prometheus' text format, version 0.0.4."""
    here = {"rollout": metrics.rollout, "plan": metrics.plan}
    families: list[tuple[str, str, str, list[tuple[Mapping[str, str], float]]]] = [
        ("rollout_planned_devices", "gauge", "Devices in the plan.", [({}, metrics.planned)]),
        ("rollout_released_devices", "gauge", "Devices released so far.", [({}, metrics.released)]),
        (
            "rollout_unsent_devices",
            "gauge",
            "Devices of the last batch that the directory has not answered for yet.",
            [({}, metrics.unsent)],
        ),
        (
            "rollout_in_flight_devices",
            "gauge",
            "Released devices without an outcome.",
            [({}, metrics.in_flight)],
        ),
        (
            "rollout_devices",
            "gauge",
            "Released devices by outcome.",
            [({"outcome": outcome.name.lower()}, metrics.outcomes[outcome]) for outcome in Outcome],
        ),
        (
            "rollout_state",
            "gauge",
            "1 for the state that the rollout is in.",
            [({"state": state.value}, state is metrics.state) for state in State],
        ),
        (
            "rollout_gate",
            "gauge",
            "1 for the last verdict of the gate.",
            [({"verdict": verdict.value}, verdict.value == metrics.verdict) for verdict in Verdict],
        ),
        ("rollout_decisions_total", "counter", "Decisions taken.", [({}, metrics.decisions)]),
        (
            "rollout_last_look_timestamp_seconds",
            "gauge",
            "Time of the last observation, by the directory's clock.",
            [({}, metrics.at)],
        ),
        (
            "rollout_lease_age_seconds",
            "gauge",
            "Time for which this executor has held the lease.",
            [({}, metrics.now - metrics.lease_since)],
        ),
        (
            "rollout_lease_renewed_seconds",
            "gauge",
            "Time since the lease was renewed.",
            [({}, metrics.now - metrics.lease_renewed)],
        ),
        (
            "rollout_written_timestamp_seconds",
            "gauge",
            "Time at which this file was written; alert if it is old.",
            [({}, metrics.now)],
        ),
    ]
    return "".join(
        line for name, kind, text, rows in families for line in _family(name, kind, text, rows, here)
    )


def _family(
    name: str,
    kind: str,
    text: str,
    rows: Iterable[tuple[Mapping[str, str], float]],
    here: Mapping[str, str],
) -> Iterable[str]:
    yield f"# HELP {name} {text}\n# TYPE {name} {kind}\n"
    for labels, value in rows:
        pairs = ",".join(f'{key}="{_escaped(label)}"' for key, label in {**here, **labels}.items())
        yield f"{name}{{{pairs}}} {_number(value)}\n"


def _escaped(text: str) -> str:
    lines = [visible(line) for line in text.split("\n")]
    return "\\n".join(line.replace("\\", "\\\\").replace('"', '\\"') for line in lines)


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:.3f}"
