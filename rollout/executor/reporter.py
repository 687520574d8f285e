"""Tells of a rollout while it runs: a log line a decision, figures for monitoring, notices for people."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rollout.errors import UsageError
from rollout.executor.logs import tell
from rollout.executor.metrics import Figures, write_metrics
from rollout.executor.notify import TOLD, Notice
from rollout.loop.decide import initial_progress
from rollout.text import instant, iso
from rollout.values import DecisionRow, Outcome, Plan, Progress

if TYPE_CHECKING:
    from rollout.loop.ports import Directory, Journal

EVERY_S = 15.0
"""Seconds of real time between two writings of the figures."""


@dataclass(frozen=True, slots=True)
class Channels:
    """Where a run tells of itself.

    metrics : file of figures, None = none. notify : URL, "" = none. quiet : no log. report : folder of a report that
    is kept up to date, None = none. forecasts : whether its end is forecast anew beside it. db : the database, for
    the processes that do the last two; "" = neither.
    """

    metrics: Path | None = None
    notify: str = ""
    quiet: bool = False
    report: Path | None = None
    forecasts: bool = False
    db: str = ""


class Telling:
    """Watches a journal and tells what is new in it. A channel that fails is logged and stops nothing."""

    def __init__(
        self,
        plan: Plan,
        rollout: str,
        journal: Journal,
        directory: Directory,
        channels: Channels,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._plan, self._rollout, self._journal, self._directory = plan, rollout, journal, directory
        self._channels, self._now = channels, now
        self._notice = Notice(channels.notify) if channels.notify else None
        self._told = len(journal.decisions())
        self._since = self._renewed = now()
        self._written = -EVERY_S
        self._is_failing = False

    def look(self) -> None:
        """Tell the decisions since the last call; write the figures if it is time."""
        progress = self._journal.progress()
        if progress is not None and progress.decisions > self._told:
            for row in self._journal.decisions()[self._told :]:
                self._tell(row)
            self._told = progress.decisions
        if time.monotonic() - self._written >= EVERY_S:
            self.write()

    def renewed(self) -> None:
        """The lease was renewed."""
        self._renewed = self._now()

    def end(self) -> None:
        """Tell what is left and write the figures for the last time."""
        self.look()
        self.write()

    def _tell(self, row: DecisionRow) -> None:
        phase = self._plan.phases[row.phase].name
        facts = {
            "event": "decision",
            "rollout": self._rollout,
            "number": row.number,
            "at": iso(row.at),
            "state": row.state.value,
            "phase": phase,
            "batch": row.batch + 1 if row.batch >= 0 else None,
            "count": row.count,
            "released": row.released,
            "verdict": row.verdict,
            "reason": row.reason,
        }
        if not self._channels.quiet:
            reason = row.reason.removeprefix(f"{row.state.value}: ")
            tell(f"{instant(row.at, self._plan.zone)} {row.state.value}: {reason}", facts)
        if self._notice is not None and row.state in TOLD:
            self._notice.send({**facts, "plan": self._plan.name, "digest": self._plan.digest})

    def write(self) -> None:
        """Write the figures now."""
        self._written = time.monotonic()
        if self._channels.metrics is None:
            return
        try:
            write_metrics(self._channels.metrics, self._figures())
        except (OSError, UsageError) as error:
            if not self._is_failing:
                said = f"{error.strerror} ({error.filename})" if isinstance(error, OSError) else str(error)
                tell(f"--metrics: {said}", level=logging.WARNING)
            self._is_failing = True
        else:
            self._is_failing = False

    def _figures(self) -> Figures:
        progress: Progress = self._journal.progress() or initial_progress(self._plan)
        outcome = self._directory.outcomes().outcome
        counts = np.bincount(outcome[outcome >= 0], minlength=len(Outcome))
        return Figures(
            rollout=self._rollout,
            plan=self._plan.name,
            state=progress.state,
            verdict=progress.verdict,
            planned=self._plan.planned,
            released=sum(progress.released),
            outcomes=tuple(int(one) for one in counts),
            decisions=progress.decisions,
            at=progress.at,
            lease_since=self._since,
            lease_renewed=self._renewed,
            now=self._now(),
        )
