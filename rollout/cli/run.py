"""`rollout run`: carry out a plan, batch after batch."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from rollout.cli import steps
from rollout.cli.options import DEFAULT_DB, Db, Json, Seed, Verbose
from rollout.cli.terminal import bar, emit, instant, note, number, say
from rollout.errors import HaltedError, HeldError, UsageError
from rollout.loop import drive, pump
from rollout.values import DAY_S, Plan, Progress, State

if TYPE_CHECKING:
    from rollout.store import Database
    from sim.world import World

DIRECTORIES = ("embedded",)
BEAT_S = 15.0
"""Seconds of real time between two heartbeats of the lease."""


def run(
    digest: Annotated[
        str | None, typer.Argument(help="Plan id or digest; the latest plan by default.")
    ] = None,
    directory: Annotated[str, typer.Option(help="Where to: embedded (a pretend world).")] = "embedded",
    speed: Annotated[
        str, typer.Option(help="Of the pretend world's clock: a factor, or max.", metavar="FACTOR|max")
    ] = "1",
    seed: Seed = 1,
    once: Annotated[
        bool, typer.Option("--once", help="Up to the next decision and what it sends, then stop.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what the next look would do; send nothing.")
    ] = False,
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Carry out a plan. Interrupted or killed, the same command goes on where it was.

    Exit 0 finished, 6 held or paused, 8 halted by a gate, 7 another executor has the lease, 130 interrupted.

    Example: rollout run --speed max
    """
    factor = parse_speed(speed)
    if directory not in DIRECTORIES:
        raise UsageError(f"--directory: expected {' or '.join(DIRECTORIES)}, found '{directory}'")
    database = steps.open_db(db)
    stored = database.plan(digest)
    if dry_run:
        preview(database, stored.id, seed, as_json=as_json)
        return
    rollout_id = database.start_rollout(stored.id, directory, seed, speed, int(time.time()))
    progress = execute(
        database, stored.id, rollout_id, seed, factor, once=once, quiet=as_json, verbose=verbose
    )
    if as_json:
        from rollout.cli.status import document

        emit(document(database, rollout_id))
    else:
        say(closing(stored.plan, rollout_id, progress))
    judge_end(progress)


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


def execute(
    database: Database,
    plan_key: str,
    rollout_id: str,
    seed: int,
    speed: float | None,
    *,
    once: bool = False,
    quiet: bool = False,
    verbose: int = 0,
) -> Progress:
    """Drive the loop over the embedded directory until it is final, held or interrupted.

    Raise `KeyboardInterrupt` when a signal asked for the end; the journal is whole then.
    """
    from rollout.decide import begin
    from sim.draws import traits_of
    from sim.forecast import world_of
    from sim.world import SimClock

    setting = steps.world_of_plan(database, plan_key)
    plan, model = setting.stored.plan, setting.model
    log = database.membership_log(rollout_id)
    traits = traits_of(setting.fleet, model)
    world = world_of(plan, traits, model, seed=seed, log=log)
    with (
        database.journal(rollout_id, owner=owner(), now=time.time) as journal,
        interruptible() as asked_to_end,
    ):
        progress = journal.progress() or begin(plan)
        if progress.state.is_final:
            return progress
        clock = SimClock(progress.at, speed)
        journal.session(progress.at, "begin", f"{owner()} at speed {speed or 'max'}")
        before = len(journal.decisions())
        beat = _Heart(journal.heartbeat, lambda: journal.save_outcomes(world.outcomes()))

        def wait_until(at: int) -> int:
            if asked_to_end():
                raise KeyboardInterrupt
            if once and at > clock.now() and len(journal.decisions()) > before:
                raise _LookedOnceError
            beat(clock.now())
            return clock.wait_until(at)

        try:
            with bar("running", plan.planned, quiet=quiet) as moving:
                watch = _watcher(plan, world, moving.to, verbose)
                progress = pump(drive(plan, journal, world, plan.start + model.horizon), wait_until, watch)
        except _LookedOnceError:
            progress = journal.progress() or progress
        except KeyboardInterrupt:
            journal.session(clock.now(), "interrupted", owner())
            raise
        finally:
            journal.save_outcomes(world.outcomes())
    return progress


class _LookedOnceError(Exception):
    """`--once` has had its decision."""


class _Heart:
    """Keeps the lease alive in real time and the devices' outcomes fresh in simulated time."""

    def __init__(self, beat: Callable[[], None], save: Callable[[], object]) -> None:
        self._beat, self._save = beat, save
        self._beaten = time.monotonic()
        self._saved = 0

    def __call__(self, now: int) -> None:
        if time.monotonic() - self._beaten >= BEAT_S:
            self._beat()
            self._beaten = time.monotonic()
        if now - self._saved >= DAY_S:
            self._save()
            self._saved = now


def _watcher(plan: Plan, world: World, move: Callable[..., None], verbose: int) -> Callable[[int], None]:
    """Give what shows progress: the bar of enrolled devices, and with -v a line each simulated day."""
    from rollout.values import Outcome

    last = [plan.start]

    def watch(now: int) -> None:
        if now - last[0] < DAY_S // 4:
            return
        last[0] = now
        enrolled = int(world.engine.counts[..., Outcome.ENROLLED].sum())
        move(enrolled, f"running, {instant(now, plan.zone)}")
        if verbose:
            note(f"{instant(now, plan.zone)}: {number(enrolled)} enrolled")

    return watch


def owner() -> str:
    """Say who this executor is: host and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into a question; a second one ends at once."""
    asked = False

    def ask(_signal: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    names = [one for one in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, one)]
    before = {one: signal.signal(getattr(signal, one), ask) for one in names}
    try:
        yield lambda: asked
    finally:
        for one, handler in before.items():
            signal.signal(getattr(signal, one), handler)


def closing(plan: Plan, rollout_id: str, progress: Progress) -> str:
    """Give the last line of a run."""
    return (
        f"rollout {rollout_id} is {progress.state.value} at {instant(progress.at, plan.zone)}: {progress.reason}; "
        f"{number(sum(progress.released))} released, {number(progress.enrolled)} enrolled\nnext: rollout report"
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


def preview(database: Database, plan_key: str, seed: int, *, as_json: bool) -> None:
    """Say what the next look would decide, with nothing written or sent."""
    from rollout.decide import begin, decide
    from rollout.values import Observation, Seen
    from sim.draws import traits_of
    from sim.forecast import world_of

    setting = steps.world_of_plan(database, plan_key)
    plan = setting.stored.plan
    world = world_of(plan, traits_of(setting.fleet, setting.model), setting.model, seed=seed)
    known = database.rollout_of(plan_key)
    reader = database.reader(known) if known else None
    progress = (reader.progress() if reader else None) or begin(plan)
    batches = reader.batches() if reader else ()
    if known:
        world = world_of(
            plan,
            traits_of(setting.fleet, setting.model),
            setting.model,
            seed=seed,
            log=database.membership_log(known),
        )
        world.restore(batches)
    seen: Observation = world.observe(progress.at)
    gone = world.is_member.copy()
    for batch in batches:
        gone[batch.rows] = True
    decision = decide(plan, progress, Seen(progress.at, seen, gone, [one.at for one in batches]))
    names = [str(plan.ids[row]) for row in decision.rows]
    if as_json:
        emit({"at": progress.at, "reason": decision.reason, "devices": names})
        return
    say(f"{instant(progress.at, plan.zone)}: {decision.reason}")
    for name in names[:20]:
        say(f"  would add {name} to '{plan.collection}'")
    if len(names) > 20:
        say(f"  … and {number(len(names) - 20)} more")
    say("nothing was sent")


def default_out(rollout_id: str) -> Path:
    """Give the folder in which a rollout's report lies by default."""
    return Path("report") / rollout_id
