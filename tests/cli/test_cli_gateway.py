"""A whole rollout by the real verbs through a cloud management gateway, where a person signs in with a code."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from benches import CLIENTS, SCOPE, Bench, Benches, decisions
from emulators.tokens import CODE

from rollout.cli import main
from rollout.directory.configmgr.credentials import gateway_credential
from rollout.directory.configmgr.settings import AdminServiceSettings
from rollout.values import State

pytest.importorskip("azure.identity", reason="azure-identity is not installed: pip install 'rollout[graph]'")
# azure-identity leaves its connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(name="site")
def _site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Bench]:
    """An approved plan for a collection behind a gateway."""
    with ExitStack() as stack:
        it = Benches(tmp_path, capsys, stack).make("adminservice", gateway=True)
        it.call("approve", "--by", "Kim")
        yield it


def test_a_person_signs_in_and_the_doctor_looks(
    site: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code is shown on stderr, where it spoils no document; nothing is written."""
    for name in ("", "rollout"):  # as in a process of its own: pytest listens, too
        monkeypatch.setattr(logging.getLogger(name), "handlers", [])
    capsys.readouterr()
    assert main(["doctor", "--directory", "adminservice", "--json"]) == 0
    told = capsys.readouterr()
    checks = {load["name"]: load for load in json.loads(told.out)["checks"]}
    assert "site P01 answers" in str(checks)
    assert f"with the code {CODE}" in told.err
    assert [form["grant_type"].rpartition(":")[2] for form in site.tokens.asked] == ["device_code"] * 3
    assert [SCOPE in form["scope"] for form in site.tokens.begun] == [True]
    assert site.writes() == 0


@pytest.mark.slow
def test_there_and_back_through_a_gateway(site: Bench) -> None:
    """Dry run, run, status, undo: everybody is in, once, then out; the hours' tokens are renewed without a person."""
    shown = json.loads(site.run("--dry-run", "--json"))
    assert [item["method"] for item in shown["requests"]] == ["POST"] * 6  # five rules and an evaluation
    assert site.writes() == 0
    assert "is finished" in site.run()
    assert site.members() == list(range(CLIENTS))
    sent = [body["collectionRule"]["ResourceID"] for _, url, body in site.emulator.writes() if "Add" in url]
    assert len(sent) == len(set(sent)) == CLIENTS
    status = json.loads(site.call("status", "--json"))
    assert (status["state"], status["released"]) == ("finished", CLIENTS)
    kinds = [form["grant_type"].rpartition(":")[2] for form in site.tokens.asked]
    assert kinds.count("refresh_token") > 1
    assert kinds.count("device_code") == 4  # two sessions, the first of which had to wait for the person
    site.call("plan", "--undo", "run-1")
    site.call("approve", "--by", "Kim")
    site.run()
    assert site.members() == []
    assert decisions("run-2")[-1].state is State.FINISHED


@pytest.mark.slow
def test_a_token_that_is_revoked_is_renewed_without_a_person(site: Bench) -> None:
    """Refused in the middle of the run: renewed at once, past the cache, and everybody is in, once."""

    def revoke() -> None:
        site.tokens.issued = "canary-token-2"

    site.clock.after(2000, revoke)  # before its hour is over
    assert "is finished" in site.run()
    assert site.tokens.behind.refused == 1  # type: ignore[union-attr]
    assert [form for form in site.tokens.asked if form.get("claims")]
    assert site.members() == list(range(CLIENTS))


def test_who_declines_is_told_so_and_nothing_is_sent(site: Bench) -> None:
    """Exit 3 with what the tenant said, in one line; the site was never asked."""
    site.tokens.declines = True
    told = site.call("run", "--directory", "adminservice", "--dry-run", code=3)
    assert "no token for" in told
    assert "declined" in told
    assert "Traceback" not in told
    assert site.emulator.asked == []


@pytest.mark.parametrize(
    ("cloud", "authority"),
    [("public", "login.microsoftonline.com"), ("usgov", "login.microsoftonline.us")],
)
def test_each_cloud_signs_in_at_its_own_place(
    cloud: str, authority: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway of a national cloud takes no token of another."""
    import azure.identity

    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(azure.identity, "DeviceCodeCredential", lambda *_a, **keys: asked.append(keys))
    known = {"hosts": "cmg.example.com", "auth": "bearer", "tenant_id": "t", "client_id": "c", "scope": "s"}
    gateway_credential(AdminServiceSettings.model_validate(known | {"cloud": cloud}))
    assert authority in asked[0]["authority"]
    assert "disable_instance_discovery" not in asked[0]


def test_the_authority_is_for_this_machine_only(site: Bench) -> None:
    """Another host: exit 2. A cloud is chosen by its name."""
    own = Path("directory.toml").read_text()
    lines = [line for line in own.splitlines() if not line.startswith("authority")]
    Path("directory.toml").write_text("\n".join([*lines, 'authority = "https://login.example.com"']))
    assert "for emulators on this machine" in site.call("run", "--directory", "adminservice", code=2)
    assert site.tokens.asked == []
