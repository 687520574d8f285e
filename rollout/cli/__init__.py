"""The command line: one short file per command; each parses, calls, prints and returns an exit code.

`main` is the only place that turns errors into lines and exit codes.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

from rollout.cli.streams import OutputError, flush, lasting_interrupts, standard_streams
from rollout.errors import Exit, RolloutError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. No traceback reaches a user, unless -vv asks for it."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    with standard_streams(), lasting_interrupts():
        try:
            code = _run(arguments)
        except OutputError as error:
            code = _output_lost(error)
    if argv is None and code == Exit.INTERRUPTED:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a person who presses twice gets no frames of our end
        # An interrupt within exec(), as dataclasses call it on import, makes Python end by the signal although it
        # was handled, and not with our exit code; until the next exec().
        exec("")
    return code


def _run(arguments: Sequence[str]) -> int:
    """Run one command and print its error, if there is one."""
    try:
        from rollout.api.file_names import require_text
        from rollout.cli.app import run_app
        from rollout.cli.terminal import begin

        begin()
        for argument in arguments:
            require_text(argument, "argument")
        code = run_app(arguments)
        flush()
    except RolloutError as error:
        if error.exit_code == 1 or "-vv" in arguments:
            _trace(error)
        return _fail(arguments, int(error.exit_code), error.message, error.hint)
    except KeyboardInterrupt:
        return _fail(arguments, Exit.INTERRUPTED, "interrupted", "nothing is lost; run the command again")
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        return _fail(arguments, Exit.DATABASE, f"the operating system refused: {error.strerror}{where}", "")
    except MemoryError:
        return _fail(arguments, Exit.DATABASE, "not enough memory", "try fewer clients or runs")
    return code


def _output_lost(error: OutputError) -> int:
    """Return the exit code for output that nobody reads: quiet, as the shell's own tools are, if the reader left."""
    if error.is_closed:
        return Exit.PIPE_CLOSED
    sys.stderr.write(f"rollout: the output could not be written: {error.reason}\n")
    return Exit.DATABASE


def _trace(error: BaseException) -> None:
    import traceback

    from rollout.text import visible

    for part in traceback.format_exception(error):
        sys.stderr.writelines(f"{visible(line)}\n" for line in part.rstrip("\n").split("\n"))


def _fail(arguments: Sequence[str], code: int, message: str, hint: str) -> int:
    from rollout.cli.terminal import fail

    fail(message, hint, code, as_json="--json" in arguments)
    flush()
    return int(code)
