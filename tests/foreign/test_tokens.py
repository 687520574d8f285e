"""Microsoft's own azure-identity against a token server on loopback: tokens come, and failures leak nothing."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
import trustme
from emulators.graph import TENANT, Graph
from emulators.people import Prompt
from emulators.tokens import Tokens
from emulators.web import on_loopback
from opened import fleet_plan

from rollout.directory.graph.settings import CLIENT_SECRET_ENV, GraphSettings
from rollout.directory.opening import open_directory
from rollout.directory.port import Opening
from rollout.errors import OutsideError

pytest.importorskip("azure.identity", reason="azure-identity is not installed: pip install 'rollout[graph]'")
pytestmark = [
    pytest.mark.slow,
    # azure-identity leaves its connections to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

SECRET = "canary-client-secret"
ISSUED = "canary-access-token"


@pytest.fixture(name="tokens")
def _tokens(tmp_path: Any) -> Iterator[tuple[Tokens, str, str]]:
    """A token server over TLS, its origin, and the file of the authority to trust."""
    tokens, authority = Tokens(SECRET, ISSUED), trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with on_loopback(tokens, context) as origin:
        yield tokens, origin, str(tmp_path / "ca.pem")


def opened(root: str, authority: str, ca_file: str, secret: str) -> Any:
    fleet, plan = fleet_plan(20)
    settings = GraphSettings(
        tenant_id=TENANT, client_id="app", root=root, authority=authority, ca_file=ca_file, attempts=1
    )
    environ = {CLIENT_SECRET_ENV: secret}
    return open_directory("graph", Opening(plan, fleet, {"graph": settings}, environ=environ))


def test_a_client_secret_becomes_a_token(
    tokens: tuple[Tokens, str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """The secret of the environment, the tenant's endpoint, the cloud's scope; asked once, kept for all calls."""
    caplog.set_level(logging.DEBUG, "rollout")
    fleet, _ = fleet_plan(20)
    emulator = Graph(fleet, Prompt(20), now=lambda: 0)
    emulator.tokens = {ISSUED}
    with on_loopback(emulator) as origin:
        directory = opened(f"{origin}/v1.0", tokens[1], tokens[2], SECRET)
        assert directory.identity() == TENANT
        assert directory.identity() == TENANT
        directory.close()
    assert len(tokens[0].asked) == 1
    assert tokens[0].asked[0]["scope"] == "https://graph.microsoft.com/.default"
    assert "canary" not in caplog.text


def test_a_token_that_is_refused_before_its_time_is_not_taken_from_the_cache(
    tokens: tuple[Tokens, str, str],
) -> None:
    """The tenant revokes what lasts for an hour more: the token server is asked again, and the call goes through."""
    fleet, _ = fleet_plan(20)
    emulator = Graph(fleet, Prompt(20), now=lambda: 0)
    emulator.tokens = {ISSUED}
    with on_loopback(emulator) as origin:
        directory = opened(f"{origin}/v1.0", tokens[1], tokens[2], SECRET)
        assert directory.identity() == TENANT
        tokens[0].issued = "canary-another"
        emulator.tokens = {"canary-another"}
        assert directory.identity() == TENANT
        directory.close()
    assert ["claims" in form for form in tokens[0].asked] == [False, True]


def test_a_wrong_secret_is_one_clear_line_without_it(
    tokens: tuple[Tokens, str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Even if the token server echoes what it was sent."""
    directory = opened("http://127.0.0.1:1/v1.0", tokens[1], tokens[2], "canary-wrong")
    with pytest.raises(OutsideError, match="no token for https://graph") as caught:
        directory.identity()
    assert "canary" not in caught.value.message + caught.value.hint + caplog.text
    assert "AADSTS7000215" in caught.value.message
    assert "\n" not in caught.value.message
    directory.close()
