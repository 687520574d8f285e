"""How much a plan's figures depend on uncertain assumptions: one changed at a time.

The random window is the least known, then the service's capacity, the failure rate, and the time online.
The tornado shows, for the chosen plan, which of them changes the result most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.assumptions import ASSUMPTIONS
from sim.scenario import Targets
from sim.tuning.candidates import Candidate
from sim.tuning.evaluation import NEVER_H, Evaluate, Score, Task, score_of
from sim.workers import Workers

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True)
class Tried:
    """One assumption changed: its name, its value, the score under it."""

    assumption: str
    value: str
    score: Score


@dataclass(frozen=True, slots=True)
class Robustness:
    """A candidate under each assumption, and under the scenario's own (`base`)."""

    candidate: Candidate
    base: Score
    tried: tuple[Tried, ...]

    def missed(self, targets: Targets) -> tuple[str, ...]:
        """Name the assumptions under which a target is missed."""
        return tuple(
            f"{entry.assumption} {entry.value}" for entry in self.tried if entry.score.violation(targets) > 0
        )

    def swings(self) -> list[tuple[str, float, float, float]]:
        """Return (assumption, least hours, most hours, swing as a share of the base's), widest first.

        The swing is that of the hours or of the peak load, whichever is wider.
        """
        out = []
        for name in dict.fromkeys(entry.assumption for entry in self.tried):
            mine = [entry.score for entry in self.tried if entry.assumption == name]
            hours = [self.base.hours, *(entry.hours for entry in mine)]
            peaks = [self.base.peak, *(entry.peak for entry in mine)]
            spread = [(max(x) - min(x)) / max(x[0], 1e-9) for x in (hours, peaks)]
            out.append((name, min(hours), max(hours), round(max(spread), 4)))
        return sorted(out, key=lambda row: (-row[3], row[0]))

    def sentence(self, targets: Targets) -> str:
        """Return a sentence about the assumption on which the result depends most."""
        name, least, most, swing = self.swings()[0]
        by = f"by {swing:.0%} " if swing < 10 else ""
        text = (
            f"the result depends most on the {name}: it changes the figures {by}"
            f"({_days(least)} to {_days(most)} until 90 % are enrolled)"
        )
        missed = self.missed(targets)
        if missed:
            text += f"; targets are missed with {', '.join(missed)}"
        elif any(value for name, value in targets if name in _LIMITS):
            text += "; the targets are met under every assumption"
        return text


_LIMITS: Final = ("finish_within_h", "peak_per_hour", "tickets_per_hour", "halt_chance", "exposed")


def _days(hours: float) -> str:
    return "never" if hours >= NEVER_H else f"{hours / 24:.1f} days"


def robustness(
    evaluate: Evaluate,
    candidates: Sequence[tuple[Candidate, Score]],
    workers: Workers,
    replications: tuple[int, ...],
) -> list[Robustness]:
    """Score each candidate under each assumption; `evaluate` and `replications` as in the tuning."""
    tasks = [
        Task(candidate, replications, changes) for candidate, _ in candidates for _, _, changes in ASSUMPTIONS
    ]
    results = workers.map(evaluate, tasks)
    out = []
    for index, (candidate, base) in enumerate(candidates):
        mine = results[index * len(ASSUMPTIONS) : (index + 1) * len(ASSUMPTIONS)]
        tried = tuple(
            Tried(name, value, score_of([result], evaluate.job.targets))
            for (name, value, _), result in zip(ASSUMPTIONS, mine, strict=True)
        )
        out.append(Robustness(candidate, base, tried))
    return out


@dataclass(frozen=True, slots=True)
class Tornado:
    """The picture of one candidate's robustness: one bar per assumption, from least to most hours."""

    robustness: Robustness

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the bars, the widest on top; return the axes."""
        from matplotlib.figure import Figure

        axes = ax if ax is not None else Figure(figsize=(9, 4.5), layout="constrained").subplots()
        base = self.robustness.base.hours / 24
        rows = sorted(self.robustness.swings(), key=lambda row: row[2] - row[1])
        highest = max([base, *(most / 24 for _, _, most, _ in rows if most < NEVER_H)])
        for place, (_, least, most, _) in enumerate(rows):
            end = min(most / 24, 1.15 * highest)
            axes.barh(place, end - least / 24, left=least / 24, color="0.55", height=0.6)
            text = "never" if most >= NEVER_H else f"{most / 24:.1f}"
            axes.annotate(f" {text}", (end, place), va="center", fontsize=9)
            axes.annotate(f"{least / 24:.1f} ", (least / 24, place), va="center", ha="right", fontsize=9)
        axes.axvline(base, color="0.1", linewidth=1.2)
        axes.set_yticks(np.arange(len(rows)), [name for name, *_ in rows])
        axes.margins(x=0.12)
        axes.set_xlabel("days until 90 % are enrolled (line: as the scenario assumes)")
        axes.set_title(f"What the result depends on: {self.robustness.candidate.sentence()}", fontsize=10)
        return axes
