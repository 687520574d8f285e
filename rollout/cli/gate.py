"""`rollout gate`: show how the gates of a plan treat good and bad rollouts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rollout.api.gates import simulate_gate
from rollout.api.planning import resolve_target
from rollout.cli.options import DEFAULT_DB, MAX_RUNS, Db, Json, Seed, Verbose
from rollout.cli.terminal import emit, note, say, table
from rollout.errors import UsageError
from rollout.text import number
from rollout.values import share_of
from sim.gate_trials.gatecheck import GateCheck

RATES = "0.5,1,2,3,5,10,20"
MAX_RATES = 100
MIN_HOURS, MAX_HOURS = 0.001, 10_000


def gate(
    what: Annotated[str, typer.Argument(metavar="simulate", help="The word 'simulate'.")],
    target: Annotated[
        str | None, typer.Argument(metavar="[SCENARIO or PLAN]", help="A TOML file, a plan id or a digest.")
    ] = None,
    rates: Annotated[
        str, typer.Option(help="True failure rates to try, in percent, separated by commas.")
    ] = RATES,
    bad: Annotated[
        str,
        typer.Option(metavar="STRATUM", help="Apply the rates to this stratum only, such as a device model."),
    ] = "",
    good_rate: Annotated[
        float, typer.Option(help="Failure rate of the other strata, in percent, with --bad.")
    ] = 0.5,
    fail_hours: Annotated[float, typer.Option(min=0.0, help="Mean hours from release to a failure.")] = 6.0,
    enroll_hours: Annotated[
        float, typer.Option(min=0.0, help="Mean hours from release to a success.")
    ] = 24.0,
    runs: Annotated[
        int, typer.Option(min=1, max=MAX_RUNS, help="Simulated rollouts per failure rate.")
    ] = 200,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Draw the pictures into this folder.")
    ] = None,
    seed: Seed = 1,
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Show how a plan's gates respond to failure rates: chance to halt, devices exposed.

    The gates are compared with a plain threshold, such as an administrator would write: 3 % of at least 20 devices.

    Example: rollout gate simulate --bad "Basalt Cube G3"
    """
    if what != "simulate":
        raise UsageError(f"expected 'rollout gate simulate', found 'rollout gate {what}'")
    tried, good = _rates(rates), _share("--good-rate", good_rate)
    _check_hours("--fail-hours", fail_hours)
    _check_hours("--enroll-hours", enroll_hours)
    database, _, key = resolve_target(db, target, None, note)
    plan = database.plan(key).plan
    if bad and bad not in plan.strata.names:
        raise UsageError(
            f"--bad: expected a {plan.strata.column} of the plan, found '{bad}'",
            f"there are {', '.join(plan.strata.names[:8])}{' …' if len(plan.strata.names) > 8 else ''}",
        )
    result = simulate_gate(
        plan,
        rates=tried,
        bad=bad,
        good_rate=good,
        fail_hours=fail_hours,
        enroll_hours=enroll_hours,
        runs=runs,
        seed=seed,
        out=out,
    )
    if as_json:
        emit(result.document)
        return
    _show(result.check)
    for path in result.pictures:
        note(f"drawn: {path}")


def _rates(text: str) -> list[float]:
    try:
        rates = [_share("--rates", float(rate)) for rate in text.split(",")]
    except ValueError:
        raise UsageError(f"--rates: expected percentages such as {RATES}, found '{text}'") from None
    if len(rates) > MAX_RATES:
        raise UsageError(f"--rates: expected at most {MAX_RATES} percentages, found {len(rates)}")
    return rates


def _check_hours(option: str, hours: float) -> None:
    if not MIN_HOURS <= hours <= MAX_HOURS:
        raise UsageError(f"{option}: expected {MIN_HOURS:g} to {MAX_HOURS:,} hours, found {hours:g}")


def _share(option: str, percent: float) -> float:
    if not 0 <= percent <= 100:
        raise UsageError(f"{option}: expected percentages between 0 and 100, found {percent:g}")
    return share_of(percent)


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
    failing = f"'{check.bad}' fails at the rate" if check.bad else "all devices fail at the rate"
    title = f"{number(check.devices)} devices, {check.strata} strata, {check.runs} runs per rate; {failing}"
    table(head, rows, title=title)
    if check.p_ok:
        say(f"the gate: p_ok {check.p_ok:.3g}, p_bad {check.p_bad:.3g}, alpha {check.alpha:.3g}")
    say(f"plain: {check.threshold}")
