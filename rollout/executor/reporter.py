"""Reports on a rollout while it runs: a log line per decision, metrics for monitoring, notices for people."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rollout.errors import UsageError
from rollout.executor.logs import log_event
from rollout.executor.metrics import RunMetrics, write_metrics
from rollout.executor.notify import NOTIFIED, Notice
from rollout.loop.decide import initial_progress
from rollout.loop.ports import Directory, Journal
from rollout.text import instant, iso
from rollout.values import DecisionRow, Outcome, Plan, Progress

EVERY_S = 15.0
"""Seconds of real time between two writings of the metrics."""


@dataclass(frozen=True, slots=True)
class Channels:
    """Where a run reports.

    metrics : file of metrics, None = none. notify : URL, "" = none. quiet : no log. report : folder of a report that
    is kept up to date, None = none. forecasts : whether the forecast is refreshed in the background. db : the
    database, for the processes that do the last two; "" = neither.
    """

    metrics: Path | None = None
    notify: str = ""
    quiet: bool = False
    report: Path | None = None
    forecasts: bool = False
    db: str = ""


class RunReporter:
    """Watches a journal and reports what is new in it. A channel that fails is logged and stops nothing."""

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
        self._reported = len(journal.decisions())
        self._since = self._renewed = now()
        self._written = -EVERY_S
        self._is_failing = False

    def update(self) -> None:
        """Report the decisions since the last call; write the metrics if it is time."""
        progress = self._journal.progress()
        if progress is not None and progress.decisions > self._reported:
            for row in self._journal.decisions()[self._reported :]:
                self._report(row)
            self._reported = progress.decisions
        if time.monotonic() - self._written >= EVERY_S:
            self.write()

    def renewed(self) -> None:
        """Note that the lease was renewed."""
        self._renewed = self._now()

    def end(self) -> None:
        """Report what is left and write the metrics for the last time."""
        self.update()
        self.write()

    def _report(self, row: DecisionRow) -> None:
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
            log_event(f"{instant(row.at, self._plan.zone)} {row.state.value}: {reason}", facts)
        if self._notice is not None and row.state in NOTIFIED:
            self._notice.send({**facts, "plan": self._plan.name, "digest": self._plan.digest})

    def write(self) -> None:
        """Write the metrics now."""
        self._written = time.monotonic()
        if self._channels.metrics is None:
            return
        try:
            write_metrics(self._channels.metrics, self._metrics())
        except (OSError, UsageError) as error:
            if not self._is_failing:
                reason = f"{error.strerror} ({error.filename})" if isinstance(error, OSError) else str(error)
                log_event(f"--metrics: {reason}", level=logging.WARNING)
            self._is_failing = True
        else:
            self._is_failing = False

    def _metrics(self) -> RunMetrics:
        progress: Progress = self._journal.progress() or initial_progress(self._plan)
        outcome = self._directory.outcomes().outcome
        counts = np.bincount(outcome[outcome >= 0], minlength=len(Outcome))
        unsent = sum(len(batch) - self._journal.confirmed(batch.number) for batch in self._journal.batches())
        return RunMetrics(
            rollout=self._rollout,
            plan=self._plan.name,
            state=progress.state,
            verdict=progress.verdict,
            planned=self._plan.planned,
            released=sum(progress.released) - unsent,
            unsent=unsent,
            outcomes=tuple(counts.tolist()),
            decisions=progress.decisions,
            at=progress.at,
            lease_since=self._since,
            lease_renewed=self._renewed,
            now=self._now(),
        )
