"""`rollout run`: execute a plan, batch by batch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rollout.api.databases import open_db
from rollout.api.status import read_status
from rollout.cli.options import DEFAULT_DB, MAX_SEED, Db, Json, Settings, Verbose
from rollout.cli.preview import preview, preview_real
from rollout.cli.terminal import bar, emit, note, say, say_lines
from rollout.directory.registry import BACKENDS
from rollout.errors import HaltedError, HeldError, LossesError, UsageError
from rollout.executor import directories
from rollout.executor.logs import LogFormat, set_up
from rollout.executor.reporter import Channels
from rollout.executor.running import RunResult, check_channels, prepare_run, run_rollout
from rollout.executor.session import RunOptions
from rollout.loop.approvals import DATA
from rollout.text import instant, number, visible
from rollout.values import Plan, Progress, State


def run(
    digest: Annotated[
        str | None, typer.Argument(help="Plan id or digest (default: the latest plan).")
    ] = None,
    directory: Annotated[
        str,
        typer.Option(
            help=f"Directory to change: {directories.EMBEDDED} (simulated), {' or '.join(BACKENDS)}."
        ),
    ] = directories.EMBEDDED,
    settings: Settings = directories.DEFAULT_SETTINGS,
    speed: Annotated[
        str,
        typer.Option(help="Clock speed of the simulated directory: a factor, or max.", metavar="FACTOR|max"),
    ] = "1",
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            min=0,
            max=MAX_SEED,
            help="Seed of the simulated directory (default: the one the rollout started with, else 1).",
        ),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Make one decision, send its batch, then exit.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be decided and sent next; send nothing.")
    ] = False,
    log_format: Annotated[
        LogFormat, typer.Option(help="Format of the log on stderr, one line per decision.")
    ] = LogFormat.TEXT,
    metrics: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write metrics for Prometheus to FILE, every 15 seconds."),
    ] = None,
    notify: Annotated[
        str,
        typer.Option(
            envvar="ROLLOUT_NOTIFY_URL",
            metavar="URL",
            help="POST a JSON document to URL when the rollout holds, halts or finishes.",
            show_default=False,
        ),
    ] = "",
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Keep a report in DIR up to date, refreshed at most every 30 seconds."
        ),
    ] = None,
    forecasts: Annotated[
        bool,
        typer.Option(
            "--forecast/--no-forecast",
            help="Refresh the forecast in the background, at most every 30 minutes.",
        ),
    ] = True,
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Execute a plan. After an interruption the same command resumes it.

    Nothing is sent twice. Exit codes: 0 finished, 6 held or paused, 7 another executor holds the lease, 8 halted by
    a gate, 130 interrupted.

    Example: rollout run --speed max --report report/
    """
    channels = Channels(metrics, notify, report=report, forecasts=forecasts, db=db)
    options = RunOptions(
        directory,
        settings,
        speed=parse_speed(speed),
        once=once,
        quiet=as_json,
        verbose=verbose,
        channels=channels,
        open_bar=bar,
        note=note,
    )
    check_channels(channels)
    database = open_db(db)
    if dry_run:
        stored, known_seed = prepare_run(database, digest, directory, seed, options.speed)
        if directory == directories.EMBEDDED:
            preview(database, stored.id, known_seed, as_json=as_json)
        else:
            preview_real(database, stored.id, directory, settings, as_json=as_json)
        return
    set_up(log_format, verbose, note)
    result = run_rollout(database, digest, options, seed=seed)
    if result.report is not None:
        say(f"report: {result.report}", as_json=as_json)
    if as_json:
        emit(read_status(database, result.rollout).document)
    else:
        say_lines(closing(result))
    judge_end(result.progress, result.plan)


def parse_speed(text: str) -> float | None:
    """Return the factor, None for max."""
    if text == "max":
        return None
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor < 1e9:
        raise UsageError(f"--speed: expected a positive factor or max, found '{text}'")
    return factor


def closing(result: RunResult) -> str:
    """Return the last lines of a run."""
    progress = result.progress
    return (
        f"rollout {result.rollout} is {progress.state.value} at {instant(progress.at, result.plan.zone)}: "
        f"{visible(progress.reason)}; {number(sum(progress.released))} released, "
        f"{number(progress.enrolled)} enrolled\nnext: rollout report"
    )


def judge_end(progress: Progress, plan: Plan) -> None:
    """Raise the error whose exit code says how a run ended; finished without losses (or still running) is none."""
    if progress.state is State.HALTED:
        hint = "no further device is released; see 'rollout report', then make a new plan"
        raise HaltedError(progress.reason, hint)
    if progress.state is State.PAUSED:
        raise HeldError(progress.reason, "rollout resume")
    if progress.state is State.HELD:
        raise HeldError(progress.reason, _way_out(progress, plan))
    if progress.state is State.WAITING:
        raise HeldError(progress.reason, "releases resume by themselves; 'rollout run' continues it")
    if progress.state is State.LOSSES:
        raise LossesError(progress.reason, "see which devices with 'rollout report'; then plan them again")
    if progress.state is State.ABORTED:
        raise HeldError(progress.reason, "an aborted rollout cannot be resumed; make a new plan")


def _way_out(progress: Progress, plan: Plan) -> str:
    """Return what ends a hold."""
    if progress.hold is not None and progress.hold.rule == DATA:
        return "releases resume by themselves once the directory can be read"
    phase = plan.phases[progress.phase].name
    return f'find the cause; then: rollout approve --gate "{phase}" --by "Your Name"'
