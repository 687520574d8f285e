"""For scripts and notebooks: a plan and its simulation as pictures, figures and a page."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rollout.api.report_facts import facts_of_plan
from rollout.api.stored_simulation import to_document
from rollout.report import ReportFacts

if TYPE_CHECKING:
    from sim.planning import Planned
    from sim.simulation import Forecast


def facts_of(planned: Planned, forecast: Forecast | None = None, created: int | None = None) -> ReportFacts:
    """Give what a report shows of a plan and, if there is one, of its simulation.

    `pictures_of` makes pictures of it by name, `write_report` a folder with a page, pictures and tables.

    created : Unix seconds, the present by default. Raise `ValueError` if the simulation is another plan's.
    """
    if forecast is not None and forecast.digest != planned.plan.digest:
        raise ValueError(
            f"expected a simulation of plan {planned.plan.digest[:12]}, found one of {forecast.digest[:12]}"
        )
    told = to_document(forecast, planned.model) if forecast is not None else None
    moment = int(time.time()) if created is None else created
    return facts_of_plan(planned.plan, planned.findings, told, moment)
