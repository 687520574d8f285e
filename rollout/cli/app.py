"""The typer application: the table of commands, and the one call that runs one of them.

A command's module is imported when the command is called, so modules can import what they need at their top and
`rollout --help` waits for none of them.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from rollout import __version__
from rollout.errors import UsageError

VERBS: dict[str, tuple[str, str]] = {
    "demo": ("demo:demo", "Run the whole path once on a generated sample fleet."),
    "inventory": (
        "inventory:inventory",
        "Import a snapshot of the fleet from exports of Intune, Entra and ConfigMgr, or generate one.",
    ),
    "preflight": (
        "preflight:preflight",
        "List devices that cannot be enrolled, why, and what to do about it.",
    ),
    "plan": (
        "plan:plan",
        "Build the plan: which devices, in what order, how fast, in which windows, and the manual steps.",
    ),
    "simulate": (
        "simulate:simulate",
        "Simulate a plan: when it ends, what load it causes, how often a gate halts it.",
    ),
    "tune": ("tune:tune", "Search for the fastest pacing that meets the scenario's [targets]."),
    "capacity": (
        "capacity:capacity",
        "Size the infrastructure: management points, gateway instances, service rate, busiest hour.",
    ),
    "calibrate": (
        "calibrate:calibrate",
        "Fit the model's assumptions to what a rollout has observed, with intervals.",
    ),
    "forecast": (
        "forecast:forecast",
        "Forecast the end of a running rollout, its failures, and whether it is on plan.",
    ),
    "gate": (
        "gate:gate",
        "Show how a plan's gates respond to failure rates: chance to halt, devices exposed.",
    ),
    "approve": ("approve:approve", "Approve a plan or, with --gate or --stratum, what holds a rollout."),
    "run": ("run:run", "Execute a plan. After an interruption the same command resumes it."),
    "status": ("status:status", "Show where a rollout stands, or one of its devices."),
    "pause": ("control:pause", "Stop releasing new devices; released ones continue."),
    "resume": ("control:resume", "Resume releasing after a pause."),
    "abort": ("control:abort", "End a rollout for good; no further device is released."),
    "exclude": ("control:exclude", "Exclude devices that are not released yet."),
    "withdraw": (
        "withdraw:withdraw",
        "Take released devices out of the collection again, if this rollout added them.",
    ),
    "report": ("report:report", "Write a report: page, pictures, CSV and JSON."),
    "enrollment": (
        "enrollment:enrollment",
        "Show enrollment states and error codes, or which devices each mode would enroll.",
    ),
    "workloads": (
        "workloads:workloads",
        "Show what each workload needs, what moves with it, and which tool manages it.",
    ),
    "client": (
        "client:client",
        "Explain a client's log, or check the command that installs the client from Intune.",
    ),
    "doctor": (
        "doctor:doctor",
        "Check the database, the journal, the lease, the disk and the directory; change nothing.",
    ),
    "schema": ("schema:schema", "Print the JSON Schema of a command's --json output."),
}
"""Command -> (module in rollout.cli and function, help line, which is also the first line of its docstring)."""


def function_of(verb: str) -> Callable[..., None]:
    """Import a command's function. Raise `KeyError` for an unknown command."""
    module, name = VERBS[verb][0].split(":")
    function: Callable[..., None] = getattr(import_module(f"rollout.cli.{module}"), name)
    return function


def command_of(verb: str) -> Any:
    """Build a command from its function's signature and docstring."""
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
    single.command(verb)(function_of(verb))
    return typer.main.get_command(single)


class _LazyGroup(TyperGroup):
    """A group that knows its commands by name and help line, and builds only the command that is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] in VERBS:
            self.commands[args[0]] = command_of(args[0])
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="rollout",
    cls=_LazyGroup,
    help="Move a fleet of Windows clients into co-management: plan it, simulate that plan, execute it.\n\n"
    "The path: inventory, preflight, plan, simulate, approve, run, report. Each step prints an id; the "
    "next one uses the latest by default.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _unloaded() -> None:
    """Stand for a command whose module is not imported yet."""


for _name, (_, _line) in VERBS.items():
    app.command(_name, help=_line)(_unloaded)


def _version(asked: bool) -> None:
    if asked:
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
    """Run one command. Raise `UsageError` for a wrong command, option or argument."""
    verb = next((argument for argument in arguments if not argument.startswith("-")), None)
    if verb is not None and verb not in VERBS and not arguments[0].startswith("-"):
        near = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f"did you mean 'rollout {near[0]}'?" if near else f"commands: {', '.join(VERBS)}"
        raise UsageError(f"unknown command '{verb}'", hint)
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
