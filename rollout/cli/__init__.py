"""The command line: one short file a verb, each parses, calls, prints and gives an exit code.

`main` is the only place that turns errors into lines and exit codes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from rollout.errors import Exit, RolloutError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code. No traceback reaches a user, unless -vv asks for it."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    from rollout.cli.app import run_app
    from rollout.cli.terminal import begin

    begin()
    try:
        return run_app(arguments)
    except RolloutError as error:
        if error.exit_code == 1 or "-vv" in arguments:
            _trace(error)
        return _fail(arguments, int(error.exit_code), error.message, error.hint)
    except KeyboardInterrupt:
        return _fail(arguments, Exit.INTERRUPTED, "interrupted", "nothing is lost; run the command again")
    except BrokenPipeError:
        # The reader of our output went away (head, less): no fault of anybody's.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        return _fail(arguments, Exit.DATABASE, f"the operating system refused: {error.strerror}{where}", "")
    except MemoryError:
        return _fail(arguments, Exit.DATABASE, "not enough memory", "try fewer clients or runs")


def _trace(error: BaseException) -> None:
    import traceback

    from rollout.plain import visible

    for part in traceback.format_exception(error):
        sys.stderr.writelines(f"{visible(line)}\n" for line in part.rstrip("\n").split("\n"))


def _fail(arguments: Sequence[str], code: int, message: str, hint: str) -> int:
    from rollout.cli.terminal import fail

    fail(message, hint, code, as_json="--json" in arguments)
    return int(code)
