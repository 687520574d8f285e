"""`rollout run`: carry out a plan, batch after batch."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rollout.api.choosing import require_no_other_rollout
from rollout.api.databases import open_db
from rollout.cli.options import DEFAULT_DB, MAX_SEED, Db, Json, Settings, Verbose
from rollout.cli.preview import preview, preview_real
from rollout.cli.terminal import bar, emit, note, say, say_lines
from rollout.errors import HaltedError, HeldError, RefusedError, UsageError
from rollout.executor import directories
from rollout.executor.logs import LogFormat, set_up, tell
from rollout.executor.notify import Notice
from rollout.executor.reporter import Channels
from rollout.executor.session import Ways, execute
from rollout.files import make_folder
from rollout.text import instant, number, visible
from rollout.values import Plan, Progress, State

if TYPE_CHECKING:
    from rollout.store import Database


def run(
    digest: Annotated[
        str | None, typer.Argument(help="Plan id or digest; the latest plan by default.")
    ] = None,
    directory: Annotated[
        str, typer.Option(help="Where to: embedded (a pretend world), adminservice or graph.")
    ] = directories.EMBEDDED,
    settings: Settings = directories.DEFAULT_SETTINGS,
    speed: Annotated[
        str, typer.Option(help="Of the pretend world's clock: a factor, or max.", metavar="FACTOR|max")
    ] = "1",
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", min=0, max=MAX_SEED, help="Of the pretend world: 1, or that with which it was begun."
        ),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Up to the next decision and what it sends, then stop.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what the next look would do; send nothing.")
    ] = False,
    log_format: Annotated[
        LogFormat, typer.Option(help="Of the lines on stderr, one a decision.")
    ] = LogFormat.TEXT,
    metrics: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write figures for Prometheus into FILE, every 15 seconds."),
    ] = None,
    notify: Annotated[
        str,
        typer.Option(
            envvar="ROLLOUT_NOTIFY_URL",
            metavar="URL",
            help="POST a JSON document there when it holds, halts or is finished.",
            show_default=False,
        ),
    ] = "",
    report: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep a report there up to date, every 30 s at most."),
    ] = None,
    forecasts: Annotated[
        bool,
        typer.Option(
            "--forecast/--no-forecast",
            help="Forecast its end anew beside it, at most every half hour, for status and report.",
        ),
    ] = True,
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Carry out a plan. Interrupted or killed, the same command goes on where it was.

    Exit 0 finished, 6 held or paused, 8 halted by a gate, 7 another executor has the lease, 130 interrupted.

    Example: rollout run --speed max --report report/
    """
    factor = parse_speed(speed)
    directories.check_name(directory)
    if metrics is not None and not metrics.absolute().parent.is_dir():
        raise UsageError(f"--metrics: expected a file in an existing folder, found {metrics}")
    if report is not None:
        usable(report)
    if notify:
        Notice(notify)  # a wrong URL is refused before anything is done
    database = open_db(db)
    stored = database.plan(digest or database.latest_plan())
    known = same_as_begun(database, stored.id, directory, seed)
    require_no_other_rollout(database, stored, directory)
    if directory != directories.EMBEDDED:
        directories.check_allowed(stored, directory, speed)
        if dry_run:
            preview_real(database, stored.id, directory, settings, as_json=as_json)
            return
    if dry_run:
        preview(database, stored.id, known, as_json=as_json)
        return
    if _ignores_windows(stored.plan):
        note(f"{stored.id} takes devices out at any hour, outside the change windows too")
    set_up(log_format, verbose, note)
    rollout_id = database.start_rollout(stored.id, directory, known, speed, int(time.time()))
    channels = Channels(metrics, notify, report=report, forecasts=forecasts, db=db)
    ways = Ways(
        directory,
        settings,
        known,
        factor,
        once=once,
        quiet=as_json,
        verbose=verbose,
        channels=channels,
        open_bar=bar,
        note=note,
    )
    progress = execute(database, stored.id, rollout_id, ways)
    if report is not None:
        last_report(database, stored.id, rollout_id, report, quiet=as_json)
    if as_json:
        from rollout.cli.status import document

        emit(document(database, rollout_id))
    else:
        say_lines(closing(stored.plan, rollout_id, progress))
    judge_end(progress)


def _ignores_windows(plan: Plan) -> bool:
    """Whether a plan takes devices out without waiting for the windows of the plan that it undoes."""
    from rollout.planning.change import OUTSIDE_WINDOWS

    return OUTSIDE_WINDOWS in plan.warnings


def usable(folder: Path) -> None:
    """Make the folder of --report. Raise `UsageError` if that cannot be: nothing has begun yet."""
    try:
        make_folder(folder)
    except OSError as error:
        raise UsageError(
            f"--report: expected a folder that can be written, found {folder}: {error.strerror}"
        ) from None


def last_report(database: Database, plan_id: str, rollout_id: str, folder: Path, *, quiet: bool) -> None:
    """Draw the report of what the run has come to. A disk that refuses is a warning: the rollout is done."""
    from rollout.api.report_facts import gather
    from rollout.report import write_report

    try:
        write_report(gather(database, plan_id, rollout_id, int(time.time())), folder)
    except (UsageError, OSError) as error:
        tell(f"the last report was not written: {error}", level=logging.WARNING)
    else:
        say(f"report: {folder / 'report.html'}", as_json=quiet)


def same_as_begun(database: Database, plan_id: str, directory: str, seed: int | None) -> int:
    """Give the seed to go on with. Raise `RefusedError` if the plan was begun with another one, or elsewhere."""
    rollout_id = database.rollout_of(plan_id)
    if rollout_id is None:
        return 1 if seed is None else seed
    begun = database.rollout(rollout_id)
    if begun.directory != directory:
        raise RefusedError(
            f"{rollout_id} was begun in directory '{begun.directory}', found --directory {directory}; nothing was sent",
            f"rollout run --directory {begun.directory}, or plan anew",
        )
    if seed is not None and seed != begun.seed:
        raise RefusedError(
            f"{rollout_id} was begun with --seed {begun.seed}, found --seed {seed}; nothing was sent",
            f"leave --seed out: {rollout_id} goes on with its own",
        )
    return begun.seed


def parse_speed(text: str) -> float | None:
    """Give the factor, None for max."""
    if text == "max":
        return None
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor < 1e9:
        raise UsageError(f"--speed: expected a positive factor or max, found '{text}'")
    return factor


def closing(plan: Plan, rollout_id: str, progress: Progress) -> str:
    """Give the last line of a run."""
    return (
        f"rollout {rollout_id} is {progress.state.value} at {instant(progress.at, plan.zone)}: "
        f"{visible(progress.reason)}; {number(sum(progress.released))} released, "
        f"{number(progress.enrolled)} enrolled\nnext: rollout report"
    )


def judge_end(progress: Progress) -> None:
    """Raise the error whose exit code says how a run ended; finished (or still running) is none."""
    if progress.state is State.HALTED:
        raise HaltedError(
            progress.reason, "nobody else is released; look at 'rollout report', then plan anew"
        )
    if progress.state in (State.HELD, State.PAUSED):
        hint = (
            "rollout resume" if progress.state is State.PAUSED else 'rollout approve --gate PHASE --by "Name"'
        )
        raise HeldError(f"{progress.state.value}: {progress.reason}", hint)
    if progress.state is State.ABORTED:
        raise HeldError(progress.reason, "an aborted rollout stays so; plan anew")
