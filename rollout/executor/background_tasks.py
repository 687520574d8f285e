"""What goes on beside a running rollout: its report is kept up to date, its end forecast anew."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

from rollout.api import stored_forecast
from rollout.documents.forecast import ForecastSummary, RolloutForecast
from rollout.executor.background import Beside, Chore
from rollout.executor.logs import tell
from rollout.executor.reporter import Channels
from rollout.values import Plan

if TYPE_CHECKING:
    from rollout.loop.ports import Directory
    from rollout.store import SqlJournal

REPORT_S = 30.0
"""Least seconds of real time between two drawings of the report."""

FORECAST_S = 1800.0
"""The same for two forecasts."""

FORECAST_FIRST_S = 30.0
"""A run that is over sooner needs none."""


class Chores:
    """Keeps the chores of a run going; `look` is called often and costs nothing."""

    def __init__(
        self, plan: Plan, rollout: str, journal: SqlJournal, directory: Directory, channels: Channels
    ) -> None:
        self._plan, self._journal, self._directory = plan, journal, directory
        self._channels = channels
        self._all: list[Beside] = []
        if channels.report is not None:
            draw = ("report", rollout, "--out", str(channels.report))
            self._add(Chore("the report was not refreshed", draw, REPORT_S, prepare=self._save))
        if channels.forecasts:
            play = ("forecast", rollout, "--json", "--workers", "1")
            self._add(
                Chore("no forecast", play, FORECAST_S, FORECAST_FIRST_S, self._save, self._keep_forecast)
            )

    def _add(self, chore: Chore) -> None:
        if self._channels.db:
            self._all.append(Beside(chore, self._channels.db))

    def look(self) -> None:
        """Take what is done, begin what is due."""
        for one in self._all:
            one.look(self._position)

    def stop(self) -> None:
        """End what is under way."""
        for one in self._all:
            one.stop()

    def _position(self) -> Hashable:
        """Give where the journal is; None as long as there is nothing to show."""
        progress = self._journal.progress()
        return None if progress is None else (progress.decisions, len(self._journal.points()))

    def _save(self) -> None:
        """The other process reads each device's outcome from the journal."""
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
            tell(f"forecast: 90 % enrolled {when}; {result.on_plan}", facts)
