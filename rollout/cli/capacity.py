"""`rollout capacity`: size the infrastructure that a fleet and a deadline need."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from rollout.api.capacity import size_capacity
from rollout.api.scenarios import read_scenario
from rollout.cli.options import MAX_CLIENTS, Cluster, Json, Out, Seed, Verbose, Workers, worker_count
from rollout.cli.terminal import emit, say, table
from rollout.errors import UsageError, shown
from rollout.text import span
from rollout.values import HOUR_S, share_of
from rollout.values.durations import parse_duration
from sim.capacity import Case, many, percent_words


def capacity(
    scenario: Annotated[
        Path | None, typer.Argument(help="Scenario whose [model] is assumed (default: the built-in one).")
    ] = None,
    devices: Annotated[str, typer.Option(metavar="N,N…", help="Fleet sizes.")] = "100000",
    within: Annotated[
        str, typer.Option(metavar="DURATION", help="Time within which 90 % of the devices are enrolled.")
    ] = "14d",
    windows: Annotated[
        str, typer.Option(metavar="W,W…", help="Random windows to try (default: the scenario's).")
    ] = "",
    internet: Annotated[
        float | None,
        typer.Option(min=0, max=100, help="Percentage of the clients that come through the gateway."),
    ] = None,
    turned_away: Annotated[
        float,
        typer.Option(min=0, max=100, help="Percentage of the attempts that the service may turn away."),
    ] = 1.0,
    out: Out = Path("capacity"),
    seed: Seed = 1,
    workers: Workers = None,
    cluster: Cluster = "",
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Size the infrastructure: management points, gateway instances, service rate, busiest hour.

    Arithmetic comes first. Then the rollout is simulated at several service rates on a scaled-down fleet, which shows
    where queueing makes arithmetic too small. Writes capacity.csv and capacity.png.

    Example: rollout capacity --devices 250000 --within 14d
    """
    model = read_scenario(scenario).model
    share = None if internet is None else share_of(_percent("--internet", internet))
    deadline_h = _seconds("--within", within) / HOUR_S
    if deadline_h <= 0:
        raise UsageError(f"--within: expected a time above 0, found {within}")
    windows_s = [_window(text.strip()) for text in windows.split(",")] if windows else []
    result = size_capacity(
        model,
        out=out,
        devices=_counts(devices),
        deadline_h=deadline_h,
        windows_s=windows_s,
        turned_away=share_of(_percent("--turned-away", turned_away)),
        internet_share=share,
        seed=seed,
        workers=worker_count(workers),
        cluster=cluster,
    )
    if as_json:
        emit(result.document)
        return
    _show(result.cases)
    say(f"written: {result.files.table}, {result.files.picture}")


def _seconds(option: str, text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def _percent(option: str, percent: float) -> float:
    """Refuse what is not a number ("nan"), which passes every comparison."""
    if not math.isfinite(percent):
        raise UsageError(f"{option}: expected a percentage from 0 to 100, found {percent}")
    return percent


def _window(text: str) -> int:
    return 0 if text == "immediate" else _seconds("--windows", text)


def _counts(text: str) -> list[int]:
    try:
        counts = [int(size.strip().replace("_", "")) for size in text.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1 or max(counts) > MAX_CLIENTS:
        raise UsageError(
            f"--devices: expected numbers from 1 to {MAX_CLIENTS:,} such as 100000,250000, found {shown(text)}"
        )
    return counts


def _show(cases: Sequence[Case]) -> None:
    """Print arithmetic and simulation, one line per case, and the conclusion."""
    rows = []
    for case in cases:
        need, needed = case.need, case.needed
        rows.append(
            [
                case.devices,
                span(case.window_s / HOUR_S) if case.window_s else "immediate",
                need.points,
                need.primaries,
                " / ".join(str(count) for count in need.instances.values()),
                "any" if math.isinf(need.window_rate) else f"{need.window_rate:,.0f}",
                round(need.deadline_rate),
                f"{needed.per_hour:,.0f}" if needed else "none",
                f"{case.offered:,.0f}",
                f"{case.peak_at:02}:00",
            ]
        )
    head = [
        "devices",
        "window",
        "mgmt points",
        "primaries",
        "CMG A2_v2 / A4_v2",
        "all at once, per hour",
        "evenly, per hour",
        "recommended, per hour",
        "offered at the peak, per hour",
        "peak at",
    ]
    table(head, rows)
    for case in cases:
        _show_rates(case)
        say(case.sentence())


def _show_rates(case: Case) -> None:
    """Print what each service rate costs: attempts turned away, and time."""
    needed = case.needed
    rows = [
        [
            f"{tried.per_hour:,.0f}",
            percent_words(tried.throttled),
            span(tried.hours if math.isfinite(tried.hours) else None),
            "yes" if tried.kept else "no",
            "recommended" if tried is needed else "",
        ]
        for tried in case.played
    ]
    head = ["service, per hour", "turned away", "90 % enrolled after", "in time", ""]
    table(head, rows, title=f"{many(case.devices, 'device')}, window {span(case.window_s / HOUR_S)}")
