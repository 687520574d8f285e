"""A whole rollout by the real verbs, there and back: into an Entra group, a collection, and the embedded world."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from benches import CLIENTS, Bench, Benches, decisions
from emulators.graph import TENANT

from rollout.values import State

pytest.importorskip("azure.identity", reason="azure-identity is not installed: pip install 'rollout[graph]'")
# azure-identity leaves its connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


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


@pytest.mark.slow
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
            line if line.split(" ")[0] != key else f'{key} = "https://graph.example.com"'
            for line in own.splitlines()
        ]
        Path("directory.toml").write_text("\n".join(lines))
        assert "for emulators on this machine" in tenant.call("run", "--directory", "graph", code=2)
    assert tenant.emulator.asked == []


@pytest.mark.slow
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
