"""`rollout demo`: do the whole job once, on a generated fleet and the simulated directory."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from rollout.cli.options import MAX_RUNS, Json, Out, Seed, Verbose, worker_count
from rollout.cli.terminal import bar, emit, note, say
from rollout.executor.demo import run_demo

RUNS = 10


def demo(
    clients: Annotated[
        int, typer.Option(min=1, max=2_000_000, help="Size of the generated fleet.")
    ] = 100_000,
    seed: Seed = 1,
    out: Out = Path("demo"),
    runs: Annotated[int, typer.Option(min=1, max=MAX_RUNS, help="Number of simulated runs.")] = RUNS,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Run the whole path once on a generated sample fleet.

    Example: rollout demo --clients 5000
    """
    document = run_demo(
        out,
        clients=clients,
        seed=seed,
        runs=runs,
        workers=worker_count(None),
        say=note if as_json else say,
        note=note,
        open_bar=partial(bar, quiet=as_json),
    )
    if as_json:
        emit(document)
        return
    say(f"the whole job took {document.seconds} s; open {document.report}")
