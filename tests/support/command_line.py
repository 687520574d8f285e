"""The command line as tests call it; the fixture `cli` stands in conftest."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rollout.cli import main, terminal

QUICK = """\
[rollout]
name = "quick"
look_every = "1h"
straggler_after = "3d"
mature_after = "1d"
[rollout.gate]
losses_max = 0.2
[rollout.gate.evidence]
p_ok = 0.05
p_bad = 0.2
[[rollout.phases]]
name = "pilot"
devices = 100
pacing = { mode = "duration", duration = "2h" }
soak = "1d"
[[rollout.phases]]
name = "all"
pacing = { mode = "duration", duration = "8h" }
[fleet]
clients = 600
[model]
horizon = "20d"
[model.clients]
window = "immediate"
"""


def confirmed(text: str) -> str:
    """Fill in who saw the counterpart of a workload scenario, as a person does after a look at Intune."""
    filled = text.replace("# [rollout.counterparts", "[rollout.counterparts")
    for name, value in (("policy", '"Baseline"'), ("by", '"Kim"'), ("on", "2025-11-03")):
        filled = re.sub(rf"(?m)^# {name} = .*$", f"{name} = {value}", filled)
    return filled


@dataclass
class Answer:
    """What a command gave: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Cli = Callable[..., Answer]


def calling(capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """Give what runs a command in this process, with a terminal of its own."""

    def run(*arguments: str | Path) -> Answer:
        terminal.out.cache_clear()
        terminal.err.cache_clear()
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    yield run
    terminal.out.cache_clear()
    terminal.err.cache_clear()
