"""The background tasks of a running rollout: its report and its forecast are refreshed."""

from __future__ import annotations

from collections.abc import Hashable

from rollout.api import stored_forecast
from rollout.documents.forecast import ForecastSummary, RolloutForecast
from rollout.executor.background import BackgroundProcess, BackgroundTask
from rollout.executor.logs import log_event
from rollout.executor.reporter import Channels
from rollout.loop.ports import Directory
from rollout.store import SqlJournal
from rollout.values import Plan

REPORT_S = 30.0
"""Least seconds of real time between two refreshes of the report."""

FORECAST_S = 1800.0
"""Least seconds of real time between two forecasts."""

FORECAST_FIRST_S = 30.0
"""Seconds until the first forecast: a run that ends sooner needs none."""


class BackgroundTasks:
    """Runs the background tasks of a run; `update` is called often and costs nothing."""

    def __init__(
        self, plan: Plan, rollout: str, journal: SqlJournal, directory: Directory, channels: Channels
    ) -> None:
        self._plan, self._journal, self._directory = plan, journal, directory
        self._channels = channels
        self._processes: list[BackgroundProcess] = []
        if channels.report is not None:
            report = ("report", rollout, "--out", str(channels.report))
            self._add(BackgroundTask("the report was not refreshed", report, REPORT_S, prepare=self._save))
        if channels.forecasts:
            forecast = ("forecast", rollout, "--json", "--workers", "1")
            self._add(
                BackgroundTask(
                    "no forecast", forecast, FORECAST_S, FORECAST_FIRST_S, self._save, self._keep_forecast
                )
            )

    def _add(self, task: BackgroundTask) -> None:
        if self._channels.db:
            self._processes.append(BackgroundProcess(task, self._channels.db))

    def update(self) -> None:
        """Collect finished tasks and start those that are due."""
        for process in self._processes:
            process.update(self._position)

    def stop(self) -> None:
        """End the running tasks."""
        for process in self._processes:
            process.stop()

    def _position(self) -> Hashable:
        """Return the journal's position; None while there is nothing to show."""
        progress = self._journal.progress()
        return None if progress is None else (progress.decisions, len(self._journal.points()))

    def _save(self) -> None:
        """Save each device's outcome in the journal, where the other process reads it."""
        self._journal.save_outcomes(self._directory.outcomes())

    def _keep_forecast(self, printed: str) -> None:
        result = RolloutForecast.model_validate_json(printed)
        if result.eta is None:
            return
        forecast = result.eta.forecast
        self._journal.session(forecast.as_of, stored_forecast.KIND, stored_forecast.text_of(forecast))
        if not self._channels.quiet:
            when = stored_forecast.interval(forecast.enrolled_90, self._plan.zone)
            summary = ForecastSummary.of(forecast).model_dump(mode="json")
            facts = {"event": "forecast", **summary, "on_plan": result.on_plan}
            log_event(f"forecast: 90 % enrolled {when}; {result.on_plan}", facts)
