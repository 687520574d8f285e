"""Simulations of stored plans, compared with the scenario's targets and kept in the database."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rollout.api.report_facts import facts_of_plan
from rollout.api.scenarios import scenario_of, world_of_plan
from rollout.api.stored_simulation import DONE_MEANS, StoredSimulation, load_of, or_infinite
from rollout.arguments import require_runs
from rollout.documents import simulating as documents
from rollout.report.facts import PlanSimulation, ReportFacts
from rollout.store import Database
from rollout.text import span
from rollout.values.bands import Bands
from rollout.values.plan_warnings import lasting
from sim.model import Model
from sim.planning import Planned
from sim.scenario import TUNED_ONLY, Scenario, Targets
from sim.simulation import Simulation, simulate


@dataclass(frozen=True, slots=True)
class SimulationResult:
    """A simulation that was stored. id : its id, such as sim-1. targets : those of the plan's scenario.

    warnings : sentences of the plan that a person should read before approving it.
    """

    id: str
    plan_id: str
    simulation: Simulation
    targets: Targets
    warnings: tuple[str, ...] = ()

    @property
    def document(self) -> documents.Simulation:
        """What `rollout simulate --json` prints."""
        return document_of(self.simulation)

    @property
    def uncompared_targets(self) -> list[str]:
        """Names of the targets that only `tune` compares."""
        return [name for name in TUNED_ONLY if getattr(self.targets, name)]

    @property
    def missed_targets(self) -> list[str]:
        """The targets that the simulation misses, each as a phrase; empty if it meets all."""
        figures, targets = self.simulation.figures, self.targets
        end, peak, halts = figures.eta_hours["p90"], figures.peak_per_hour["p90"] or 0.0, figures.halt_chance
        missed = []
        if targets.finish_within_h and (end is None or end > targets.finish_within_h):
            missed.append(f"done within {span(targets.finish_within_h)}, found {span(end)} (p90)")
        if targets.peak_per_hour and peak > targets.peak_per_hour:
            missed.append(f"at most {targets.peak_per_hour:,.0f} attempts per hour, found {peak:,.0f} (p90)")
        if targets.halt_chance and halts > targets.halt_chance:
            missed.append(f"halted in at most {targets.halt_chance:.0%} of the runs, found {halts:.0%}")
        return missed


def document_of(simulation: Simulation) -> documents.Simulation:
    """Return the key figures of a simulation and of its baseline as a document."""
    figures = documents.Figures.build(simulation.figures)
    return documents.Simulation.build(
        figures,
        digest=simulation.digest,
        seed=simulation.seed,
        runs=len(simulation.runs),
        devices=simulation.devices,
        baseline=simulation.baseline_figures,
    )


def simulate_plan(
    database: Database,
    plan: str | None = None,
    *,
    scenario: Scenario | None = None,
    seed: int = 1,
    runs: int = 20,
    workers: int = 1,
    keep_decisions: bool = False,
    progress: Callable[[int], None] | None = None,
) -> SimulationResult:
    """Simulate a stored plan many times, and native mode All on the same draws; store the result.

    plan : id or digest, the latest by default. scenario : replaces the assumptions and targets that the plan was made
    with. workers : processes; the result does not depend on them. keep_decisions : keep those of the first run.
    progress : called with the number of finished runs. Raise `UsageError` for an unknown plan or less than one run.
    """
    require_runs(runs)
    world = world_of_plan(database, database.latest_plan() if plan is None else plan, scenario)
    simulation = simulate(
        world.stored.plan,
        world.fleet,
        world.model,
        seed=seed,
        runs=runs,
        workers=workers,
        keep_decisions=keep_decisions,
        progress=progress,
    )
    stored = stored_form(simulation, document_of(simulation), world.model)
    return SimulationResult(
        database.add_simulation(world.stored.id, stored),
        world.stored.id,
        simulation,
        (scenario or scenario_of(world.stored)).targets,
        lasting(world.stored.plan.warnings),
    )


def facts_of(
    planned: Planned, simulation: Simulation | None = None, created: int | None = None
) -> ReportFacts:
    """Return what a report shows of a plan and, if there is one, of its simulation.

    `pictures_of` turns it into pictures by name, `write_report` into a folder with a page, pictures and tables.

    created : Unix seconds, now by default. Raise `ValueError` if the simulation is of another plan.
    """
    if simulation is not None and simulation.digest != planned.plan.digest:
        raise ValueError(
            f"expected a simulation of plan {planned.plan.digest[:12]}, found one of {simulation.digest[:12]}"
        )
    moment = int(time.time()) if created is None else created
    expected = None if simulation is None else _expected(simulation, planned.model)
    return facts_of_plan(planned.plan, planned.findings, expected, moment)


def _expected(simulation: Simulation, model: Model) -> StoredSimulation:
    """Return a simulation as reports and status have it, without a database in between."""
    figures, native = simulation.figures, simulation.baseline_figures
    plan = PlanSimulation(
        enrolled=simulation.enrolled_bands(),
        origin=simulation.first_hour,
        eta_hours=or_infinite(figures.eta_hours),
        runs=len(simulation.runs),
        seed=simulation.seed,
        halt_chance=figures.halt_chance,
        held_chance=figures.held_chance,
        final=figures.final,
        by_phase=simulation.phase_bands(),
        done_means=DONE_MEANS,
        baseline=simulation.enrolled_bands(baseline=True),
        baseline_eta_hours=or_infinite(native.eta_hours),
        enrolled_90_hours=or_infinite(figures.enrolled_90_hours),
    )
    load = load_of(
        simulation.load_bands(),
        simulation.load_bands(baseline=True),
        figures.peak_per_hour,
        native.peak_per_hour,
        float(model.service.capacity_per_minute * 60),
    )
    return StoredSimulation(plan, load, simulation.typical.failed_codes)


def stored_form(simulation: Simulation, document: documents.Simulation, model: Model) -> dict[str, Any]:
    """Return what the database keeps: the summary of `--json`, and bands by hour; see `read_stored`."""
    typical = simulation.typical
    return {
        "summary": document.model_dump(mode="json"),
        "start": simulation.first_hour,
        "enrolled": _stored_bands(simulation.enrolled_bands()),
        "baseline_enrolled": _stored_bands(simulation.enrolled_bands(baseline=True)),
        "by_phase": [_stored_bands(phase) for phase in simulation.phase_bands()],
        "load": _stored_bands(simulation.load_bands()),
        "baseline_load": _stored_bands(simulation.load_bands(baseline=True)),
        "capacity_per_hour": model.service.capacity_per_minute * 60,
        "failed_codes": {str(code): count for code, count in sorted(typical.failed_codes.items())},
        "state": typical.state.value,
        "reason": typical.reason,
    }


def _stored_bands(bands: Bands) -> dict[str, Any]:
    return {"quantiles": list(bands.levels), "values": bands.values.round(1).tolist()}
