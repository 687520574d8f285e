"""A whole rollout by the real verbs, there and back: into an Entra group, a collection, and the embedded world.

Graph and its token server are emulated on a TLS socket on loopback; azure-identity and the settings file are real.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from building import MONDAY
from canaries import CANARY
from emulators.adminservice import TARGET, AdminService
from emulators.graph import GROUP, TENANT, TOKEN, Graph
from emulators.machine import MachineTime
from emulators.people import Engine
from emulators.tokens import Tokens
from emulators.web import on_loopback

from rollout.cli import main, steps
from rollout.store import open_database
from rollout.values import DecisionRow, State
from sim.draws import traits_of
from sim.forecast import world_of
from sim.population import Problems

pytest.importorskip("azure.identity", reason="azure-identity is not installed: pip install 'rollout[graph]'")
# azure-identity leaves its connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

CLIENTS = 60
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

    kind : embedded, adminservice or graph. emulator : None for embedded.
    """

    kind: str
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
    import time

    with open_database("rollout.db") as database:
        setting = steps.world_of_plan(database, None)
    plan, model = setting.stored.plan, setting.model
    engine = world_of(plan, traits_of(setting.fleet, model), model, seed=1).engine
    make = Graph if kind == "graph" else AdminService
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


class Benches:
    """Makes benches, each in a folder and at the same instant."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], stack: ExitStack) -> None:
        self._folder, self._capsys, self._stack = folder, capsys, stack

    def make(self, kind: str) -> Bench:
        patch = self._stack.enter_context(pytest.MonkeyPatch.context())
        MachineTime(patch, MONDAY - 600)
        folder = self._folder / kind
        folder.mkdir()
        patch.chdir(folder)
        it = Bench(kind, None, Tokens(CANARY, TOKEN), self._capsys)
        Path("it.toml").write_text(SCENARIO)
        it.call("inventory", "--from", "scenario", "it.toml")
        it.call("plan", "it.toml")
        if kind != "embedded":
            it.emulator = emulated(kind)
            self._serve(it)
        return it

    def _serve(self, it: Bench) -> None:
        if it.kind == "adminservice":
            origin = self._stack.enter_context(on_loopback(it.emulator))
            Path("directory.toml").write_text(settings_of(it.kind, origin))
            return
        import ssl

        authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.cert_pem.write_to_path("ca.pem")
        authority.issue_cert("127.0.0.1").configure_cert(context)
        it.tokens.behind = it.emulator
        origin = self._stack.enter_context(on_loopback(it.tokens, context))
        Path("directory.toml").write_text(settings_of(it.kind, origin, str(Path("ca.pem").resolve())))


@pytest.fixture(name="benches")
def _benches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Benches]:
    with ExitStack() as stack:
        yield Benches(tmp_path, capsys, stack)


@pytest.fixture(name="tenant")
def _tenant(benches: Benches) -> Bench:
    """An approved plan for a group."""
    it = benches.make("graph")
    it.call("approve", "--by", "Kim")
    return it


def test_the_doctor_looks_at_a_tenant_and_writes_nothing(tenant: Bench) -> None:
    """Tenant, group, rights, clock and quota, over TLS and with a token that azure-identity fetched."""
    told = tenant.call("doctor", "--directory", "graph")
    assert f"tenant {TENANT} answers" in told
    assert "has assigned members" in told
    assert "100% of the write quota is free" in told
    assert [form["scope"] for form in tenant.tokens.asked] == ["https://graph.microsoft.com/.default"]
    assert tenant.emulator.asked
    assert tenant.writes() == 0


def test_the_dry_run_shows_the_first_batch_and_sends_no_write(tenant: Bench) -> None:
    """One PATCH with the five devices that the first look releases; the next look sends exactly that."""
    tenant.call("doctor", "--directory", "graph")
    own = Path("directory.toml").read_text()
    shown = json.loads(tenant.run("--dry-run", "--json"))
    (planned,) = shown["requests"]
    assert len(planned["body"]["members@odata.bind"]) == 5
    assert any("confirmed by Kim" in note for note in shown["notes"])
    assert "1 requests, about 0 s to send; nothing was changed" in tenant.run("--dry-run")
    with Path("directory.toml").open("a") as settings:
        settings.write('writes = 1\nwrites_window_s = 58\nwrite_counts = "member"\n')
    # One member a minute, the first at once.
    assert "1 requests, about 4 minutes to send" in tenant.run("--dry-run")
    assert tenant.writes() == 0
    assert tenant.members() == []
    Path("directory.toml").write_text(own)
    tenant.run("--once")
    assert tenant.emulator.writes() == [(planned["method"], planned["url"], planned["body"])]


def test_there_and_back_into_a_group(tenant: Bench) -> None:
    """Everybody is in, once; status says so; the undo takes out whom the run added, and leaves a stranger."""
    stranger = tenant.emulator.object_of[7]
    tenant.emulator.target.members[stranger] = None
    assert "is finished" in tenant.run()
    assert tenant.members() == list(range(CLIENTS))
    sent = [link for _, _, body in tenant.emulator.writes() for link in body["members@odata.bind"]]
    assert len(sent) == len(set(sent)) == CLIENTS - 1
    status = json.loads(tenant.call("status", "--json"))
    assert (status["state"], status["released"]) == ("finished", CLIENTS)
    told = tenant.call("doctor", "--directory", "graph")
    assert f"{CLIENTS - 1} of {CLIENTS - 1} devices that run-1 added are members" in told
    tenant.call("plan", "--undo", "run-1")
    assert "not approved" in tenant.run(code=4)
    tenant.call("approve", "--by", "Kim")
    tenant.run()
    assert tenant.members() == [7]
    assert decisions("run-2")[-1].state is State.FINISHED
    assert len(tenant.tokens.asked) > 1  # an hour's token was renewed on the way


def test_a_wrong_secret_is_one_line_before_anything_is_sent(tenant: Bench) -> None:
    """Exit 3 and what the token server said, although it repeats the secret."""
    tenant.tokens.secret = "another"
    told = tenant.call("run", "--directory", "graph", "--dry-run", code=3)
    assert "no token for https://graph.microsoft.com/.default" in told
    assert tenant.emulator.asked == []


def test_root_and_authority_are_for_this_machine_only(tenant: Bench) -> None:
    """Another host in the settings: exit 2, and nothing is asked."""
    own = Path("directory.toml").read_text()
    for key in ("root", "authority"):
        lines = [
            one if one.split(" ")[0] != key else f'{key} = "https://graph.example.com"'
            for one in own.splitlines()
        ]
        Path("directory.toml").write_text("\n".join(lines))
        assert "for emulators on this machine" in tenant.call("run", "--directory", "graph", code=2)
    assert tenant.emulator.asked == []


def test_one_scenario_ends_the_same_by_the_command_line_everywhere(benches: Benches) -> None:
    """Embedded, a site and a tenant: the same plan, the same members and, field by field, the same decision rows."""
    ends = {}
    for kind in ("embedded", "adminservice", "graph"):
        it = benches.make(kind)
        it.call("approve", "--by", "Kim")
        it.run()
        ends[kind] = it.members(), decisions("run-1")
    members, rows = ends["embedded"]
    assert members == list(range(CLIENTS))
    assert len(rows) > 5
    for theirs, other in ends.values():
        assert theirs == members
        assert other == rows
