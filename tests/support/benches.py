"""A folder with a plan and a directory that is emulated on loopback, for whole rollouts by the real verbs.

Graph, a gateway and their token server are behind TLS; azure-identity and the settings file are real.
"""

from __future__ import annotations

import ssl
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from building import MONDAY
from canaries import CANARY
from csv_directory.outside import CsvFiles
from emulators.adminservice import TARGET, AdminService
from emulators.graph import GROUP, TENANT, TOKEN, Graph
from emulators.machine import MachineTime
from emulators.people import Engine
from emulators.tokens import Gateway, Tokens
from emulators.web import on_loopback

from rollout.api.scenarios import world_of_plan
from rollout.cli import main
from rollout.store import open_database
from rollout.values import DecisionRow
from sim.clients.draws import traits_of
from sim.fleet.population import Problems
from sim.simulation import world_of

CLIENTS = 60
SCOPE = "https://ConfigMgrService/user_impersonation"
CLEAN = ", ".join(f"{one} = 0.0" for one in Problems.model_fields)
SCENARIO = f"""\
[rollout]
name = "test"
look_every = "30m"
mature_after = "1h"
straggler_after = "3d"
[rollout.gate]
min_executed = 10
evidence = {{ p_ok = 0.02, p_bad = 0.3 }}
[[rollout.phases]]
name = "pilot"
devices = 20
pacing = {{ mode = "batches", batches = [5, "rest"], every = "1h" }}
soak = "9h"
[[rollout.phases]]
name = "all"
pacing = {{ mode = "batches", batches = 3, every = "1h" }}
soak = "9h"
[fleet]
clients = {CLIENTS}
problems = {{ {CLEAN} }}
never_signed_in = 0.0
presence = {{ always_on = 1.0, office = 0.0, laptop = 0.0, rarely_on = 0.0 }}
[model.clients]
window = "immediate"
"""


class Stays(Engine):
    """The simulator's clients: who leaves the collection stays enrolled."""

    def leave(self, row: int) -> None:
        del row


@dataclass
class Bench:
    """A folder with a plan, the directory that it is for, and the command line.

    kind : embedded, or the name of a real directory. clock : the machine's. emulator : None for embedded.
    """

    kind: str
    clock: MachineTime
    emulator: Any
    tokens: Tokens
    capsys: pytest.CaptureFixture[str]

    def call(self, *words: str, code: int = 0) -> str:
        """Run a verb, which must end with `code`; give what it printed."""
        self.capsys.readouterr()
        got = main([*words])
        told = self.capsys.readouterr()
        assert got == code, told.err
        return told.out if code == 0 else told.err

    def run(self, *words: str, code: int = 0) -> str:
        """Run `rollout run` there, telling all it can."""
        speed = ["--speed", "max"] if self.kind == "embedded" else []
        return self.call("run", "--directory", self.kind, "--no-forecast", "-vv", *speed, *words, code=code)

    def writes(self) -> int:
        return len(self.emulator.writes())

    def members(self) -> list[int]:
        """Give the rows of the collection's or the group's members."""
        if self.kind == "csv":
            members: list[int] = self.emulator.members()
            return members
        if self.kind == "graph":
            return sorted(self.emulator.objects[one] for one in self.emulator.target.members)
        if self.kind == "adminservice":
            return sorted(self.emulator.row_of[one] for one in self.emulator.target.rules)
        with open_database("rollout.db") as database:
            log = database.membership_log("run-1")
            return sorted(row for _, _, rows in log.load() for row in rows.tolist())


def decisions(rollout_id: str) -> list[DecisionRow]:
    with open_database("rollout.db") as database:
        return list(database.reader(rollout_id).decisions())


def emulated(kind: str) -> Any:
    """Give an emulator of the planned fleet, whose devices are the simulator's: the same draws, the same outcomes."""
    with open_database("rollout.db") as database:
        setting = world_of_plan(database, None)
    plan, model = setting.stored.plan, setting.model
    engine = world_of(plan, traits_of(setting.fleet, model), model, seed=1).engine
    make: Any = {"graph": Graph, "adminservice": AdminService, "csv": CsvFiles}[kind]
    return make(setting.fleet, Stays(engine, len(plan)), now=lambda: int(time.time()))


def settings_of(kind: str, origin: str, ca_file: str = "") -> str:
    if kind == "adminservice":
        return (
            f'[directory.adminservice]\nhosts = ["{origin}"]\nauth = "none"\nsite_code = "P01"\n'
            f'collection = "{TARGET}"\n'
        )
    return (
        f'[directory.graph]\ntenant_id = "{TENANT}"\nclient_id = "app"\ngroup = "{GROUP}"\n'
        f'root = "{origin}/v1.0"\nauthority = "{origin}"\nca_file = "{ca_file}"\nconfirmed_pilot_by = "Kim"\n'
    )


def through_gateway(origin: str, ca_file: str) -> str:
    return (
        f'[directory.adminservice]\nhosts = ["{origin}{Gateway.PATH}/AdminService"]\nauth = "bearer"\n'
        f'site_code = "P01"\ncollection = "{TARGET}"\ntenant_id = "{TENANT}"\nclient_id = "app"\n'
        f'scope = "{SCOPE}"\nauthority = "{origin}"\nca_file = "{ca_file}"\n'
    )


class Benches:
    """Makes benches, each in a folder and at the same instant."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], stack: ExitStack) -> None:
        self._folder, self._capsys, self._stack = folder, capsys, stack

    def make(self, kind: str, *, gateway: bool = False) -> Bench:
        """Make one. gateway : the site is behind a cloud management gateway, where a person signs in."""
        patch = self._stack.enter_context(pytest.MonkeyPatch.context())
        clock = MachineTime(patch, MONDAY - 600)
        folder = self._folder / kind
        folder.mkdir()
        patch.chdir(folder)
        it = Bench(kind, clock, None, Tokens(CANARY, TOKEN), self._capsys)
        Path("it.toml").write_text(SCENARIO)
        it.call("inventory", "--from", "scenario", "it.toml")
        it.call("plan", "it.toml")
        if kind != "embedded":
            it.emulator = emulated(kind)
            self._serve(it, gateway)
        return it

    def _serve(self, it: Bench, gateway: bool) -> None:
        if it.kind == "csv":
            Path("directory.toml").write_text(f'[directory.csv]\nfolder = "{it.emulator.folder}"\n')
            self._live_on(it)
            return
        if it.kind == "adminservice" and not gateway:
            origin = self._stack.enter_context(on_loopback(it.emulator))
            Path("directory.toml").write_text(settings_of(it.kind, origin))
            return
        authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.cert_pem.write_to_path("ca.pem")
        authority.issue_cert("127.0.0.1").configure_cert(context)
        it.tokens.behind = Gateway(it.emulator, it.tokens) if gateway else it.emulator
        origin = self._stack.enter_context(on_loopback(it.tokens, context))
        ca_file = str(Path("ca.pem").resolve())
        told = through_gateway(origin, ca_file) if gateway else settings_of(it.kind, origin, ca_file)
        Path("directory.toml").write_text(told)

    def _live_on(self, it: Bench) -> None:
        """Let the devices behind files live on as the machine's time passes: nobody asks them anything."""
        it.emulator.advance()
        it.clock.after(60, lambda: self._live_on(it))
