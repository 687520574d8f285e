"""For scripts and notebooks: a plan and its simulation as the facts that pictures and reports show."""

from __future__ import annotations

import time

from rollout.api.report_facts import facts_of_plan
from rollout.api.simulation import document_of
from rollout.api.stored_simulation import stored_form
from rollout.report import ReportFacts
from sim.planning import Planned
from sim.simulation import Simulation


def facts_of(
    planned: Planned, simulation: Simulation | None = None, created: int | None = None
) -> ReportFacts:
    """Give what a report shows of a plan and, if there is one, of its simulation.

    `pictures_of` turns it into pictures by name, `write_report` into a folder with a page, pictures and tables.

    created : Unix seconds, now by default. Raise `ValueError` if the simulation is of another plan.
    """
    if simulation is not None and simulation.digest != planned.plan.digest:
        raise ValueError(
            f"expected a simulation of plan {planned.plan.digest[:12]}, found one of {simulation.digest[:12]}"
        )
    stored = (
        stored_form(simulation, document_of(simulation), planned.model) if simulation is not None else None
    )
    moment = int(time.time()) if created is None else created
    return facts_of_plan(planned.plan, planned.findings, stored, moment)
