"""The view of a rollout in a terminal: once, or refreshed until it is final; plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rollout.api import stored_forecast
from rollout.api.status import Status, StatusReader, executor
from rollout.cli.terminal import add_row, out, say, styled
from rollout.errors import Exit, RolloutError
from rollout.text import instant, number
from rollout.values import Outcome, State, Verdict

EVERY_S = 2.0
"""Seconds of real time between two readings."""

BAR = 24
COLOURS = {
    State.RUNNING: "green",
    State.FINISHED: "green",
    State.HELD: "yellow",
    State.WAITING: "yellow",
    State.PAUSED: "yellow",
}


def watch_status(reader: StatusReader, sleep: Callable[[float], None] = time.sleep) -> None:
    """Refresh the view every two seconds until the rollout is final. Ctrl-C ends the watching, not the rollout."""
    try:
        if out().is_terminal and not out().is_dumb_terminal:
            _live(reader, sleep)
        else:
            _lines(reader, sleep)
    except KeyboardInterrupt:
        raise WatchEndedError("stopped watching", "the rollout continues unchanged") from None


class WatchEndedError(RolloutError):
    """A person stopped watching."""

    exit_code = Exit.INTERRUPTED


def _live(reader: StatusReader, sleep: Callable[[float], None]) -> None:
    status = reader.read()
    with Live(view(status), console=out(), auto_refresh=False, vertical_overflow="crop") as live:
        while not status.is_final:
            sleep(EVERY_S)
            status = reader.read()
            live.update(view(status), refresh=True)


def _lines(reader: StatusReader, sleep: Callable[[float], None]) -> None:
    """A line whenever something has changed: for a log, a pipe, or a terminal that cannot move its cursor."""
    before = ""
    while True:
        status = reader.read()
        text = line(status)
        if text != before:
            say(text)
            out().file.flush()
        before = text
        if status.is_final:
            return
        sleep(EVERY_S)


def line(status: Status) -> str:
    """Return a status in one line."""
    if status.progress is None:
        return f"{status.rollout} has not started"
    totals = status.totals
    parts = [
        f"{instant(status.as_of, status.plan.zone)} {status.rollout} {status.progress.state.value}",
        f"released {number(status.released)} of {number(status.plan.planned)}{_goal(status.goal_released)}",
        f"enrolled {number(totals[Outcome.ENROLLED])}{_goal(status.goal_enrolled)}",
        f"failed {number(totals[Outcome.FAILED])}",
        f"{number(round(status.enrolled_per_hour))} per hour",
    ]
    if status.progress.verdict and not status.is_final:
        parts.append(f"gate {status.progress.verdict.upper()}")
    if status.forecast is not None:
        parts.append(
            f"90 % enrolled {stored_forecast.interval(status.forecast.enrolled_90, status.plan.zone)}"
        )
    return "; ".join([*parts, status.progress.reason])


def _goal(goal: int | None) -> str:
    return "" if goal is None else f" (goal {number(goal)})"


def view(status: Status) -> RenderableType:
    """Return the full status: state, goal against actual, ends, gate, phases, last decisions. Fits 80 columns."""
    if status.progress is None:
        return styled(
            f"rollout {status.rollout} of plan {status.plan_id} has not started; 'rollout run' starts it"
        )
    parts: list[RenderableType] = [
        _head(status),
        _counts(status),
        _facts(status),
        _phases(status),
        _decisions(status),
    ]
    return Group(*(line for part in parts for line in (part, Text())))


def _head(status: Status) -> RenderableType:
    assert status.progress is not None
    state = status.progress.state
    text = Text()
    text.append(styled(status.plan.name, "bold")).append("\n")
    text.append(f"rollout {status.rollout} (plan {status.plan_id}, digest {status.digest[:12]}) is ")
    text.append(state.value, style=f"bold {COLOURS.get(state, 'red')}")
    text.append("\n  ").append(styled(status.progress.reason)).append("\n")
    text.append(f"  as of {instant(status.as_of, status.plan.zone)}")
    if not status.is_final:
        text.append("; ").append(styled(executor(status.lease, status.is_overdue)))
    return text


def _counts(status: Status) -> Table:
    """Goal against actual, with a bar of all planned devices."""
    totals, whole = status.totals, max(1, status.plan.planned)
    grid = _table(
        "", "goal by now", "actual", f"of {number(status.plan.planned)}", "per hour", numbers=(1, 2, 4)
    )
    rows: Sequence[tuple[str, int | None, int, float | None]] = (
        ("released", status.goal_released, status.released, status.released_per_hour),
        ("enrolled", status.goal_enrolled, totals[Outcome.ENROLLED], status.enrolled_per_hour),
    )
    for name, goal, count, rate in rows:
        wanted = "?" if goal is None else number(goal)
        add_row(grid, name, wanted, number(count), _bar(count / whole), number(round(rate or 0)))
    others = ((Outcome.FAILED, "failed"), (Outcome.REJECTED, "refused"), (Outcome.TIMED_OUT, "silent"))
    for outcome, name in others:
        if totals[outcome]:
            add_row(grid, name, "", number(totals[outcome]), f"{totals[outcome] / whole:.1%}", "")
    pending = status.released - sum(totals[Outcome.ENROLLED :])
    add_row(grid, "no answer yet", "", number(pending), f"{pending / whole:.1%}", "")
    return grid


def _bar(share: float) -> str:
    filled = min(BAR, int(BAR * share))
    # Words that any console can show: a bar of block characters breaks on old code pages.
    return "#" * filled + "." * (BAR - filled) + f" {share:.1%}"


def _facts(status: Status) -> RenderableType:
    assert status.progress is not None
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    if status.forecast is not None:
        for name, text in stored_forecast.lines(status.forecast, status.plan.zone):
            add_row(grid, name, text)
    elif not status.is_final:
        add_row(
            grid,
            "done when",
            "see 'rollout forecast'; 'rollout run' makes a forecast half a minute after its start",
        )
    if status.unsent:
        add_row(
            grid,
            "not sent",
            f"{number(status.unsent)} devices of the last batch; {status.unsent_because}".rstrip("; "),
        )
    if status.on_plan:
        add_row(grid, "on plan?", status.on_plan)
    if status.progress.verdict:
        add_row(grid, "gate", _gate(status))
    column = status.plan.strata.column or "stratum"
    for hold in status.progress.held:
        add_row(grid, f"{column} held", f"{hold.stratum}: {hold.sentence}")
    return grid


def _gate(status: Status) -> str:
    """Return the verdict with its sentence, if one of the last decisions has it."""
    assert status.progress is not None
    verdict = status.progress.verdict
    if status.progress.state.is_finished and verdict != Verdict.PASS:
        return "nothing left to judge: no device remains to be released"
    reasons = [
        row.reason for row in status.recent if row.verdict == verdict and verdict.upper() in row.reason
    ]
    return (
        reasons[-1]
        if reasons
        else f"{verdict.upper()}, in phase '{status.plan.phases[status.progress.phase].name}'"
    )


def _phases(status: Status) -> Table:
    assert status.progress is not None
    heads = ("phase", "planned", "released", "enrolled", "failed", "refused", "silent")
    table = _table(*heads, numbers=range(1, len(heads)))
    shown = (Outcome.ENROLLED, Outcome.FAILED, Outcome.REJECTED, Outcome.TIMED_OUT)
    for index, phase in enumerate(status.plan.phases):
        counts = [
            len(phase),
            status.progress.released[index],
            *(status.by_phase[index][outcome] for outcome in shown),
        ]
        mark = "> " if index == status.progress.phase and not status.is_final else "  "
        add_row(table, mark + phase.name, *(number(int(count)) for count in counts))
    return table


def _decisions(status: Status) -> Table:
    table = _table("last decisions", "state", "released", "why", numbers=(2,))
    for row in status.recent:
        at = stored_forecast.moment(row.at, status.plan.zone)
        add_row(table, at, row.state.value, number(row.released), row.reason.removeprefix(f"{row.state}: "))
    return table


def _table(*heads: str, numbers: Sequence[int] = ()) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    for index, name in enumerate(heads):
        is_number = index in numbers
        table.add_column(
            name,
            justify="right" if is_number else "left",
            no_wrap=is_number or index == 0,
            overflow="fold",
        )
    return table
