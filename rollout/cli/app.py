"""The typer application: every verb, and the one call that runs it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

import typer

from rollout.cli import (
    approve,
    calibrate,
    capacity,
    client,
    control,
    demo,
    doctor,
    enrollment,
    forecast,
    gate,
    inventory,
    plan,
    preflight,
    report,
    run,
    schema,
    simulate,
    status,
    tune,
    withdraw,
    workloads,
)
from rollout.errors import UsageError

app = typer.Typer(
    name="rollout",
    help="Move a fleet of Windows clients into co-management: plan it, simulate that plan, execute it.\n\n"
    "The path: inventory, preflight, plan, simulate, approve, run, report. Each step prints an id; the "
    "next one takes the latest by default.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

VERBS: dict[str, Callable[..., None]] = {
    "demo": demo.demo,
    "inventory": inventory.inventory,
    "preflight": preflight.preflight,
    "plan": plan.plan,
    "simulate": simulate.simulate,
    "tune": tune.tune,
    "capacity": capacity.capacity,
    "calibrate": calibrate.calibrate,
    "forecast": forecast.forecast,
    "gate": gate.gate,
    "approve": approve.approve,
    "run": run.run,
    "status": status.status,
    "pause": control.pause,
    "resume": control.resume,
    "abort": control.abort,
    "exclude": control.exclude,
    "withdraw": withdraw.withdraw,
    "report": report.report,
    "enrollment": enrollment.enrollment,
    "workloads": workloads.workloads,
    "client": client.client,
    "doctor": doctor.doctor,
    "schema": schema.schema,
}

for name, verb in VERBS.items():
    app.command(name)(verb)


def _version(asked: bool) -> None:
    if asked:
        from rollout import __version__

        typer.echo(f"rollout {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version."
    ),
) -> None:
    pass


def run_app(arguments: Sequence[str]) -> int:
    """Run one command. Raise `UsageError` for a wrong verb, option or argument."""
    verb = next((one for one in arguments if not one.startswith("-")), None)
    if verb is not None and verb not in VERBS and not arguments[0].startswith("-"):
        near = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f"did you mean 'rollout {near[0]}'?" if near else f"verbs: {', '.join(VERBS)}"
        raise UsageError(f"unknown verb '{verb}'", hint)
    try:
        code = app(args=list(arguments), prog_name="rollout", standalone_mode=False)
    except typer.TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            return 0
        message = error.format_message().replace("\n", " ")
        hint = f"see 'rollout {verb} --help'" if verb in VERBS else "see 'rollout --help'"
        raise UsageError(message, hint) from None
    except typer.Abort:
        raise KeyboardInterrupt from None
    except SystemExit as ended:
        # typer takes every broken pipe for one of our output, which is an OutputError here, and ends without a word.
        raise (ended.__context__ if isinstance(ended.__context__, OSError) else ended) from None
    if code == 130:
        raise KeyboardInterrupt
    return int(code or 0)
