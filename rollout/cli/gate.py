"""`rollout gate`: what the gates of a plan do to good and bad rollouts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rollout.api import workflow
from rollout.cli.options import DEFAULT_DB, MAX_RUNS, Db, Json, Seed, Verbose
from rollout.cli.terminal import emit, note, say, table
from rollout.errors import UsageError
from rollout.files import make_folder, write_file
from rollout.text import number
from rollout.values import HOUR_S, share_of

if TYPE_CHECKING:
    from sim.gate_trials.gatecheck import GateCheck

RATES = "0.5,1,2,3,5,10,20"
MAX_RATES = 100
MIN_HOURS, MAX_HOURS = 0.001, 10_000


def gate(
    what: Annotated[str, typer.Argument(metavar="simulate", help="The only thing there is so far.")],
    target: Annotated[
        str | None, typer.Argument(metavar="[SCENARIO or PLAN]", help="A TOML file, a plan id or a digest.")
    ] = None,
    rates: Annotated[str, typer.Option(help="True failure rates to try, percent, with commas.")] = RATES,
    bad: Annotated[
        str, typer.Option(metavar="STRATUM", help="Only this stratum (a model, say) fails at these rates.")
    ] = "",
    good_rate: Annotated[float, typer.Option(help="Failure rate of the others then, percent.")] = 0.5,
    fail_hours: Annotated[float, typer.Option(min=0.0, help="Mean hours from release to a failure.")] = 6.0,
    enroll_hours: Annotated[float, typer.Option(min=0.0, help="Mean hours to a success.")] = 24.0,
    runs: Annotated[int, typer.Option(min=1, max=MAX_RUNS, help="Rollouts a rate.")] = 200,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Draw the pictures here.")] = None,
    seed: Seed = 1,
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Show what a plan's gate would do: chance to halt and devices exposed, by true failure rate.

    Beside it the plain threshold that an admin would have written (3 % of at least 20 executed).

    Example: rollout gate simulate --bad "Basalt Cube G3"
    """
    from sim.gate_trials.gatecheck import simulate_plan_gates

    if what != "simulate":
        raise UsageError(f"expected 'rollout gate simulate', found 'rollout gate {what}'")
    tried, good = _rates(rates), _share("--good-rate", good_rate)
    fail_s, enroll_s = _seconds("--fail-hours", fail_hours), _seconds("--enroll-hours", enroll_hours)
    database, scenario, key = workflow.resolve_target(db, target, None, note)
    plan = workflow.world_of_plan(database, key, scenario).stored.plan
    if bad and bad not in plan.strata.names:
        raise UsageError(
            f"--bad: expected a {plan.strata.column} of the plan, found '{bad}'",
            f"there are {', '.join(plan.strata.names[:8])}{' …' if len(plan.strata.names) > 8 else ''}",
        )
    check = simulate_plan_gates(
        plan,
        rates=tried,
        fail_s=fail_s,
        enroll_s=enroll_s,
        bad=bad,
        good_rate=good,
        runs=runs,
        seed=seed,
    )
    pictures = _draw(check, out) if out is not None else []
    if as_json:
        emit({**_document(check), "pictures": [str(one) for one in pictures]})
        return
    _show(check)
    for one in pictures:
        note(f"drawn: {one}")


def _rates(text: str) -> list[float]:
    try:
        rates = [_share("--rates", float(one)) for one in text.split(",")]
    except ValueError:
        raise UsageError(f"--rates: expected percents such as {RATES}, found '{text}'") from None
    if len(rates) > MAX_RATES:
        raise UsageError(f"--rates: expected at most {MAX_RATES} percents, found {len(rates)}")
    return rates


def _seconds(option: str, hours: float) -> float:
    if not MIN_HOURS <= hours <= MAX_HOURS:
        raise UsageError(f"{option}: expected {MIN_HOURS:g} to {MAX_HOURS:,} hours, found {hours:g}")
    return hours * HOUR_S


def _share(option: str, percent: float) -> float:
    if not 0 <= percent <= 100:
        raise UsageError(f"{option}: expected percents between 0 and 100, found {percent:g}")
    return share_of(percent)


def _document(check: GateCheck) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(check)


def _show(check: GateCheck) -> None:
    rows = [
        [
            f"{ours.rate:.1%}",
            f"{ours.halted:.1%}",
            f"{ours.passed:.1%}",
            round(ours.exposed_median),
            round(ours.exposed_p95),
            f"{plain.halted:.1%}",
            round(plain.exposed_median),
        ]
        for ours, plain in zip(check.ours, check.plain, strict=True)
    ]
    head = [
        "true rate",
        "halted",
        "passed",
        "released (p50)",
        "(p95)",
        "plain: halted",
        "plain: released (p50)",
    ]
    who = f"'{check.bad}' fails at the rate" if check.bad else "all fail at the rate"
    title = f"{number(check.devices)} devices, {check.strata} strata, {check.runs} runs a rate; {who}"
    table(head, rows, title=title)
    if check.p_ok:
        say(f"the gate: p_ok {check.p_ok:.3g}, p_bad {check.p_bad:.3g}, alpha {check.alpha:.3g}")
    say(f"plain: {check.threshold}")


def _draw(check: GateCheck, out: Path) -> list[Path]:
    from matplotlib.figure import Figure

    from rollout.report.pictures.style import png_of

    make_folder(out)
    written = []
    for name, plot in (("gate-halts.png", check.plot), ("gate-exposed.png", check.plot_exposed)):
        figure = Figure(figsize=(9, 5), layout="constrained")
        plot(figure.add_subplot())
        write_file(out / name, png_of(figure))
        written.append(out / name)
    return written
