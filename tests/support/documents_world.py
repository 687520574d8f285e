"""A small world in which every verb prints its documents with --json, for real."""

from __future__ import annotations

import contextlib
import io
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command_line import QUICK

from rollout.api import stored_forecast
from rollout.cli import main, terminal
from rollout.store import open_database

ROOT = Path(__file__).parent.parent.parent
DATA = ROOT / "scenarios" / "data"
EXPORTS = [str(DATA / f"{name}-devices.csv") for name in ("intune", "entra", "configmgr")]
STATES, LOG = str(DATA / "comanagement-states.txt"), str(DATA / "CoManagementHandler.log")
SMALL = QUICK.replace("clients = 600", "clients = 240").replace("devices = 100", "devices = 80") + (
    '[model.clients.failure]\ncolumn = "os"\nlevel = "Windows"\nrate = 0.04\n'
)
COMMAND = 'CCMSETUPCMD="/NoCRLCheck CCMHOSTNAME=cmg.example.com/CCM_Proxy_MutualAuth/1 SMSSITECODE=P01"'


@dataclass(frozen=True)
class Printed:
    """What a verb printed with --json: name of the case, verb, exit code, stdout, stderr."""

    name: str
    verb: str
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one document; infinity and NaN are no JSON."""

        def refuse(constant: str) -> None:
            raise ValueError(f"{self.name}: {constant}")

        return json.loads(self.out, parse_constant=refuse)


def ask(*arguments: str) -> tuple[int, str, str]:
    """Run a command; give its exit code, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    terminal.out.cache_clear()
    terminal.err.cache_clear()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    terminal.out.cache_clear()
    terminal.err.cache_clear()
    return code, out.getvalue(), err.getvalue()


class World:
    """A small fleet and a rollout of it, in which every verb has printed its documents.

    report_json : the file that `report` wrote beside its document.
    """

    def __init__(self) -> None:
        self.printed: list[Printed] = []
        self.report_json = ""

    def ask(self, name: str, *arguments: str, code: int = 0) -> None:
        """Run a verb with --json and keep what it printed."""
        found, out, err = ask(*arguments, "--json")
        assert found == code, f"{name}: exit {found}, {out[-500:]} {err[-500:]}"
        self.printed.append(Printed(name, arguments[0], found, out, err))

    def of(self, name: str) -> Printed:
        """Give what one case printed."""
        return next(printed for printed in self.printed if printed.name == name)


def made() -> World:
    """Make it in the current folder."""
    Path("quick.toml").write_text(SMALL, encoding="utf-8")
    world = World()
    for tell in (_prepared, _under_way, _done, _by_themselves, _aborted, _held, _outside):
        tell(world)
    return world


def _prepared(world: World) -> None:
    """Inventory, preflight, plan, simulation, approval."""
    world.ask("an error", "plan", code=2)
    world.ask("no rollout yet", "enrollment")
    world.ask("made up", "inventory", "--from", "scenario", "quick.toml")
    world.ask("findings", "preflight")
    world.ask("failing findings", "preflight", "--fail-on", "warn", code=4)
    world.ask("plan", "plan", "quick.toml")
    world.ask("explanation", "plan", "--explain", device(0))
    world.ask("report of a plan", "report", "--out", "planned")
    world.ask("simulation", "simulate", "--runs", "2", "--workers", "1")
    world.ask("report of a simulation", "report", "--out", "simulated")
    world.ask("approval", "approve", "--by", "Kim")
    world.ask("gate", "gate", "simulate", "--runs", "5", "--rates", "1,30", "--out", "gate")


def device(place: int) -> str:
    """Give a device of the plan's second phase."""
    with open_database("rollout.db") as database:
        plan = database.plan().plan
    return str(plan.ids[plan.phases[1].order[place]])


def released(place: int) -> list[str]:
    """Give a device of the first batch."""
    with open_database("rollout.db") as database:
        batch, plan = database.reader("run-1").batches()[0], database.plan().plan
    return [str(plan.ids[batch.rows[place]])]


def _under_way(world: World) -> None:
    """A rollout begins, is forecast, held by another executor, paused, and goes on."""
    world.ask("dry run", "run", "--dry-run")
    world.ask("once", "run", "--speed", "max", "--once")
    world.ask("forecast", "forecast", "--as-assumed", "--runs", "2", "--workers", "1")
    told = json.dumps(world.of("forecast").document["eta"])
    with open_database("rollout.db") as database:
        with database.journal("run-1", owner="test:1", now=time.time) as journal:
            journal.session(1, stored_forecast.KIND, told)
        database.journal("run-1", owner="other:7")
        world.ask("withdrawal noted", "withdraw", *released(1))
        world.ask("lease taken", "run", "--speed", "max", code=7)
        world.ask("status with lease and forecast", "status")
        world.ask("report with forecast", "report", "--out", "forecast")
        world.ask("lease released", "doctor", "--release-lease", "run-1", "--by", "Kim")
    world.ask("no lease", "doctor", "--release-lease", "run-1")
    world.ask("exclude", "exclude", device(-1), *released(0), "--reason", "board member")
    world.ask("withdraw", "withdraw", device(-1), *released(0), "--reason", "board member")
    world.ask("withdrawn device", "status", "--device", *released(0))
    world.ask("pause", "pause", "--by", "Kim", "--reason", "help desk is full")
    world.ask("paused", "run", "--speed", "max", code=6)
    world.ask("approved in advance", "approve", "--gate", "pilot", "--by", "Kim", code=4)
    world.ask("resume", "resume")


def _done(world: World) -> None:
    """The rollout finishes and is looked at."""
    world.ask("run", "run", "--speed", "max")
    world.ask("status", "status")
    world.ask("no forecast", "forecast", "--runs", "1", "--workers", "1")
    world.ask("calibration", "calibrate", "--workers", "1")
    world.ask("report", "report", "--out", "done")
    world.report_json = Path("done", "report.json").read_text(encoding="utf-8")
    world.ask("audit", "report", "--audit")
    world.ask("standing", "enrollment")
    world.ask("change", "enrollment", "--from", "none", "--to", "pilot")
    world.ask("forbidden change", "enrollment", "--from", "pilot", "--to", "all", code=4)
    for name, item in devices().items():
        world.ask(f"device {name}", "status", "--device", item)
        world.ask(f"workloads of device {name}", "workloads", "--device", item)
    world.ask("doctor", "doctor")
    world.ask("undo", "plan", "--undo", "run-1")


def devices() -> dict[str, str]:
    """Give a device for each outcome there is, and one that is not in the plan."""
    with open_database("rollout.db") as database:
        plan, outcome = database.plan().plan, database.reader("run-1").outcomes().outcome
    rows = {f"with outcome {item}": int((outcome == item).argmax()) for item in sorted(set(outcome.tolist()))}
    rows["left out"] = int((plan.phase_of < 0).argmax())
    return {name: str(plan.ids[row]) for name, row in rows.items()}


def _by_themselves(world: World) -> None:
    """Verbs that need no rollout."""
    few = ("--workers", "1")
    world.ask("demo", "demo", "--clients", "240", "--runs", "1", "--out", "demo")
    world.ask("tune", "tune", "quick.toml", "--trials", "2", "--verify", "1", "--out", "tuned", *few)
    world.ask("tune alone", "tune", "quick.toml", "--trials", "2", "--verify", "0", "--out", "tuned", *few)
    sizes = ("--devices", "1000", "--within", "10d", "--windows", "immediate,24h", "--out", "capacity")
    world.ask("capacity", "capacity", "quick.toml", *sizes, *few)
    world.ask("exports", "inventory", "--from", *EXPORTS, "--taken", "2026-11-24", "--db", "exports.db")
    world.ask("findings of exports", "preflight", "--db", "exports.db")
    world.ask("workloads", "workloads")
    for flags in ("8193", "NULL", "1056769"):
        world.ask(f"flags {flags}", "workloads", "--flags", flags, "--cap", "4095")
    world.ask("workloads of an export", "workloads", STATES)
    world.ask("workloads of one in an export", "workloads", STATES, "--device", "bos-0010")
    world.ask("standing of an export", "enrollment", STATES)
    world.ask("change without a fleet", "enrollment", "--from", "none", "--to", "pilot", "--db", "none.db")
    world.ask("un-enrolled", "enrollment", "--unenroll", "scope,policy,retire")
    world.ask("enrolled again", "enrollment", "--unenroll", "retire,scope", code=4)
    world.ask("log", "client", "log", LOG)
    world.ask("command", "client", "command", COMMAND)
    world.ask("useless command", "client", "command", COMMAND.replace("P01", "AUTO"), code=4)


def _aborted(world: World) -> None:
    """A second rollout that is ended, its targets missed before."""
    late = ("late.toml", "--runs", "1", "--workers", "1", "--db", "late.db")
    Path("late.toml").write_text(SMALL + "[targets]\nfinish_within_h = 1\n", encoding="utf-8")
    world.ask("missed target", "simulate", *late, code=5)
    world.ask("begun", "run", "--speed", "max", "--once", "--db", "late.db")
    world.ask("abort", "abort", "--reason", "wrong collection", "--db", "late.db")
    world.ask("aborted", "run", "--speed", "max", "--db", "late.db", code=6)
    world.ask("the rest", "plan", "--continue", "run-1", "--db", "late.db")


HELD = """\
[rollout]
name = "held"
look_every = "1h"
straggler_after = "3d"
mature_after = "1d"
stratum = "site"
[rollout.gate]
strata_min = 5
patience = "1d"
answered = 1.0
[rollout.gate.evidence]
p_ok = 0.05
p_bad = 0.2
[[rollout.phases]]
name = "pilot"
devices = 200
pacing = { mode = "duration", duration = "2h" }
soak = "1d"
[[rollout.phases]]
name = "all"
pacing = { mode = "duration", duration = "8h" }
[fleet]
clients = 400
[model]
horizon = "20d"
[model.clients]
window = "immediate"
[[model.clients.failure]]
column = "site"
level = "Berlin"
rate = 1.0
"""
"""A site in which all devices fail, and a gate that wants every device's answer."""


def _held(world: World) -> None:
    """A rollout that holds a site and then all others, until a person approves both."""
    Path("held.toml").write_text(HELD, encoding="utf-8")
    database = ("--db", "held.db")
    world.ask("fleet to hold", "inventory", "--from", "scenario", "held.toml", *database)
    world.ask("plan to hold", "plan", "held.toml", *database)
    world.ask("approval to hold", "approve", "--by", "Kim", *database)
    world.ask("held", "run", "--speed", "max", *database, code=6)
    world.ask("status of a hold", "status", *database)
    world.ask("approved gate", "approve", "--gate", "pilot", "--by", "Kim", *database)
    world.ask("approved stratum", "approve", "--stratum", "Berlin", "--by", "Kim", *database)


def _outside(world: World) -> None:
    """A real directory: an emulated site on loopback."""
    from emulated_site import write_plan
    from emulators.adminservice import TARGET, AdminService
    from emulators.people import Prompt, make_fleet
    from emulators.web import on_loopback

    Path("site").mkdir()
    emulator = AdminService(make_fleet(40), Prompt(40), now=lambda: int(time.time()))
    with contextlib.chdir("site"), on_loopback(emulator) as origin:
        write_plan(int(time.time()) - 60)
        Path("directory.toml").write_text(
            f'[directory.adminservice]\nhosts = ["{origin}"]\nauth = "none"\nsite_code = "P01"\n'
            f'collection = "{TARGET}"\n',
            encoding="utf-8",
        )
        world.ask("approval outside", "approve", "--by", "Kim")
        world.ask("dry run outside", "run", "--directory", "adminservice", "--dry-run")
        world.ask("doctor outside", "doctor", "--directory", "adminservice")
