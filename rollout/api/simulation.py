"""Simulations of stored plans, compared with the scenario's targets and kept in the database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rollout.api.scenarios import scenario_of, world_of_plan
from rollout.api.stored_simulation import stored_form
from rollout.documents import simulating as documents
from rollout.store import Database
from rollout.text import span
from sim.scenario import TUNED_ONLY, Scenario, Targets
from sim.simulation import Simulation, simulate


@dataclass(frozen=True, slots=True)
class SimulationResult:
    """A simulation that was stored. id : its id, such as sim-1. targets : those of the plan's scenario."""

    id: str
    plan_id: str
    simulation: Simulation
    targets: Targets

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
    """Give the key figures of a simulation and of its baseline as a document."""
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
    progress : called with the number of finished runs.
    """
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
    )
