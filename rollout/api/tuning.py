"""Tuning: search for a better pacing of a scenario, simulate the chosen plan at full size, write the results."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rollout.api.scenarios import toml_of
from rollout.arguments import require_runs
from rollout.documents import sizing as documents
from rollout.errors import UsageError
from rollout.files import csv_text, make_folder, write_file
from rollout.planning.checked import findings_under
from rollout.planning.planner import make_plan
from rollout.report.facts import Tuning as FrontFacts
from rollout.report.pictures.style import Stamp, png_of
from rollout.report.pictures.tuning import TuningFront, tried
from rollout.values import HOUR_S, Inventory, Plan
from sim.planning import Planned, plan_inventory, plan_scenario, planned_at
from sim.scenario import Scenario
from sim.simulation import Simulation, simulate
from sim.tuning.candidates import Candidate, document_of, policy_of
from sim.tuning.evaluation import NEVER_H, Score
from sim.tuning.robustness import Robustness, Tornado
from sim.tuning.tune import Effort, Tuning, job_of, tune
from sim.workers import workers_of

TRIALS = 100
"""Plans tried by default."""
COLUMNS = (
    *("number", "mode", "hours", "slow", "factor", "rung", "in_flight", "pilot", "step_hours", "says"),
    *("hours_to_90", "peak_per_hour", "done_hours_p90", "peak_per_hour_p90", "tickets_per_hour_p90"),
    *("halt_chance", "exposed_p90", "refused", "runs"),
)
"""Columns of tuned.csv after `front` and `chosen`: the keys of a tuned plan."""


@dataclass(frozen=True, slots=True)
class TuningResult:
    """A tuning with its files. verified : the chosen plan at full size, None if it was not simulated."""

    tuning: Tuning
    verified: Simulation | None
    files: documents.TuningFiles

    @property
    def document(self) -> documents.Tuning:
        """What `rollout tune --json` prints; equal results are equal bytes."""
        tuning = self.tuning
        return documents.Tuning(
            front=tuple(_tuned_plan(tuning, number) for number in tuning.front),
            chosen=_tuned_plan(tuning, tuning.chosen),
            as_written=_tuned_plan(tuning, 0),
            reason=tuning.reason,
            hangs_on=tuning.hangs_on,
            robustness=tuple(_robustness(each) for each in tuning.robust),
            trials=len(tuning.tried),
            seed=tuning.seed,
            scaled_down=documents.ScaledDown(
                devices=tuning.small, one_stands_for=round(1 / tuning.factor, 3)
            ),
            verified=None if self.verified is None else _verified(self.verified),
            files=self.files,
        )

    @property
    def missed_targets(self) -> list[str]:
        """Names of the targets that the chosen plan misses, and with it every plan tried."""
        return list(self.tuning.choice.score.misses(self.tuning.targets))


def tune_scenario(
    scenario: Scenario,
    *,
    out: Path,
    inventory: Inventory | None = None,
    effort: Effort | None = None,
    verify: int = 3,
    seed: int = 1,
    workers: int = 1,
    cluster: str = "",
    progress: Callable[[int], None] | None = None,
) -> TuningResult:
    """Search for the pacing that is fastest and gentlest within the scenario's [targets].

    Writes tuned.toml, tuned.csv and two pictures into the folder `out`. inventory : the fleet, a generated one by
    default. effort : 100 trials by default. verify : full-size runs of the chosen plan, 0 for none. workers :
    processes; cluster : address of a Dask scheduler that is used instead. progress : called with the number of plans
    tried. Raise `UsageError` if no plan can be made at all, or for an effort that has no end.
    """
    effort = effort or Effort(trials=TRIALS)
    if effort.trials < 0 or not 0 <= effort.budget_s < math.inf or not (effort.trials or effort.budget_s):
        raise UsageError(
            f"effort: expected a number of trials or of seconds above 0, found {effort.trials} trials and "
            f"{effort.budget_s:g} s"
        )
    require_runs(effort.runs)
    if verify < 0:
        raise UsageError(f"verify: expected 0 or more runs, found {verify}")
    planned = plan_as_written(scenario, inventory)
    fleet, plan = planned.inventory, planned.plan
    job = job_of(scenario, plan, fleet, seed=seed)
    with workers_of(workers, cluster) as pool:
        tuning = tune(job, effort, pool, progress)
    files = _write(scenario, plan, tuning, out)
    verified = _simulate_chosen(scenario, fleet, tuning, seed, verify, workers) if verify else None
    return TuningResult(tuning, verified, files)


def plan_as_written(scenario: Scenario, inventory: Inventory | None = None) -> Planned:
    """Plan the whole fleet, a generated one by default, as the scenario is written; nothing is stored."""
    if inventory is None:
        return plan_scenario(scenario)
    return plan_inventory(scenario, inventory, planned_at(scenario))


def _simulate_chosen(
    scenario: Scenario, inventory: Inventory, tuning: Tuning, seed: int, runs: int, workers: int
) -> Simulation:
    """Simulate the chosen plan at full size, as `rollout simulate` would."""
    policy = policy_of(scenario.text, tuning.choice.candidate, tuning.space, tuning.planned)
    findings = findings_under(policy, inventory)
    plan = make_plan(
        inventory, findings, policy, mature_after_s=tuning.mature_after_s, created=tuning.created
    )
    return simulate(plan, inventory.fleet, scenario.model, seed=seed, runs=runs, workers=workers)


def _verified(simulation: Simulation) -> documents.Verified:
    return documents.Verified.build(
        simulation.figures, digest=simulation.digest, runs=len(simulation.runs), devices=simulation.devices
    )


def _tuned_plan(tuning: Tuning, number: int) -> documents.TunedPlan:
    row = tuning.tried[number]
    return documents.TunedPlan(
        number=row.number,
        says=row.candidate.sentence(),
        **dict(_pacing(row.candidate)),
        **dict(_score(row.score)),
    )


def _pacing(candidate: Candidate) -> documents.Pacing:
    return documents.Pacing.build(candidate, step_hours=candidate.step_s / HOUR_S)


def _score(score: Score) -> documents.Score:
    def finite(value: float) -> float | None:
        return None if value >= NEVER_H else value

    return documents.Score.build(
        score,
        hours_to_90=finite(score.hours),
        peak_per_hour=finite(score.peak),
        done_hours_p90=finite(score.done_p90),
        peak_per_hour_p90=finite(score.peak_p90),
        tickets_per_hour_p90=finite(score.tickets_p90),
        exposed_p90=round(score.exposed_p90) if score.exposed_p90 >= 0 else None,
    )


def _robustness(robustness: Robustness) -> documents.Robustness:
    return documents.Robustness(
        candidate=_pacing(robustness.candidate),
        tried=tuple(
            documents.AssumptionTried(
                assumption=changed.assumption, value=changed.value, **dict(_score(changed.score))
            )
            for changed in robustness.tried
        ),
        swings=tuple(
            documents.Swing(assumption=name, swing=swing) for name, _, _, swing in robustness.swings()
        ),
    )


def _write(scenario: Scenario, plan: Plan, tuning: Tuning, out: Path) -> documents.TuningFiles:
    make_folder(out)
    write_file(out / "tuned.toml", tuned_toml(scenario, tuning))
    _write_table(out / "tuned.csv", tuning)
    _draw_front(out / "front.png", plan, tuning)
    _draw_tornado(out / "tornado.png", tuning)
    names = {"scenario": "tuned.toml", "table": "tuned.csv", "front": "front.png", "tornado": "tornado.png"}
    return documents.TuningFiles(**{key: str(out / name) for key, name in names.items()})


def tuned_toml(scenario: Scenario, tuning: Tuning) -> str:
    """Return the scenario with the chosen pacing; its first comment says where it comes from."""
    candidate = tuning.choice.candidate
    about = (
        f"{scenario.name}, tuned: {candidate.sentence()}. {_capitalized(tuning.reason)}. "
        f"{_capitalized(tuning.hangs_on)}. Seed {tuning.seed}, {len(tuning.tried)} plans tried."
    )
    changed = document_of(scenario.text, candidate, tuning.space, tuning.planned)
    changed.setdefault("fleet", {})["clients"] = scenario.fleet.clients
    return toml_of(changed, about, "tuned.toml")


def _capitalized(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _write_table(path: Path, tuning: Tuning) -> None:
    rows = [_tuned_plan(tuning, row.number) for row in tuning.tried]
    cells = (
        [row.number in tuning.front, row.number == tuning.chosen, *(getattr(row, key) for key in COLUMNS)]
        for row in rows
    )
    write_file(path, csv_text(["front", "chosen", *COLUMNS], cells))


def _draw_front(path: Path, plan: Plan, tuning: Tuning) -> None:
    able = [row for row in tuning.tried if row.score.hours < NEVER_H]
    numbers = [row.number for row in able]
    facts = FrontFacts(
        hours=np.array([row.score.hours for row in able]),
        peak=np.array([row.score.peak for row in able]),
        on_front=np.array([row.number in tuning.front for row in able]),
        chosen=numbers.index(tuning.chosen) if tuning.chosen in numbers else -1,
        names=tuple(row.candidate.sentence() for row in able),
        without_end=len(tuning.tried) - len(able),
    )
    stamp = Stamp(plan.zone, plan.digest, f"{tried(facts)}, on {tuning.small:,} devices")
    write_file(path, png_of(TuningFront(facts, stamp).plot, (9, 5.5)))


def _draw_tornado(path: Path, tuning: Tuning) -> None:
    chosen = next(each for each in tuning.robust if each.candidate == tuning.choice.candidate)
    write_file(path, png_of(Tornado(chosen).plot, (9, 4.5)))
