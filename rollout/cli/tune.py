"""`rollout tune`: search for a better pacing of a scenario."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rollout.api import workflow
from rollout.cli.options import DEFAULT_DB, MAX_CLIENTS, MAX_RUNS, Cluster, Db, Json, Out, Seed, Verbose
from rollout.cli.terminal import bar, emit, say, table
from rollout.errors import TargetMissedError, UsageError
from rollout.files import csv_text, make_folder, write_file
from rollout.text import span
from rollout.values import HOUR_S
from rollout.values.durations import parse_duration

if TYPE_CHECKING:
    from rollout.values import Inventory, Plan
    from sim.scenario import Scenario
    from sim.tuning.candidates import Candidate
    from sim.tuning.evaluation import Score
    from sim.tuning.tune import Effort, Tuning

TRIALS = 100


def tune(
    scenario: Annotated[
        Path | None, typer.Argument(help="A TOML file; the default scenario without.")
    ] = None,
    budget: Annotated[
        str, typer.Option(metavar="DURATION", help="Search so long, e.g. 60s; then no two results are alike.")
    ] = "",
    trials: Annotated[
        int | None,
        typer.Option(
            min=2, max=MAX_RUNS, help=f"Try so many plans; {TRIALS} without a budget. Repeats exactly."
        ),
    ] = None,
    inventory: Annotated[str, typer.Option(metavar="ID", help="Tune for a stored inventory.")] = "",
    clients: Annotated[
        int | None, typer.Option(min=1, max=MAX_CLIENTS, help="Size of the generated fleet.")
    ] = None,
    out: Out = Path("tuned"),
    verify: Annotated[int, typer.Option(min=0, max=MAX_RUNS, help="Full-size runs of the chosen plan.")] = 3,
    seed: Seed = 1,
    workers: Annotated[int | None, typer.Option(help="Processes; one a core by default.")] = None,
    cluster: Cluster = "",
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Search for the pacing that is fastest and gentlest, within the scenario's [targets].

    Plans are tried on a scaled-down fleet; the front shows those that are beaten by none in both time and
    peak load, and the chosen one is simulated at full size. Writes tuned.toml, which `rollout plan` takes, the
    table of all plans tried and two pictures. Exit 5 if no plan meets the targets.

    Example: rollout tune scenarios/default.toml --trials 40
    """
    from sim.tuning.tune import tune as search
    from sim.workers import workers_of

    effort = _effort(budget, trials)
    told = workflow.read_scenario(scenario, clients)
    fleet, plan = _planned(told, inventory, db)
    count = workflow.workers_here(workers)
    job = _job(told, plan, fleet, seed)
    with workers_of(count, cluster) as hands, bar("tuning", effort.trials, quiet=as_json) as moving:
        found = search(job, effort, hands, moving.to)
    written = _write(told, plan, found, out)
    verified = _verified(told, fleet, found, seed, verify, count) if verify else None
    if as_json:
        emit(document(found, verified, written))
    else:
        show(found, verified, written)
    missed = found.choice.score.misses(found.targets)
    if missed:
        raise TargetMissedError(
            f"targets missed by every plan tried: expected {', '.join(missed)} to be kept; {found.reason}",
            "change windows, phases or the [targets]",
        )


def _effort(budget: str, trials: int | None) -> Effort:
    from sim.tuning.tune import Effort

    try:
        budget_s = parse_duration(budget) if budget else 0
    except ValueError as error:
        raise UsageError(f"--budget: {error}") from None
    return Effort(trials=trials or (0 if budget_s else TRIALS), budget_s=float(budget_s))


def _planned(scenario: Scenario, inventory_id: str, db: str) -> tuple[Inventory, Plan]:
    """Give the whole fleet with its plan as the scenario is written; nothing is stored."""
    from sim.planning import plan_inventory, plan_scenario, planned_at

    if inventory_id:
        inventory = workflow.open_db(db).inventory(inventory_id)
        made = plan_inventory(scenario, inventory, planned_at(scenario))
    else:
        made = plan_scenario(scenario)
    return made.inventory, made.plan


def _job(scenario: Scenario, plan: Plan, inventory: Inventory, seed: int) -> Any:
    from sim.tuning.tune import job_of

    return job_of(scenario, plan, inventory, seed=seed)


def _verified(
    scenario: Scenario, inventory: Inventory, found: Tuning, seed: int, runs: int, workers: int
) -> dict[str, Any]:
    """Simulate the chosen plan at full size, as `rollout simulate` would."""
    from rollout.planning.planner import make_plan
    from sim.planning import findings_under
    from sim.simulation import simulate
    from sim.tuning.candidates import policy_of

    choice = found.choice.candidate
    policy = policy_of(scenario.text, choice, found.space, found.planned)
    findings = findings_under(policy, inventory)
    plan = make_plan(inventory, findings, policy, mature_after_s=found.mature_after_s, created=found.created)
    summary = simulate(plan, inventory.fleet, scenario.model, seed=seed, runs=runs, workers=workers).summary()
    keys = (
        "digest",
        "runs",
        "devices",
        "eta_hours",
        "enrolled_hours",
        "peak_per_hour",
        "halt_chance",
        "final",
    )
    return {key: summary[key] for key in keys}


def document(found: Tuning, verified: dict[str, Any] | None, written: dict[str, str]) -> dict[str, Any]:
    """Give the result for scripts; equal results are equal bytes."""
    return {
        "front": [_row(found, number) for number in found.front],
        "chosen": _row(found, found.chosen),
        "as_written": _row(found, 0),
        "reason": found.reason,
        "hangs_on": found.hangs_on,
        "robustness": [_robust(one) for one in found.robust],
        "trials": len(found.tried),
        "seed": found.seed,
        "scaled_down": {"devices": found.small, "one_stands_for": round(1 / found.factor, 3)},
        "verified": verified,
        "files": written,
    }


def _row(found: Tuning, number: int) -> dict[str, Any]:
    one = found.tried[number]
    return {
        "number": one.number,
        **_pacing(one.candidate),
        "says": one.candidate.sentence(),
        **_score(one.score),
    }


def _pacing(candidate: Candidate) -> dict[str, Any]:
    """Give a candidate's fields for scripts: durations in hours."""
    facts = candidate.facts()
    step_s = facts.pop("step_s")
    return {**facts, "step_hours": step_s / HOUR_S}


def _score(score: Score) -> dict[str, Any]:
    from sim.tuning.evaluation import NEVER_H

    def finite(value: float) -> float | None:
        return None if value >= NEVER_H else value

    return {
        "hours_to_90": finite(score.hours),
        "peak_per_hour": finite(score.peak),
        "done_hours_p90": finite(score.done_p90),
        "peak_per_hour_p90": finite(score.peak_p90),
        "tickets_per_hour_p90": finite(score.tickets_p90),
        "halt_chance": score.halt_chance,
        "exposed_p90": score.exposed_p90 if score.exposed_p90 >= 0 else None,
        "refused": score.refused,
        "runs": score.runs,
    }


def _robust(one: Any) -> dict[str, Any]:
    return {
        "candidate": _pacing(one.candidate),
        "tried": [
            {"assumption": tried.assumption, "value": tried.value, **_score(tried.score)}
            for tried in one.tried
        ],
        "swings": [{"assumption": name, "swing": swing} for name, _, _, swing in one.swings()],
    }


def show(found: Tuning, verified: dict[str, Any] | None, written: dict[str, str]) -> None:
    """Print the front, the choice, its reason, and on what it hangs."""
    rows = []
    for number in found.front:
        one = found.tried[number]
        rows.append(
            [
                "→" if number == found.chosen else "",
                one.candidate.sentence(),
                span(one.score.hours),
                span(None if one.score.done_p90 >= 1e6 else one.score.done_p90),
                round(one.score.peak),
                round(one.score.tickets_p90, 1),
                f"{one.score.halt_chance:.0%}",
            ]
        )
    head = ["", "plan", "90 % enrolled (p50)", "done (p90)", "peak an hour", "tickets an hour", "halted"]
    title = (
        f"{len(found.tried)} plans tried on {found.small:,} devices, each standing for "
        f"{1 / found.factor:.1f}; seed {found.seed}"
    )
    table(head, rows, title=title)
    say(f"chosen: {found.choice.candidate.sentence()}: {found.reason}")
    say(found.hangs_on)
    if verified is not None:
        say(
            f"at full size ({verified['devices']:,} devices, {verified['runs']} runs): 90 % enrolled after "
            f"{span(verified['enrolled_hours']['p90'])}, done after {span(verified['eta_hours']['p50'])}, "
            f"peak {verified['peak_per_hour']['p50']:,.0f} attempts an hour"
        )
    say("written: " + ", ".join(written.values()))
    say(f"next: rollout plan {written['scenario']}")


@dataclass(frozen=True, slots=True)
class _Files:
    scenario: Path
    table: Path
    front: Path
    tornado: Path


def _write(scenario: Scenario, plan: Plan, found: Tuning, out: Path) -> dict[str, str]:
    make_folder(out)
    files = _Files(out / "tuned.toml", out / "tuned.csv", out / "front.png", out / "tornado.png")
    write_file(files.scenario, tuned_toml(scenario, found.choice.candidate, found))
    _write_table(files.table, found)
    _draw(files, plan, found)
    return {name: str(getattr(files, name)) for name in ("scenario", "table", "front", "tornado")}


def tuned_toml(scenario: Scenario, candidate: Candidate, found: Tuning) -> str:
    """Give the scenario with the chosen pacing; its first comment says where it comes from."""
    import textwrap

    import tomli_w

    from sim.scenario import parse_scenario
    from sim.tuning.candidates import document_of

    about = (
        f"{scenario.name}, tuned: {candidate.sentence()}. {found.reason[:1].upper()}{found.reason[1:]}. "
        f"{found.hangs_on[:1].upper()}{found.hangs_on[1:]}. Seed {found.seed}, {len(found.tried)} plans tried."
    )
    comment = "\n".join(f"# {line}" for line in textwrap.wrap(about, 105))
    changed = document_of(scenario.text, candidate, found.space, found.planned)
    changed.setdefault("fleet", {})["clients"] = scenario.fleet.clients
    text = f"{comment}\n\n{tomli_w.dumps(changed)}"
    parse_scenario(text, "tuned.toml")  # what is written must be read again
    return text


def _write_table(path: Path, found: Tuning) -> None:
    rows = [_row(found, one.number) for one in found.tried]
    marked = ([row["number"] in found.front, row["number"] == found.chosen, *row.values()] for row in rows)
    write_file(path, csv_text(["front", "chosen", *rows[0]], marked))


def _draw(files: _Files, plan: Plan, found: Tuning) -> None:
    import numpy as np
    from matplotlib.figure import Figure

    from rollout.report.facts import Tuning as Front
    from rollout.report.pictures.style import Stamp, png_of
    from rollout.report.pictures.tuning import TuningFront, tried
    from sim.tuning.evaluation import NEVER_H
    from sim.tuning.robustness import Tornado

    able = [one for one in found.tried if one.score.hours < NEVER_H]
    numbers = [one.number for one in able]
    facts = Front(
        hours=np.array([one.score.hours for one in able]),
        peak=np.array([one.score.peak for one in able]),
        on_front=np.array([one.number in found.front for one in able]),
        chosen=numbers.index(found.chosen) if found.chosen in numbers else -1,
        names=tuple(one.candidate.sentence() for one in able),
        without_end=len(found.tried) - len(able),
    )
    stamp = Stamp(plan.zone, plan.digest, f"{tried(facts)}, on {found.small:,} devices")
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    TuningFront(facts, stamp).plot(figure.add_subplot())
    write_file(files.front, png_of(figure))
    mine = next(one for one in found.robust if one.candidate == found.choice.candidate)
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    Tornado(mine).plot(figure.add_subplot())
    write_file(files.tornado, png_of(figure))
