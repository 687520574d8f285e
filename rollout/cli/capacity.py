"""`rollout capacity`: what must be there for a fleet and a deadline."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rollout.api import workflow
from rollout.cli.options import MAX_CLIENTS, Cluster, Json, Out, Seed, Verbose
from rollout.cli.terminal import emit, say, table
from rollout.errors import UsageError, shown
from rollout.files import csv_text, make_folder, write_file
from rollout.text import span
from rollout.values import HOUR_S, share_of
from rollout.values.durations import parse_duration
from sim.fleet import MADE_UP_AT

if TYPE_CHECKING:
    from sim.capacity import Case

MAX_CASES = 100


def capacity(
    scenario: Annotated[Path | None, typer.Argument(help="Whose [model] is assumed.")] = None,
    devices: Annotated[str, typer.Option(metavar="N,N…", help="Fleet sizes.")] = "100000",
    within: Annotated[str, typer.Option(metavar="DURATION", help="Nine of ten enrolled within.")] = "14d",
    windows: Annotated[
        str, typer.Option(metavar="W,W…", help="Random windows to try; the scenario's without.")
    ] = "",
    internet: Annotated[
        float | None,
        typer.Option(min=0, max=100, help="Percent of the clients that come through the gateway."),
    ] = None,
    turned_away: Annotated[
        float, typer.Option(min=0, max=100, help="Percent of the attempts that the service may turn away.")
    ] = 1.0,
    out: Out = Path("capacity"),
    seed: Seed = 1,
    workers: Annotated[int | None, typer.Option(help="Processes; one a core by default.")] = None,
    cluster: Cluster = "",
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Say what must be bought: management points, gateway instances, the service rate, the hour of the peak.

    Arithmetic first, then the rollout is played at several service rates on a scaled-down fleet, which shows
    where queueing makes arithmetic too small. Writes capacity.csv and capacity.png.

    Example: rollout capacity --devices 250000 --within 14d
    """
    from sim.capacity import Question, sweep
    from sim.workers import workers_of

    told = workflow.read_scenario(scenario)
    model = told.model
    if internet is not None:
        share = share_of(_percent("--internet", internet))
        service = model.service.model_copy(update={"internet_share": share})
        model = model.model_copy(update={"service": service})
    start = MADE_UP_AT + 7 * HOUR_S
    deadline_h = _seconds("--within", within) / HOUR_S
    if deadline_h <= 0:
        raise UsageError(f"--within: expected a time above 0, found {within}")
    asked = windows.split(",") if windows else []
    seconds = [_window(one.strip()) for one in asked] or [model.clients.window]
    questions = [
        Question(count, window_s, deadline_h, start, seed, share_of(_percent("--turned-away", turned_away)))
        for count, window_s in product(_counts(devices), seconds)
    ]
    if len(questions) > MAX_CASES:
        raise UsageError(
            f"expected at most {MAX_CASES} pairs of --devices and --windows, found {len(questions)}"
        )
    with workers_of(workflow.workers_here(workers), cluster) as hands:
        cases = sweep(model, questions, hands)
    files = _write(cases, out)
    if as_json:
        emit({"cases": [document(case) for case in cases], "files": files})
        return
    show(cases)
    say("written: " + ", ".join(files.values()))


def _seconds(option: str, text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def _percent(option: str, percent: float) -> float:
    """Refuse what is no number ("nan"): it passes every comparison."""
    if not math.isfinite(percent):
        raise UsageError(f"{option}: expected a percentage from 0 to 100, found {percent}")
    return percent


def _window(text: str) -> int:
    return 0 if text == "immediate" else _seconds("--windows", text)


def _counts(text: str) -> list[int]:
    try:
        counts = [int(one.strip().replace("_", "")) for one in text.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1 or max(counts) > MAX_CLIENTS:
        raise UsageError(
            f"--devices: expected numbers from 1 to {MAX_CLIENTS:,} such as 100000,250000, found {shown(text)}"
        )
    return counts


def document(case: Case) -> dict[str, Any]:
    """Give a case for scripts, durations in hours; what is infinite is null."""
    from dataclasses import asdict

    told = asdict(case)
    told |= {"window_hours": told.pop("window_s") / HOUR_S, "deadline_hours": told.pop("deadline_h")}
    told["says"] = case.sentence()
    needed = case.needed
    told["needed_per_hour"] = needed.per_hour if needed else None
    cleaned: dict[str, Any] = _finite(told)
    return cleaned


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def show(cases: list[Case]) -> None:
    """Print arithmetic and what was played, a line a case, and what follows."""
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
        "all at once, an hour",
        "evenly, an hour",
        "recommended, an hour",
        "offered at the peak, an hour",
        "peak at",
    ]
    table(head, rows)
    for case in cases:
        _show_rates(case)
        say(case.sentence())


def _show_rates(case: Case) -> None:
    """Print what each service rate costs: attempts turned away, and time."""
    from sim.capacity import many, percent_words

    needed = case.needed
    rows = [
        [
            f"{one.per_hour:,.0f}",
            percent_words(one.throttled),
            span(one.hours if math.isfinite(one.hours) else None),
            "yes" if one.kept else "no",
            "recommended" if one is needed else "",
        ]
        for one in case.played
    ]
    head = ["service, per hour", "turned away", "90 % enrolled after", "in time", ""]
    table(head, rows, title=f"{many(case.devices, 'device')}, window {span(case.window_s / HOUR_S)}")


def _write(cases: list[Case], out: Path) -> dict[str, str]:
    from matplotlib.figure import Figure

    from rollout.report.pictures.style import png_of
    from sim.capacity import plot, rows_of

    make_folder(out)
    files = {"table": out / "capacity.csv", "picture": out / "capacity.png"}
    rows = rows_of(cases)
    write_file(files["table"], csv_text(list(rows[0]), (list(row.values()) for row in rows)))
    figure = Figure(figsize=(9, 5), layout="constrained")
    plot(cases, span, figure.add_subplot())
    write_file(files["picture"], png_of(figure))
    return {name: str(path) for name, path in files.items()}
