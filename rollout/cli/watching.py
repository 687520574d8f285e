"""The view of a rollout in a terminal: once, or live until it is final; plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rollout.api import stored_forecast
from rollout.api.status import Looks, Standing, executor
from rollout.cli.terminal import add_row, out, say, styled
from rollout.errors import Exit, RolloutError
from rollout.text import instant, number
from rollout.values import Outcome, State, Verdict

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

EVERY_S = 2.0
"""Seconds of real time between two looks."""

BAR = 24
COLOURS = {State.RUNNING: "green", State.FINISHED: "green", State.HELD: "yellow", State.PAUSED: "yellow"}


def watch(looks: Looks, sleep: Callable[[float], None] = time.sleep) -> None:
    """Show the rollout anew every two seconds until it is final. Ctrl-C ends the watching, not the rollout."""
    try:
        if out().is_terminal and not out().is_dumb_terminal:
            _live(looks, sleep)
        else:
            _lines(looks, sleep)
    except KeyboardInterrupt:
        raise WatchEndedError("watching has ended", "the rollout goes on as it did") from None


class WatchEndedError(RolloutError):
    """A person has seen enough."""

    exit_code = Exit.INTERRUPTED


def _live(looks: Looks, sleep: Callable[[float], None]) -> None:
    from rich.live import Live

    now = looks.look()
    with Live(view(now), console=out(), auto_refresh=False, vertical_overflow="crop") as live:
        while not now.is_final:
            sleep(EVERY_S)
            now = looks.look()
            live.update(view(now), refresh=True)


def _lines(looks: Looks, sleep: Callable[[float], None]) -> None:
    """A line whenever something has changed: for a log, a pipe, or a terminal that cannot move its cursor."""
    before = ""
    while True:
        now = looks.look()
        text = line(now)
        if text != before:
            say(text)
            out().file.flush()
        before = text
        if now.is_final:
            return
        sleep(EVERY_S)


def line(now: Standing) -> str:
    """Give the whole of it in one line."""
    if now.progress is None:
        return f"{now.rollout} has not begun"
    totals = now.totals
    parts = [
        f"{instant(now.as_of, now.plan.zone)} {now.rollout} {now.progress.state.value}",
        f"released {number(now.released)} of {number(now.plan.planned)}{_goal(now.goal_released)}",
        f"enrolled {number(totals[Outcome.ENROLLED])}{_goal(now.goal_enrolled)}",
        f"failed {number(totals[Outcome.FAILED])}",
        f"{number(round(now.enrolled_an_hour))} an hour",
    ]
    if now.progress.verdict and not now.is_final:
        parts.append(f"gate {now.progress.verdict.upper()}")
    if now.expected is not None:
        parts.append(f"90 % enrolled {stored_forecast.interval(now.expected.through, now.plan.zone)}")
    return "; ".join([*parts, now.progress.reason])


def _goal(goal: int | None) -> str:
    return "" if goal is None else f" (goal {number(goal)})"


def view(now: Standing) -> RenderableType:
    """Give all of it: state, goal against actual, ends, gate, phases, last decisions. Fits 80 columns."""
    from rich.console import Group
    from rich.text import Text

    if now.progress is None:
        return styled(f"rollout {now.rollout} of plan {now.plan_id} has not begun; 'rollout run' begins it")
    parts: list[RenderableType] = [_head(now), _counts(now), _facts(now), _phases(now), _decisions(now)]
    return Group(*(part for one in parts for part in (one, Text())))


def _head(now: Standing) -> RenderableType:
    from rich.text import Text

    assert now.progress is not None
    state = now.progress.state
    text = Text()
    text.append(styled(now.plan.name, "bold")).append("\n")
    text.append(f"rollout {now.rollout} (plan {now.plan_id}, digest {now.digest[:12]}) is ")
    text.append(state.value, style=f"bold {COLOURS.get(state, 'red')}")
    text.append("\n  ").append(styled(now.progress.reason)).append("\n")
    text.append(f"  as of {instant(now.as_of, now.plan.zone)}")
    if not now.is_final:
        text.append("; ").append(styled(executor(now.lease, now.is_overdue)))
    return text


def _counts(now: Standing) -> Table:
    """Goal against actual, with a bar of all planned devices."""
    totals, whole = now.totals, max(1, now.plan.planned)
    grid = _table("", "goal by now", "actual", f"of {number(now.plan.planned)}", "an hour", numbers=(1, 2, 4))
    rows: Sequence[tuple[str, int | None, int, float | None]] = (
        ("released", now.goal_released, now.released, now.released_an_hour),
        ("enrolled", now.goal_enrolled, totals[Outcome.ENROLLED], now.enrolled_an_hour),
    )
    for name, goal, count, rate in rows:
        wanted = "?" if goal is None else number(goal)
        add_row(grid, name, wanted, number(count), _bar(count / whole), number(round(rate or 0)))
    others = ((Outcome.FAILED, "failed"), (Outcome.REJECTED, "refused"), (Outcome.TIMED_OUT, "silent"))
    for outcome, name in others:
        if totals[outcome]:
            add_row(grid, name, "", number(totals[outcome]), f"{totals[outcome] / whole:.1%}", "")
    pending = now.released - sum(totals[Outcome.ENROLLED :])
    add_row(grid, "no answer yet", "", number(pending), f"{pending / whole:.1%}", "")
    return grid


def _bar(share: float) -> str:
    filled = min(BAR, int(BAR * share))
    # Words that any console can show: a bar of block characters breaks on old code pages.
    return "#" * filled + "." * (BAR - filled) + f" {share:.1%}"


def _facts(now: Standing) -> RenderableType:
    from rich.table import Table

    assert now.progress is not None
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    if now.expected is not None:
        for name, text in stored_forecast.lines(now.expected, now.plan.zone):
            add_row(grid, name, text)
    elif not now.is_final:
        add_row(
            grid,
            "done when",
            "'rollout forecast' tells; 'rollout run' works it out half a minute after it began",
        )
    if now.unsent:
        add_row(grid, "not sent", f"{number(now.unsent)} released devices; {now.unsent_because}".rstrip("; "))
    if now.on_plan:
        add_row(grid, "on plan?", now.on_plan)
    if now.progress.verdict:
        add_row(grid, "gate", _gate(now))
    return grid


def _gate(now: Standing) -> str:
    """Give the verdict with its sentence, where a decision of the last ones carries it."""
    assert now.progress is not None
    verdict = now.progress.verdict
    if now.progress.state is State.FINISHED and verdict != Verdict.PASS:
        return "nothing more to judge: nobody is left to release"
    said = [row.reason for row in now.recent if row.verdict == verdict and verdict.upper() in row.reason]
    return said[-1] if said else f"{verdict.upper()}, in phase '{now.plan.phases[now.progress.phase].name}'"


def _phases(now: Standing) -> Table:
    assert now.progress is not None
    heads = ("phase", "planned", "released", "enrolled", "failed", "refused", "silent")
    table = _table(*heads, numbers=range(1, len(heads)))
    shown = (Outcome.ENROLLED, Outcome.FAILED, Outcome.REJECTED, Outcome.TIMED_OUT)
    for index, phase in enumerate(now.plan.phases):
        counts = [len(phase), now.progress.released[index], *(now.by_phase[index][one] for one in shown)]
        mark = "> " if index == now.progress.phase and not now.is_final else "  "
        add_row(table, mark + phase.name, *(number(int(one)) for one in counts))
    return table


def _decisions(now: Standing) -> Table:
    table = _table("last decisions", "state", "released", "why", numbers=(2,))
    for row in now.recent:
        at = stored_forecast.moment(row.at, now.plan.zone)
        add_row(table, at, row.state.value, number(row.released), row.reason.removeprefix(f"{row.state}: "))
    return table


def _table(*heads: str, numbers: Sequence[int] = ()) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

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
